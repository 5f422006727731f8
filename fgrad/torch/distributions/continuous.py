"""Distributions of real numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import (
    Distribution,
    ExponentialFamily,
    drawn,
    together,
)
from fgrad.torch.random import default_generator, rand, randn

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Normal(ExponentialFamily):
    """The normal distribution of a mean and a standard deviation.

    The density is ``exp(-((x - loc) / scale)**2 / 2) / (scale * sqrt(2 pi))``.

    >>> torch.distributions.Normal(0.0, 2.0).log_prob(torch.tensor(1.0))
    tensor(-1.7371)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
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
        noise: Any = randn(
            self._extended_shape(sample_shape),
            dtype=self.loc.dtype,
            device=self.loc.device,
        )
        return self.loc + noise * self.scale

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        squared = (value - self.loc) ** 2 / (2 * self.scale**2)
        return -squared - self.scale.log() - HALF_LOG_TWO_PI

    def cdf(self, value: Any) -> Any:
        """The probability of at most a value."""
        self._validate_sample(value)
        scaled = (value - self.loc) * self.scale.reciprocal() / math.sqrt(2)
        return 0.5 * (1 + scaled.erf())

    def icdf(self, value: Any) -> Any:
        """The value below which samples lie with a probability."""
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Any:
        return 0.5 + HALF_LOG_TWO_PI + self.scale.log()


class Uniform(Distribution):
    """The same density everywhere in ``[low, high)``.

    Raises:
        ValueError: ``low`` is not below ``high``, if arguments are validated.

    >>> torch.distributions.Uniform(0.0, 4.0).log_prob(torch.tensor(1.0))
    tensor(-1.3863)
    """

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: Any = None) -> None:
        self.low, self.high = together(low, high)
        super().__init__(self.low.shape, (), validate_args)

    @property
    def arg_constraints(self) -> Any:  # type: ignore[override]
        """Each bound is on its side of the other."""
        return {
            "low": constraints.less_than(self.high),
            "high": constraints.greater_than(self.low),
        }

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """What lies between the bounds."""
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Any:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Any:
        return math.nan * self.high

    @property
    def variance(self) -> Any:
        return (self.high - self.low).pow(2) / 12

    @property
    def stddev(self) -> Any:
        return (self.high - self.low) / 12**0.5

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn: Any = rand(
            self._extended_shape(sample_shape),
            dtype=self.low.dtype,
            device=self.low.device,
        )
        return self.low + drawn * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        inside = self.low.le(value).type_as(self.low) * self.high.gt(value).type_as(
            self.low
        )
        return inside.log() - (self.high - self.low).log()

    def cdf(self, value: Any) -> Any:
        """The probability of at most a value."""
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Any) -> Any:
        """The value below which samples lie with a probability."""
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Any:
        return (self.high - self.low).log()


class Exponential(ExponentialFamily):
    """Waiting times at a rate: the density ``rate * exp(-rate * x)`` from 0 on.

    >>> torch.distributions.Exponential(2.0).cdf(torch.tensor(1.0))
    tensor(0.8647)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: Any = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.rate.reciprocal()

    @property
    def mode(self) -> Any:
        return self.rate.new_zeros(self.rate.shape)

    @property
    def variance(self) -> Any:
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        times = default_generator.numpy.standard_exponential(shape)
        return drawn(times, self.rate) / self.rate

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value: Any) -> Any:
        """The probability of at most a value."""
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

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
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
        drawn: Any = rand(
            self._extended_shape(sample_shape),
            dtype=self.loc.dtype,
            device=self.loc.device,
        )
        u = drawn - 0.5
        return self.loc - self.scale * u.sign() * (-2 * u.abs()).log1p()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        distance = value - self.loc
        return 0.5 - 0.5 * distance.sign() * (-distance.abs() / self.scale).expm1()

    def icdf(self, value: Any) -> Any:
        term = value - 0.5
        return self.loc - self.scale * term.sign() * (-2 * term.abs()).log1p()

    def entropy(self) -> Any:
        return 1 + (2 * self.scale).log()
