"""Distributions of classes and counts."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np

from fgrad.torch.creation import eye, full, tensor
from fgrad.torch.distributions.base import (
    COUNT,
    NOT_NEGATIVE,
    REAL_VECTOR,
    SIMPLEX,
    Constraints,
    Distribution,
    drawn,
    together,
)
from fgrad.torch.distributions.trials import EITHER, Binomial, away_from_ends
from fgrad.torch.nn.functional.sparse import one_hot
from fgrad.torch.random import default_generator, multinomial
from fgrad.torch.ranges import arange


class Categorical(Distribution):
    """One of several classes, with probabilities or logits in the last axis.

    Weights need not sum to 1. Samples are int64.

    Raises:
        ValueError: not exactly one of ``probs`` and ``logits`` is given.

    >>> m = torch.distributions.Categorical(torch.tensor([0.25, 0.75]))
    >>> m.log_prob(torch.tensor(1))
    tensor(-0.2877)
    """

    has_enumerate_support = True
    arg_constraints: ClassVar[Constraints] = {"probs": SIMPLEX, "logits": REAL_VECTOR}

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: Any = None
    ) -> None:
        if (probs is None) == (logits is None):
            raise ValueError(EITHER)
        given = logits if probs is None else probs
        if given.dim() < 1:
            name = "logits" if probs is None else "probs"
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if probs is not None:
            self.probs = probs / probs.sum(-1, True)
        else:
            self.logits = logits - logits.logsumexp(-1, True)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], (), validate_args)

    @functools.cached_property
    def probs(self) -> Any:
        """The probabilities of the classes."""
        return self.logits.softmax(-1)

    @functools.cached_property
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return away_from_ends(self.probs).log()

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self.probs.shape

    @property
    def mean(self) -> Any:
        return full(self.batch_shape, math.nan, dtype=self.probs.dtype)

    @property
    def variance(self) -> Any:
        return full(self.batch_shape, math.nan, dtype=self.probs.dtype)

    @property
    def mode(self) -> Any:
        """The most probable class."""
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Any = ()) -> Any:
        count = int(np.prod(sample_shape, dtype=int))
        rows = self.probs.detach().reshape(-1, self._num_events)
        classes = multinomial(rows, count, True).T
        return classes.reshape(self._extended_shape(sample_shape))

    def enumerate_support(self, expand: bool = True) -> Any:
        return self._listed(arange(self._num_events), expand)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        shape = np.broadcast_shapes(value.shape, self.batch_shape)
        places = value.long().expand(shape).unsqueeze(-1)
        logits = self.logits.expand((*shape, self._num_events))
        return logits.gather(-1, places).squeeze(-1)

    def _check_value(self, value: Any) -> None:
        top = self._num_events - 1
        self.support = (
            f"IntegerInterval(lower_bound=0, upper_bound={top})",
            lambda x: (x % 1 == 0) & (x >= 0) & (x <= top),
        )
        super()._check_value(value)

    def entropy(self) -> Any:
        lowest = float(np.finfo(self.logits._aval.dtype).min)
        return -(self.logits.clamp(min=lowest) * self.probs).sum(-1)


class OneHotCategorical(Distribution):
    """As `Categorical`, but samples are unit vectors.

    >>> m = torch.distributions.OneHotCategorical(torch.tensor([0.25, 0.75]))
    >>> m.log_prob(torch.tensor([0.0, 1.0]))
    tensor(-0.2877)
    """

    has_enumerate_support = True
    arg_constraints: ClassVar[Constraints] = {"probs": SIMPLEX, "logits": REAL_VECTOR}

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: Any = None
    ) -> None:
        self._categorical = Categorical(probs, logits)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def probs(self) -> Any:
        """The probabilities of the classes."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        count = self.probs.shape[-1]
        return one_hot(self.probs.argmax(-1), count).to(self.probs.dtype)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        classes = self._categorical.sample(sample_shape)._array
        units = classes[..., None] == np.arange(self._categorical._num_events)
        return drawn(units, self.probs)

    def enumerate_support(self, expand: bool = True) -> Any:
        values: Any = eye(self._event_shape[0], dtype=self.probs.dtype)
        return self._listed(values, expand)

    def log_prob(self, value: Any) -> Any:
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Any:
        return self._categorical.entropy()

    def __repr__(self) -> str:
        return "OneHotCategorical()"


class Poisson(Distribution):
    """Counts of events at a rate: ``rate**k * exp(-rate) / k!``.

    >>> torch.distributions.Poisson(1.0).log_prob(torch.tensor(2.0))
    tensor(-1.6931)
    """

    arg_constraints: ClassVar[Constraints] = {"rate": NOT_NEGATIVE}
    support = COUNT

    def __init__(self, rate: Any, validate_args: Any = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.rate

    @property
    def mode(self) -> Any:
        return self.rate.floor()

    @property
    def variance(self) -> Any:
        return self.rate

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        counts = default_generator.numpy.poisson(self.rate._array, shape)
        return drawn(counts, self.rate)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        return value.xlogy(self.rate) - self.rate - (value + 1).lgamma()


class Multinomial(Distribution):
    """Counts of classes among ``total_count`` draws.

    >>> m = torch.distributions.Multinomial(2, torch.tensor([0.5, 0.5]))
    >>> m.log_prob(torch.tensor([1.0, 1.0]))
    tensor(-0.6931)
    """

    arg_constraints: ClassVar[Constraints] = {"probs": SIMPLEX, "logits": REAL_VECTOR}

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: Any = None,
    ) -> None:
        self.total_count = total_count
        self._categorical = Categorical(probs, logits)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def probs(self) -> Any:
        """The probabilities of the classes."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        counts = default_generator.numpy.multinomial(
            self.total_count, self.probs._array.astype(np.float64), shape[:-1]
        )
        return drawn(counts, self.probs)

    def log_prob(self, value: Any) -> Any:
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        return ways + (self.logits * value).sum(-1)

    def entropy(self) -> Any:
        n = float(self.total_count)
        ways: Any = tensor(math.lgamma(n + 1), dtype=self.probs.dtype)
        whole: Any = arange(self.total_count + 1, dtype=self.probs.dtype)
        counts = whole[1:].reshape(-1, *(1,) * (len(self.batch_shape) + 1))
        own = Binomial(self.total_count, probs=self.probs).log_prob(counts).exp()
        expected = (own * (counts + 1).lgamma()).sum((0, -1))
        return n * self._categorical.entropy() - ways + expected

    def __repr__(self) -> str:
        return "Multinomial()"
