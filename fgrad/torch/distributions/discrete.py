"""Distributions of classes and counts."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np

from fgrad.torch.creation import eye, full, tensor
from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import (
    Distribution,
    ExponentialFamily,
    drawn,
    together,
)
from fgrad.torch.distributions.trials import (
    EITHER,
    Binomial,
    away_from_ends,
    listed,
)
from fgrad.torch.dtypes import int64
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

    arg_constraints: ClassVar[dict[str, Any]] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    has_enumerate_support = True

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
        return full(
            self.batch_shape, math.nan, dtype=self.probs.dtype, device=self.probs.device
        )

    @property
    def variance(self) -> Any:
        return full(
            self.batch_shape, math.nan, dtype=self.probs.dtype, device=self.probs.device
        )

    @property
    def mode(self) -> Any:
        """The most probable class."""
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Any = ()) -> Any:
        count = int(np.prod(sample_shape, dtype=int))
        rows = self.probs.detach().reshape(-1, self._num_events)
        classes = multinomial(rows, count, True).T.to(rows.device)
        return classes.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        shape = np.broadcast_shapes(value.shape, self.batch_shape)
        places = value.long().expand(shape).unsqueeze(-1)
        logits = self.logits.expand((*shape, self._num_events))
        return logits.gather(-1, places).squeeze(-1)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """The numbers of the classes."""
        return constraints.integer_interval(0, self._num_events - 1)

    def enumerate_support(self, expand: bool = True) -> Any:
        return listed(self._num_events, self.batch_shape, self.probs, expand, int64)

    def entropy(self) -> Any:
        lowest = float(np.finfo(self.logits._aval.dtype).min)
        return -(self.logits.clamp(min=lowest) * self.probs).sum(-1)


class OneHotCategorical(Distribution):
    """As `Categorical`, but samples are unit vectors.

    >>> m = torch.distributions.OneHotCategorical(torch.tensor([0.25, 0.75]))
    >>> m.log_prob(torch.tensor([0.0, 1.0]))
    tensor(-0.2877)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    support: Any = constraints.one_hot
    has_enumerate_support = True
    _parts = ("_categorical",)

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
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        classes = self._categorical.sample(sample_shape)._array
        units = classes[..., None] == np.arange(self._categorical._num_events)
        return drawn(units, self.probs)

    @property
    def mode(self) -> Any:
        units = self.probs.argmax(-1)._array[..., None]
        return drawn(units == np.arange(self._categorical._num_events), self.probs)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._categorical.param_shape

    def enumerate_support(self, expand: bool = True) -> Any:
        n, batch = self.event_shape[0], tuple(self.batch_shape)
        units: Any = eye(n, dtype=self.probs.dtype, device=self.probs.device)
        units = units.reshape((n, *(1,) * len(batch), n))
        return units.expand((n, *batch, n)) if expand else units

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Any:
        return self._categorical.entropy()


class Poisson(ExponentialFamily):
    """Counts of events at a rate: ``rate**k * exp(-rate) / k!``.

    >>> torch.distributions.Poisson(1.0).log_prob(torch.tensor(2.0))
    tensor(-1.6931)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: Any = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.rate

    @property
    def variance(self) -> Any:
        return self.rate

    @property
    def mode(self) -> Any:
        return self.rate.floor()

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        counts = default_generator.numpy.poisson(self.rate._array, shape)
        return drawn(counts, self.rate)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return value.xlogy(self.rate) - self.rate - (value + 1).lgamma()


class Multinomial(Distribution):
    """Counts of classes among ``total_count`` draws.

    >>> m = torch.distributions.Multinomial(2, torch.tensor([0.5, 0.5]))
    >>> m.log_prob(torch.tensor([1.0, 1.0]))
    tensor(-0.6931)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    _parts = ("_categorical",)

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

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Counts of at most so many draws."""
        return constraints.multinomial(self.total_count)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._categorical.param_shape

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        return ways + (self.logits * value).sum(-1)

    def entropy(self) -> Any:
        n = float(self.total_count)
        ways: Any = tensor(math.lgamma(n + 1), dtype=self.probs.dtype)
        whole: Any = arange(
            self.total_count + 1, dtype=self.probs.dtype, device=self.probs.device
        )
        counts = whole[1:].reshape(-1, *(1,) * (len(self.batch_shape) + 1))
        own = Binomial(self.total_count, probs=self.probs).log_prob(counts).exp()
        expected = (own * (counts + 1).lgamma()).sum((0, -1))
        return n * self._categorical.entropy() - ways + expected
