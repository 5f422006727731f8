"""`kl_divergence`, and the formulas for two distributions of one kind."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from fgrad.torch import linalg
from fgrad.torch.autograd.gradients import grad
from fgrad.torch.decompositions import solve_triangular
from fgrad.torch.distributions.base import Distribution, ExponentialFamily
from fgrad.torch.distributions.composed import Independent, MultivariateNormal
from fgrad.torch.distributions.continuous import (
    Exponential,
    Laplace,
    Normal,
    Uniform,
)
from fgrad.torch.distributions.continuous_bernoulli import ContinuousBernoulli
from fgrad.torch.distributions.discrete import (
    Categorical,
    OneHotCategorical,
    Poisson,
)
from fgrad.torch.distributions.gammas import Beta, Dirichlet, Gamma
from fgrad.torch.distributions.heavy_tails import Cauchy
from fgrad.torch.distributions.low_rank import LowRankMultivariateNormal
from fgrad.torch.distributions.powers import Pareto
from fgrad.torch.distributions.transform import sum_rightmost
from fgrad.torch.distributions.transformed import TransformedDistribution
from fgrad.torch.distributions.transformed_families import (
    EULER,
    Gumbel,
    HalfNormal,
)
from fgrad.torch.distributions.trials import Bernoulli, Binomial, Geometric

Formula = Callable[[Any, Any], Any]
FORMULAS: dict[tuple[type, type], Formula] = {}
NO_BREGMAN = (
    "The cross KL-divergence between different exponential families cannot            "
    "                 be computed using Bregman divergences"
)
OTHER_EVENTS = (
    "KL-divergence between two {} with                          different event shapes "
    "cannot be computed"
)


def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """Have a function give the divergence of two kinds of distributions.

    >>> D = torch.distributions
    >>> class Mine(D.Normal):
    ...     pass
    >>> @D.register_kl(Mine, Mine)
    ... def _(p, q):
    ...     return torch.tensor(7.0)
    >>> D.kl_divergence(Mine(0.0, 1.0), Mine(0.0, 1.0))
    tensor(7.)
    """

    def register(formula: Formula) -> Formula:
        FORMULAS[type_p, type_q] = formula
        return formula

    return register


def _nearest(pairs: list[tuple[type, type]]) -> tuple[type, type]:
    """The pair of which no other one is a special case, by the first class first."""
    best = pairs[0]
    for pair in pairs[1:]:
        first, second = pair
        closer = issubclass(first, best[0]) and first is not best[0]
        same = first is best[0] and issubclass(second, best[1])
        if closer or same:
            best = pair
    return best


def _formula(kind_p: type, kind_q: type) -> Formula | None:
    known = [
        pair
        for pair in FORMULAS
        if issubclass(kind_p, pair[0]) and issubclass(kind_q, pair[1])
    ]
    if not known:
        return None
    left = _nearest(known)
    right = _nearest([(q, p) for p, q in known])[::-1]
    if FORMULAS[left] is not FORMULAS[right]:
        warnings.warn(
            f"Ambiguous kl_divergence({kind_p.__name__}, {kind_q.__name__}). Please "
            f"register_kl({left[0].__name__}, {right[1].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return FORMULAS[left]


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """The Kullback-Leibler divergence of ``p`` from ``q``, in nats.

    The mean over ``p`` of ``log p(x) - log q(x)``.

    Raises:
        NotImplementedError: there is no formula for the pair.

    >>> p, q = (torch.distributions.Normal(loc, 1.0) for loc in (0.0, 2.0))
    >>> torch.distributions.kl_divergence(p, q)
    tensor(2.)
    """
    formula = _formula(type(p), type(q))
    if formula is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type "
            f"{type(q).__name__}"
        )
    return formula(p, q)


def infinite(found: Any, where: Any) -> Any:
    """What was found, but infinity where it is."""
    return found.masked_fill(where, math.inf)


@register_kl(ExponentialFamily, ExponentialFamily)
def _families(p: Any, q: Any) -> Any:
    """That of Bregman, for the functions that the densities are scaled by."""
    if type(p) is not type(q):
        raise NotImplementedError(NO_BREGMAN)
    given = [x.detach().requires_grad_() for x in p._natural_params]
    normal = p._log_normalizer(*given)
    slopes = grad(normal.sum(), given, create_graph=True)
    found = q._log_normalizer(*q._natural_params) - normal
    for x, y, slope in zip(given, q._natural_params, slopes, strict=True):
        found = found - sum_rightmost((y - x) * slope, len(q.event_shape))
    return found


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    def growth(x: Any) -> Any:
        return x.clamp(min=0) + (-x.abs()).exp().log1p()

    ones = p.probs * (growth(-q.logits) - growth(-p.logits))
    ones = infinite(ones, q.probs == 0).masked_fill(p.probs == 0, 0.0)
    zeros = (1 - p.probs) * (growth(q.logits) - growth(p.logits))
    return ones + infinite(zeros, q.probs == 1).masked_fill(p.probs == 1, 0.0)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    normal = c.lgamma() + d.lgamma() + (a + b).lgamma()
    normal = normal - (a.lgamma() + b.lgamma() + (c + d).lgamma())
    slopes = (a - c) * a.digamma() + (b - d) * b.digamma()
    return normal + slopes + ((c + d) - (a + b)) * (a + b).digamma()


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not "
            "implemented"
        )
    slope = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return infinite(p.total_count * slope, p.total_count > q.total_count)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    found = p.probs * (p.logits - q.logits)
    found = infinite(found, (q.probs == 0).expand_as(found))
    return found.masked_fill((p.probs == 0).expand_as(found), 0.0).sum(-1)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    own = p.log_norm() + (-p.probs).log1p()
    other = -q.log_norm() - (-q.probs).log1p()
    return p.mean * (p.logits - q.logits) + own + other


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    normal = a.sum(-1).lgamma() - b.sum(-1).lgamma()
    slopes = a.digamma() - a.sum(-1).digamma().unsqueeze(-1)
    return normal - (a.lgamma() - b.lgamma()).sum(-1) + ((a - b) * slopes).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    rates = b * (p.rate / q.rate).log()
    normal = b.lgamma() - a.lgamma()
    return rates + normal + (a - b) * a.digamma() + (q.rate - p.rate) * (a / p.rate)


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio, there, here = p.scale / q.scale, q.loc / q.scale, p.loc / q.scale
    tail = (there + (1 + ratio).lgamma() - here).exp()
    return -ratio.log() - there + here + ratio * EULER + tail - (1 + EULER)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    distance = (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * (-distance / p.scale).exp() - 1


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    distance = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + distance - 1 - ratio.log())


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    found = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return infinite(found, p.scale < q.scale)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    sizes = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return sizes.log() - (4 * p.scale * q.scale).log()


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return infinite(found, (q.low > p.low) | (q.high < p.high))


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    found = kl_divergence(p.base_dist, q.base_dist)
    return sum_rightmost(found, p.reinterpreted_batch_ndims)


@register_kl(MultivariateNormal, MultivariateNormal)
def _vectors(p: Any, q: Any) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError(OTHER_EVENTS.format("Multivariate Normals"))
    solved: Any = linalg.solve(q.scale_tril, p.scale_tril)
    centred: Any = linalg.solve(q.scale_tril, (q.loc - p.loc).unsqueeze(-1))
    trace = solved.pow(2).sum((-2, -1))
    distance = centred.squeeze(-1).pow(2).sum(-1)
    half = q.half_log_det() - p.half_log_det()
    return half + 0.5 * (trace + distance - p.event_shape[0])


def _low_rank_trace(p: Any, q: Any) -> Any:
    """The trace of the covariance of ``p`` times the precision of ``q``."""
    return (p.covariance_matrix * q.precision_matrix).sum((-2, -1))


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _to_low_rank(p: Any, q: Any) -> Any:
    is_low = isinstance(p, LowRankMultivariateNormal)
    if p.event_shape != q.event_shape:
        kind = "Low Rank" if is_low else "(Low Rank)"
        raise ValueError(OTHER_EVENTS.format(f"{kind} Multivariate Normals"))
    own = p.log_det() if is_low else 2 * p.half_log_det()
    trace, distance = _low_rank_trace(p, q), q.distance(q.loc - p.loc)
    return 0.5 * (q.log_det() - own + trace + distance - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _from_low_rank(p: Any, q: Any) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError(OTHER_EVENTS.format("(Low Rank) Multivariate Normals"))
    centred = (q.loc - p.loc).unsqueeze(-1)
    solved: Any = solve_triangular(q.scale_tril, centred, upper=False)
    distance = solved.pow(2).sum((-2, -1))
    trace = _low_rank_trace(p, q)
    other = 2 * q.half_log_det() - p.log_det()
    return 0.5 * (other + trace + distance - p.event_shape[0])


def everywhere_infinite(name: str) -> Formula:
    """A formula that is infinite: of the shape of a parameter of the first one."""
    return lambda p, q: getattr(p, name).new_full(getattr(p, name).shape, math.inf)
