"""Functions that rearrange, join, split and repeat arrays."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from fgrad.errors import ShapeError
from fgrad.functions.indexing import getitem, take
from fgrad.functions.protocol import cast, concrete, implements, write_out
from fgrad.ops import structure as ops
from fgrad.ops.einsum import diagonal as diagonal_
from fgrad.ops.index import scatter
from fgrad.trace import Tracer, as_operand, is_traced, type_of

Shape = tuple[int, ...]


def shape_of(x: Any) -> Shape:
    """The shape of an operand."""
    return type_of(x).shape


def _resolve(shape: Any, size: int, old: Shape) -> Shape:
    """A target shape with its -1 filled in."""
    target = tuple(int(n) for n in shape) if np.iterable(shape) else (int(shape),)
    if -1 in target:
        rest = math.prod(n for n in target if n != -1)
        if target.count(-1) == 1 and rest and size % rest == 0:
            target = tuple(size // rest if n == -1 else n for n in target)
    if math.prod(target) != size or -1 in target:
        raise ShapeError(f"cannot reshape an array of shape {old} into shape {target}")
    return target


@implements(np.reshape)
def reshape(a: Any, /, shape: Any = None, order: str = "C", **kwargs: Any) -> Any:
    """The same elements in another shape; a view where NumPy's is one."""
    a = as_operand(a)
    aval = type_of(a)
    target = _resolve(kwargs.get("newshape", shape), aval.size, aval.shape)
    if order == "F":
        backwards = ops.reshape(transpose(a), shape=target[::-1])
        return transpose(backwards)
    return ops.reshape(a, shape=target)


def set_shape(x: Tracer, shape: Any) -> None:
    """``x.shape = shape``"""
    raise TypeError(
        "the shape of a traced array is not set in place; use x = x.reshape(shape)"
    )


def view(x: Tracer, *args: Any) -> Any:
    """``x.view()``"""
    if args:
        raise TypeError("x.view(dtype) of a traced array has no derivative; use astype")
    return ops.reshape(x, shape=x.aval.shape)


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """The elements in one dimension; a view where NumPy's is one."""
    return reshape(a, -1, order="F" if order == "F" else "C")


def flatten(a: Any, order: str = "C") -> Any:
    """The elements in one dimension, as a copy."""
    return ops.copy(ravel(a, order))


