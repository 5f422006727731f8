"""``biject_to`` and ``transform_to``: transforms of real numbers into regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fgrad.torch.distributions import constraints, transforms

Factory = Callable[[Any], Any]


class ConstraintRegistry:
    """Which transform leads into a region: called with a constraint, it gives one.

    >>> to = torch.distributions.transform_to(torch.distributions.constraints.positive)
    >>> to(torch.tensor(0.0))
    tensor(1.)
    """

    def __init__(self) -> None:
        self._registry: dict[type, Factory] = {}

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Have a function give the transforms for a kind of constraint.

        Raises:
            TypeError: it is no constraint.

        >>> D = torch.distributions
        >>> class Large(D.constraints.Constraint):
        ...     pass
        >>> @D.transform_to.register(Large)
        ... def _(constraint):
        ...     return D.AffineTransform(100.0, 1.0)
        >>> D.transform_to(Large())(torch.tensor(1.0))
        tensor(101.)
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, constraints.Constraint):
            constraint = type(constraint)
        is_class = isinstance(constraint, type)
        if not is_class or not issubclass(constraint, constraints.Constraint):
            raise TypeError(
                "Expected constraint to be either a Constraint subclass or instance, "
                f"but got {constraint}"
            )
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(
                f"Cannot transform {type(constraint).__name__} constraints"
            )
        return factory(constraint)


biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()


def _above(region: Any) -> Any:
    moved = transforms.AffineTransform(region.lower_bound, 1)
    return transforms.ComposeTransform([transforms.ExpTransform(), moved])


def _below(region: Any) -> Any:
    moved = transforms.AffineTransform(region.upper_bound, -1)
    return transforms.ComposeTransform([transforms.ExpTransform(), moved])


def _between(region: Any) -> Any:
    low, high = region.lower_bound, region.upper_bound
    are_numbers = isinstance(low, int | float) and isinstance(high, int | float)
    if are_numbers and low == 0 and high == 1:
        return transforms.SigmoidTransform()
    moved = transforms.AffineTransform(low, high - low)
    return transforms.ComposeTransform([transforms.SigmoidTransform(), moved])


def _for_both(*regions: Any) -> Callable[[Factory], Factory]:
    def register(factory: Factory) -> Factory:
        for region in regions:
            biject_to.register(region, factory)
            transform_to.register(region, factory)
        return factory

    return register


_for_both(constraints.real)(lambda region: transforms.identity_transform)
_for_both(constraints.greater_than, constraints.greater_than_eq)(_above)
_for_both(constraints.less_than)(_below)
_for_both(constraints.interval, constraints.half_open_interval)(_between)
_for_both(constraints.corr_cholesky)(lambda region: transforms.CorrCholeskyTransform())
biject_to.register(
    constraints.simplex, lambda region: transforms.StickBreakingTransform()
)
transform_to.register(constraints.simplex, lambda region: transforms.SoftmaxTransform())
transform_to.register(
    constraints.lower_cholesky, lambda region: transforms.LowerCholeskyTransform()
)
for _region in (constraints.positive_definite, constraints.positive_semidefinite):
    transform_to.register(
        _region, lambda region: transforms.PositiveDefiniteTransform()
    )


def _of_parts(registry: ConstraintRegistry) -> None:
    """The transforms into regions that are made of others."""
    registry.register(
        constraints.independent,
        lambda region: transforms.IndependentTransform(
            registry(region.base_constraint), region.reinterpreted_batch_ndims
        ),
    )
    registry.register(
        constraints.cat,
        lambda region: transforms.CatTransform(
            [registry(part) for part in region.cseq], region.dim, region.lengths
        ),
    )
    registry.register(
        constraints.stack,
        lambda region: transforms.StackTransform(
            [registry(part) for part in region.cseq], region.dim
        ),
    )


_of_parts(biject_to)
_of_parts(transform_to)
