"""Distributions of real numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from fgrad.torch.creation import zeros
from fgrad.torch.distributions.base import (
    NOT_NEGATIVE,
    POSITIVE,
    REAL,
    Constraints,
    Distribution,
    drawn,
    together,
)
from fgrad.torch.likes import full_like, zeros_like
from fgrad.torch.random import default_generator, rand, randn

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Normal(Distribution):
    """The normal distribution of a mean and a standard deviation.

    The density is ``exp(-((x - loc) / scale)**2 / 2) / (scale * sqrt(2 pi))``.

    >>> torch.distributions.Normal(0.0, 2.0).log_prob(torch.tensor(1.0))
    tensor(-1.7371)
    """

    arg_constraints: ClassVar[Constraints] = {"loc": REAL, "scale": POSITIVE}
    support = REAL
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        self.loc, self.scale = together(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self.scale**2

    @property
    def stddev(self) -> Any:
        return self.scale

    @property
    def mode(self) -> Any:
        """Where the density is largest."""
        return self.loc

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise: Any = randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + noise * self.scale

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        squared = (value - self.loc) ** 2 / (2 * self.scale**2)
        return -squared - self.scale.log() - HALF_LOG_TWO_PI

    def cdf(self, value: Any) -> Any:
        """The probability of less than a value."""
        self._check_value(value)
        scaled = (value - self.loc) * self.scale.reciprocal() / math.sqrt(2)
        return 0.5 * (1 + scaled.erf())

    def icdf(self, value: Any) -> Any:
        """The value below which samples lie with a probability."""
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Any:
        return 0.5 + HALF_LOG_TWO_PI + self.scale.log()


class LogNormal(Distribution):
    """The distribution of numbers whose logarithm is normal.

    ``loc`` and ``scale`` are mean and standard deviation of the logarithm.

    >>> torch.distributions.LogNormal(0.0, 1.0).mean
    tensor(1.6487)
    """

    arg_constraints: ClassVar[Constraints] = {"loc": REAL, "scale": POSITIVE}
    support = POSITIVE
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        self.base_dist = Normal(loc, scale, validate_args)
        super().__init__(self.base_dist.batch_shape, (), validate_args)

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

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.rsample(sample_shape).exp()

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        logarithm = value.log()
        return self.base_dist.log_prob(logarithm) - logarithm

    def entropy(self) -> Any:
        return self.base_dist.entropy() + self.loc

    def __repr__(self) -> str:
        return "LogNormal()"


class Uniform(Distribution):
    """The same density everywhere in ``[low, high)``.

    Raises:
        ValueError: ``low`` is not below ``high``, if arguments are validated.

    >>> torch.distributions.Uniform(0.0, 4.0).log_prob(torch.tensor(1.0))
    tensor(-1.3863)
    """

    arg_constraints: ClassVar[Constraints] = {"low": REAL, "high": REAL}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: Any = None) -> None:
        self.low, self.high = together(low, high)
        bounds = self.low._array, self.high._array
        text = f"Interval(lower_bound={self.low}, upper_bound={self.high})"
        self.support = text, lambda x: (x >= bounds[0]) & (x <= bounds[1])
        super().__init__(self.low.shape, (), validate_args)

    def _constraints(self) -> Constraints:
        low, high = self.low._array, self.high._array
        return {
            "low": (f"LessThan(upper_bound={self.high})", lambda x: x < high),
            "high": (f"GreaterThan(lower_bound={self.low})", lambda x: x > low),
        }

    @property
    def mean(self) -> Any:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Any:
        return self.high * math.nan

    @property
    def variance(self) -> Any:
        return (self.high - self.low).pow(2) / 12

    @property
    def stddev(self) -> Any:
        return (self.high - self.low) / 12**0.5

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn: Any = rand(self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + drawn * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        inside = self.low.le(value).type_as(self.low) * self.high.gt(value).type_as(
            self.low
        )
        return inside.log() - (self.high - self.low).log()

    def cdf(self, value: Any) -> Any:
        """The probability of less than a value."""
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Any) -> Any:
        """The value below which samples lie with a probability."""
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Any:
        return (self.high - self.low).log()


class Exponential(Distribution):
    """Waiting times at a rate: the density ``rate * exp(-rate * x)`` from 0 on.

    >>> torch.distributions.Exponential(2.0).cdf(torch.tensor(1.0))
    tensor(0.8647)
    """

    arg_constraints: ClassVar[Constraints] = {"rate": POSITIVE}
    support = NOT_NEGATIVE
    has_rsample = True

    def __init__(self, rate: Any, validate_args: Any = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.rate.reciprocal()

    @property
    def mode(self) -> Any:
        return zeros_like(self.rate)

    @property
    def variance(self) -> Any:
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        times = default_generator.numpy.standard_exponential(shape)
        return drawn(times, self.rate) / self.rate

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value: Any) -> Any:
        """The probability of less than a value."""
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Any) -> Any:
        """The value below which samples lie with a probability."""
        return -(-value).log1p() / self.rate

    def entropy(self) -> Any:
        return 1.0 - self.rate.log()


class Laplace(Distribution):
    """The density ``exp(-|x - loc| / scale) / (2 scale)``.

    >>> torch.distributions.Laplace(0.0, 1.0).log_prob(torch.tensor(2.0))
    tensor(-2.6931)
    """

    arg_constraints: ClassVar[Constraints] = {"loc": REAL, "scale": POSITIVE}
    support = REAL
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        self.loc, self.scale = together(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return 2 * self.scale.pow(2)

    @property
    def stddev(self) -> Any:
        return 2**0.5 * self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn: Any = rand(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        u = drawn - 0.5
        return self.loc - self.scale * u.sign() * (-2 * u.abs()).log1p()

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def entropy(self) -> Any:
        return 1 + (2 * self.scale).log()


class HalfNormal(Distribution):
    """The absolute value of a normal number of mean zero.

    >>> torch.distributions.HalfNormal(1.0).mean
    tensor(0.7979)
    """

    arg_constraints: ClassVar[Constraints] = {"scale": POSITIVE}
    support = NOT_NEGATIVE
    has_rsample = True

    def __init__(self, scale: Any, validate_args: Any = None) -> None:
        (self.scale,) = together(scale)
        super().__init__(self.scale.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Any:
        return zeros_like(self.scale)

    @property
    def variance(self) -> Any:
        return self.scale.pow(2) * (1 - 2 / math.pi)

    def rsample(self, sample_shape: Any = ()) -> Any:
        mean: Any = full_like(self.scale, 0.0)
        return Normal(mean, self.scale).rsample(sample_shape).abs()

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        mean: Any = zeros((), dtype=self.scale.dtype)
        inside = Normal(mean, self.scale, False).log_prob(value) + math.log(2)
        return inside.where(value >= 0, full_like(inside, -math.inf))

    def entropy(self) -> Any:
        return Normal(0.0 * self.scale, self.scale).entropy() - math.log(2)

    def __repr__(self) -> str:
        return "HalfNormal()"
