"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import ExponentialFamily, together
from fgrad.torch.distributions.trials import Binary, away_from_ends
from fgrad.torch.random import rand


class ContinuousBernoulli(Binary, ExponentialFamily):
    """Numbers between 0 and 1 with the density ``C * probs**x * (1 - probs)**(1 - x)``.

    G. Loaiza-Ganem and J. Cunningham, The continuous Bernoulli, 2019.

    Args:
        probs: the parameter; or
        logits: its logit.
        lims: between these a series takes the place of the formulas.
        validate_args: whether arguments are checked.

    Raises:
        ValueError: not exactly one of ``probs`` and ``logits`` is given.

    >>> torch.distributions.ContinuousBernoulli(torch.tensor(0.5)).mean
    tensor(0.5000)
    """

    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: Any = None,
    ) -> None:
        given = self._take(probs, logits)
        if probs is not None:
            if validate_args is not None:
                valid = constraints.unit_interval.check(self.probs)
                if not valid.all():
                    raise ValueError("The parameter probs has invalid values")
            self.probs = away_from_ends(self.probs)
        self._lims = lims
        super().__init__(given.shape, (), validate_args)

    def _is_far(self) -> Any:
        """Whether the formulas hold, away from one half."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _far(self) -> Any:
        """The parameters, but near one half the lower limit."""
        return self.probs.masked_fill(~self._is_far(), self._lims[0])

    def log_norm(self) -> Any:
        """The logarithm of the factor ``C``."""
        p = self._far()
        below = p.where(p <= 0.5, p.new_zeros(p.shape))
        above = p.where(p >= 0.5, p.new_ones(p.shape))
        below, above = (-2.0 * below).log1p(), (2.0 * above - 1.0).log()
        far = ((-p).log1p() - p.log()).abs().log() - below.where(p <= 0.5, above)
        x = (self.probs - 0.5).pow(2)
        near = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return far.where(self._is_far(), near)

    @property
    def mean(self) -> Any:
        p = self._far()
        far = p / (2.0 * p - 1.0) + 1.0 / ((-p).log1p() - p.log())
        x = self.probs - 0.5
        near = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x
        return far.where(self._is_far(), near)

    @property
    def variance(self) -> Any:
        p = self._far()
        slope = ((-p).log1p() - p.log()).pow(2)
        far = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / slope
        x = (self.probs - 0.5).pow(2)
        near = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        return far.where(self._is_far(), near)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        return self.icdf(rand(shape, dtype=self.probs.dtype, device=self.probs.device))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits, value = together(self.logits, value)
        size = logits.clamp(min=0) + (-logits.abs()).exp().log1p()
        return value * logits - size + self.log_norm()

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        p = self._far()
        far = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        found = far.where(self._is_far(), value)
        found = value.new_ones(value.shape).where(value >= 1.0, found)
        return value.new_zeros(value.shape).where(value <= 0.0, found)

    def icdf(self, value: Any) -> Any:
        p = self._far()
        above = (-p + value * (2.0 * p - 1.0)).log1p() - (-p).log1p()
        return (above / (p.log() - (-p).log1p())).where(self._is_far(), value)

    def entropy(self) -> Any:
        failure, success = (-self.probs).log1p(), self.probs.log()
        return self.mean * (failure - success) - self.log_norm() - failure
