"""Families of distributions, transforms, constraints and divergences: as PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, snippets, torch

import fgrad.torch

PRELUDE = """
D = torch.distributions
C, T, K = D.constraints, D.transforms, D.kl_divergence
a, b = torch.tensor([0.5, 1.5]), torch.tensor([2.0, 0.7])
p, n = torch.tensor([0.2, 0.8]), torch.tensor([1.0, 2.0])
P = torch.tensor([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]])
M = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
w = torch.tensor([0.3, -0.6], requires_grad=True)
t = torch.tensor(0.7)
nan, inf = float("nan"), float("inf")
""".strip()
FAMILIES = {  # an expression, and one for values in the support
    "Cauchy(a, b)": "w",
    "StudentT(b * 2, a, b)": "w",
    "StudentT(3.0)": "w",
    "FisherSnedecor(a * 4, b * 4)": "w.exp()",
    "Chi2(b)": "w.exp()",
    "Gamma(a, b)": "w.exp()",
    "InverseGamma(a * 3, b)": "w.exp()",
    "LogNormal(a, b)": "w.exp()",
    "HalfNormal(b)": "w.exp()",
    "HalfCauchy(b)": "w.exp()",
    "Gumbel(a, b)": "w",
    "Gumbel(0.0, 1.0)": "w",
    "Weibull(a, b)": "w.exp()",
    "Pareto(a, b * 2)": "w.exp() + 1.5",
    "Kumaraswamy(a + 1, b + 1)": "w.sigmoid()",
    "LogisticNormal(a, b)": "T.StickBreakingTransform()(w)",
    "NegativeBinomial(n, p)": "torch.tensor([2.0, 0.0])",
    "NegativeBinomial(3, logits=w)": "torch.tensor([2.0, 0.0])",
    "GeneralizedPareto(a, b, torch.tensor([0.0, 0.3]))": "w.exp() + 1.5",
    "GeneralizedPareto(0.0, 1.0, -0.5)": "w.exp()",
    "ContinuousBernoulli(p)": "w.sigmoid()",
    "ContinuousBernoulli(logits=w)": "p",
    "ContinuousBernoulli(torch.tensor([0.5, 0.4]))": "w.sigmoid()",
    "VonMises(a, b)": "w",
    "LowRankMultivariateNormal(a, M[:, :1], b)": "w",
    "LowRankMultivariateNormal(a.repeat(3, 1), M, b)": "w",
    "MixtureSameFamily(D.Categorical(p), D.Normal(a, b))": "w[0]",
    "MixtureSameFamily(D.Categorical(P), D.Normal(P, P + 1))": "w",
    "MixtureSameFamily(D.Categorical(p), D.Independent(D.Normal(M, M), 1))": "w",
    "RelaxedBernoulli(t, p)": "w.sigmoid()",
    "RelaxedBernoulli(t, logits=w)": "p",
    "RelaxedOneHotCategorical(t, P)": "w.new_zeros(3).softmax(-1)",
    "RelaxedOneHotCategorical(t, logits=w)": "p",
    "OneHotCategoricalStraightThrough(P)": "torch.tensor([0.0, 1.0, 0.0])",
    "TransformedDistribution(D.Normal(a, b), [D.ExpTransform()])": "w.exp()",
    "TransformedDistribution(D.Normal(a, b), T.TanhTransform())": "w.tanh()",
    "TransformedDistribution(D.Uniform(0.0, 1.0), [T.SigmoidTransform().inv, "
    "T.AffineTransform(a, b)])": "w",
    "TransformedDistribution(D.Normal(a, b), [T.AffineTransform(0.0, -1.0)])": "w",
    "TransformedDistribution(D.Normal(torch.zeros(3), 1.0), "
    "[T.StickBreakingTransform()])": "w.new_zeros(4).softmax(-1)",
    "TransformedDistribution(D.Normal(torch.zeros(2, 4), 1.0), "
    "[T.ReshapeTransform((4,), (2, 2))])": "M",
    "TransformedDistribution(D.Independent(D.Normal(a, b), 1), T.ExpTransform())": (
        "w.exp()"
    ),
    "LKJCholesky(2, 1.5)": "T.CorrCholeskyTransform()(w[:1])",
    "LKJCholesky(3, a)": "T.CorrCholeskyTransform()(w.new_ones(3))",
    "Wishart(torch.tensor(3.5), M)": "M * 2",
    "Wishart(b + 2, scale_tril=M.tril())": "M * 2",
    "Wishart(4.0, precision_matrix=M)": "M * 2",
    "Normal(a, b)": "w",
    "Laplace(a, b)": "w",
    "Exponential(a)": "w.exp()",
    "Uniform(a, a + b)": "a + w.sigmoid() * b",
    "Beta(a, b)": "w.sigmoid()",
    "Dirichlet(P)": "w.new_zeros(3).softmax(-1)",
    "Bernoulli(p)": "torch.tensor([1.0, 0.0])",
    "Bernoulli(logits=w)": "torch.tensor([1.0, 0.0])",
    "Binomial(3, p)": "torch.tensor([1.0, 0.0])",
    "Geometric(p)": "torch.tensor([1.0, 0.0])",
    "Poisson(b)": "torch.tensor([1.0, 0.0])",
    "Categorical(P)": "torch.tensor([1, 0])",
    "OneHotCategorical(P)": "torch.tensor([0.0, 1.0, 0.0])",
    "Multinomial(3, P)": "torch.tensor([0.0, 1.0, 2.0])",
    "MultivariateNormal(a, M)": "w",
    "Independent(D.Normal(a, b), 1)": "w",
    "Independent(D.Bernoulli(p), 0)": "torch.tensor([1.0, 0.0])",
}
SHAPES = """
import warnings
def shape(m, *given):
    with warnings.catch_warnings():  # PyTorch's Wishart takes good samples for singular
        warnings.simplefilter("ignore")
        return m.sample(*given).shape
