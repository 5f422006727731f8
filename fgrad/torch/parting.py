"""Tensors cut into parts along an axis: views."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from fgrad.torch.recording import several
from fgrad.torch.registry import numpy_names, operation
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Tensor, require_tensor


def parts(node: str, x: Tensor, axis: int, lengths: Sequence[int]) -> Any:
    """Views of consecutive parts along an axis."""
    lead = (slice(None),) * axis
    ends = list(itertools.accumulate(lengths, initial=0))
    bounds = list(itertools.pairwise(ends))

    def cut(u: Any) -> Any:
        return tuple(u[(*lead, slice(start, end))] for start, end in bounds)

    return several(node, cut, x, view=True)


def _check_axes(function: str, x: Tensor) -> None:
    if not x._aval.ndim:
        raise RuntimeError(f"{function} expects at least a 1-dimensional tensor")


@operation("split")
@numpy_names
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> Any:
    """Parts of a length (the last may be shorter), or of given lengths.

    Raises:
        RuntimeError: there is no axis, or the lengths do not add up to the axis.

    >>> torch.split(torch.arange(5), 2), torch.split(torch.arange(3), [1, 2])
    ((tensor([0, 1]), tensor([2, 3]), tensor([4])), (tensor([0]), tensor([1, 2])))
    """
    x = require_tensor("split", tensor)
    _check_axes("split", x)
    axis = axis_of(dim, x._aval.ndim)
    total, size = x._aval.shape[axis], split_size_or_sections
    if not isinstance(size, Sequence):
        if size <= 0 and total:
            raise RuntimeError(
                "split_size can only be 0 if dimension size is 0, but got dimension "
                f"size of {total}"
                if not size
                else "split expects split_size be non-negative, but got "
                f"split_size={size}"
            )
        count = max(1, math.ceil(total / size)) if size else 1
        lengths = [size] * (count - 1) + [total - size * (count - 1)]
        return parts("SplitBackward0", x, axis, lengths)
    if sum(size) != total:
        raise RuntimeError(
            "split_with_sizes expects split_sizes to sum exactly to "
            f"{total} (input tensor's size at dimension {axis}), but got "
            f"split_sizes={list(size)}"
        )
    return parts("SplitWithSizesBackward0", x, axis, list(size))


@operation("chunk")
@numpy_names
def chunk(input: Tensor, chunks: int, dim: int = 0) -> Any:
    """At most a number of parts of equal length, but for the last: views.

    Raises:
        RuntimeError: ``chunks`` is not positive.

    >>> torch.chunk(torch.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    x = require_tensor("chunk", input)
    _check_axes("chunk", x)
    if chunks <= 0:
        raise RuntimeError(
            f"chunk expects `chunks` to be greater than 0, got: {chunks}"
        )
    total = x._aval.shape[axis_of(dim, x._aval.ndim)]
    return split(x, max(1, math.ceil(total / chunks)), dim)


@operation("tensor_split")
@numpy_names
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> Any:
    """Parts that end before given indices, or a number of nearly equal ones.

    Raises:
        RuntimeError: there is no axis.

    >>> torch.tensor_split(torch.arange(5), 2), torch.tensor_split(torch.arange(3), [1])
    ((tensor([0, 1, 2]), tensor([3, 4])), (tensor([0]), tensor([1, 2])))
    """
    x = require_tensor("tensor_split", input)
    if not x._aval.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor "
            "with 0 dims"
        )
    axis = axis_of(dim, x._aval.ndim)
    total = x._aval.shape[axis]
    given = indices_or_sections
    if isinstance(given, Tensor):
        given = given._array.tolist()
    if isinstance(given, Sequence):
        ends = [slice(0, end).indices(total)[1] for end in given]
        edges = [0, *ends, total]
        lead = (slice(None),) * axis

        def cut(u: Any) -> Any:
            return tuple(u[(*lead, slice(a, b))] for a, b in itertools.pairwise(edges))

        return several("SliceBackward0", cut, x, view=True)
    short, longer = divmod(total, given)
    lengths = [short + 1] * longer + [short] * (given - longer)
    return parts("SliceBackward0", x, axis, lengths)
