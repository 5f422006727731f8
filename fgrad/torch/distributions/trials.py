"""Distributions of trials that succeed or fail."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np

from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import (
    Distribution,
    ExponentialFamily,
    drawn,
    together,
)
from fgrad.torch.nn.functional.activation import logsigmoid
from fgrad.torch.random import default_generator
from fgrad.torch.ranges import arange

EITHER = "Either `probs` or `logits` must be specified, but not both."


def away_from_ends(probs: Any) -> Any:
    """Probabilities away from 0 and 1 by the precision of their dtype."""
    eps = float(np.finfo(probs._aval.dtype).eps)
    return probs.clamp(min=eps, max=1 - eps)


def listed(count: int, batch: Any, like: Any, expand: bool, dtype: Any = None) -> Any:
    """The numbers from 0 on along a new first axis, for a batch."""
    numbers: Any = arange(count, dtype=dtype or like.dtype, device=like.device)
    numbers = numbers.reshape((count, *(1,) * len(batch)))
    return numbers.expand((count, *batch)) if expand else numbers


class Binary(Distribution):
    """What has one probability, given as such or as its logit: a base of others."""

    arg_constraints: ClassVar[dict[str, Any]] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }

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


class Bernoulli(Binary, ExponentialFamily):
    """One with a probability ``probs``, else zero; or ``logits`` in place of it.

    Raises:
        ValueError: not exactly one of the two is given.

    >>> torch.distributions.Bernoulli(0.75).log_prob(torch.tensor(1.0))
    tensor(-0.2877)
    """

    support = constraints.boolean
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
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        chances = default_generator.numpy.random(shape)
        return drawn(chances < self.probs._array, self.probs)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits = self.logits
        return value * logits - logits.clamp(min=0) - (-logits.abs()).exp().log1p()

    @property
    def mode(self) -> Any:
        ones = (self.probs >= 0.5).to(self.probs.dtype)
        return ones.masked_fill(self.probs == 0.5, math.nan)

    def enumerate_support(self, expand: bool = True) -> Any:
        return listed(2, self.batch_shape, self.probs, expand)

    def entropy(self) -> Any:
        logits = self.logits
        size = logits.clamp(min=0) + (-logits.abs()).exp().log1p()
        return size - logits * self.probs


class Geometric(Binary):
    """The number of failures before the first success: ``(1 - probs)**k * probs``.

    >>> torch.distributions.Geometric(0.5).log_prob(torch.tensor(1.0))
    tensor(-1.3863)
    """

    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: Any = None
    ) -> None:
        given = self._take(probs, logits)
        super().__init__(given.shape, (), validate_args)

    @property
    def mode(self) -> Any:
        return self.probs.new_zeros(self.probs.shape)

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        counts = default_generator.numpy.geometric(self.probs._array, shape)
        return drawn(counts - 1, self.probs)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return value * (-self.probs).log1p() + self.probs.log()

    def entropy(self) -> Any:
        return Bernoulli(logits=self.logits).entropy() / self.probs


class Binomial(Binary):
    """The number of successes among ``total_count``, each of probability ``probs``.

    Raises:
        ValueError: not exactly one of ``probs`` and ``logits`` is given.

    >>> torch.distributions.Binomial(2, torch.tensor(0.5)).log_prob(torch.tensor(1.0))
    tensor(-0.6931)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

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
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        pair = (self.total_count._array.astype(np.int64), self.probs._array)
        shape = self._extended_shape(sample_shape)
        return drawn(default_generator.numpy.binomial(*pair, shape), self.probs)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """From no success to all."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mode(self) -> Any:
        found = ((self.total_count + 1) * self.probs).floor()
        return found.clamp(max=self.total_count)

    def enumerate_support(self, expand: bool = True) -> Any:
        count = int(self.total_count.max())
        if not bool((self.total_count == count).all()):
            raise NotImplementedError(
                "Inhomogeneous total count not supported by `enumerate_support`."
            )
        return listed(1 + count, self.batch_shape, self.probs, expand)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
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
        counts: Any = arange(
            count + 1, dtype=self.probs.dtype, device=self.probs.device
        )
        logs = self.log_prob(counts.reshape(-1, *(1,) * len(self.batch_shape)))
        return -(logs.exp() * logs).sum(0)


class NegativeBinomial(Binary):
    """The number of successes before so many failures.

    Args:
        total_count: how many failures; it need not be an integer.
        probs: the probability of a success, below 1; or
        logits: its logit.
        validate_args: whether arguments are checked.

    Raises:
        ValueError: not exactly one of ``probs`` and ``logits`` is given.

    >>> m = torch.distributions.NegativeBinomial(2.0, torch.tensor(0.5))
    >>> m.log_prob(torch.tensor(1.0))
    tensor(-1.3863)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: Any = None,
    ) -> None:
        given = self._take(probs, logits)
        self.total_count, given = together(total_count, given)
        self.total_count = self.total_count.type_as(given)
        setattr(self, "logits" if probs is None else "probs", given)
        super().__init__(given.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Any:
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Any = ()) -> Any:
        source, shape = default_generator.numpy, self._extended_shape(sample_shape)
        rates = source.standard_gamma(self.total_count._array, shape)
        rates = rates * np.exp(self.logits._array)
        return drawn(source.poisson(rates), self.total_count)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n, failure, success = self.total_count, -self.logits, self.logits
        kept: Any = n * logsigmoid(failure) + value * logsigmoid(success)
        ways = -(n + value).lgamma() + (1.0 + value).lgamma() + n.lgamma()
        return kept - ways.masked_fill(n + value == 0.0, 0.0)
