"""Elements in another order, several times, or through a window."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch.axes import permute
from fgrad.torch.recording import one
from fgrad.torch.registry import function, method, operation
from fgrad.torch.shapes import view
from fgrad.torch.size import axes_of, axis_of
from fgrad.torch.tensor import Tensor, require_tensor


def _numbers(given: Sequence[Any]) -> tuple[int, ...]:
    """Numbers given one by one or as one sequence."""
    flat = given[0] if len(given) == 1 and isinstance(given[0], Sequence) else given
    return tuple(operator.index(n) for n in flat)


@operation("flip")
def flip(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The elements in reverse along axes.

    >>> torch.flip(torch.tensor([[1, 2], [3, 4]]), dims=(1,))
    tensor([[2, 1],
            [4, 3]])
    """
    x = require_tensor("flip", input)
    axes = axes_of(_numbers(dims or (named["dims"],)) or None, x._aval.ndim)
    if not dims and not named.get("dims"):
        axes = ()
    return one("FlipBackward0", lambda u: _flipped(u, axes), x)


def _flipped(x: Any, axes: tuple[int, ...]) -> Any:
    # a copy, as PyTorch's is
    turned = np.flip(x, axes) if axes else x
    return turned.copy() if isinstance(turned, np.ndarray) else turned


@operation("fliplr")
def fliplr(input: Tensor) -> Tensor:
    """The columns in reverse.

    >>> torch.fliplr(torch.tensor([[1, 2], [3, 4]]))
    tensor([[2, 1],
            [4, 3]])
    """
    return flip(input, 1)


@operation("flipud")
def flipud(input: Tensor) -> Tensor:
    """The rows in reverse.

    >>> torch.flipud(torch.tensor([[1, 2], [3, 4]]))
    tensor([[3, 4],
            [1, 2]])
    """
    return flip(input, 0)


@operation("roll")
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """The elements shifted along axes, what leaves at one end enters at the other.

    Raises:
        RuntimeError: shifts and axes differ in number.

    >>> torch.roll(torch.tensor([1, 2, 3, 4]), 1)
    tensor([4, 1, 2, 3])
    """
    x = require_tensor("roll", input)
    if dims is None or dims == ():
        return one("RollBackward0", lambda u: np.roll(u, shifts), x)
    moves = _numbers((shifts,)) if not isinstance(shifts, int) else (shifts,)
    axes = _numbers((dims,)) if not isinstance(dims, int) else (dims,)
    if len(moves) != len(axes):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}"
        )
    places = tuple(axis_of(axis, x._aval.ndim) for axis in axes)
    return one("RollBackward0", lambda u: np.roll(u, moves, places), x)


@operation("rot90")
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by ``k`` times 90 degrees in the plane of two axes, from the first to the
    second.

    >>> torch.rot90(torch.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    x = require_tensor("rot90", input)
    axes = (axis_of(dims[0], x._aval.ndim), axis_of(dims[1], x._aval.ndim))
    return one("Rot90Backward0", lambda u: np.rot90(u, k, axes), x)


@operation("movedim", "moveaxis")
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Axes at other places; the others keep their order.

    >>> torch.movedim(torch.ones(2, 3, 4), 0, -1).shape
    torch.Size([3, 4, 2])
    """
    x = require_tensor("movedim", input)
    ndim = x._aval.ndim
    froms = [
        axis_of(k, ndim) for k in (source if not isinstance(source, int) else [source])
    ]
    tos = [
        axis_of(k, ndim)
        for k in (destination if not isinstance(destination, int) else [destination])
    ]
    if not ndim:
        return one("AliasBackward0", lambda u: np.reshape(u, ()), x, view=True)
    order = [axis for axis in range(ndim) if axis not in froms]
    for to, axis in sorted(zip(tos, froms, strict=True)):
        order.insert(to, axis)
    return permute(x, order)


@method("repeat")
def repeat(self: Tensor, *repeats: Any) -> Tensor:
    """Copies side by side, a number of them along each axis.

    Raises:
        RuntimeError: there are fewer numbers than axes.

    >>> torch.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    if not repeats:
        raise TypeError('repeat() missing 1 required positional arguments: "repeats"')
    counts = _numbers(repeats)
    if len(counts) < self._aval.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of "
            "dimensions of tensor"
        )
    # what NumPy gives may be a view that cannot be written to
    return one("RepeatBackward0", lambda u: np.tile(u, counts).copy(), self)


@operation("tile")
def tile(input: Tensor, *dims: Any) -> Tensor:
    """As ``repeat``; missing numbers are ones.

    >>> torch.tile(torch.tensor([[1, 2]]), (2,))
    tensor([[1, 2, 1, 2]])
    """
    x = require_tensor("tile", input)
    counts = _numbers(dims)
    return repeat(x, (1,) * (x._aval.ndim - len(counts)) + counts)


@operation("repeat_interleave")
def repeat_interleave(
    input: Tensor, repeats: Any, dim: int | None = None, *, output_size: Any = None
) -> Tensor:
    """Each element (or slice along an axis) a number of times, one after the other.

    ``repeats`` is one number, or a tensor of one for each.

    >>> torch.repeat_interleave(torch.tensor([1, 2]), torch.tensor([1, 3]))
    tensor([1, 2, 2, 2])
    """
    x = require_tensor("repeat_interleave", input)
    axis = None if dim is None else axis_of(dim, x._aval.ndim)
    counts = repeats._array if isinstance(repeats, Tensor) else repeats
    if isinstance(counts, np.ndarray) and counts.size > 1:
        node = "IndexSelectBackward0"
    else:
        node, counts = "ViewBackward0", int(counts)
    return one(node, lambda u: np.repeat(u, counts, axis), x)


@operation("unflatten")
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """An axis as several, one of whose lengths may be -1: a view.

    Raises:
        RuntimeError: the lengths do not multiply up to the axis.

    >>> torch.unflatten(torch.arange(6), 0, (2, 3))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    x = require_tensor("unflatten", input)
    axis = axis_of(dim, x._aval.ndim)
    shape, lengths = x._aval.shape, list(sizes)
    product = math.prod(n for n in lengths if n != -1)
    fits = (
        shape[axis] % max(product, 1) == 0 if -1 in lengths else product == shape[axis]
    )
    if not fits:
        raise RuntimeError(
            f"unflatten: Provided sizes {lengths} don't multiply up to the size of dim "
            f"{axis} ({shape[axis]}) in the input tensor"
        )
    return view(x, *shape[:axis], *lengths, *shape[axis + 1 :])


@function("pixel_shuffle")
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels of ``(..., C * r * r, H, W)`` laid out as ``(..., C, H * r, W * r)``.

    >>> torch.pixel_shuffle(torch.arange(4).reshape(4, 1, 1), 2)
    tensor([[[0, 1],
             [2, 3]]])
    """
    x = require_tensor("pixel_shuffle", input)
    *lead, channels, height, width = x._aval.shape
    r, n = upscale_factor, len(lead)
    split = (*lead, channels // (r * r), r, r, height, width)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    shape = (*lead, channels // (r * r), height * r, width * r)

    def compute(u: Any) -> Any:
        return np.transpose(u.reshape(split), order).reshape(shape)

    return one("PixelShuffleBackward0", compute, x)
