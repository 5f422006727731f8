"""Functions and methods of tensors: values, node names, gradients, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, snippets, torch

import fgrad.torch

TOPICS = ["elementwise", "extrema", "statistics", "joining", "gathering", "linalg"]


@pytest.mark.parametrize("source", snippets(*TOPICS, "random"))
def test_functions(source: str) -> None:
    agree(source)


@pytest.mark.parametrize("source", snippets("functional", "convolution", "idioms"))
def test_functional(source: str) -> None:
    agree(f"nn = torch.nn\nF = nn.functional\n{source}")


@pytest.mark.parametrize("source", snippets("derivatives", "functional_derivatives"))
def test_derivatives(source: str) -> None:
    """The node, the value, and the gradient of the sum of squares."""
    ours, theirs = run(source, fgrad.torch), run(source, torch)
    assert ours[0] == theirs[0]
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, 2e-9, 1e-12)


def run(source: str, module: Any) -> list[Any]:
    options = {"dtype": module.float64, "requires_grad": True}
    x = module.tensor([[1.0, 2.0], [4.0, 3.0]], **options)
    w = module.tensor([1.5, 2.5], **options)
    functional = module.nn.functional
    y = eval(source, {"torch": module, "F": functional, "x": x, "w": w})
    (y * y).sum().backward()
    gradients = [leaf.grad.numpy() for leaf in (x, w) if leaf.grad is not None]
    return [y.grad_fn.name(), y.detach().numpy(), *gradients]


@pytest.mark.parametrize("name", ["sin_", "addcmul_", "masked_fill_", "t_"])
def test_in_place_variants_are_registered(name: str) -> None:
    method: Any = getattr(fgrad.torch.Tensor, name)
    assert method.__doc__
