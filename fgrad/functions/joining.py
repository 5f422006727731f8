"""Functions that join, split, repeat, roll, flip and pad arrays."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from fgrad.errors import ShapeError
from fgrad.functions.indexing import getitem, take
from fgrad.functions.protocol import cast, implements, written
from fgrad.functions.shape import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_to,
    expand_dims,
    moveaxis,
    ravel,
    reshape,
    shape_of,
    swapaxes,
)
from fgrad.ops import structure as ops
from fgrad.trace import Tracer, as_operand, is_traced, type_of


def join(parts: Sequence[Any], axis: int) -> Any:
    """Concatenate operands along an axis; one part alone is copied."""
    return ops.concatenate(*parts, axis=axis)


@implements(np.concatenate)
def concatenate(
    arrays: Any,
    /,
    axis: int | None = 0,
    out: Any = None,
    *,
    dtype: Any = None,
    **kw: Any,
) -> Any:
    """Arrays joined along an existing axis."""
    parts = [as_operand(x) for x in (list(arrays) if is_traced(arrays) else arrays)]
    if axis is None:
        parts, axis = [ravel(x) for x in parts], 0
    if not parts:
        raise ValueError("need at least one array to concatenate")
    if any(not type_of(x).ndim for x in parts):
        raise ShapeError("zero-dimensional arrays cannot be concatenated; use np.stack")
    result = join(parts, normalize_axis_index(axis, type_of(parts[0]).ndim))
    result = result if dtype is None else cast(result, dtype)
    return written(result, out)


@implements(np.stack)
def stack(arrays: Any, axis: int = 0, out: Any = None, **kwargs: Any) -> Any:
    """Arrays of one shape joined along a new axis."""
    parts = [as_operand(x) for x in arrays]
    if len({shape_of(x) for x in parts}) > 1:
        shapes = ", ".join(str(shape_of(x)) for x in parts)
        raise ShapeError(f"all arrays of a stack must have one shape, got {shapes}")
    axis = normalize_axis_index(axis, type_of(parts[0]).ndim + 1)
    return concatenate([expand_dims(x, axis) for x in parts], axis, out)


@implements(np.vstack)
def vstack(tup: Any, **kwargs: Any) -> Any:
    """Arrays joined as rows."""
    return concatenate([atleast_2d(x) for x in tup], 0)


@implements(np.hstack)
def hstack(tup: Any, **kwargs: Any) -> Any:
    """Arrays joined along the second axis, the first of one-dimensional ones."""
    parts = [atleast_1d(x) for x in tup]
    return concatenate(parts, 0 if type_of(parts[0]).ndim == 1 else 1)


@implements(np.dstack)
def dstack(tup: Any) -> Any:
    """Arrays joined along the third axis."""
    return concatenate([atleast_3d(x) for x in tup], 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    """One-dimensional arrays as the columns of a matrix."""
    parts = [as_operand(x) for x in tup]
    parts = [x if type_of(x).ndim > 1 else reshape(x, (-1, 1)) for x in parts]
    return concatenate(parts, 1)


@implements(np.block)
def block(arrays: Any) -> Any:
    """An array assembled from nested lists of blocks."""
    depth, rest = 0, arrays
    while isinstance(rest, list):
        depth, rest = depth + 1, rest[0]
    return _block(arrays, depth, max(depth, _block_ndim(arrays)))


def _block_ndim(arrays: Any) -> int:
    if isinstance(arrays, list):
        return max(map(_block_ndim, arrays))
    return type_of(as_operand(arrays)).ndim


def _block(arrays: Any, depth: int, ndim: int) -> Any:
    if not isinstance(arrays, list):
        x = as_operand(arrays)
        return ops.reshape(x, shape=(1,) * (ndim - type_of(x).ndim) + shape_of(x))
    return concatenate([_block(x, depth - 1, ndim) for x in arrays], -depth)


@implements(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """Values joined at the end."""
    return concatenate([arr, values], axis)


def _part(a: Any, axis: int, start: int | None, stop: int | None) -> Any:
    return getitem_any(a, (slice(None),) * axis + (slice(start, stop),))


def getitem_any(a: Any, key: Any) -> Any:
    """``a[key]`` of a tracer or an array."""
    return getitem(a, key) if type(a) is Tracer else a[key]


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Parts along an axis, of equal length as far as possible."""
    axis = normalize_axis_index(axis, type_of(ary).ndim)
    length = shape_of(ary)[axis]
    if np.ndim(indices_or_sections):
        bounds = [0, *(int(k) for k in indices_or_sections), length]
    else:
        count = int(indices_or_sections)
        each, extra = divmod(length, count)
        sizes = [each + (k < extra) for k in range(count)]
        bounds = [0, *np.cumsum(sizes).tolist()]
    return [_part(ary, axis, start, stop) for start, stop in pairwise(bounds)]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Parts along an axis; a number of parts must divide the length."""
    if not np.ndim(indices_or_sections):
        length = shape_of(ary)[axis]
        if length % int(indices_or_sections):
            raise ShapeError(
                f"an axis of length {length} does not split into {indices_or_sections} "
                "equal parts; use np.array_split"
            )
    return array_split(ary, indices_or_sections, axis)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> Any:
    """Parts along the first axis."""
    return split(ary, indices_or_sections, 0)


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> Any:
    """Parts along the second axis, the first of a one-dimensional array."""
    return split(ary, indices_or_sections, 0 if type_of(ary).ndim == 1 else 1)


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> Any:
    """Parts along the third axis."""
    return split(ary, indices_or_sections, 2)


@implements(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> Any:
    """The slices along an axis."""
    return tuple(moveaxis(x, axis, 0))


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """The array repeated whole along each axis."""
    a = as_operand(A)
    counts = tuple(reps) if np.iterable(reps) else (int(reps),)
    ndim = max(len(counts), type_of(a).ndim)
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - type_of(a).ndim) + shape_of(a)
    doubled = tuple(n for length in shape for n in (1, length))
    spread = tuple(n for pair in zip(counts, shape, strict=True) for n in pair)
    a = ops.broadcast_to(ops.reshape(a, shape=doubled), shape=spread)
    total = tuple(c * n for c, n in zip(counts, shape, strict=True))
    return ops.reshape(a, shape=total)


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element repeated."""
    a = as_operand(a)
    if axis is None or not type_of(a).ndim:
        a, axis = ravel(a), 0
    axis = normalize_axis_index(axis, type_of(a).ndim)
    return take(a, np.repeat(np.arange(shape_of(a)[axis]), repeats), axis)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved along axes; those that leave at the end enter at the start."""
    a = as_operand(a)
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), shape_of(a))
    axes = axis if isinstance(axis, tuple) else (axis,)
    shifts = np.broadcast_to(shift, len(axes)).tolist()
    for amount, one in zip(shifts, axes, strict=True):
        one = normalize_axis_index(one, type_of(a).ndim)
        length = shape_of(a)[one]
        cut = (length - amount) % length if length else 0
        if cut:
            a = join([_part(a, one, cut, None), _part(a, one, 0, cut)], one)
    return a if is_traced(a) and a.origin is None else ops.copy(a)


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    """Elements in reverse order along axes. A view."""
    ndim = type_of(m).ndim
    axes = range(ndim) if axis is None else normalize_axis_tuple(axis, ndim)
    key = tuple(
        slice(None, None, -1) if k in axes else slice(None) for k in range(ndim)
    )
    return getitem_any(m, key)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    """Rows in reverse order."""
    return flip(m, 0)


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    """Columns in reverse order."""
    return flip(m, 1)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Rotated by ``k`` quarter turns in the plane of two axes."""
    first, second = normalize_axis_tuple(axes, type_of(m).ndim)
    turns = k % 4
    if turns == 0:
        return getitem_any(m, ...)
    if turns == 2:
        return flip(m, (first, second))
    if turns == 1:
        return swapaxes(flip(m, second), first, second)
    return flip(swapaxes(m, first, second), second)


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """The array with a border, filled as ``mode`` says.

    Modes: constant, edge, wrap, reflect, symmetric, empty (as zeros).
    """
    array = as_operand(array)
    shape = shape_of(array)
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(k, (0, 0)) for k in range(len(shape))]
    widths = np.broadcast_to(np.asarray(pad_width), (len(shape), 2)).tolist()
    if mode in ("constant", "empty"):
        fill = kwargs.get("constant_values", 0)
        return _pad_constant(array, widths, fill)
    if mode not in ("edge", "wrap", "reflect", "symmetric"):
        raise ValueError(f"np.pad mode {mode!r} has no derivative rule")
    for axis, (before, after) in enumerate(widths):
        if before or after:
            line = np.arange(shape[axis])
            options = {k: v for k, v in kwargs.items() if k == "reflect_type"}
            array = take(array, np.pad(line, (before, after), mode, **options), axis)
    return array


