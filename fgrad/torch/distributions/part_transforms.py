"""Transforms of parts of a tensor along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.transform import Transform, sum_rightmost
from fgrad.torch.joining import cat, stack


class _OfParts(Transform):
    """Transforms of parts of a tensor along an axis."""

    transforms: list[Any]
    dim: int

    def _take(self, tseq: Sequence[Any], dim: int, cache_size: int) -> None:
        if not all(isinstance(each, Transform) for each in tseq):
            raise AssertionError("All elements of tseq must be Transform instances")
        if cache_size:
            tseq = [each.with_cache(cache_size) for each in tseq]
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim

    def _check_axis(self, x: Any, name: str = "tensor") -> None:
        if not -x.dim() <= self.dim < x.dim():
            raise AssertionError(
                f"dim {self.dim} out of range for {name} with {x.dim()} dimensions"
            )

    @property
    def bijective(self) -> Any:
        return all(each.bijective for each in self.transforms)


class CatTransform(_OfParts):
    """Transforms of parts along an axis, one after the other.

    Args:
        tseq: the transforms.
        dim: the axis.
        lengths: that of each part; 1 by default.
        cache_size: as of `Transform`.

    >>> D = torch.distributions
    >>> D.CatTransform([D.ExpTransform(), D.identity_transform])(torch.zeros(2))
    tensor([1., 0.])
    """

    def __init__(
        self,
        tseq: Sequence[Any],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        self._take(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(
                f"lengths ({len(self.lengths)}) must match transforms "
                f"({len(self.transforms)})"
            )

    @cached_property
    def event_dim(self) -> Any:
        """How many axes an event has."""
        return max(each.event_dim for each in self.transforms)

    @cached_property
    def length(self) -> int:
        """That of all parts."""
        return sum(self.lengths)

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _parts(self, x: Any, name: str, label: str = "tensor") -> Any:
        self._check_axis(x, label)
        if x.size(self.dim) != self.length:
            raise AssertionError(
                f"{name}.size({self.dim}) = {x.size(self.dim)} must equal length "
                f"{self.length}"
            )
        return x.split(self.lengths, self.dim)

    def _call(self, x: Any) -> Any:
        pairs = zip(self.transforms, self._parts(x, "x"), strict=True)
        return cat([each(part) for each, part in pairs], self.dim)

    def _inverse(self, y: Any) -> Any:
        pairs = zip(self.transforms, self._parts(y, "y"), strict=True)
        return cat([each.inv(part) for each, part in pairs], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        parts = (self._parts(x, "x", "x"), self._parts(y, "y", "y"))
        found = []
        for each, part, image in zip(self.transforms, *parts, strict=True):
            own = each.log_abs_det_jacobian(part, image)
            found.append(sum_rightmost(own, self.event_dim - each.event_dim))
        dim = (self.dim - x.dim() if self.dim >= 0 else self.dim) + self.event_dim
        return cat(found, dim) if dim < 0 else sum(found)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.cat(
            [each.domain for each in self.transforms], self.dim, self.lengths
        )

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.cat(
            [each.codomain for each in self.transforms], self.dim, self.lengths
        )


class StackTransform(_OfParts):
    """Transforms of what is at each place of an axis.

    >>> D = torch.distributions
    >>> stacked = D.StackTransform([D.ExpTransform(), D.identity_transform], dim=1)
    >>> stacked(torch.zeros(1, 2))
    tensor([[1., 0.]])
    """

    def __init__(self, tseq: Sequence[Any], dim: int = 0, cache_size: int = 0) -> None:
        self._take(tseq, dim, cache_size)

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return StackTransform(self.transforms, self.dim, cache_size)

    def _parts(self, x: Any, name: str, label: str = "tensor") -> Any:
        self._check_axis(x, label)
        if x.size(self.dim) != len(self.transforms):
            raise AssertionError(
                f"{name}.size({self.dim}) = {x.size(self.dim)} must equal "
                f"len(transforms) {len(self.transforms)}"
            )
        return x.unbind(self.dim)

    def _call(self, x: Any) -> Any:
        pairs = zip(self.transforms, self._parts(x, "x"), strict=True)
        return stack([each(part) for each, part in pairs], self.dim)

    def _inverse(self, y: Any) -> Any:
        pairs = zip(self.transforms, self._parts(y, "y"), strict=True)
        return stack([each.inv(part) for each, part in pairs], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        parts = (self._parts(x, "x", "x"), self._parts(y, "y", "y"))
        rows = zip(self.transforms, *parts, strict=True)
        found = [each.log_abs_det_jacobian(part, image) for each, part, image in rows]
        return stack(found, self.dim)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.stack([each.domain for each in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.stack([each.codomain for each in self.transforms], self.dim)
