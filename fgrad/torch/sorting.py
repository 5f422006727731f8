"""Sorting, the largest k, and what is unique."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch import return_types
from fgrad.torch.cuts import cut_off
from fgrad.torch.extrema import check_axis, order, pick, taken
from fgrad.torch.in_order import reordered
from fgrad.torch.known import integers, is_traced
from fgrad.torch.pending import order_of_axes
from fgrad.torch.recording import one
from fgrad.torch.registry import numpy_names, operation
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Array, Tensor, make, require_tensor


def _gathered(types: Any, node: str, x: Tensor, indices: Array, axis: int) -> Any:
    if not is_traced(indices):
        indices = np.asarray(indices, order="C")
    values = one(node, lambda u: taken(u, indices, axis), x)
    return types(values, make(integers(indices)))


@operation("sort")
@numpy_names
def sort(
    input: Tensor, dim: Any = -1, descending: bool = False, stable: bool = False
) -> Any:
    """The elements in order along an axis, and where they were; it is stable.

    A named tuple of values and int64 indices; NaN counts as the largest.

    >>> torch.sort(torch.tensor([3, 1, 2])).values
    tensor([1, 2, 3])
    """
    x = require_tensor("sort", input)
    axis = axis_of(dim, x._aval.ndim)
    indices = order(x._array, axis, descending)
    values, places = _gathered(return_types.sort, "SortBackward0", x, indices, axis)
    return return_types.sort(values, make(_as_in_memory(places._array, x)))


@operation("argsort")
@numpy_names
def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False
) -> Tensor:
    """The indices that sort along an axis.

    >>> torch.argsort(torch.tensor([3, 1, 2]))
    tensor([1, 2, 0])
    """
    x = require_tensor("argsort", input)
    found = order(x._array, axis_of(dim, x._aval.ndim), descending)
    return cut_off(make(_as_in_memory(found, x)), "argsort()", x)


def _as_in_memory(indices: Array, x: Tensor) -> Array:
    """Indices whose axes lie in memory as the tensor's."""
    return indices if is_traced(indices) else reordered(indices, order_of_axes(x))


@operation("msort")
def msort(input: Tensor) -> Tensor:
    """The elements in order along the first axis.

    >>> torch.msort(torch.tensor([[3, 1], [2, 5]]))
    tensor([[2, 1],
            [3, 5]])
    """
    return sort(input, 0)[0]  # type: ignore[no-any-return]


@operation("topk")
@numpy_names
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Any:
    """The ``k`` largest (or smallest) elements along an axis, and where they are.

    Raises:
        RuntimeError: there are fewer than ``k``.
        IndexError: the axis is empty.

    >>> torch.topk(torch.tensor([3, 1, 2]), 2).values
    tensor([3, 2])
    """
    x = require_tensor("topk", input)
    axis = axis_of(dim, x._aval.ndim)
    if not 0 <= k <= (x._aval.shape[axis] if x._aval.ndim else 1):
        raise RuntimeError("selected index k out of range")
    ranks = order(x._array, axis, largest)
    indices = np.take(ranks, range(k), axis) if x._aval.ndim else ranks
    return _gathered(return_types.topk, "TopkBackward0", x, indices, axis)


@operation("kthvalue")
@numpy_names
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The ``k``-th smallest element along an axis (from 1), and where it is.

    Raises:
        RuntimeError: there are fewer than ``k``.
        IndexError: the axis is empty.

    >>> torch.kthvalue(torch.tensor([3, 1, 2]), 2).values
    tensor(2)
    """
    x = require_tensor("kthvalue", input)
    axis = check_axis("kthvalue", x, dim)
    if not 1 <= k <= (x._aval.shape[axis] if x._aval.ndim else 1):
        raise RuntimeError(
            f"kthvalue(): selected number k out of range for dimension {axis}"
        )
    ranks = order(x._array, axis)
    indices = np.take(ranks, k - 1, axis) if x._aval.ndim else ranks
    return pick(return_types.kthvalue, "KthvalueBackward0", x, indices, axis, keepdim)


@operation("unique")
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (or slices along an axis), in order.

    Returns:
        The elements; with ``return_inverse`` also where each element is among them,
        with ``return_counts`` also how often each occurs.

    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    x = require_tensor("unique", input)
    _, first, inverse, counts = np.unique(
        x._array, return_index=True, return_inverse=True, return_counts=True, axis=dim
    )
    node = "Unique2Backward0" if dim is None else "UniqueDimBackward0"
    results = [_taken(node, x, first, dim)]
    if return_inverse:
        shape = x._aval.shape if dim is None else (-1,)
        results.append(make(np.asarray(inverse).reshape(shape)))
    if return_counts:
        results.append(make(counts))
    return results[0] if len(results) == 1 else tuple(results)


_DERIVATIVES = {
    "Unique2Backward0": "_unique2",
    "UniqueDimBackward0": "unique_dim",
    "UniqueConsecutiveBackward0": "unique_consecutive",
}


def _taken(node: str, x: Tensor, places: Any, dim: int | None) -> Tensor:
    """Elements, or slices along an axis; PyTorch has no derivative of that."""
    refusal = f"the derivative for '{_DERIVATIVES[node]}' is not implemented."

    def compute(u: Any) -> Any:
        return np.take(u.reshape(-1) if dim is None else u, places, dim or 0)

    return one(f"{node}:{refusal}", compute, x)


@operation("unique_consecutive")
def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The elements without those that equal the one before them.

    With ``dim`` slices along that axis are compared.

    Returns:
        As `unique`.

    >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    x = require_tensor("unique_consecutive", input)
    axis = 0 if dim is None else axis_of(dim, x._aval.ndim)
    lines = x._array.ravel() if dim is None else np.moveaxis(x._array, axis, 0)
    differs = lines[1:] != lines[:-1]
    is_new = np.ones(len(lines), bool)
    is_new[1:] = differs.any(tuple(range(1, differs.ndim)))
    first = np.flatnonzero(is_new)
    results = [_taken("UniqueConsecutiveBackward0", x, first, dim)]
    if return_inverse:
        inverse = np.cumsum(is_new) - 1
        results.append(make(inverse.reshape(x._aval.shape if dim is None else -1)))
    if return_counts:
        ends = np.append(np.flatnonzero(is_new), len(lines))
        results.append(make(np.diff(ends)))
    return results[0] if len(results) == 1 else tuple(results)
