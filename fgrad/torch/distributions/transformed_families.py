"""Logarithms, magnitudes and extremes of numbers from other distributions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import together
from fgrad.torch.distributions.continuous import Normal, Uniform
from fgrad.torch.distributions.heavy_tails import Cauchy
from fgrad.torch.distributions.transformed import TransformedDistribution
from fgrad.torch.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ExpTransform,
    StickBreakingTransform,
)

EULER = 0.57721566490153286060


class LogNormal(TransformedDistribution):
    """The distribution of numbers whose logarithm is normal.

    ``loc`` and ``scale`` are mean and standard deviation of the logarithm.

    >>> torch.distributions.LogNormal(0.0, 1.0).mean
    tensor(1.6487)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.positive
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        base = Normal(loc, scale, validate_args)
        super().__init__(base, ExpTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the logarithm."""
        return self.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return (self.loc + self.scale.pow(2) / 2).exp()

    @property
    def mode(self) -> Any:
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Any:
        square = self.scale.pow(2)
        return square.expm1() * (2 * self.loc + square).exp()

    def entropy(self) -> Any:
        return self.base_dist.entropy() + self.loc


class _Folded(TransformedDistribution):
    """The magnitude of a number whose distribution is symmetric about 0."""

    arg_constraints: ClassVar[dict[str, Any]] = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    @property
    def scale(self) -> Any:
        """That of the number."""
        return self.base_dist.scale

    @property
    def mode(self) -> Any:
        return self.scale.new_full(self.scale.shape, 0.0)

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, prob: Any) -> Any:
        return self.base_dist.icdf((prob + 1) / 2)

    def entropy(self) -> Any:
        return self.base_dist.entropy() - math.log(2)


class HalfNormal(_Folded):
    """The absolute value of a normal number of mean zero.

    >>> torch.distributions.HalfNormal(1.0).mean
    tensor(0.7979)
    """

    def __init__(self, scale: Any, validate_args: Any = None) -> None:
        base = Normal(0, scale, validate_args=False)
        super().__init__(base, AbsTransform(), validate_args)

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Any:
        return self.scale.pow(2) * (1 - 2 / math.pi)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        inside = self.base_dist.log_prob(value) + math.log(2)
        return inside.where(value >= 0, inside.new_full(inside.shape, -math.inf))


class HalfCauchy(_Folded):
    """The absolute value of a number from a Cauchy distribution around zero.

    >>> torch.distributions.HalfCauchy(1.0).log_prob(torch.tensor(1.0))
    tensor(-1.1447)
    """

    def __init__(self, scale: Any, validate_args: Any = None) -> None:
        base = Cauchy(0, scale, validate_args=False)
        super().__init__(base, AbsTransform(), validate_args)

    @property
    def mean(self) -> Any:
        return self.scale.new_full(self.scale.shape, math.inf)

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        inside = self.base_dist.log_prob(value) + math.log(2)
        return inside.where(value >= 0, inside.new_full(inside.shape, -math.inf))


class Gumbel(TransformedDistribution):
    """The distribution of the largest of many numbers.

    The probability of at most x is ``exp(-exp(-(x - loc) / scale))``.

    >>> torch.distributions.Gumbel(0.0, 1.0).mean
    tensor(0.5772)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        self.loc, self.scale = together(loc, scale)
        limits = np.finfo(self.loc.dtype.numpy)
        low = self.loc.new_full(self.loc.shape, float(limits.tiny))
        base = Uniform(
            low, self.loc.new_full(self.loc.shape, 1 - float(limits.eps)), validate_args
        )
        steps: list[Any] = [
            ExpTransform().inv,
            AffineTransform(loc=0, scale=-self.scale.new_ones(self.scale.shape)),
            ExpTransform().inv,
            AffineTransform(loc=self.loc, scale=-self.scale),
        ]
        super().__init__(base, steps, validate_args)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * EULER

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return (math.pi / math.sqrt(6)) * self.scale

    @property
    def variance(self) -> Any:
        return self.stddev.pow(2)

    def entropy(self) -> Any:
        return self.scale.log() + (1 + EULER)


class LogisticNormal(TransformedDistribution):
    """Probabilities that a stick-breaking transform makes of a normal vector.

    >>> m = torch.distributions.LogisticNormal(torch.zeros(2), torch.ones(2))
    >>> m.event_shape
    torch.Size([3])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.simplex
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        base = Normal(loc, scale, validate_args)
        if not base.batch_shape:
            base = base.expand([1])
        super().__init__(base, StickBreakingTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the normal vector."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviations of the normal vector."""
        return self.base_dist.base_dist.scale
