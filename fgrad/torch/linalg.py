"""``torch.linalg``: inverses, decompositions and norms, by NumPy's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.torch import return_types
from fgrad.torch.conversion import convert
from fgrad.torch.dtypes import as_dtype
from fgrad.torch.products import cross, matmul, vdot
from fgrad.torch.recording import one, several
from fgrad.torch.registry import function, numpy_names, operation
from fgrad.torch.size import axes_of
from fgrad.torch.statistics import norm as _norm
from fgrad.torch.tensor import Tensor, make, require_tensor
from fgrad.torch.triangles import diagonal

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "vdot",
    "vecdot",
    "vector_norm",
]


class LinAlgError(RuntimeError):
    """A matrix is singular, or not positive definite."""


LinAlgError.__name__ = "_LinAlgError"  # what PyTorch's prints
SINGULAR_SOLVE = (
    "torch.linalg.solve: The solver failed because the input matrix is singular."
)
SINGULAR = (
    "linalg.inv: The diagonal element {} is zero, the inversion could not be completed "
    "because the input matrix is singular."
)
NOT_POSITIVE = (
    "linalg.cholesky: The factorization could not be completed because the input is "
    "not positive-definite (the leading minor of order {} is not positive-definite)."
)


def _matrix(name: str, x: Any, is_square: bool = False) -> Tensor:
    found = require_tensor(name, x)
    shape = found._aval.shape
    if len(shape) < 2:
        raise RuntimeError(
            f"{name}: The input tensor A must have at least 2 dimensions."
        )
    if is_square and shape[-1] != shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {shape[-2]} "
            f"by {shape[-1]} matrices"
        )
    if found.dtype.category < 2:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{found.dtype.kind}"
        )
    return found


def _checked(message: Callable[[], str], compute: Callable[[], Any]) -> Any:
    try:
        result = compute()
        for x in result if isinstance(result, tuple) else (result,):
            x._array  # noqa: B018  # where it is pending, the error comes here
        return result
    except np.linalg.LinAlgError as error:
        raise LinAlgError(message()) from error


def inv(A: Tensor) -> Tensor:
    """The inverse of matrices.

    Raises:
        LinAlgError: a matrix is singular.
    """
    x = _matrix("linalg.inv", A, is_square=True)
    return _checked(  # type: ignore[no-any-return]
        lambda: SINGULAR.format(_zero_pivot(x._array)),
        lambda: one("LinalgInvExBackward0", np.linalg.inv, x),
    )


def _zero_pivot(a: Any) -> int:
    """The place of the first zero pivot, counted from 1: the rank tells."""
    return int(np.min(np.linalg.matrix_rank(a))) + 1 if a.size else 1


def det(A: Tensor) -> Tensor:
    """The determinant of matrices."""
    x = _matrix("linalg.det", A, is_square=True)
    return one("LinalgDetBackward0", np.linalg.det, x)


def slogdet(A: Tensor) -> Any:
    """The sign of the determinant, and the logarithm of its magnitude."""
    return return_types.linalg_slogdet(*_slogdet(A))


def _slogdet(A: Tensor) -> tuple[Tensor, ...]:
    x = _matrix("linalg.slogdet", A, is_square=True)
    return several("LinalgSlogdetBackward0", lambda u: tuple(np.linalg.slogdet(u)), x)


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The solution of ``A @ X = B``; with ``left=False``, of ``X @ A = B``.

    Raises:
        LinAlgError: a matrix is singular.
    """
    x = _matrix("linalg.solve", A, is_square=True)
    y = require_tensor("linalg.solve", B, 2)
    is_vector = y._aval.ndim == 1 or (
        y._aval.ndim == x._aval.ndim - 1 and y._aval.shape == x._aval.shape[:-1]
    )

    def compute(a: Any, b: Any) -> Any:
        if not left:
            turned = np.linalg.solve(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2))
            return np.swapaxes(turned, -1, -2)
        if is_vector:
            return np.linalg.solve(a, b[..., None])[..., 0]
        return np.linalg.solve(a, b)

    return _checked(  # type: ignore[no-any-return]
        lambda: SINGULAR_SOLVE, lambda: one("LinalgSolveExBackward0", compute, x, y)
    )


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The triangular ``L`` with ``L @ L.T = A``.

    Raises:
        LinAlgError: a matrix is not positive definite.
    """
    x = _matrix("linalg.cholesky", A, is_square=True)

    def compute(a: Any) -> Any:
        lower = np.linalg.cholesky(a)
        return np.swapaxes(lower, -1, -2) if upper else lower

    return _checked(  # type: ignore[no-any-return]
        lambda: NOT_POSITIVE.format(_bad_minor(x._array)),
        lambda: one("LinalgCholeskyExBackward0", compute, x),
    )


def _bad_minor(a: Any) -> int:
    """The order of the first leading minor that is not positive; 0 for none."""
    if a.ndim > 2:
        return 0
    minors = (np.linalg.det(a[:k, :k]) for k in range(1, len(a) + 1))
    return next((k for k, minor in enumerate(minors, 1) if not minor > 0), 0)


def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """The eigenvalues and eigenvectors of symmetric matrices."""
    x = _matrix("linalg.eigh", A, is_square=True)
    found = several(
        "LinalgEighBackward0", lambda a: tuple(np.linalg.eigh(a, _side(UPLO))), x
    )
    return return_types.linalg_eigh(*found)


def _side(UPLO: str) -> Any:
    return UPLO


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices."""
    x = _matrix("linalg.eigvalsh", A, is_square=True)
    return one("LinalgEighBackward0", lambda a: np.linalg.eigvalsh(a, _side(UPLO)), x)