@implements(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Any:
    """Axes permuted; reversed by default. A view."""
    a = as_operand(a)
    ndim = type_of(a).ndim
    order = range(ndim)[::-1] if axes is None else normalize_axis_tuple(axes, ndim)
    if len(order) != ndim:
        raise ShapeError(f"axes {tuple(order)} do not match an array of {ndim} axes")
    return ops.transpose(a, axes=tuple(order))


@implements(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged."""
    return swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    a = as_operand(a)
    axes = list(range(type_of(a).ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return ops.transpose(a, axes=tuple(axes))


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Axes moved to new positions, the others in order."""
    a = as_operand(a)
    ndim = type_of(a).ndim
    sources = normalize_axis_tuple(source, ndim)
    targets = normalize_axis_tuple(destination, ndim)
    axes = [k for k in range(ndim) if k not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        axes.insert(target, origin)
    return ops.transpose(a, axes=tuple(axes))


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """An axis rolled backwards to lie before ``start``."""
    ndim = type_of(a).ndim
    axis = normalize_axis_index(axis, ndim)
    start = start + ndim if start < 0 else start
    return moveaxis(a, axis, start - 1 if axis < start else start)


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    """Axes of length 1 removed."""
    a = as_operand(a)
    shape = shape_of(a)
    if axis is None:
        gone = {k for k, n in enumerate(shape) if n == 1}
    else:
        gone = set(normalize_axis_tuple(axis, len(shape)))
        if any(shape[k] != 1 for k in gone):
            raise ShapeError(f"cannot squeeze axes {sorted(gone)} of shape {shape}")
    kept = tuple(n for k, n in enumerate(shape) if k not in gone)
    return ops.reshape(a, shape=kept)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    """New axes of length 1."""
    a = as_operand(a)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = type_of(a).ndim + len(axes)
    new = normalize_axis_tuple(axes, ndim)
    old = iter(shape_of(a))
    return ops.reshape(
        a, shape=tuple(1 if k in new else next(old) for k in range(ndim))
    )


def _at_least(count: int, x: Any) -> Any:
    x = as_operand(x)
    shape = shape_of(x)
    if len(shape) >= count:
        return x
    if count == 3:
        wide = {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}[len(shape)]
    else:
        wide = (1,) * (count - len(shape)) + shape
    return ops.reshape(x, shape=wide)


def _at_least_each(count: int, arrays: Sequence[Any]) -> Any:
    results = tuple(_at_least(count, x) for x in arrays)
    return results[0] if len(results) == 1 else results


@implements(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """At least one axis."""
    return _at_least_each(1, arys)


@implements(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """At least two axes."""
    return _at_least_each(2, arys)


@implements(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """At least three axes."""
    return _at_least_each(3, arys)


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """The array repeated along new and length-1 axes; read-only, as NumPy's."""
    array = as_operand(array)
    target = tuple(shape) if np.iterable(shape) else (int(shape),)
    if np.broadcast_shapes(shape_of(array), target) != target:
        raise ShapeError(f"cannot broadcast shape {shape_of(array)} to {target}")
    return ops.broadcast_to(array, shape=target)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    """All arrays broadcast against each other."""
    operands = [as_operand(x) for x in args]
    shape = np.broadcast_shapes(*map(shape_of, operands))
    return tuple(np.broadcast_to(x, shape) for x in operands)


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
    return result if out is None else write_out((out,), result)


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
    return [
        _part(ary, axis, start, stop)
        for start, stop in zip(bounds[:-1], bounds[1:], strict=True)
    ]


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
    if axis is None:
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


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """A diagonal of each matrix."""
    a = as_operand(a)
    ndim = type_of(a).ndim
    first, second = (normalize_axis_index(axis, ndim) for axis in (axis1, axis2))
    if first == second:
        raise ShapeError("axis1 and axis2 of a diagonal cannot be the same")
    a = moveaxis(a, (first, second), (-2, -1))
    rows, columns = shape_of(a)[-2:]
    top, left = -min(offset, 0), max(offset, 0)
    count = max(min(rows - top, columns - left), 0)
    key = (..., slice(top, top + count), slice(left, left + count))
    letters = "abcdefghijklmnopqrstuvwxyz"[: ndim - 1]
    line = diagonal_(getitem_any(a, key), subscripts=f"{letters}{letters[-1]}->{letters}")
    return ops.broadcast_to(line, shape=shape_of(line))  # NumPy's view is read-only


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """The diagonal of a matrix, or a matrix with this diagonal."""
    if type_of(v).ndim == 2:
        return ops.copy(diagonal(v, k))
    return diagflat(v, k)


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """A matrix with the elements on a diagonal."""
    v = ravel(v)
    n = type_of(v).size + abs(k)
    rows = np.arange(type_of(v).size)
    shape = {"shape": (n, n), "dtype": type_of(v).numpy_dtype.name}
    return scatter(v, rows - min(k, 0), rows + max(k, 0), at=("$u", "$u"), **shape)


def _triangle(m: Any, k: int, lower: bool) -> Any:
    m = as_operand(m)
    rows, columns = shape_of(m)[-2:]
    keep = (
        np.tri(rows, columns, k, dtype=bool)
        if lower
        else (~np.tri(rows, columns, k - 1, dtype=bool))
    )
    return np.where(keep, m, 0)


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """The lower triangle."""
    return _triangle(m, k, True)


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """The upper triangle."""
    return _triangle(m, k, False)


@implements(np.meshgrid)
def meshgrid(
    *xi: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True
) -> Any:
    """Coordinate matrices from coordinate vectors."""
    vectors = [ravel(x) for x in xi]
    order = list(range(len(vectors)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    grids = []
    for k, vector in enumerate(vectors):
        shape = [1] * len(vectors)
        shape[order.index(k)] = type_of(vector).size
        grids.append(ops.reshape(vector, shape=tuple(shape)))
    return grids if sparse else [ops.copy(x) for x in broadcast_arrays(*grids)]


@implements(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """A vector without its leading and trailing zeros."""
    nonzero = np.flatnonzero(concrete(filt))
    first = nonzero[0] if "f" in trim.lower() and nonzero.size else 0
    last = nonzero[-1] + 1 if "b" in trim.lower() and nonzero.size else None
    return getitem(filt, slice(int(first), None if last is None else int(last)))


@implements(np.shape)
def shape_function(a: Any) -> Shape:
    """The shape."""
    return shape_of(a)


@implements(np.ndim)
def ndim(a: Any) -> int:
    """The number of axes."""
    return type_of(a).ndim


@implements(np.size)
def size(a: Any, axis: int | None = None) -> int:
    """The number of elements, or the length of an axis."""
    return type_of(a).size if axis is None else shape_of(a)[axis]


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """A copy."""
    return ops.copy(a)