""".strip()
ASKED = f"""
{SHAPES}
def asked(m, value):
    found = [m, m.batch_shape, m.event_shape, m.support, m.has_rsample]
    found.append(m.has_enumerate_support)
    found.append(sorted(m.arg_constraints))
    for name in ("mean", "variance", "stddev", "mode"):
        try:
            found.append(getattr(m, name))
        except NotImplementedError:
            found.append(name)
    given = [m.entropy, lambda: m.cdf(value), lambda: m.log_prob(value)]
    given += [lambda: m.icdf(p), lambda: m.perplexity()]
    given += [lambda: m.enumerate_support(), lambda: m.enumerate_support(False)]
    for ask in given:
        try:
            found.append((ask() + 0).detach())
        except NotImplementedError:
            found.append("none")
    score = m.log_prob(value)
    if score.requires_grad:
        found += torch.autograd.grad(score.sum(), w)
    return found + [shape(m), shape(m, (3, 2))]
""".strip()


@pytest.mark.parametrize("source", list(FAMILIES))
def test_families(source: str) -> None:
    agree(f"{PRELUDE}\n{ASKED}\nasked(D.{source}, {FAMILIES[source]})")


@pytest.mark.parametrize("source", list(FAMILIES))
def test_expanded(source: str) -> None:
    """A batch of three, of what had a batch and of what had none."""
    agree(f"""{PRELUDE}
{SHAPES}
m = D.{source}
x = m.expand((3, *m.batch_shape))
value = {FAMILIES[source]}
found = [x, x.batch_shape, x.event_shape, x.log_prob(value).detach(), shape(x)]
found += [type(x) is type(m), x.support, x.expand(x.batch_shape).batch_shape]
found""")


@pytest.mark.parametrize("source", snippets("families"))
def test_texts(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


DIVERGENT = [
    "Bernoulli(p)", "Beta(a, b)", "Binomial(3, p)", "Categorical(P)", "Cauchy(a, b)",
    "ContinuousBernoulli(p)", "Dirichlet(P)", "Exponential(b)", "Gamma(a, b)",
    "Geometric(p)", "Gumbel(a, b)", "HalfNormal(b)", "Independent(D.Normal(a, b), 1)",
    "Laplace(a, b)", "LogNormal(a, b)", "LowRankMultivariateNormal(a, M, b)",
    "MultivariateNormal(a, M)", "Normal(b, a)", "OneHotCategorical(P)",
    "Pareto(a, b * 2)", "Poisson(b)", "Uniform(a, a + b)", "Uniform(p / 2, p)",
    "Chi2(b)", "StudentT(b)", "Wishart(b + 2, M)",
]  # fmt: skip


@pytest.mark.parametrize("source", DIVERGENT)
def test_divergences(source: str) -> None:
    """Of one family from all others, and from another member of its own."""
    others = ", ".join(f"D.{each}" for each in DIVERGENT)
    agree(f"""{PRELUDE}
