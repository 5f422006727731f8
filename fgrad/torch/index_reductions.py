"""Slices along an axis that are reduced where they fall on the same place."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fgrad.torch.gathering import check_slices
from fgrad.torch.recording import one
from fgrad.torch.registry import operation
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Array, Tensor, require_tensor
from fgrad.torch.writing import reduced_by_place

BETA = "index_reduce() is in beta and the API may change at any time."


@operation("index_reduce")
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """A copy where slices that fall on the same place along an axis are reduced.

    Args:
        input: a tensor.
        dim: the axis.
        index: where each slice of ``source`` goes along it, a vector.
        source: the slices.
        reduce: ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``.
        include_self: whether the elements that are there take part.

    Raises:
        RuntimeError: another reduction, or slices that do not fit.
        IndexError: there is no such place.

    >>> import warnings
    >>> index, source = torch.tensor([1, 1]), torch.tensor([5.0, 7.0])
    >>> with warnings.catch_warnings(action="ignore"):  # it may change, says PyTorch
    ...     torch.index_reduce(torch.ones(2), 0, index, source, "prod")
    tensor([ 1., 35.])
    """
    x = require_tensor("index_reduce", input)
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but "
            f"got {reduce}."
        )
    axis = axis_of(dim, x._aval.ndim)
    places = _checked_places(x, axis, index, source)
    warnings.warn(BETA, UserWarning, stacklevel=2)
    shape = x._aval.shape
    if np.any((places < 0) | (places >= (shape[axis] if shape else 1))):
        raise IndexError("index out of range in self")
    numbers = np.arange(x._aval.size).reshape(shape or (1,))
    flat = np.take(numbers, places, axis).ravel()

    def compute(u: Any, v: Any, flat: Any) -> Any:
        u, v = u.reshape(-1), v.reshape(-1)
        return reduced_by_place(u, v, flat, reduce, include_self).reshape(shape)

    return one("IndexReduceBackward0", compute, x, source, flat)


def _checked_places(x: Tensor, axis: int, index: Tensor, source: Tensor) -> Array:
    """The index as a vector, where slices fit.

    Raises:
        RuntimeError: the slices do not fit.
        IndexError: the index is no vector.
    """
    places, given = index._array, source._aval.shape
    if places.ndim > 1:
        raise IndexError(
            "index_reduce_(): Index is supposed to be a vector, but got dim: "
            f"{places.ndim} with type: {index.dtype.kind} and size: {list(index.shape)}"
        )
    if places.dtype not in (np.int32, np.int64):
        raise RuntimeError(
            "index_reduce_(): Expected dtype int32/int64 for index but got: "
            f"{index.dtype.kind}"
        )
    if x.dtype is not source.dtype:
        raise RuntimeError(
            f"index_reduce_(): self ({x.dtype.kind}) and source ({source.dtype.kind}) "
            "must have the same scalar type"
        )
    length = given[axis] if given else 1
    if places.size != length:
        raise RuntimeError(
            f"index_reduce_(): Number of indices ({places.size}) should be equal to "
            f"source.size(dim): ({length}), for dim: {axis}"
        )
    check_slices(x._aval.shape, given, axis, length)
    return places.reshape(-1)
