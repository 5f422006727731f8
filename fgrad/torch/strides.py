"""Views at strides that the user chooses: `as_strided`, and the windows of `unfold`.

`as_strided` names places of memory, see `fgrad.torch.memory`. It is an operation on its
operand nevertheless: gradients go to the elements that this has.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import fgrad.numpy
from fgrad.ops.strided import strided
from fgrad.torch.graph import record
from fgrad.torch.known import is_traced
from fgrad.torch.memory import Places, Vector, length_of, line_of, places_of
from fgrad.torch.modes import STATE
from fgrad.torch.recording import one
from fgrad.torch.registry import method, operation
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Tensor, require_tensor
from fgrad.torch.views import PLAIN, make_view

NODE = "AsStridedBackward0"


@operation("as_strided")
def as_strided(
    input: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A view of the memory of a tensor, with a step for each axis.

    Args:
        input: a tensor of any dtype.
        size: the shape.
        stride: for each axis how many elements of memory one step passes. Elements may
            appear several times; their gradients are added up.
        storage_offset: how many elements of memory come before the first one; by
            default as many as for the input.

    Raises:
        RuntimeError: the view reaches beyond the memory, or a step is negative.

    >>> import fgrad.torch as torch
    >>> x = torch.arange(6.0)
    >>> torch.as_strided(x, (2, 3), (1, 2))
    tensor([[0., 2., 4.],
            [1., 3., 5.]])
    """
    x = require_tensor("as_strided", input)
    own = places_of(x._array)
    first = own.first if storage_offset is None else operator.index(storage_offset)
    shape, steps = (tuple(map(operator.index, given)) for given in (size, stride))
    _check(x._array, first, shape, steps)
    wanted = Places(first, shape, steps)
    function = _within(x._array, own, wanted)
    if function is not None:
        return one(NODE, function, x, view=True)
    return _of_memory(x, own, wanted)


def _check(array: Any, first: int, shape: Vector, steps: Vector) -> None:
    if len(shape) != len(steps):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(step < 0 for step in steps):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got "
            f"strides: {list(steps)}"
        )
    if any(n < 0 for n in shape):
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(shape)} and "
            f"strides={list(steps)}"
        )
    if first < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {first}")
    end, length = Places(first, shape, steps).end, length_of(array)
    if 0 not in shape and end > length:
        itemsize = array.dtype.itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(steps)}, storage offset "
            f"{first}, and itemsize {itemsize} requiring a storage size of "
            f"{end * itemsize} are out of bounds for storage of size "
            f"{length * itemsize}"
        )


def _within(array: Any, own: Places, wanted: Places) -> Callable[[Any], Any] | None:
    """The view as a function of an array, whatever memory that has.

    None where the array has gaps, or not all elements of the view.
    """
    order = sorted(range(array.ndim), key=lambda axis: -own.steps[axis])
    is_dense = is_traced(array) or array.transpose(order).flags.c_contiguous
    relative = wanted._replace(first=wanted.first - own.first)
    is_inside = relative.first >= 0 and relative.end <= array.size
    if not is_dense or not (is_inside or 0 in wanted.shape):
        return None
    axes = tuple(order)
    return lambda u: relative.of(np.reshape(np.transpose(u, axes), -1))


def _of_memory(x: Tensor, own: Places, wanted: Places) -> Tensor:
    """A view with elements that the tensor itself does not have."""
    root = x if x._base is None else x._base
    known = _within(root._array, places_of(root._array), wanted)

    def of_root(u: Any) -> Any:
        if known is None:
            raise NotImplementedError(
                "fgrad.torch does not record a write to a view by as_strided that "
                "reaches beyond the tensor, or into gaps of its memory"
            )
        return known(u)

    view: Tensor
    if not (STATE.enabled and x._requires):
        view = one(NODE, lambda u: wanted.of(line_of(u)), x, view=True)
        if view._base is not None:
            view._view.steps = ((of_root, None),)
        return view
    view = record(NODE, _through_memory(x._array, own, wanted), (x,))
    view._array, view._storage = wanted.of(line_of(x._array)), x._storage
    kind = PLAIN if x._base is None else x._view.kind
    make_view(view, root, ((of_root, None),), NODE, kind)
    return view


def _through_memory(array: Any, own: Places, wanted: Places) -> Callable[[Any], Any]:
    """What gradients follow: elements that the array has not are constants.

    Of an element that it has several times each gets an equal part, as PyTorch's.
    """
    length = length_of(array)
    count = np.zeros(length, np.int64)
    np.add.at(count, own.of(np.arange(length)).ravel(), 1)
    shares = own.of(count)

    def function(u: Any) -> Any:
        line = fgrad.numpy.zeros(length, array.dtype)
        own.of(line)[...] = u / shares if shares.max() > 1 else u
        return wanted.of(line)

    return function


@method("unfold")
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """The windows of a size along an axis, ``step`` apart, in a new last axis: a view.

    Raises:
        RuntimeError: the window is larger than the axis, or a number is too small.

    >>> import fgrad.torch as torch
    >>> torch.arange(5.0).unfold(0, 3, 2)
    tensor([[0., 1., 2.],
            [2., 3., 4.]])
    """
    shape = self._aval.shape or (1,)
    axis = axis_of(dimension, len(shape))
    if size > shape[axis]:
        raise RuntimeError(
            f"maximum size for tensor at dimension {axis} is {shape[axis]} but size is "
            f"{size}"
        )
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    windows = _windows(shape, axis, size, step)
    if not self._aval.ndim:
        return one(
            "UnfoldBackward0", lambda u: np.reshape(u, 1)[:size], self, view=True
        )
    return one("UnfoldBackward0", windows, self, view=True)


def _windows(
    shape: Sequence[int], axis: int, size: int, step: int
) -> Callable[[Any], Any]:
    count, ndim = (shape[axis] - size) // step + 1, len(shape)
    units = [tuple([int(k == j) for j in range(ndim)]) for k in range(ndim)]
    moves = list(units)
    moves[axis] = tuple([step * n for n in units[axis]])
    lengths = (*shape[:axis], count, *shape[axis + 1 :], size)
    steps = (*moves, units[axis])
    return lambda u: strided(u, shape=lengths, start=(0,) * ndim, steps=steps)
