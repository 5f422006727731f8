"""``np.linalg``: on traced arrays, and as ``fgrad.numpy.linalg``.

Shapes, dtypes, result types and errors are NumPy's. What NumPy has and this module has
not (``eig``, ``eigvals``) raises by name on traced arrays. For what a derivative means
where eigenvalues coincide, and which triangle has it, see `fgrad.ops.linalg`.
"""

import math
import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from fgrad.errors import ConcretizationError, UnsupportedFunctionError
from fgrad.functions import products
from fgrad.functions.einsum import multi_dot, vecdot
from fgrad.functions.protocol import cast, implements
from fgrad.functions.shape import diagonal as diagonal_
from fgrad.functions.shape import matrix_transpose as matrix_transpose_
from fgrad.functions.shape import moveaxis, reshape, transpose
from fgrad.ops import linalg as ops
from fgrad.ops.contract import matmul as matmul_
from fgrad.ops.cut import stop_gradient
from fgrad.ops.elementwise import absolute, imag, real, square, where
from fgrad.ops.reduce import kept_shape, sum_
from fgrad.trace import as_operand, type_of

_ONE = np.eye(1)
EighResult = type(np.linalg.eigh(_ONE))
QRResult = type(np.linalg.qr(_ONE))
SVDResult = type(np.linalg.svd(_ONE))
SlogdetResult = type(np.linalg.slogdet(_ONE))


def _inexact(x: Any) -> Any:
    x = as_operand(x)
    return x if type_of(x).is_inexact else cast(x, np.float64)


