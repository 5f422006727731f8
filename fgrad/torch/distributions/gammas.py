"""Distributions made of gamma functions: samples have no gradients."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fgrad.torch.distributions.base import (
    NOT_NEGATIVE,
    POSITIVE,
    SIMPLEX,
    UNIT,
    Constraints,
    Distribution,
    drawn,
    together,
)
from fgrad.torch.joining import stack
from fgrad.torch.modes import no_grad
from fgrad.torch.nn.functional.sparse import one_hot
from fgrad.torch.random import default_generator


class Gamma(Distribution):
    """The density ``rate**a * x**(a - 1) * exp(-rate * x) / gamma(a)``.

    ``a`` is the concentration.

    >>> torch.distributions.Gamma(2.0, 1.0).log_prob(torch.tensor(1.0))
    tensor(-1.)
    """

    arg_constraints: ClassVar[Constraints] = {
        "concentration": POSITIVE,
        "rate": POSITIVE,
    }
    support = NOT_NEGATIVE

    def __init__(
        self, concentration: Any, rate: Any, validate_args: Any = None
    ) -> None:
        self.concentration, self.rate = together(concentration, rate)
        super().__init__(self.concentration.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate.pow(2)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        numbers = default_generator.numpy.standard_gamma(
            self.concentration._array, shape
        )
        with no_grad():
            return drawn(numbers, self.rate) / self.rate

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        return (
            self.concentration.xlogy(self.rate)
            + (self.concentration - 1).xlogy(value)
            - self.rate * value
            - self.concentration.lgamma()
        )

    def entropy(self) -> Any:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1.0 - a) * a.digamma()


class Beta(Distribution):
    """The density ``x**(a - 1) * (1 - x)**(b - 1) / B(a, b)`` on ``[0, 1]``.

    ``a`` is ``concentration1``, ``b`` is ``concentration0``.

    >>> torch.distributions.Beta(1.0, 3.0).mean
    tensor(0.2500)
    """

    arg_constraints: ClassVar[Constraints] = {
        "concentration1": POSITIVE,
        "concentration0": POSITIVE,
    }
    support = UNIT

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: Any = None
    ) -> None:
        self.concentration1, self.concentration0 = together(
            concentration1, concentration0
        )
        super().__init__(self.concentration1.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Any:
        both = stack([self.concentration1, self.concentration0], -1)
        return _mode_of(both)[..., 0]

    @property
    def variance(self) -> Any:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.pow(2) * (total + 1))

    def sample(self, sample_shape: Any = ()) -> Any:
        pair = (self.concentration1._array, self.concentration0._array)
        numbers = default_generator.numpy.beta(
            *pair, self._extended_shape(sample_shape)
        )
        return drawn(numbers, self.concentration1)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        a, b = self.concentration1, self.concentration0
        powers = (a - 1.0).xlogy(value) + (b - 1.0).xlogy(1.0 - value)
        return powers + (a + b).lgamma() - a.lgamma() - b.lgamma()

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        normal = a.lgamma() + b.lgamma() - (a + b).lgamma()
        slopes = (a - 1.0) * a.digamma() + (b - 1.0) * b.digamma()
        return normal - slopes - (2.0 - a - b) * (a + b).digamma()

    def __repr__(self) -> str:
        return "Beta()"


class Dirichlet(Distribution):
    """Probabilities of several classes, of a concentration for each, the last axis.

    Raises:
        ValueError: the concentration has no axis.

    >>> torch.distributions.Dirichlet(torch.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    arg_constraints: ClassVar[Constraints] = {
        "concentration": (
            "IndependentConstraint(GreaterThan(lower_bound=0.0), 1)",
            lambda x: np.all(x > 0, axis=-1),
        )
    }
    support = SIMPLEX

    def __init__(self, concentration: Any, validate_args: Any = None) -> None:
        if concentration.dim() < 1:
            raise ValueError(
                "`concentration` parameter must be at least one-dimensional."
            )
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Any:
        return _mode_of(self.concentration)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, True)
        a = self.concentration
        return a * (total - a) / (total.pow(2) * (total + 1))

    def sample(self, sample_shape: Any = ()) -> Any:
        numbers = default_generator.numpy.standard_gamma(
            self.concentration._array, self._extended_shape(sample_shape)
        )
        return drawn(numbers / numbers.sum(-1, keepdims=True), self.concentration)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        a = self.concentration
        powers = (a - 1.0).xlogy(value).sum(-1)
        return powers + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Any:
        a, n = self.concentration, self.concentration.size(-1)
        total = a.sum(-1)
        normal = a.lgamma().sum(-1) - total.lgamma()
        slopes = ((a - 1.0) * a.digamma()).sum(-1)
        return normal - (n - total) * total.digamma() - slopes


def _mode_of(concentration: Any) -> Any:
    """The most probable point of a simplex; one of the corners where all are."""
    excess = (concentration - 1).clamp(min=0.0)
    mode = excess / excess.sum(-1, True)
    is_corner = (concentration < 1).all(-1)
    if is_corner.any():
        corners = one_hot(mode[is_corner].argmax(-1), concentration.shape[-1])
        mode[is_corner] = corners.to(mode.dtype)
    return mode
