"""``torch.distributions`` against PyTorch's, and the moments of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, snippets

import fgrad.torch as torch

PRELUDE = """
D = torch.distributions
a, b = torch.tensor([0.5, 1.5]), torch.tensor([2.0, 0.7])
p, n = torch.tensor([0.2, 0.8]), torch.tensor([1.0, 2.0])
P = torch.tensor([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]])
M = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
w = torch.tensor([0.3, -0.6], requires_grad=True)
""".strip()


@pytest.mark.parametrize("source", snippets("distributions"))
def test_distributions(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


D = torch.distributions
A = torch.tensor([0.5, 1.5])
SAMPLED = [
    D.Normal(A, A), D.LogNormal(A, A / 4), D.Uniform(A, 2 * A), D.Exponential(A),
    D.Laplace(A, A), D.Gamma(A, 2 * A), D.Beta(A, 2 * A), D.Dirichlet(A),
    D.HalfNormal(A), D.Bernoulli(A / 2), D.Geometric(A / 2), D.Binomial(3, A / 2),
    D.Poisson(A), D.Multinomial(3, A / 2), D.OneHotCategorical(A / 2),
    D.MultivariateNormal(A, torch.eye(2) + 0.5),
]  # fmt: skip


@pytest.mark.parametrize("family", SAMPLED, ids=lambda family: type(family).__name__)
def test_moments_of_samples(family: Any) -> None:
    torch.manual_seed(0)
    drawn = family.sample((40000,)).numpy().astype(np.float64)
    np.testing.assert_allclose(drawn.mean(0), family.mean.numpy(), 0.05, 0.02)
    np.testing.assert_allclose(drawn.var(0), family.variance.numpy(), 0.12, 0.03)


def test_categorical_frequencies_and_gradients_of_samples() -> None:
    torch.manual_seed(0)
    classes = D.Categorical(torch.tensor([0.2, 0.3, 0.5])).sample((20000,))
    found = np.bincount(classes.numpy()) / 20000
    np.testing.assert_allclose(found, [0.2, 0.3, 0.5], 0, 0.02)
    loc, scale = (x.clone().requires_grad_() for x in (A, A))
    D.Normal(loc, scale).rsample((5,)).sum().backward()
    assert loc.grad.tolist() == [5.0, 5.0]  # type: ignore[union-attr]
    assert not D.Normal(loc, scale).sample().requires_grad
