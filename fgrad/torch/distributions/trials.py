"""Distributions of trials that succeed or fail."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np

from fgrad.torch.distributions.base import (
    BOOLEAN,
    COUNT,
    REAL,
    UNIT,
    Constraints,
    Distribution,
    drawn,
    together,
)
from fgrad.torch.likes import zeros_like
from fgrad.torch.random import default_generator
from fgrad.torch.ranges import arange

EITHER = "Either `probs` or `logits` must be specified, but not both."


def away_from_ends(probs: Any) -> Any:
    """Probabilities away from 0 and 1 by the precision of their dtype."""
    eps = float(np.finfo(probs._aval.dtype).eps)
    return probs.clamp(min=eps, max=1 - eps)


class _Binary(Distribution):
    """What has one probability, given as such or as its logit."""

    arg_constraints: ClassVar[Constraints] = {"probs": UNIT, "logits": REAL}

    def _take(self, probs: Any, logits: Any) -> Any:
        if (probs is None) == (logits is None):
            raise ValueError(EITHER)
        if probs is not None:
            (self.probs,) = together(probs)
            return self.probs
        (self.logits,) = together(logits)
        return self.logits

    @functools.cached_property
    def probs(self) -> Any:
        """The probability."""
        return self.logits.sigmoid()

    @functools.cached_property
    def logits(self) -> Any:
        """The logit of the probability."""
        probs = away_from_ends(self.probs)
        return probs.log() - (-probs).log1p()


class Bernoulli(_Binary):
    """One with a probability ``probs``, else zero; or ``logits`` in place of it.

    Raises:
        ValueError: not exactly one of the two is given.

    >>> torch.distributions.Bernoulli(0.75).log_prob(torch.tensor(1.0))
    tensor(-0.2877)
    """

    support = BOOLEAN

    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: Any = None
    ) -> None:
        given = self._take(probs, logits)
        super().__init__(given.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        likely = (self.probs >= 0.5).to(self.probs.dtype)
        return likely.masked_fill(self.probs == 0.5, math.nan)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        chances = default_generator.numpy.random(shape)
        return drawn(chances < self.probs._array, self.probs)

    def enumerate_support(self, expand: bool = True) -> Any:
        return self._listed(arange(2, dtype=self.probs.dtype), expand)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        logits = self.logits
        return value * logits - logits.clamp(min=0) - (-logits.abs()).exp().log1p()

    def entropy(self) -> Any:
        logits = self.logits
        size = logits.clamp(min=0) + (-logits.abs()).exp().log1p()
        return size - logits * self.probs


class Geometric(_Binary):
    """The number of failures before the first success: ``(1 - probs)**k * probs``.

    >>> torch.distributions.Geometric(0.5).log_prob(torch.tensor(1.0))
    tensor(-1.3863)
    """

    support = COUNT

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: Any = None
    ) -> None:
        given = self._take(probs, logits)
        super().__init__(given.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        return zeros_like(self.probs)

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        counts = default_generator.numpy.geometric(self.probs._array, shape)
        return drawn(counts - 1, self.probs)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        return value * (-self.probs).log1p() + self.probs.log()

    def entropy(self) -> Any:
        return Bernoulli(logits=self.logits).entropy() / self.probs


class Binomial(_Binary):
    """The number of successes among ``total_count``, each of probability ``probs``.

    Raises:
        ValueError: not exactly one of ``probs`` and ``logits`` is given.

    >>> torch.distributions.Binomial(2, torch.tensor(0.5)).log_prob(torch.tensor(1.0))
    tensor(-0.6931)
    """

    has_enumerate_support = True
    arg_constraints: ClassVar[Constraints] = {
        "total_count": COUNT,
        "probs": UNIT,
        "logits": REAL,
    }

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: Any = None,
    ) -> None:
        given = self._take(probs, logits)
        self.total_count, given = together(total_count, given)
        super().__init__(given.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        found = ((self.total_count + 1) * self.probs).floor()
        return found.clamp(max=self.total_count)

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        pair = (self.total_count._array.astype(np.int64), self.probs._array)
        shape = self._extended_shape(sample_shape)
        return drawn(default_generator.numpy.binomial(*pair, shape), self.probs)

    def enumerate_support(self, expand: bool = True) -> Any:
        count = int(self.total_count.max())
        if self.total_count.min() != count:
            raise NotImplementedError(
                "Inhomogeneous total count not supported by `enumerate_support`."
            )
        return self._listed(arange(1 + count, dtype=self.probs.dtype), expand)

    def log_prob(self, value: Any) -> Any:
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        size = n * (logits.clamp(min=0) + (-logits.abs()).exp().log1p())
        return value * logits - size + ways

    def entropy(self) -> Any:
        count = int(self.total_count.max())
        if not bool((self.total_count == count).all()):
            raise NotImplementedError(
                "Inhomogeneous total count not supported by `entropy`."
            )
        counts: Any = arange(count + 1, dtype=self.probs.dtype)
        logs = self.log_prob(counts.reshape(-1, *(1,) * len(self.batch_shape)))
        return -(logs.exp() * logs).sum(0)
