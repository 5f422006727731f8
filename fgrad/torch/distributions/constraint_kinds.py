"""Kinds of constraints: dependent ones, bounds, and those made of others.

Classes have PyTorch's names, which its messages and texts show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fgrad.torch.joining import cat as joined
from fgrad.torch.joining import stack as stacked


class Constraint:
    """A region of numbers, vectors or matrices.

    Attributes:
        is_discrete: whether it is one of integers.
        event_dim: how many axes one of its elements has.

    >>> torch.distributions.constraints.positive.check(torch.tensor([-1.0, 2.0]))
    tensor([False,  True])
    """

    is_discrete: Any = False
    event_dim: Any = 0
    _bounds: tuple[str, ...] = ()  # what the text shows

    def check(self, value: Any) -> Any:
        """Which events of a tensor are inside: Booleans."""
        raise NotImplementedError

    def __repr__(self) -> str:
        bounds = ", ".join(f"{name}={getattr(self, name)}" for name in self._bounds)
        return f"{type(self).__name__.removeprefix('_')}({bounds})"


class _Dependent(Constraint):
    """What only an instance of a distribution knows."""

    def __init__(
        self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented
    ) -> None:
        self._known = (is_discrete, event_dim)

    @property
    def is_discrete(self) -> Any:
        return self._of(0, "is_discrete")

    @property
    def event_dim(self) -> Any:
        return self._of(1, "event_dim")

    def _of(self, place: int, name: str) -> Any:
        if self._known[place] is NotImplemented:
            raise NotImplementedError(f".{name} cannot be determined statically")
        return self._known[place]

    def __call__(
        self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented
    ) -> _Dependent:
        given = (is_discrete, event_dim)
        pairs = zip(given, self._known, strict=True)
        new, axes = (old if x is NotImplemented else x for x, old in pairs)
        return _Dependent(is_discrete=new, event_dim=axes)

    def check(self, value: Any) -> Any:
        raise ValueError("Cannot determine validity of dependent constraint")


def is_dependent(constraint: Any) -> bool:
    """Whether only an instance of a distribution knows the constraint.

    >>> constraints = torch.distributions.constraints
    >>> constraints.is_dependent(constraints.dependent)
    True
    """
    return isinstance(constraint, _Dependent)


class _DependentProperty(property, _Dependent):
    """A property that gives a constraint: of the class it is a dependent one."""

    def __init__(
        self,
        fn: Callable[[Any], Any] | None = None,
        *,
        is_discrete: Any = NotImplemented,
        event_dim: Any = NotImplemented,
    ) -> None:
        property.__init__(self, fn)
        self._known = (is_discrete, event_dim)

    def __call__(self, fn: Callable[[Any], Any]) -> Any:  # type: ignore[override]
        is_discrete, event_dim = self._known
        return _DependentProperty(fn, is_discrete=is_discrete, event_dim=event_dim)


def _all_of(result: Any, keep: int) -> Any:
    """Whether all are inside, of all axes but the first ones."""
    return result.reshape((*result.shape[:keep], -1)).all(-1)


class _IndependentConstraint(Constraint):
    """A constraint for each element along the last axes of the batch."""

    def __init__(
        self, base_constraint: Constraint, reinterpreted_batch_ndims: int
    ) -> None:
        _require(base_constraint)
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def is_discrete(self) -> Any:
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> Any:
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Any) -> Any:
        result = self.base_constraint.check(value)
        keep = result.dim() - self.reinterpreted_batch_ndims
        if keep < 0:
            raise ValueError(
                f"Expected value.dim() >= {self.event_dim} but got {value.dim()}"
            )
        return _all_of(result, keep)

    def __repr__(self) -> str:
        name = type(self).__name__[1:]
        return f"{name}({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(Constraint):
    """The support of a mixture: values that are in that of each part.

    >>> constraints = torch.distributions.constraints
    >>> constraints.MixtureSameFamilyConstraint(constraints.positive)
    MixtureSameFamilyConstraint(GreaterThan(lower_bound=0.0))
    """

    def __init__(self, base_constraint: Constraint) -> None:
        _require(base_constraint)
        self.base_constraint = base_constraint

    @property
    def is_discrete(self) -> Any:
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> Any:
        return self.base_constraint.event_dim

    def check(self, value: Any) -> Any:
        keep = value.dim() - self.event_dim
        result = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        return _all_of(result, keep)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_constraint!r})"


def _require(constraint: Any) -> None:
    if not isinstance(constraint, Constraint):
        raise AssertionError(
            f"base_constraint must be a Constraint, got {type(constraint).__name__}"
        )


class Bounded(Constraint):
    """A constraint with bounds, which are numbers or tensors."""

    def __init__(self, *bounds: Any, **named: Any) -> None:
        for name, bound in zip(self._bounds, bounds, strict=False):
            setattr(self, name, bound)
        for name, bound in named.items():
            setattr(self, name, bound)

    lower_bound: Any
    upper_bound: Any


class _Several(Constraint):
    """Constraints for parts of a tensor along an axis."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        if not all(isinstance(each, Constraint) for each in cseq):
            raise AssertionError("All elements of cseq must be Constraint instances")
        self.cseq, self.dim = list(cseq), dim

    @property
    def is_discrete(self) -> Any:
        return any(each.is_discrete for each in self.cseq)

    @property
    def event_dim(self) -> Any:
        return max(each.event_dim for each in self.cseq)

    def _check_axis(self, value: Any) -> None:
        if not -value.dim() <= self.dim < value.dim():
            raise AssertionError(
                f"dim {self.dim} out of range for value with {value.dim()} dimensions"
            )


class _Cat(_Several):
    def __init__(
        self,
        cseq: Sequence[Constraint],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
    ) -> None:
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.cseq):
            raise AssertionError(
                f"lengths ({len(self.lengths)}) must match cseq ({len(self.cseq)})"
            )

    def check(self, value: Any) -> Any:
        self._check_axis(value)
        parts = value.split(self.lengths, self.dim)
        pairs = zip(self.cseq, parts, strict=False)
        return joined([each.check(part) for each, part in pairs], self.dim)


class _Stack(_Several):
    @property
    def event_dim(self) -> Any:
        dim = max(each.event_dim for each in self.cseq)
        return dim + 1 if self.dim + dim < 0 else dim

    def check(self, value: Any) -> Any:
        self._check_axis(value)
        pairs = zip(self.cseq, value.unbind(self.dim), strict=False)
        return stacked([each.check(part) for each, part in pairs], self.dim)


dependent = _Dependent()
dependent_property = _DependentProperty
independent = _IndependentConstraint
cat, stack = _Cat, _Stack