def svd(A: Tensor, full_matrices: bool = True) -> Any:
    """``U``, the singular values, and ``Vh``."""
    x = _matrix("linalg.svd", A)
    found = several(
        "LinalgSvdBackward0", lambda a: tuple(np.linalg.svd(a, full_matrices)), x
    )
    return return_types.linalg_svd(*found)


def svdvals(A: Tensor) -> Tensor:
    """The singular values of matrices."""
    x = _matrix("linalg.svdvals", A)
    return one("LinalgSvdBackward0", lambda a: np.linalg.svd(a, compute_uv=False), x)


def qr(A: Tensor, mode: str = "reduced") -> Any:
    """An orthogonal and an upper triangular matrix whose product is ``A``."""
    x = _matrix("linalg.qr", A)
    kind: Any = mode
    found = several("LinalgQrBackward0", lambda a: tuple(np.linalg.qr(a, kind)), x)
    return return_types.linalg_qr(*found)


def pinv(A: Tensor) -> Tensor:
    """The pseudo-inverse of matrices."""
    return one("LinalgPinvBackward0", np.linalg.pinv, _matrix("linalg.pinv", A))


def lstsq(A: Tensor, B: Tensor) -> Any:
    """The solution of ``A @ X = B`` with the least squares; with residuals and rank."""
    x, y = _matrix("linalg.lstsq", A), require_tensor("linalg.lstsq", B, 2)
    solution = one("LinalgLstsqBackward0", lambda a, b: np.linalg.pinv(a) @ b, x, y)
    rows, columns = x._aval.shape[-2:]
    rank = np.linalg.matrix_rank(x._array)
    none = make(np.zeros(0, x._aval.dtype))
    residuals = none
    if rows > columns and np.all(rank == columns):
        left = y - matmul(x, solution)  # type: ignore[operator]
        residuals = (left * left).sum(-2)
    return return_types.linalg_lstsq(solution, residuals, make(np.asarray(rank)), none)


def matrix_rank(A: Tensor) -> Tensor:
    """The rank of matrices."""
    return make(np.asarray(np.linalg.matrix_rank(_matrix("linalg.rank", A)._array)))


