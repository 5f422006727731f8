"""Where elements are and how many there are: indices and counts, without gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.registry import function, operation
from fgrad.torch.tensor import Tensor, make, require_tensor


@operation("nonzero")
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of elements that are not zero: a row each, or an axis each.

    ``(count, axes)`` int64, or with ``as_tuple`` one vector for each axis.

    >>> torch.nonzero(torch.tensor([[0, 5], [7, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    found = np.nonzero(np.atleast_1d(require_tensor("nonzero", input)._array))
    if as_tuple:
        return tuple(make(indices) for indices in found)
    rows = np.stack(found, 1)
    return make(rows if input._aval.ndim else rows[:, :0])


@operation("argwhere")
def argwhere(input: Tensor) -> Tensor:
    """The indices of elements that are not zero, a row each.

    >>> torch.argwhere(torch.tensor([[0, 5], [7, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    return nonzero(input)  # type: ignore[no-any-return]


@function("searchsorted")
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
) -> Tensor:
    """Where values would be inserted to keep each row sorted: int64.

    Before equal ones; with ``right=True`` after them.

    >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 4]))
    tensor([1, 2])
    """
    rows = require_tensor("searchsorted", sorted_sequence)._array
    values = np.asarray(input._array if isinstance(input, Tensor) else input)
    after = right if side is None else side == "right"
    where: Any = "right" if after else "left"
    if rows.ndim == 1:
        found = np.searchsorted(rows, values, where)
    else:
        pairs = zip(
            rows.reshape(-1, rows.shape[-1]),
            values.reshape(-1, values.shape[-1]),
            strict=True,
        )
        lines = [np.searchsorted(row, value, where) for row, value in pairs]
        found = np.stack(lines).reshape(values.shape)
    return make(np.asarray(found, np.int32 if out_int32 else np.int64))


@function("bucketize")
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """The number of the interval between boundaries in which values are: int64.

    Interval ``i`` ends with boundary ``i``; with ``right=True`` it ends before it.

    >>> torch.bucketize(torch.tensor([0, 3, 9]), torch.tensor([1, 3, 5]))
    tensor([0, 1, 3])
    """
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@operation("bincount")
def bincount(
    input: Tensor, weights: Tensor | None = None, minlength: int = 0
) -> Tensor:
    """How often each number occurs in a vector of integers, or its weight.

    Raises:
        RuntimeError: a number is negative.

    >>> torch.bincount(torch.tensor([1, 3, 1]))
    tensor([0, 2, 0, 1])
    """
    x = require_tensor("bincount", input)
    if x._aval.ndim != 1 or (x._aval.size and x._array.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return make(np.bincount(x._array, minlength=minlength))
    counts = np.bincount(x._array, weights._array, minlength)
    return make(counts.astype(weights._aval.dtype))


@operation("histc")
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements are in each of ``bins`` equal intervals, in the input's dtype.

    From ``min`` to ``max``; where both are 0 from the smallest element to the largest.

    >>> torch.histc(torch.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=4)
    tensor([0., 2., 1., 0.])
    """
    x = require_tensor("histc", input)._array
    if min == max:
        min, max = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
    if min == max:
        min, max = min - 1, max + 1
    counts, _ = np.histogram(x, bins, (min, max))
    return make(counts.astype(x.dtype))


def _grid_indices(chosen: Any, row: int, col: int, offset: int) -> Tensor:
    return make(np.stack(chosen(row, offset, col)).astype(np.int64))


@function("tril_indices")
def tril_indices(row: int, col: int, offset: int = 0, **named: Any) -> Tensor:
    """The indices of the lower triangle of a matrix: a row and a column each.

    >>> torch.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _grid_indices(np.tril_indices, row, col, offset)


@function("triu_indices")
def triu_indices(row: int, col: int, offset: int = 0, **named: Any) -> Tensor:
    """The indices of the upper triangle of a matrix: a row and a column each.

    >>> torch.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return _grid_indices(np.triu_indices, row, col, offset)
