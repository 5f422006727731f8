"""`kl_divergence` of two distributions of one kind."""

from __future__ import annotations

from typing import Any

from fgrad.torch import linalg
from fgrad.torch.distributions.base import Distribution
from fgrad.torch.distributions.composed import Independent, MultivariateNormal
from fgrad.torch.distributions.continuous import (
    Exponential,
    Laplace,
    LogNormal,
    Normal,
    Uniform,
)
from fgrad.torch.distributions.discrete import Categorical, Poisson
from fgrad.torch.distributions.trials import Bernoulli


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """The Kullback-Leibler divergence of ``p`` from ``q``, in nats.

    The mean over ``p`` of ``log p(x) - log q(x)``.

    Raises:
        NotImplementedError: there is no formula for the pair.

    >>> p, q = (torch.distributions.Normal(loc, 1.0) for loc in (0.0, 2.0))
    >>> torch.distributions.kl_divergence(p, q)
    tensor(2.)
    """
    for kind, formula in FORMULAS:
        if isinstance(p, kind) and isinstance(q, kind):
            return formula(p, q)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type "
        f"{type(q).__name__}"
    )


def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    distance = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + distance - 1 - ratio.log())


def _log_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


def _categorical(p: Any, q: Any) -> Any:
    found = p.probs * (p.logits - q.logits)
    return found.masked_fill(p.probs == 0, 0.0).sum(-1)


def _bernoulli(p: Any, q: Any) -> Any:
    def growth(x: Any) -> Any:
        return x.clamp(min=0) + (-x.abs()).exp().log1p()

    ones = p.probs * (growth(-q.logits) - growth(-p.logits))
    return ones + (1 - p.probs) * (growth(q.logits) - growth(p.logits))


def _uniform(p: Any, q: Any) -> Any:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    outside = (q.low > p.low) | (q.high < p.high)
    return found.masked_fill(outside, float("inf"))


def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


def _laplace(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    distance = (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * (-distance / p.scale).exp() - 1


def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


def _independent(p: Any, q: Any) -> Any:
    return p._summed(kl_divergence(p.base_dist, q.base_dist))


def _vectors(p: Any, q: Any) -> Any:
    solved: Any = linalg.solve(q.scale_tril, p.scale_tril)
    centred: Any = linalg.solve(q.scale_tril, (q.loc - p.loc).unsqueeze(-1))
    trace = solved.pow(2).sum((-2, -1))
    distance = centred.squeeze(-1).pow(2).sum(-1)
    half = q._half_log_det() - p._half_log_det()
    return half + 0.5 * (trace + distance - p.event_shape[0])


FORMULAS: list[tuple[Any, Any]] = [
    (Normal, _normal),
    (LogNormal, _log_normal),
    (Categorical, _categorical),
    (Bernoulli, _bernoulli),
    (Uniform, _uniform),
    (Exponential, _exponential),
    (Laplace, _laplace),
    (Poisson, _poisson),
    (Independent, _independent),
    (MultivariateNormal, _vectors),
]
