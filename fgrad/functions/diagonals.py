"""Diagonals and triangles of matrices."""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fgrad.errors import ShapeError
from fgrad.functions.joining import getitem_any
from fgrad.functions.protocol import implements
from fgrad.functions.shape import moveaxis, ravel, shape_of
from fgrad.ops import structure as ops
from fgrad.ops.einsum import diagonal as diagonal_
from fgrad.ops.index import scatter
from fgrad.trace import as_operand, type_of


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
    line = diagonal_(
        getitem_any(a, key), subscripts=f"{letters}{letters[-1]}->{letters}"
    )
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
    rows, columns = (shape_of(m) * 2)[-2:]  # a vector is broadcast to a matrix
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