# --- systems of equations and inverses


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """``x`` with ``a x = b``; b is a vector only if it has one axis."""
    a, b = as_operand(a), as_operand(b)
    if type_of(b).ndim != 1:
        return ops.solve(a, b)
    x = ops.solve(a, reshape(b, (-1, 1)))
    return reshape(x, type_of(x).shape[:-1])


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    """The inverse matrix."""
    return ops.inv(as_operand(a))


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """``x`` with ``tensordot(a, x, x.ndim) = b``."""
    a, b = as_operand(a), as_operand(b)
    order = list(range(type_of(a).ndim))
    for axis in axes or ():
        order.remove(axis)
        order.insert(type_of(a).ndim, axis)
    a = transpose(a, order)
    shape = type_of(a).shape[type_of(b).ndim - type_of(a).ndim :]
    size = math.prod(shape)
    if type_of(a).size != size**2:
        raise np.linalg.LinAlgError(
            "the axes of a for b and for x must be equally many elements, got shapes "
            f"{type_of(a).shape} and {type_of(b).shape}"
        )
    return reshape(solve(reshape(a, (size, size)), reshape(b, -1)), shape)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of ``tensordot`` over the axes from ``ind`` on."""
    if ind <= 0:
        raise ValueError("ind must be positive")
    a = as_operand(a)
    shape = type_of(a).shape
    size = math.prod(shape[ind:])
    return reshape(inv(reshape(a, (size, -1))), shape[ind:] + shape[:ind])


@implements(np.linalg.pinv)
def pinv(
    a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue
) -> Any:
    """The pseudo-inverse; its derivative is that at constant rank."""
    a = as_operand(a)
    if rcond is not None and rtol is not np._NoValue:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    if rcond is None and rtol is None:
        rcond = max(type_of(a).shape[-2:]) * float(np.finfo(type_of(a).dtype).eps)
    elif rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else rtol
    return ops.pinv(ops.hermitian(a, "L") if hermitian else a, as_operand(rcond))


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """Least squares: ``(x, residuals, rank, s)``, differentiable at constant rank.

    The residuals are empty where the rank is not full, so the shape depends on values;
    where only types are known, full rank is assumed.
    """
    a, b = as_operand(a), as_operand(b)
    if type_of(a).ndim != 2:
        raise np.linalg.LinAlgError(f"a must be a matrix, got {type_of(a).ndim} axes")
    rows, columns = type_of(a).shape
    if rcond is None:
        rcond = float(np.finfo(np.float64).eps) * max(rows, columns)
    right = reshape(b, (-1, 1)) if type_of(b).ndim == 1 else b
    cut = float(rcond) if rcond >= 0 else float(np.finfo(np.float64).eps)
    x, rank, s = ops.lstsq(a, right, rcond=cut)
    if rows > columns and _is_equal(rank, columns):
        residuals = sum_(_abs_square(right - matmul_(a, x)), axis=(0,))
    else:
        residuals = np.zeros(0, type_of(s).dtype)
    return (reshape(x, -1) if type_of(b).ndim == 1 else x), residuals, rank, s


def _is_equal(rank: Any, columns: int) -> bool:
    try:
        return bool(rank == columns)
    except ConcretizationError:
        return True


# --- determinants and decompositions


@implements(np.linalg.det)
def det(a: Any) -> Any:
    """The determinant."""
    return ops.det(as_operand(a))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """Sign and logarithm of the absolute value of the determinant."""
    return SlogdetResult(*ops.slogdet(as_operand(a)))


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """The lower triangular ``l`` with ``l l^H = a``, or the upper one, its adjoint."""
    a = as_operand(a)
    return ops.adjoint(ops.cholesky(ops.adjoint(a))) if upper else ops.cholesky(a)


def _uplo(text: str) -> str:
    if text.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return text.upper()


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues, ascending, and eigenvectors of a Hermitian matrix."""
    return EighResult(*ops.eigh(as_operand(a), uplo=_uplo(UPLO)))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of a Hermitian matrix, ascending."""
    return ops.eigvalsh(as_operand(a), uplo=_uplo(UPLO))


@implements(np.linalg.svd)
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """The singular value decomposition ``(u, s, vh)``, or ``s`` alone.

    Raises:
        DerivativeError: when differentiated, for a matrix that is not square with
            ``full_matrices=True``: the completing vectors are not determined.
    """
    a = as_operand(a)
    if hermitian:
        return _svd_of_hermitian(a, compute_uv)
    if not compute_uv:
        return ops.svdvals(a)
    return SVDResult(*ops.svd(a, full_matrices=bool(full_matrices)))


def _svd_of_hermitian(a: Any, compute_uv: bool) -> Any:
    if not compute_uv:
        return np.sort(np.abs(eigvalsh(a)), axis=-1)[..., ::-1]
    w, v = eigh(a)
    s = np.abs(w)
    order = np.argsort(stop_gradient(s), axis=-1)[..., ::-1]
    sign = np.copysign(1.0, np.take_along_axis(w, order, axis=-1))
    s = np.take_along_axis(s, order, axis=-1)
    u = np.take_along_axis(v, order[..., None, :], axis=-1)
    sign = cast(sign, type_of(s).dtype)
    return SVDResult(u, s, ops.adjoint(u * sign[..., None, :]))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """Singular values, descending."""
    return ops.svdvals(as_operand(x))


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """The decomposition ``(q, r)``, or ``r`` alone with ``mode="r"``.

    Raises:
        UnsupportedFunctionError: ``mode="complete"`` of a matrix with more rows than
            columns, whose q is not determined, or ``mode="raw"``.
    """
    a = as_operand(a)
    rows, columns = type_of(a).shape[-2:]
    completes = mode == "complete" and rows > columns
    if mode not in ("reduced", "r", "complete") or completes:
        raise UnsupportedFunctionError(
            f"np.linalg.qr of a {rows} x {columns} matrix with mode={mode!r} has no "
            "rule for traced values; use mode='reduced' or mode='r'"
        )
    q, r = ops.qr(a)
    return r if mode == "r" else QRResult(q, r)


# --- norms


def _abs_square(x: Any) -> Any:
    return square(real(x)) + square(imag(x)) if type_of(x).is_complex else square(x)


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
    x = _inexact(x)
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
        return _root(sum_(_abs_square(x), axis=(axis,)))
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
        return _root(sum_(_abs_square(x), axis=tuple(sorted((row, column)))))
    if ord in (2, -2, "nuc"):
        values = ops.svdvals(moveaxis(x, (row, column), (-2, -1)))
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
    x = _inexact(x)
    if 0 in type_of(x).shape[-2:]:
        raise np.linalg.LinAlgError("cond is not defined on empty arrays")
    with np.errstate(all="ignore"):
        if p is None or p in (2, -2):
            s = ops.svdvals(x)
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


# --- powers


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Any:
    """The product of ``n`` matrices ``a``, or of ``-n`` inverses."""
    a, n = as_operand(a), operator.index(n)
    shape = type_of(a).shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise np.linalg.LinAlgError(f"square matrices are needed, got shape {shape}")
    if n == 0:
        return np.broadcast_to(np.eye(shape[-1], dtype=type_of(a).dtype), shape).copy()
    if n < 0:
        a, n = ops.inv(a), -n
    if n == 3:
        return matmul_(matmul_(a, a), a)
    power, result = a, None
    while n:
        n, bit = divmod(n, 2)
        if bit:
            result = power if result is None else matmul_(result, power)
        if n:
            power = matmul_(power, power)
    return result


# --- NumPy's names of the array API standard


@implements(np.linalg.outer)
def outer(x1: Any, x2: Any, /) -> Any:
    """All products of an element of one vector and one of another."""
    x1, x2 = as_operand(x1), as_operand(x2)
    if type_of(x1).ndim != 1 or type_of(x2).ndim != 1:
        raise ValueError("Input arrays must be one-dimensional")
    return products.outer(x1, x2)


@implements(np.linalg.cross)
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The cross product of three-dimensional vectors."""
    return products.cross(x1, x2, axis=axis)


@implements(np.linalg.diagonal)
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """A diagonal of each matrix of a stack."""
    return diagonal_(x, offset, -2, -1)


@implements(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sum along a diagonal of each matrix of a stack."""
    return products.trace(x, offset, -2, -1, dtype)


@implements(np.linalg.tensordot)
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """The sum of products over pairs of axes."""
    return products.tensordot(x1, x2, axes)


implements(np.linalg.multi_dot)(multi_dot)
implements(np.linalg.vecdot)(vecdot)
matmul = implements(np.linalg.matmul)(products.matmul)
matrix_transpose = implements(np.linalg.matrix_transpose)(matrix_transpose_)
