"""Norms, condition numbers and ranks of ``np.linalg``."""

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from fgrad.functions.linalg import abs_square, as_inexact, svd
from fgrad.functions.protocol import cast, implements
from fgrad.functions.shape import moveaxis, reshape, transpose
from fgrad.ops import decompositions
from fgrad.ops import linalg as ops
from fgrad.ops.contract import matmul as matmul_
from fgrad.ops.cut import stop_gradient
from fgrad.ops.elementwise import absolute, imag, real
from fgrad.ops.reduce import kept_shape, sum_
from fgrad.ops.select import where
from fgrad.trace import as_operand, type_of

# --- norms


def _root(total: Any) -> Any:
    """The square root with derivative 0 at 0, where the norm has none."""
    is_zero = total == 0
    return where(is_zero, 0.0, np.sqrt(where(is_zero, 1.0, total)))


def _dot_self(x: Any) -> Any:
    flat = reshape(x, -1)
    if not type_of(x).is_complex:
        return matmul_(flat, flat)
    x, y = real(flat), imag(flat)
    return matmul_(x, x) + matmul_(y, y)


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Vector and matrix norms of every ``ord`` that NumPy has.

    At zero, the 2-norm, the Frobenius norm and the p-norms have the gradient 0.

    >>> import numpy as np, fgrad
    >>> fgrad.grad(np.linalg.norm)(np.array([3.0, 4.0]))
    array([0.6, 0.8])
    >>> fgrad.grad(np.linalg.norm)(np.zeros(2))
    array([0., 0.])
    """
    x = as_inexact(x)
    ndim = type_of(x).ndim
    whole = (
        ord is None or (ord in ("f", "fro") and ndim == 2) or (ord == 2 and ndim == 1)
    )
    if axis is None and whole:
        axes = tuple(range(ndim))
        result = _root(_dot_self(x))
    else:
        axes = tuple(range(ndim)) if axis is None else _axes(axis, ndim)
        if len(axes) not in (1, 2):
            raise ValueError("Improper number of dimensions to norm.")
        one = _vector_norm if len(axes) == 1 else _matrix_norm
        result = one(x, ord, *axes)
    return reshape(result, kept_shape(type_of(x).shape, axes)) if keepdims else result


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if not isinstance(axis, tuple):
        try:
            axis = (int(axis),)
        except (TypeError, ValueError):
            raise TypeError(
                "'axis' must be None, an integer or a tuple of integers"
            ) from None
    return tuple(normalize_axis_index(k, ndim) for k in axis)


def _vector_norm(x: Any, ord: Any, axis: int) -> Any:
    if ord == np.inf:
        return _largest(np.abs(x), axis)
    if ord == -np.inf:
        return np.min(np.abs(x), axis=axis)
    if ord is None or ord == 2:
        return _root(sum_(abs_square(x), axis=(axis,)))
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    if ord == 0:
        return np.sum(cast(x != 0, type_of(x).real.dtype), axis=axis)
    sizes = absolute(x)
    return sum_(sizes, axis=(axis,)) if ord == 1 else _power_norm(sizes, ord, axis)


def _power_norm(sizes: Any, ord: Any, axis: int) -> Any:
    """``sum(sizes ** p) ** (1 / p)``, with derivative 0 where the sum is 0."""
    p = ord.item() if isinstance(ord, np.generic) else ord
    if p < 0:
        return sum_(sizes**p, axis=(axis,)) ** (1.0 / p)
    if p < 1:
        is_zero = sizes == 0
        powers = where(is_zero, 0.0, where(is_zero, 1.0, sizes) ** p)
    else:
        powers = sizes**p
    total = sum_(powers, axis=(axis,))
    is_zero = total == 0
    return where(is_zero, 0.0, where(is_zero, 1.0, total) ** (1.0 / p))


def _largest(x: Any, axis: int) -> Any:
    """The maximum of numbers that are not negative; 0 if there are none."""
    if type_of(x).shape[axis] == 0:
        return sum_(x, axis=(axis,))
    return np.max(x, axis=axis)


def _matrix_norm(x: Any, ord: Any, row: int, column: int) -> Any:
    if row == column:
        raise ValueError("Duplicate axes given.")
    if ord is None or ord in ("fro", "f"):
        return _root(sum_(abs_square(x), axis=tuple(sorted((row, column)))))
    if ord in (2, -2, "nuc"):
        values = decompositions.svdvals(moveaxis(x, (row, column), (-2, -1)))
        last = type_of(values).ndim - 1
        if ord == "nuc":
            return sum_(values, axis=(last,))
        return _largest(values, last) if ord == 2 else np.min(values, axis=last)
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError("Invalid norm order for matrices.")
    summed, rest = (row, column) if abs(ord) == 1 else (column, row)
    sums = sum_(absolute(x), axis=(summed,))
    rest = rest - 1 if rest > summed else rest
    return _largest(sums, rest) if ord > 0 else np.min(sums, axis=rest)


@implements(np.linalg.vector_norm)
def vector_norm(
    x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2
) -> Any:
    """The norm of all elements along any number of axes, taken as one vector."""
    x = as_operand(x)
    shape = type_of(x).shape
    axes = normalize_axis_tuple(range(len(shape)) if axis is None else axis, len(shape))
    if len(axes) == 1:
        return norm(x, ord, axes[0], keepdims)
    rest = [k for k in range(len(shape)) if k not in axes]
    lead = math.prod(shape[k] for k in axes)
    flat = reshape(transpose(x, (*axes, *rest)), (lead, *(shape[k] for k in rest)))
    result = norm(flat, ord=ord, axis=0)
    return reshape(result, kept_shape(shape, axes)) if keepdims else result


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of each matrix of a stack."""
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """The condition number in the norm ``p``.

    That of a singular matrix is infinite; on traced arrays it raises ``LinAlgError``
    with ``p`` other than 2, -2 and None.
    """
    x = as_inexact(x)
    if 0 in type_of(x).shape[-2:]:
        raise np.linalg.LinAlgError("cond is not defined on empty arrays")
    with np.errstate(all="ignore"):
        if p is None or p in (2, -2):
            s = decompositions.svdvals(x)
            low, high = s[..., -1], s[..., 0]
            result = low / high if p == -2 else high / low
        else:
            result = matrix_norm(x, ord=p) * matrix_norm(ops.inv(x), ord=p)
    given = np.any(np.isnan(x), axis=(-2, -1))
    return where(np.isnan(result) & ~given, np.inf, result)


@implements(np.linalg.matrix_rank)
def matrix_rank(
    A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None
) -> Any:
    """The number of singular values above a tolerance; its derivative is zero."""
    if rtol is not None and tol is not None:
        raise ValueError("`tol` and `rtol` can't be both set.")
    x = stop_gradient(as_operand(A))
    if type_of(x).ndim < 2:
        return int(bool(np.any(x != 0)))
    s = svd(x, compute_uv=False, hermitian=hermitian)
    if tol is None:
        epsilon = float(np.finfo(type_of(s).dtype).eps)
        scale = max(type_of(x).shape[-2:]) * epsilon if rtol is None else rtol
        tol = np.max(s, axis=-1, initial=0) * scale
    return np.sum(s > np.expand_dims(tol, -1), axis=-1)
