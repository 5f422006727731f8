"""Products: dot, inner, outer, tensordot, kron, vdot, trace, cross."""

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fgrad.functions.diagonals import diagonal
from fgrad.functions.protocol import implements, written
from fgrad.functions.shape import moveaxis, reshape, transpose
from fgrad.ops.contract import matmul as matmul_
from fgrad.trace import as_operand, type_of


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """The dot product: over the last axis of a and the last but one of b."""
    a, b = as_operand(a), as_operand(b)
    if not type_of(a).ndim or not type_of(b).ndim:
        result = a * b
    elif type_of(a).ndim <= 2 and type_of(b).ndim <= 2:
        result = matmul_(a, b)
    else:
        last = -1 if type_of(b).ndim == 1 else -2
        result = tensordot(a, b, ((-1,), (last,)))
    return written(result, out)


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """The product over the last axes of both."""
    a, b = as_operand(a), as_operand(b)
    if not type_of(a).ndim or not type_of(b).ndim:
        return a * b
    return tensordot(a, b, ((-1,), (-1,)))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """The sum of products of all elements, the first conjugated."""
    a, b = reshape(a, -1), reshape(b, -1)
    return matmul_(np.conjugate(a) if type_of(a).is_complex else a, b)


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """All products of an element of a and one of b."""
    result = reshape(a, (-1, 1)) * reshape(b, (1, -1))
    return written(result, out)


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sum of products over pairs of axes."""
    a, b = as_operand(a), as_operand(b)
    a_ndim, b_ndim = type_of(a).ndim, type_of(b).ndim
    if np.iterable(axes):
        a_axes, b_axes = (x if np.iterable(x) else (x,) for x in axes)
    else:
        a_axes, b_axes = range(a_ndim - axes, a_ndim), range(axes)
    first = [normalize_axis_index(k, a_ndim) for k in a_axes]
    second = [normalize_axis_index(k, b_ndim) for k in b_axes]
    a_free = [k for k in range(a_ndim) if k not in first]
    b_free = [k for k in range(b_ndim) if k not in second]
    a_shape, b_shape = type_of(a).shape, type_of(b).shape
    if [a_shape[k] for k in first] != [b_shape[k] for k in second]:
        raise ValueError(f"tensordot of shapes {a_shape} and {b_shape}: lengths differ")
    inner_size = math.prod(a_shape[k] for k in first)
    row_count = math.prod(a_shape[k] for k in a_free)
    column_count = math.prod(b_shape[k] for k in b_free)
    rows = reshape(transpose(a, [*a_free, *first]), (row_count, inner_size))
    columns = reshape(transpose(b, [*second, *b_free]), (inner_size, column_count))
    shape = [a_shape[k] for k in a_free] + [b_shape[k] for k in b_free]
    return reshape(matmul_(rows, columns), shape)


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """The Kronecker product."""
    a, b = as_operand(a), as_operand(b)
    ndim = max(type_of(a).ndim, type_of(b).ndim)
    a_shape = (1,) * (ndim - type_of(a).ndim) + type_of(a).shape
    b_shape = (1,) * (ndim - type_of(b).ndim) + type_of(b).shape
    wide_a = reshape(a, [n for length in a_shape for n in (length, 1)])
    wide_b = reshape(b, [n for length in b_shape for n in (1, length)])
    total = [m * n for m, n in zip(a_shape, b_shape, strict=True)]
    return reshape(wide_a * wide_b, total)


@implements(np.trace)
def trace(
    a: Any,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """The sum along a diagonal."""
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype, out=out)


def matmul(x1: Any, x2: Any, /) -> Any:
    """The matrix product, broadcasting over leading axes."""
    return matmul_(as_operand(x1), as_operand(x2))


@implements(np.cross)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None
) -> Any:
    """The cross product of three-dimensional vectors."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    if type_of(a).shape[-1] != 3 or type_of(b).shape[-1] != 3:
        raise ValueError("the cross product is of vectors of three components")
    x, y = (a[..., k] for k in range(3)), [b[..., k] for k in range(3)]
    a0, a1, a2 = x
    parts = [a1 * y[2] - a2 * y[1], a2 * y[0] - a0 * y[2], a0 * y[1] - a1 * y[0]]
    return moveaxis(np.stack(parts, axis=-1), -1, axisc)


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, **kwargs: Any) -> Any:
    """Differences of neighbours, ``n`` times."""
    a = as_operand(a)
    axis = normalize_axis_index(axis, type_of(a).ndim)
    if kwargs:
        raise ValueError(
            "np.diff with prepend= or append= has no rule; use concatenate"
        )
    lead = (slice(None),) * axis
    for _ in range(n):
        a = a[(*lead, slice(1, None))] - a[(*lead, slice(None, -1))]
    return a
