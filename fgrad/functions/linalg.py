"""``np.linalg``: on traced arrays, and as ``fgrad.numpy.linalg``.

Shapes, dtypes, result types and errors are NumPy's. What NumPy has and this module has
not (``eig``, ``eigvals``) raises by name on traced arrays. For what a derivative means
where eigenvalues coincide, and which triangle has it, see `fgrad.ops.linalg`.
"""

import math
import operator
from typing import Any

import numpy as np

from fgrad.errors import ConcretizationError, UnsupportedFunctionError
from fgrad.functions import products
from fgrad.functions.diagonals import diagonal as diagonal_
from fgrad.functions.einsum import multi_dot, vecdot
from fgrad.functions.protocol import cast, implements
from fgrad.functions.shape import matrix_transpose as matrix_transpose_
from fgrad.functions.shape import reshape, transpose
from fgrad.ops import decompositions, eigen, matrices
from fgrad.ops import linalg as ops
from fgrad.ops.contract import matmul as matmul_
from fgrad.ops.cut import stop_gradient
from fgrad.ops.elementwise import imag, real, square
from fgrad.ops.reduce import sum_
from fgrad.trace import as_operand, type_of

_ONE = np.eye(1)
EigResult = type(np.linalg.eig(_ONE))
EighResult = type(np.linalg.eigh(_ONE))
QRResult = type(np.linalg.qr(_ONE))
SVDResult = type(np.linalg.svd(_ONE))
SlogdetResult = type(np.linalg.slogdet(_ONE))


def abs_square(x: Any) -> Any:
    return square(real(x)) + square(imag(x)) if type_of(x).is_complex else square(x)


def as_inexact(x: Any) -> Any:
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
    return decompositions.pinv(
        matrices.hermitian(a, "L") if hermitian else a, as_operand(rcond)
    )


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
    x, rank, s = decompositions.lstsq(a, right, rcond=cut)
    if rows > columns and _is_equal(rank, columns):
        residuals = sum_(abs_square(right - matmul_(a, x)), axis=(0,))
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
    return (
        matrices.adjoint(decompositions.cholesky(matrices.adjoint(a)))
        if upper
        else decompositions.cholesky(a)
    )


def _uplo(text: str) -> str:
    if text.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return text.upper()


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues, ascending, and eigenvectors of a Hermitian matrix."""
    return EighResult(*decompositions.eigh(as_operand(a), uplo=_uplo(UPLO)))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of a Hermitian matrix, ascending."""
    return decompositions.eigvalsh(as_operand(a), uplo=_uplo(UPLO))


def _are_real(a: Any, w: Any) -> bool:
    """Whether NumPy gives real eigenvalues: a branch on their values."""
    return not type_of(a).is_complex and bool(np.all(np.imag(w) == 0.0))


@implements(np.linalg.eig)
def eig(a: Any) -> Any:
    """Eigenvalues and eigenvectors of a square matrix; real ones where all are."""
    a = as_operand(a)
    w, v = eigen.eig(a)
    return EigResult(np.real(w), np.real(v)) if _are_real(a, w) else EigResult(w, v)


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    """Eigenvalues of a square matrix, real where all are."""
    a = as_operand(a)
    w = eigen.eigvals(a)
    return np.real(w) if _are_real(a, w) else w


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
        return decompositions.svdvals(a)
    return SVDResult(*decompositions.svd(a, full_matrices=bool(full_matrices)))


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
    return SVDResult(u, s, matrices.adjoint(u * sign[..., None, :]))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """Singular values, descending."""
    return decompositions.svdvals(as_operand(x))


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
    q, r = decompositions.qr(a)
    return r if mode == "r" else QRResult(q, r)


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
