"""Copies with a part replaced, and reductions of what falls on the same place."""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad.numpy
from fgrad.torch.gathering import axis_and_places
from fgrad.torch.parting import tensor_split
from fgrad.torch.recording import one, several
from fgrad.torch.registry import numpy_names, operation
from fgrad.torch.shapes import reshape
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Tensor, require_tensor


def _with_part(name: str, node: str, x: Tensor, src: Tensor, where: Any) -> Tensor:
    x = require_tensor(name, x)

    def compute(u: Any, v: Any) -> Any:
        changed = fgrad.numpy.array(u)
        changed[where] = v
        return changed

    expected = np.broadcast_to(np.int8(0), x._aval.shape)[where].shape
    if src._aval.shape != expected:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, slice size = {list(expected)}"
        )
    return one(node, compute, x, src)


@operation("slice_scatter")
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """A copy with a slice along an axis replaced.

    >>> torch.slice_scatter(torch.zeros(4), torch.ones(2), start=1, end=3)
    tensor([0., 1., 1., 0.])
    """
    where = (slice(None),) * axis_of(dim, input._aval.ndim) + (slice(start, end, step),)
    return _with_part("slice_scatter", "SliceScatterBackward0", input, src, where)


@operation("select_scatter")
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy with what is at one index of an axis replaced.

    >>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    where = (slice(None),) * axis_of(dim, input._aval.ndim) + (index,)
    return _with_part("select_scatter", "SelectScatterBackward0", input, src, where)


