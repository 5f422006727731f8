"""Distributions made of gamma functions.

Samples have gradients with respect to concentrations: those of the value at which the
distribution function stays the same (M. Figurnov, S. Mohamed and A. Mnih, Implicit
reparameterization gradients, 2018).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import fgrad
from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import ExponentialFamily, together
from fgrad.torch.gamma_integrals import igamma, regularised
from fgrad.torch.joining import stack
from fgrad.torch.random import default_generator
from fgrad.torch.recording import one
from fgrad.torch.special import precise_lgamma


def _kept(concentration: Any, numbers: Any) -> Any:
    return numbers + 0 * concentration


_sample = fgrad.custom_jvp(_kept)


@_sample.defjvp
def _(primals: Any, tangents: Any) -> Any:
    a, x = primals
    slope = fgrad.jvp(lambda u: regularised(u, x, False), (a,), (tangents[0],))[1]
    density = np.exp((a - 1) * np.log(x) - x - precise_lgamma(a))
    return _sample(a, x), -slope / density


def standard_gamma(concentration: Any, shape: Any) -> Any:
    """Samples of gamma distributions of rate 1, with gradients."""
    given = concentration._array
    numbers = default_generator.numpy.standard_gamma(given, shape)
    tiny = float(np.finfo(given.dtype).tiny)
    numbers = np.maximum(np.asarray(numbers, np.float64), tiny)

    def compute(a: Any, x: Any) -> Any:
        spread = np.broadcast_to(a.astype(np.float64), x.shape)
        return _sample(spread, x).astype(a.dtype)

    return one("StandardGammaBackward0", compute, concentration, constants=(numbers,))


class Gamma(ExponentialFamily):
    """The density ``rate**a * x**(a - 1) * exp(-rate * x) / gamma(a)``.

    ``a`` is the concentration.

    >>> torch.distributions.Gamma(2.0, 1.0).log_prob(torch.tensor(1.0))
    tensor(-1.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.nonnegative
    has_rsample = True

    def __init__(
        self, concentration: Any, rate: Any, validate_args: Any = None
    ) -> None:
        self.concentration, self.rate = together(concentration, rate)
        super().__init__(self.concentration.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate.pow(2)

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        tiny = float(np.finfo(self.rate.dtype.numpy).tiny)
        return (standard_gamma(self.concentration, shape) / self.rate).clamp(min=tiny)

    def cdf(self, value: Any) -> Any:
        self._validate_sample(value)
        return igamma(self.concentration, self.rate * value)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return (
            self.concentration.xlogy(self.rate)
            + (self.concentration - 1).xlogy(value)
            - self.rate * value
            - self.concentration.lgamma()
        )

    def entropy(self) -> Any:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1.0 - a) * a.digamma()


class Chi2(Gamma):
    """The sum of ``df`` squares of normal numbers.

    >>> torch.distributions.Chi2(3.0).mean
    tensor(3.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: Any = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new.concentration = self.concentration.expand(batch_shape)
        new.rate = self.rate.expand(batch_shape)
        return new

    @property
    def df(self) -> Any:
        """The degrees of freedom."""
        return self.concentration * 2


class Beta(ExponentialFamily):
    """The density ``x**(a - 1) * (1 - x)**(b - 1) / B(a, b)`` on ``[0, 1]``.

    ``a`` is ``concentration1``, ``b`` is ``concentration0``.

    >>> torch.distributions.Beta(1.0, 3.0).mean
    tensor(0.2500)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True

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
    def variance(self) -> Any:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.pow(2) * (total + 1))

    @property
    def mode(self) -> Any:
        return self._dirichlet.mode[..., 0]

    @property
    def _dirichlet(self) -> Any:
        pair = stack([self.concentration1, self.concentration0], -1)
        return Dirichlet(pair, validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self._dirichlet.rsample(sample_shape).select(-1, 0)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
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


class Dirichlet(ExponentialFamily):
    """Probabilities of several classes, of a concentration for each, the last axis.

    Raises:
        ValueError: the concentration has no axis.

    >>> torch.distributions.Dirichlet(torch.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }
    support = constraints.simplex
    has_rsample = True

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
    def variance(self) -> Any:
        total = self.concentration.sum(-1, True)
        a = self.concentration
        return a * (total - a) / (total.pow(2) * (total + 1))

    @property
    def mode(self) -> Any:
        above = (self.concentration - 1).clamp(min=0.0)
        found = above / above.sum(-1, True)
        is_edge = (self.concentration < 1).all(-1)
        places = found.argmax(-1)[..., None]
        units = found.new_zeros(found.shape).scatter(-1, places, 1.0)
        return units.where(is_edge[..., None], found)

    def rsample(self, sample_shape: Any = ()) -> Any:
        parts = standard_gamma(self.concentration, self._extended_shape(sample_shape))
        return parts / parts.sum(-1, True)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        a = self.concentration
        powers = (a - 1.0).xlogy(value).sum(-1)
        return powers + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Any:
        a, n = self.concentration, self.concentration.size(-1)
        total = a.sum(-1)
        normal = a.lgamma().sum(-1) - total.lgamma()
        slopes = ((a - 1.0) * a.digamma()).sum(-1)
        return normal - (n - total) * total.digamma() - slopes
