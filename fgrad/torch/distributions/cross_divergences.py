"""Formulas of `kl_divergence` for distributions of different kinds.

Most are the mean of the logarithm of the second density, less the entropy of the first.
"""

from __future__ import annotations

import math
from typing import Any

from fgrad.torch.distributions.continuous import (
    Exponential,
    Laplace,
    Normal,
    Uniform,
)
from fgrad.torch.distributions.continuous_bernoulli import ContinuousBernoulli
from fgrad.torch.distributions.discrete import Poisson
from fgrad.torch.distributions.divergence import (
    FORMULAS,
    everywhere_infinite,
    infinite,
    register_kl,
)
from fgrad.torch.distributions.gammas import Beta, Gamma
from fgrad.torch.distributions.powers import Pareto
from fgrad.torch.distributions.transformed_families import EULER, Gumbel
from fgrad.torch.distributions.trials import Bernoulli, Binomial

_INFINITE: dict[tuple[type, str], tuple[type, ...]] = {  # whose support is larger
    (Beta, "concentration1"): (Pareto,),
    (ContinuousBernoulli, "probs"): (Pareto,),
    (Exponential, "rate"): (Beta, ContinuousBernoulli, Pareto, Uniform),
    (Gamma, "concentration"): (Beta, ContinuousBernoulli, Pareto, Uniform),
    (Gumbel, "loc"): (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    (Laplace, "loc"): (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    (Normal, "loc"): (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    (Pareto, "scale"): (Beta, ContinuousBernoulli, Uniform),
    (Poisson, "rate"): (Bernoulli, Binomial),
}
for (_kind, _name), _others in _INFINITE.items():
    for _other in _others:
        FORMULAS[_kind, _other] = everywhere_infinite(_name)


def _normal_cross(mean: Any, square: Any, q: Any) -> Any:
    """The mean of ``-log q(x)``, of a normal ``q``, by the mean of x and its square."""
    distance = square - 2 * q.loc * mean + q.loc.pow(2)
    return q.scale.log() + 0.5 * math.log(2 * math.pi) + distance / (2 * q.scale.pow(2))


def _gamma_cross(mean: Any, mean_log: Any, q: Any) -> Any:
    """The mean of ``-log q(x)``, of a gamma ``q``, by that of x and its logarithm."""
    normal = q.concentration.lgamma() - q.concentration * q.rate.log()
    return normal - (q.concentration - 1) * mean_log + q.rate * mean


def _x_log_x(x: Any) -> Any:
    return x.xlogy(x)


def _mean_log(p: Any) -> Any:
    """The mean of the logarithm between two bounds."""
    width = p.high - p.low
    return (_x_log_x(p.high) - _x_log_x(p.low) - width) / width


@register_kl(Bernoulli, Poisson)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, ContinuousBernoulli)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q.log_norm()


@register_kl(Beta, Exponential)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
def _(p: Any, q: Any) -> Any:
    a, b = p.concentration1, p.concentration0
    mean_log = a.digamma() - (a + b).digamma()
    return -p.entropy() + _gamma_cross(p.mean, mean_log, q)


@register_kl(Beta, Normal)
@register_kl(ContinuousBernoulli, Normal)
def _(p: Any, q: Any) -> Any:
    square = p.variance + p.mean.pow(2)
    return -p.entropy() + _normal_cross(p.mean, square, q)


@register_kl(Beta, Uniform)
def _(p: Any, q: Any) -> Any:
    found = -p.entropy() + (q.high - q.low).log()
    return infinite(found, (q.low > 0.0) | (q.high < 1.0))


@register_kl(ContinuousBernoulli, Exponential)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(ContinuousBernoulli, Uniform)
def _(p: Any, q: Any) -> Any:
    found = -p.entropy() + (q.high - q.low).log()
    return infinite(found, (q.low >= 0.0) | (q.high <= 1.0))


@register_kl(Exponential, Gamma)
def _(p: Any, q: Any) -> Any:
    ratio, a = q.rate / p.rate, q.concentration
    return -a * ratio.log() + ratio + a.lgamma() + a * EULER - (1 + EULER)


@register_kl(Exponential, Gumbel)
def _(p: Any, q: Any) -> Any:
    product, there = p.rate * q.scale, q.loc / q.scale
    tail = there.exp() * product / (product + 1)
    return product.log() - 1 - there + tail + product.reciprocal()


@register_kl(Exponential, Normal)
def _(p: Any, q: Any) -> Any:
    square = 2 * p.rate.pow(-2)
    return p.rate.log() - 1 + _normal_cross(p.mean, square, q)


@register_kl(Gamma, Exponential)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Gamma, Gumbel)
def _(p: Any, q: Any) -> Any:
    a, product, there = p.concentration, p.rate * q.scale, q.loc / q.scale
    own = (a - 1) * a.digamma() - a.lgamma() - a
    tail = there.exp() * (1 + product.reciprocal()).pow(-a)
    return own + product.log() + a / product + tail - there


@register_kl(Gamma, Normal)
def _(p: Any, q: Any) -> Any:
    square = p.variance + p.mean.pow(2)
    return -p.entropy() + _normal_cross(p.mean, square, q)


@register_kl(Gumbel, Normal)
def _(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    shape = (math.pi * ratio * 0.5).pow(2) / 3
    distance = ((p.loc + p.scale * EULER - q.loc) / q.scale).pow(2) * 0.5
    return -(ratio / math.sqrt(2 * math.pi)).log() + shape + distance - (EULER + 1)


@register_kl(Laplace, Normal)
def _(p: Any, q: Any) -> Any:
    square = p.variance + p.loc.pow(2)
    return -p.entropy() + _normal_cross(p.loc, square, q)


@register_kl(Normal, Gumbel)
def _(p: Any, q: Any) -> Any:
    distance, ratio = (p.loc - q.loc) / q.scale, (p.scale / q.scale).pow(2)
    tail = (-distance + 0.5 * ratio).exp()
    return -ratio.log() * 0.5 + distance + tail - 0.5 * (1 + math.log(2 * math.pi))


@register_kl(Normal, Laplace)
def _(p: Any, q: Any) -> Any:
    distance = p.loc - q.loc
    scaled = distance / p.scale
    near = math.sqrt(2 / math.pi) * p.scale * (-0.5 * scaled.pow(2)).exp()
    far = distance * (math.sqrt(0.5) * scaled).erf()
    sizes = (p.scale / q.scale).log()
    return -sizes + (near + far) / q.scale - 0.5 * (1 + math.log(0.5 * math.pi))


@register_kl(Pareto, Exponential)
def _(p: Any, q: Any) -> Any:
    product = p.scale * q.rate
    mean = p.alpha * product / (p.alpha - 1)
    found = (p.alpha / product).log() - p.alpha.reciprocal() + mean - 1
    return infinite(found, p.alpha <= 1)


@register_kl(Pareto, Gamma)
def _(p: Any, q: Any) -> Any:
    mean_log = p.scale.log() + p.alpha.reciprocal()
    mean = p.alpha * p.scale / (p.alpha - 1)
    found = p.alpha.log() - mean_log - 1 + _gamma_cross(mean, mean_log, q)
    return infinite(found, p.alpha <= 1)


@register_kl(Pareto, Normal)
def _(p: Any, q: Any) -> Any:
    part = p.scale / (p.alpha - 1)
    spread = p.alpha * part.pow(2) / (p.alpha - 2) + (p.alpha * part - q.loc).pow(2)
    sizes = (math.sqrt(2 * math.pi) * q.scale * p.alpha / p.scale).log()
    found = sizes - p.alpha.reciprocal() + spread / (2 * q.scale.pow(2)) - 1
    return infinite(found, p.alpha <= 2)


@register_kl(Uniform, Beta)
def _(p: Any, q: Any) -> Any:
    a, b, width = q.concentration1, q.concentration0, p.high - p.low
    mirrored = (_x_log_x(1 - p.high) - _x_log_x(1 - p.low) + width) / width
    normal = a.lgamma() + b.lgamma() - (a + b).lgamma()
    found = (b - 1) * mirrored + normal - width.log() - (a - 1) * _mean_log(p)
    return infinite(found, (p.high > 1.0) | (p.low < 0.0))


@register_kl(Uniform, ContinuousBernoulli)
def _(p: Any, q: Any) -> Any:
    found = -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q.log_norm()
    return infinite(found, (p.high >= 1.0) | (p.low <= 0.0))


@register_kl(Uniform, Exponential)
def _(p: Any, q: Any) -> Any:
    found = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    return infinite(found, p.low < 0.0)


@register_kl(Uniform, Gamma)
def _(p: Any, q: Any) -> Any:
    cross = _gamma_cross((p.high + p.low) / 2, _mean_log(p), q)
    return infinite(cross - (p.high - p.low).log(), p.low < 0.0)


@register_kl(Uniform, Gumbel)
def _(p: Any, q: Any) -> Any:
    part = q.scale / (p.high - p.low)
    high, low = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return part.log() + 0.5 * (high + low) - part * ((-high).exp() - (-low).exp())


@register_kl(Uniform, Normal)
def _(p: Any, q: Any) -> Any:
    square = p.variance + p.mean.pow(2)
    return -p.entropy() + _normal_cross(p.mean, square, q)


@register_kl(Uniform, Pareto)
def _(p: Any, q: Any) -> Any:
    sizes = (q.alpha * q.scale.pow(q.alpha) * (p.high - p.low)).log()
    return infinite(_mean_log(p) * (q.alpha + 1) - sizes, p.low < q.scale)