def _pad_constant(array: Any, widths: Any, fill: Any) -> Any:
    fills = np.broadcast_to(np.asarray(fill), (len(widths), 2)).tolist()
    for axis, ((before, after), values) in enumerate(zip(widths, fills, strict=True)):
        shape = list(shape_of(array))
        parts = [array]
        for width, value, position in ((before, values[0], 0), (after, values[1], 2)):
            if width:
                shape[axis] = width
                dtype = type_of(array).numpy_dtype
                parts.insert(position, np.full(shape, value, dtype))
        array = join(parts, axis) if len(parts) > 1 else array
    return array


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """The array without the elements at the given positions."""
    arr = as_operand(arr)
    if axis is None:
        arr, axis = ravel(arr), 0
    axis = normalize_axis_index(axis, type_of(arr).ndim)
    return take(arr, np.delete(np.arange(shape_of(arr)[axis]), obj), axis)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """The array with values inserted before the given positions."""
    arr, values = as_operand(arr), as_operand(values)
    if axis is None:
        arr, axis = ravel(arr), 0
    axis = normalize_axis_index(axis, type_of(arr).ndim)
    length = shape_of(arr)[axis]
    order = np.insert(np.arange(length), obj, -1)
    slots = np.flatnonzero(order == -1)
    shape = list(shape_of(arr))
    shape[axis] = len(slots)
    if np.ndim(obj) == 0 and type_of(values).ndim == len(shape) > 1:
        values = moveaxis(values, 0, axis)
    new = broadcast_to(values, tuple(shape))
    positions = order.copy()
    positions[slots] = length + np.arange(len(slots))
    return take(join([arr, cast(new, type_of(arr).dtype)], axis), positions, axis)
