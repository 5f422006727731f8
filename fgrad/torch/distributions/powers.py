"""Powers of numbers from other distributions: lifetimes, incomes, parts."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import together
from fgrad.torch.distributions.continuous import Exponential, Uniform
from fgrad.torch.distributions.gammas import Gamma
from fgrad.torch.distributions.transformed import TransformedDistribution
from fgrad.torch.distributions.transformed_families import EULER
from fgrad.torch.distributions.transforms import (
    AffineTransform,
    ExpTransform,
    PowerTransform,
)


class Weibull(TransformedDistribution):
    """Lifetimes: longer than x with probability ``exp(-(x / scale)**concentration)``.

    >>> torch.distributions.Weibull(1.0, 2.0).mean
    tensor(0.8862)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "scale": constraints.positive,
        "concentration": constraints.positive,
    }
    support = constraints.positive

    def __init__(
        self, scale: Any, concentration: Any, validate_args: Any = None
    ) -> None:
        self.scale, self.concentration = together(scale, concentration)
        base = Exponential(self.scale.new_ones(self.scale.shape), validate_args)
        steps: list[Any] = [
            PowerTransform(self.concentration_reciprocal),
            AffineTransform(loc=0, scale=self.scale),
        ]
        super().__init__(base, steps, validate_args)

    @property
    def concentration_reciprocal(self) -> Any:
        """``1 / concentration``"""
        return self.concentration.reciprocal()

    @property
    def mean(self) -> Any:
        return self.scale * (1 + self.concentration_reciprocal).lgamma().exp()

    @property
    def mode(self) -> Any:
        part = (self.concentration - 1) / self.concentration
        return self.scale * part ** self.concentration.reciprocal()

    @property
    def variance(self) -> Any:
        first = 2 * (1 + self.concentration_reciprocal).lgamma()
        second = (1 + 2 * self.concentration_reciprocal).lgamma()
        return self.scale.pow(2) * (second.exp() - first.exp())

    def entropy(self) -> Any:
        slope = EULER * (1 - self.concentration_reciprocal)
        return slope + (self.scale * self.concentration_reciprocal).log() + 1


class Pareto(TransformedDistribution):
    """The density ``alpha * scale**alpha / x**(alpha + 1)`` from ``scale`` on.

    >>> torch.distributions.Pareto(1.0, 3.0).mean
    tensor(1.5000)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "alpha": constraints.positive,
        "scale": constraints.positive,
    }

    def __init__(self, scale: Any, alpha: Any, validate_args: Any = None) -> None:
        self.scale, self.alpha = together(scale, alpha)
        base = Exponential(self.alpha, validate_args)
        steps = [ExpTransform(), AffineTransform(loc=0, scale=self.scale)]
        super().__init__(base, steps, validate_args)

    @property
    def mean(self) -> Any:
        a = self.alpha.clamp(min=1)  # infinite below
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        a = self.alpha.clamp(min=2)  # infinite below
        return self.scale.pow(2) * a / ((a - 1).pow(2) * (a - 2))

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """What is not below the scale."""
        return constraints.greater_than_eq(self.scale)

    def entropy(self) -> Any:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


class Kumaraswamy(TransformedDistribution):
    """The density ``a * b * x**(a - 1) * (1 - x**a)**(b - 1)`` on ``[0, 1]``.

    ``a`` is ``concentration1``, ``b`` is ``concentration0``.

    >>> torch.distributions.Kumaraswamy(1.0, 3.0).mean
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
        zero = self.concentration0.new_full(self.concentration0.shape, 0.0)
        base = Uniform(
            zero, self.concentration0.new_ones(self.concentration0.shape), validate_args
        )
        steps = [
            PowerTransform(exponent=self.concentration0.reciprocal()),
            AffineTransform(loc=1.0, scale=-1.0),
            PowerTransform(exponent=self.concentration1.reciprocal()),
        ]
        super().__init__(base, steps, validate_args)

    def _moment(self, n: int) -> Any:
        b = self.concentration0
        shifted = 1 + n / self.concentration1
        return b * (shifted.lgamma() + b.lgamma() - (shifted + b).lgamma()).exp()

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        logarithm = b.reciprocal() * (-b).log1p() - (-b * a).log1p()  # as PyTorch's
        return logarithm.masked_fill((b < 1) | (a < 1), math.nan).exp()

    @property
    def variance(self) -> Any:
        return self._moment(2) - self.mean.pow(2)

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + EULER
        return (
            (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - a.log() - b.log()
        )


class InverseGamma(TransformedDistribution):
    """The distribution of ``1 / x`` for ``x`` from a `Gamma` distribution.

    >>> torch.distributions.InverseGamma(3.0, 1.0).mean
    tensor(0.5000)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.positive
    has_rsample = True

    def __init__(
        self, concentration: Any, rate: Any, validate_args: Any = None
    ) -> None:
        base = Gamma(concentration, rate, validate_args)
        inverse = PowerTransform(-base.rate.new_ones(()))
        super().__init__(base, inverse, validate_args)

    @property
    def concentration(self) -> Any:
        """That of the gamma distribution."""
        return self.base_dist.concentration

    @property
    def rate(self) -> Any:
        """That of the gamma distribution."""
        return self.base_dist.rate

    @property
    def mean(self) -> Any:
        found = self.rate / (self.concentration - 1)
        return found.masked_fill(~(self.concentration > 1), math.inf)

    @property
    def mode(self) -> Any:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Any:
        a = self.concentration
        found = self.rate.square() / ((a - 1).square() * (a - 2))
        return found.masked_fill(~(a > 2), math.inf)

    def entropy(self) -> Any:
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()
