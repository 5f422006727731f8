"""Distributions of real numbers that are often far from the middle."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fgrad.torch.creation import full
from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import Distribution, drawn, together
from fgrad.torch.distributions.gammas import Chi2, Gamma
from fgrad.torch.random import default_generator, rand, randn


class Cauchy(Distribution):
    """The density ``1 / (pi * scale * (1 + ((x - loc) / scale)**2))``: it has no mean.

    >>> torch.distributions.Cauchy(0.0, 1.0).log_prob(torch.tensor(1.0))
    tensor(-1.8379)
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
        return full(
            self._extended_shape(),
            math.nan,
            dtype=self.loc.dtype,
            device=self.loc.device,
        )

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return full(
            self._extended_shape(),
            math.inf,
            dtype=self.loc.dtype,
            device=self.loc.device,
        )

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        noise = default_generator.numpy.standard_cauchy(shape)
        return self.loc + drawn(noise, self.loc) * self.scale

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        scaled = (value - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - (scaled**2).log1p()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Any:
        return math.log(4 * math.pi) + self.scale.log()


class StudentT(Distribution):
    """Student's distribution: a normal number over the root of a mean square.

    Args:
        df: how many squares, the degrees of freedom.
        loc: the middle.
        scale: the width.
        validate_args: whether arguments are checked.

    >>> torch.distributions.StudentT(2.0).log_prob(torch.tensor(0.0))
    tensor(-1.0397)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True
    _parts = ("_chi2",)

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: Any = None
    ) -> None:
        self.df, self.loc, self.scale = together(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.loc.masked_fill(self.df <= 1, math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        found = self.scale.pow(2) * self.df / (self.df - 2)
        found = found.masked_fill(self.df <= 2, math.inf)
        return found.masked_fill(self.df <= 1, math.nan)

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise: Any = randn(
            self._extended_shape(sample_shape),
            dtype=self.df.dtype,
            device=self.df.device,
        )
        squares = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * (noise * (squares / self.df).rsqrt())

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        y, n = (value - self.loc) / self.scale, self.df
        factor = (
            self.scale.log()
            + 0.5 * n.log()
            + 0.5 * math.log(math.pi)
            + (0.5 * n).lgamma()
            - (0.5 * (n + 1.0)).lgamma()
        )
        return -0.5 * (n + 1.0) * (y**2.0 / n).log1p() - factor

    def entropy(self) -> Any:
        half, next_half = 0.5 * self.df, 0.5 * (self.df + 1)
        beta = half.lgamma() + math.lgamma(0.5) - next_half.lgamma()
        slope = 0.5 * (self.df + 1) * (next_half.digamma() - half.digamma())
        return self.scale.log() + slope + 0.5 * self.df.log() + beta


class FisherSnedecor(Distribution):
    """Fisher's F: the ratio of two mean squares of ``df1`` and ``df2`` normal numbers.

    >>> torch.distributions.FisherSnedecor(2.0, 4.0).mean
    tensor(2.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "df1": constraints.positive,
        "df2": constraints.positive,
    }
    support = constraints.positive
    has_rsample = True
    _parts = ("_gamma1", "_gamma2")

    def __init__(self, df1: Any, df2: Any, validate_args: Any = None) -> None:
        self.df1, self.df2 = together(df1, df2)
        self._gamma1 = Gamma(self.df1 * 0.5, self.df1)
        self._gamma2 = Gamma(self.df2 * 0.5, self.df2)
        super().__init__(self.df1.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        df2 = self.df2.masked_fill(self.df2 <= 2, math.nan)
        return df2 / (df2 - 2)

    @property
    def mode(self) -> Any:
        found = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return found.masked_fill(self.df1 <= 2, math.nan)

    @property
    def variance(self) -> Any:
        n, m = self.df1, self.df2.masked_fill(self.df2 <= 4, math.nan)
        return 2 * m.pow(2) * (n + m - 2) / (n * (m - 2).pow(2) * (m - 4))

    def rsample(self, sample_shape: Any = ()) -> Any:
        tiny = float(np.finfo(self.df1.dtype.numpy).tiny)
        above = self._gamma1.rsample(sample_shape)
        below = self._gamma2.rsample(sample_shape).clamp(min=tiny)
        return (above / below).clamp(min=tiny)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n, m, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        factor = (n + m).lgamma() - n.lgamma() - m.lgamma()
        power = n * ratio.log() + (n - 1) * value.log()
        return factor + power - (n + m) * (ratio * value).log1p()


class GeneralizedPareto(Distribution):
    """What lies above a high threshold: exponential at concentration 0, else powers.

    Args:
        loc: the threshold.
        scale: the width.
        concentration: positive for heavy tails, negative for bounded ones.
        validate_args: whether arguments are checked.

    >>> torch.distributions.GeneralizedPareto(0.0, 1.0, 0.5).log_prob(torch.tensor(2.0))
    tensor(-2.0794)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: Any = None
    ) -> None:
        self.loc, self.scale, self.concentration = together(loc, scale, concentration)
        super().__init__(self.loc.shape, (), validate_args)

    def _split(self) -> tuple[Any, Any]:
        """Where the concentration is zero, and what it is elsewhere."""
        is_zero = self.concentration.isclose(0 * self.concentration)
        return is_zero, self.concentration.masked_fill(is_zero, 1.0)

    def _standard(self, value: Any) -> Any:
        return (value - self.loc) / self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        return self.icdf(rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        z = self._standard(value)
        is_zero, safe = self._split()
        power = (1 / safe + 1) * (safe * z).log1p()
        power = power.masked_fill(1 / safe + 1 == 0, 0.0)
        return -self.scale.log() - z.where(is_zero, power)

    def log_survival_function(self, value: Any) -> Any:
        """The logarithm of the probability of more than a value."""
        self._validate_sample(value)
        z = self._standard(value)
        is_zero, safe = self._split()
        return (-z).where(is_zero, -(safe * z).log1p() / safe)

    def log_cdf(self, value: Any) -> Any:
        """The logarithm of the probability of at most a value."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Any) -> Any:
        return self.log_cdf(value).exp()

    def icdf(self, value: Any) -> Any:
        is_zero, safe = self._split()
        logarithm = (-value).log1p()
        power = self.loc + self.scale / safe * (-safe * logarithm).expm1()
        return (self.loc - self.scale * logarithm).where(is_zero, power)

    @property
    def mean(self) -> Any:
        is_finite = self.concentration < 1
        safe = self.concentration.masked_fill(~is_finite, 0.5)
        found = self.loc + self.scale / (1 - safe)
        return found.masked_fill(~is_finite, math.nan)

    @property
    def variance(self) -> Any:
        is_finite = self.concentration < 0.5
        safe = self.concentration.masked_fill(~is_finite, 0.25)
        found = self.scale**2 / ((1 - safe) ** 2 * (1 - 2 * safe))
        return found.masked_fill(~is_finite, math.nan)

    def entropy(self) -> Any:
        return self.scale.log() + self.concentration + 1

    @property
    def mode(self) -> Any:
        return self.loc

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From the threshold on, to the bound if there is one."""
        bound = self.loc - self.scale / self.concentration
        high = bound.masked_fill(~(self.concentration < 0), math.inf)
        return constraints.interval(self.loc, high)
