"""Functions that rearrange, join, split and repeat arrays."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from fgrad.errors import ShapeError
from fgrad.functions.indexing import getitem
from fgrad.functions.protocol import concrete, implements
from fgrad.ops import structure as ops
from fgrad.trace import Tracer, as_operand, type_of

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
    flat = reshape(a, -1, order="F" if order == "F" else "C")
    is_copy = type(a) is Tracer and order != "F" and not _is_contiguous(a)
    return ops.copy(flat) if is_copy else flat


def _is_contiguous(x: Tracer) -> bool:
    """Whether the memory is in C order; without a value by the steps to it."""
    value: Any = x
    while type(value) is Tracer:
        value = value.value
    if value is None:
        value = ops.dummy_of_types(x)
    return bool(value.flags.c_contiguous)


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
    """A copy; that of a number is an array without axes, which can be written to."""
    return ops.copy(a) if type_of(a).ndim else ops.copy(a, as_array=True)


def fitted(a: Any, n: int, axis: int) -> Any:
    """The first ``n`` elements along an axis, with zeros behind where they are less."""
    aval = type_of(a)
    length = aval.shape[axis]
    if n < length:
        return a[(slice(None),) * axis + (slice(n),)]
    if n == length:
        return a
    widths = [(0, n - length if k == axis else 0) for k in range(aval.ndim)]
    return np.pad(a, widths)