def divergence(first, second):
    try:
        return (K(first, second) + 0).detach()
    except NotImplementedError as error:
        return str(error)
a, b, p, P = a + 0.1, b * 1.5, p * 0.8, P.flip(0)
m = D.{source}
a, b, p, P = a * 0.8, b + 0.1, p * 0.9, P.flip(1)
[divergence(m, each) for each in ({others})]""")


A = fgrad.torch.tensor([0.5, 1.5])


def sampled() -> list[Any]:
    d: Any = fgrad.torch.distributions  # type: ignore[attr-defined]
    half: Any = A / 2
    parts = d.Normal(A * 3, A)
    return [
        d.StudentT(A * 8, A, A), d.FisherSnedecor(A * 9, A * 30), d.Chi2(A),
        d.InverseGamma(A * 20, A), d.HalfNormal(A), d.Gumbel(A, A), d.Weibull(A, A + 1),
        d.Pareto(A, A * 20), d.Kumaraswamy(A, A + 1), d.NegativeBinomial(A * 2, half),
        d.GeneralizedPareto(A, A, A / 10), d.ContinuousBernoulli(half),
        d.LowRankMultivariateNormal(A, A[:, None], A), d.OneHotCategorical(half),
        d.MixtureSameFamily(d.Categorical(half), parts), d.Gamma(A, A), d.Beta(A, A),
        d.Wishart(A + 4, fgrad.torch.eye(2)), d.Dirichlet(A),
        d.OneHotCategoricalStraightThrough(half),
    ]  # fmt: skip


@pytest.mark.parametrize("family", sampled(), ids=lambda each: type(each).__name__)
def test_moments_of_samples(family: Any) -> None:
    fgrad.torch.manual_seed(0)
    drawn = family.sample((60000,)).numpy().astype(np.float64)
    np.testing.assert_allclose(drawn.mean(0), family.mean.numpy(), 0.05, 0.02)
    np.testing.assert_allclose(drawn.var(0), family.variance.numpy(), 0.15, 0.03)


@pytest.mark.parametrize("concentration", [0.3, 1.0, 4.5, 14.0, 40.0, 300.0])
def test_gradients_of_gamma_samples(concentration: float) -> None:
    """Beside PyTorch's function of the concentration and the sample."""
    module: Any = fgrad.torch
    a = module.full((64,), concentration, dtype=module.float64, requires_grad=True)
    module.manual_seed(0)
    drawn = module.distributions.Gamma(a, 1.0).rsample()
    drawn.sum().backward()
    values = [torch.tensor(x.detach().numpy()) for x in (a, drawn)]
    expected = torch._standard_gamma_grad(*values).numpy()
    np.testing.assert_allclose(a.grad.numpy(), expected, 2e-3)


def test_gradients_of_samples_have_the_slope_of_the_mean() -> None:
    module: Any = fgrad.torch
    families = module.distributions
    a, b = (module.tensor(x, requires_grad=True) for x in (0.8, 1.7))
    module.manual_seed(0)
    families.Beta(a, b).rsample((40000,)).mean().backward()
    total = 2.5
    assert a.grad.item() == pytest.approx(1.7 / total**2, rel=0.05)
    assert b.grad.item() == pytest.approx(-0.8 / total**2, rel=0.05)