@operation("diagonal_scatter")
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy with a diagonal of a matrix, or of matrices, replaced.

    >>> torch.diagonal_scatter(torch.zeros(2, 2), torch.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = require_tensor("diagonal_scatter", input)
    first, second = (axis_of(dim, x._aval.ndim) for dim in (dim1, dim2))
    n, m = x._aval.shape[first], x._aval.shape[second]

    def compute(u: Any, v: Any) -> Any:
        rows = np.arange(max(-offset, 0), min(n, m - offset))
        matrices = np.moveaxis(fgrad.numpy.array(u), (first, second), (-2, -1))
        changed = fgrad.numpy.array(matrices)
        changed[..., rows, rows + offset] = v
        return np.moveaxis(changed, (-2, -1), (first, second))

    return one("DiagonalScatterBackward0", compute, x, src)


REDUCTIONS: dict[str, Any] = {"sum": None, "prod": None, "mean": None}
REDUCTIONS |= {"amax": np.maximum, "amin": np.minimum}


@operation("scatter_reduce")
@numpy_names
def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """A copy where what falls on the same place along an axis is reduced.

    Args:
        input: a tensor.
        dim: the axis.
        index: where each element of ``src`` goes along it.
        src: the elements.
        reduce: ``"sum"``, ``"mean"``, ``"prod"``, ``"amax"`` or ``"amin"``.
        include_self: whether the elements that are there take part.

    Raises:
        RuntimeError: another reduction.

    >>> index, src = torch.tensor([1, 1]), torch.tensor([5.0, 7.0])
    >>> torch.scatter_reduce(torch.zeros(2), 0, index, src, "mean", include_self=False)
    tensor([0., 6.])
    """
    x = require_tensor("scatter_reduce", input)
    if reduce not in REDUCTIONS:
        raise RuntimeError(
            "reduce argument must be either sum, prod, mean, amax or amin, got "
            f"{reduce}."
        )
    _, places = axis_and_places("scatter", x, dim, index)
    shape = x._aval.shape
    flat = np.ravel_multi_index(np.broadcast_arrays(*places), shape).ravel()
    corner = tuple(slice(n) for n in index._aval.shape)

    def compute(u: Any, v: Any, flat: Any) -> Any:
        values = v[corner].reshape(-1)
        found = reduced_by_place(u.reshape(-1), values, flat, reduce, include_self)
        return found.reshape(shape)

    return one("ScatterReduceBackward0", compute, x, src, flat)


def reduced_by_place(u: Any, v: Any, flat: Any, reduce: str, include_self: bool) -> Any:
    """Flat ``u`` where the elements of flat ``v`` at the same place are reduced.

    They are grouped: a row for each place, filled with what is neutral.

    Args:
        u: an array of one axis.
        v: another one.
        flat: the place in ``u`` of each element of ``v``.
        reduce: one of `REDUCTIONS`.
        include_self: whether the elements of ``u`` take part.
    """
    order = np.argsort(flat, kind="stable")
    places, starts, counts = np.unique(
        flat[order], return_index=True, return_counts=True
    )
    if not len(places):
        return u * 1
    width = int(counts.max())
    column = np.arange(width)
    is_there = column < counts[:, None]
    picked = order[np.minimum(starts[:, None] + column, len(order) - 1)]
    rows = v[picked]
    own = u[places][:, None]
    if include_self:
        rows = np.concatenate([own, rows], 1)
        is_there = np.concatenate([np.ones((len(places), 1), bool), is_there], 1)
    found = _over_rows(rows, is_there, reduce)
    changed = fgrad.numpy.array(u)
    changed[places] = found
    return changed


def _over_rows(rows: Any, is_there: Any, reduce: str) -> Any:
    if reduce in ("amax", "amin"):
        limit = -np.inf if reduce == "amax" else np.inf
        if rows.dtype.kind in "iu":
            info = np.iinfo(rows.dtype)
            limit = info.min if reduce == "amax" else info.max
        filled = np.where(is_there, rows, limit)
        return np.max(filled, 1) if reduce == "amax" else np.min(filled, 1)
    if reduce == "prod":
        return np.prod(np.where(is_there, rows, 1), 1)
    total = np.sum(np.where(is_there, rows, 0), 1)
    if reduce == "sum":
        return total
    count = is_there.sum(1)
    return total // count if rows.dtype.kind in "iu" else total / count


@operation("put")
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Any:
    """A copy with elements of the flattened tensor replaced, or added to.

    >>> torch.arange(4).reshape(2, 2).put(torch.tensor([3]), torch.tensor([9]))
    tensor([[0, 1],
            [2, 9]])
    """
    x = require_tensor("put", input)
    flat = reshape(x, (-1,)).clone()
    places = index.reshape(-1)
    values = source.reshape(-1)
    changed = flat.index_put((places,), values, accumulate)
    return changed.reshape(x.shape)


@operation("split_with_sizes")
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> Any:
    """Parts of given lengths along an axis: views.

    Raises:
        RuntimeError: the lengths do not add up to the axis.

    >>> torch.split_with_sizes(torch.arange(3), [1, 2])
    (tensor([0]), tensor([1, 2]))
    """
    x = require_tensor("split_with_sizes", input)
    axis = axis_of(dim, x._aval.ndim)
    lead = (slice(None),) * axis
    if sum(split_sizes) != x._aval.shape[axis]:
        raise RuntimeError(
            "split_with_sizes expects split_sizes to sum exactly to "
            f"{x._aval.shape[axis]} (input tensor's size at dimension {axis}), but got "
            f"split_sizes={list(split_sizes)}"
        )
    ends = np.cumsum(split_sizes).tolist()
    bounds = [slice(end - n, end) for end, n in zip(ends, split_sizes, strict=True)]
    return several(
        "SplitWithSizesBackward0",
        lambda u: tuple(u[(*lead, part)] for part in bounds),
        x,
        view=True,
    )


@operation("dsplit")
def dsplit(input: Tensor, indices_or_sections: Any) -> Any:
    """Parts along the third axis: views.

    Raises:
        RuntimeError: there are fewer than three axes.

    >>> [part.shape for part in torch.dsplit(torch.ones(1, 1, 4), 2)]
    [torch.Size([1, 1, 2]), torch.Size([1, 1, 2])]
    """
    if input._aval.ndim < 3:
        raise RuntimeError(
            "torch.dsplit requires a tensor with at least 3 dimension, but got a tensor"
            f" with {input._aval.ndim} dimensions!"
        )
    return tensor_split(input, indices_or_sections, 2)