def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number of matrices: of their 2-norms by default."""
    values = svdvals(A)
    if p in (None, 2):
        return values[..., 0] / values[..., -1]  # type: ignore[index, no-any-return]
    return matrix_norm(A, p) * matrix_norm(inv(A), p)  # type: ignore[operator, no-any-return]


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices, in the cheapest order."""
    return one("ViewBackward0", lambda *us: np.linalg.multi_dot(us), *tensors)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sums of products along an axis."""
    return (x * y).sum(dim)  # type: ignore[operator, no-any-return]


@numpy_names
def vector_norm(
    x: Tensor,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """The norm of all elements, or over axes."""
    return _norm(x, float(ord), dim, keepdim, dtype)


@numpy_names
def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """The norm of matrices: ``"fro"``, ``"nuc"``, 1, -1, 2, -2, inf or -inf."""
    x = _matrix("linalg.matrix_norm", A)
    x = x if dtype is None else convert(x, as_dtype(dtype))
    if ord == "fro":
        return _norm(x, 2.0, dim, keepdim)
    rows, columns = axes_of(tuple(dim), x._aval.ndim)

    def compute(u: Any) -> Any:
        matrices = np.moveaxis(u, (rows, columns), (-2, -1))
        found = _norm_of_matrices(matrices, ord)
        return np.expand_dims(found, (rows, columns)) if keepdim else found

    node = "SumBackward1" if ord == "nuc" else "AmaxBackward0"
    return one(node if ord != -1 else "AminBackward0", compute, x)


def _norm_of_matrices(x: Any, order: Any) -> Any:
    if order == "nuc" or order in (2, -2):
        values = np.linalg.svd(x, compute_uv=False)
        if order == "nuc":
            return np.sum(values, -1)
        return values[..., 0] if order == 2 else values[..., -1]
    sums = np.sum(np.abs(x), -2 if abs(order) == 1 else -1)
    return np.max(sums, -1) if order > 0 else np.min(sums, -1)


@numpy_names
def norm(
    A: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """A norm of vectors or matrices, as the axes tell."""
    x = require_tensor("linalg.norm", A)
    ndim = x._aval.ndim if dim is None else 1 if isinstance(dim, int) else len(dim)
    if ord is None or ndim == 1:
        return vector_norm(x, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
    return matrix_norm(x, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)


@operation("matrix_power")
def matrix_power(input: Tensor, n: int) -> Tensor:
    """The ``n``-th power of matrices."""
    x = _matrix("linalg.matrix_power", input, is_square=True)
    if n in (0, 1) or n < 0:
        return one("CloneBackward0", lambda u: np.linalg.matrix_power(u, n), x)
    node = "MmBackward0" if x._aval.ndim == 2 else "BmmBackward0"
    return one(node, lambda u: np.linalg.matrix_power(u, n), x)


operation("inverse")(inv)
operation("det")(det)
operation("cholesky")(cholesky)
operation("pinverse")(pinv)
function("chain_matmul")(lambda *matrices: multi_dot(matrices))


@operation("slogdet")
def _legacy_slogdet(input: Tensor) -> Any:
    """The sign of the determinant, and the logarithm of its magnitude."""
    return return_types.slogdet(*_slogdet(input))


@operation("logdet")
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where that is negative."""
    x = _matrix("logdet", input, is_square=True)

    def compute(u: Any) -> Any:
        sign, logarithm = np.linalg.slogdet(u)
        return np.where(sign < 0, math.nan, logarithm)

    return one("WhereBackward0", compute, x)


@operation("svd")
def _legacy_svd(input: Tensor, some: bool = True) -> Any:
    """``U``, the singular values, and ``V`` (not its transpose)."""
    left, values, right = svd(input, full_matrices=not some)
    return return_types.svd(left, values, right.transpose(-2, -1))


@operation("qr")
def _legacy_qr(input: Tensor, some: bool = True) -> Any:
    """An orthogonal and an upper triangular matrix whose product is ``input``."""
    return return_types.qr(*qr(input, "reduced" if some else "complete"))