TRAINING = {
    "a mixture density network": """
head = nn.Linear(2, 6).double()
def density(x, y):
    weights, loc, scale = head(x).chunk(3, -1)
    parts = D.Normal(loc, scale.exp())
    return D.MixtureSameFamily(D.Categorical(logits=weights), parts).log_prob(y)
""",
    "a flow": """
head = nn.Linear(2, 2).double()
def density(x, y):
    loc, scale = head(x).unbind(-1)
    steps = [T.AffineTransform(loc, scale.exp()), T.SigmoidTransform()]
    base = D.Normal(torch.zeros(1).double(), torch.ones(1).double())
    return D.TransformedDistribution(base, steps).log_prob(y.sigmoid())
""",
    "a squashed policy": """
head = nn.Linear(2, 4).double()
def density(x, y):
    loc, scale = head(x).chunk(2, -1)
    base = D.Independent(D.Normal(loc, scale.exp()), 1)
    action = torch.stack([y, y / 2], -1).tanh()
    return D.TransformedDistribution(base, [T.TanhTransform()]).log_prob(action)
""",
    "counts and lifetimes": """
head = nn.Linear(2, 3).double()
def density(x, y):
    a, b, c = head(x).exp().unbind(-1)
    counts = D.NegativeBinomial(a, logits=b - 2).log_prob((y * 3).abs().floor())
    return counts + D.Weibull(b, c).log_prob(y.exp()) + D.Gamma(a, c).log_prob(y.exp())
""",
    "a divergence": """
head = nn.Linear(2, 4).double()
def density(x, y):
    a, b, c, d = head(x).exp().unbind(-1)
    prior = D.Gamma(torch.ones(4).double(), 2 * torch.ones(4).double())
    return -K(D.Gamma(a, b), prior) - K(D.Beta(c, d), D.Beta(d, c)) - K(
        D.StudentT(a, b, c)._chi2, D.Chi2(d))
""",
}


@pytest.mark.parametrize("title", list(TRAINING))
def test_training(title: str) -> None:
    """Losses and parameters over some steps, which are compiled from the third on."""
    agree(f"""{PRELUDE}
nn = torch.nn
x = torch.arange(8.0).double().reshape(4, 2).cos()
y = torch.arange(4.0).double().sin()
{TRAINING[title].strip()}
with torch.no_grad():
    for k, q in enumerate(head.parameters()):
        new = (torch.arange(float(q.numel())) * 7 + k) % 11 - 5
        q.copy_(new.reshape(q.shape) / 8)
optimizer = torch.optim.SGD(head.parameters(), 0.02)
losses = []
for _ in range(6):
    loss = -density(x, y).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.detach())
losses, list(head.parameters())""")


ON_DEVICES = [
    "Normal(x, 1.0)", "Categorical(x)", "StudentT(x)", "Gumbel(x, x)", "HalfNormal(x)",
    "LowRankMultivariateNormal(x, m, x)", "MultivariateNormal(x, m)", "Weibull(x, x)",
    "MixtureSameFamily(d.Categorical(x), d.Normal(x, x))", "Pareto(x, x)",
    "Gamma(x, x)", "Kumaraswamy(x, x)", "InverseGamma(x, x)", "Beta(x, x)",
    "NegativeBinomial(2, x)",
    "Binomial(2, x)", "ContinuousBernoulli(x)", "GeneralizedPareto(x, x, x)",
    "Laplace(x, x)", "Exponential(x)", "Multinomial(2, x)", "Geometric(x)",
    "RelaxedBernoulli(m[0, 0], x)", "HalfCauchy(x)", "FisherSnedecor(x, x)",
    "Dirichlet(x)", "Poisson(x)", "VonMises(x, x)", "LogisticNormal(x, x)",
]  # fmt: skip


@pytest.mark.parametrize("source", ON_DEVICES)
def test_samples_live_where_parameters_do(source: str) -> None:
    pytest.importorskip("jax")
    module: Any = fgrad.torch
    names = {
        "d": module.distributions,
        "x": module.full((2,), 0.5, device="xla"),
        "m": module.eye(2, device="xla"),
    }
    family = eval(f"d.{source}", names)
    drawn = family.sample((3,))
    assert drawn.device.type == family.log_prob(drawn).device.type == "xla"
