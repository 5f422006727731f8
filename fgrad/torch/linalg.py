"""``torch.linalg``: inverses, decompositions and norms, by NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.torch import return_types
from fgrad.torch.hermitian import bad_minors, cholesky_of, mirrored
from fgrad.torch.norms import as_matrices, matrix_norm, norm, vector_norm
from fgrad.torch.placement import on_host, place_functions
from fgrad.torch.products import matmul
from fgrad.torch.recording import one, several
from fgrad.torch.registry import operation
from fgrad.torch.singular_values import lstsq, matrix_rank, pinv, svd, svdvals
from fgrad.torch.tensor import Tensor, require_tensor
from fgrad.torch.triangles import diagonal
from fgrad.torch.vector_products import linalg_cross as cross

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
    "vecdot",
    "vector_norm",
]


def __dir__() -> list[str]:
    return __all__


class LinAlgError(RuntimeError):
    """A matrix is singular, or not positive definite."""


LinAlgError.__name__ = "_LinAlgError"  # what PyTorch's prints
SINGULAR_SOLVE = "torch.{}: {}The solver failed because the input matrix is singular."
SINGULAR = (
    "{}: {}The diagonal element {} is zero, the inversion could not be completed "
    "because the input matrix is singular."
)
NOT_POSITIVE = (
    "{}: {}The factorization could not be completed because the input is not "
    "positive-definite (the leading minor of order {} is not positive-definite)."
)


def _checked(message: Callable[[], str], compute: Callable[[], Any]) -> Any:
    try:
        with on_host():
            result = compute()
        for x in result if isinstance(result, tuple) else (result,):
            x._array  # noqa: B018  # where it is pending, the error comes here
        return result
    except np.linalg.LinAlgError as error:
        raise LinAlgError(message()) from error


def inv(A: Tensor) -> Tensor:
    """The inverse of matrices ``(..., n, n)``.

    Raises:
        LinAlgError: a matrix is singular.

    >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    x = as_matrices("linalg.inv", A, is_square=True)
    return _checked(  # type: ignore[no-any-return]
        lambda: failure(SINGULAR, "linalg.inv", _ranks_missed(x._array)),
        lambda: one("LinalgInvExBackward0", np.linalg.inv, x),
    )


def _ranks_missed(a: Any) -> Any:
    """The place of the first zero pivot, counted from 1; 0 for full rank."""
    ranks = np.linalg.matrix_rank(a)
    return np.where(ranks < a.shape[-1], ranks + 1, 0)


def failure(text: str, name: str, info: Any) -> str:
    """PyTorch's error for the first matrix that failed.

    Args:
        text: the sentence, with places for what follows.
        name: the function.
        info: a number for each matrix, 0 where nothing failed.
    """
    batch = int(np.argmax(info.ravel() != 0))
    where = f"(Batch element {batch}): " if info.ndim else ""
    return text.format(name, where, int(info.ravel()[batch]))


def det(A: Tensor) -> Tensor:
    """The determinant of matrices: ``(..., n, n)`` gives ``(...)``.

    >>> torch.linalg.det(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    x = as_matrices("linalg.det", A, is_square=True)
    return one("LinalgDetBackward0", np.linalg.det, x)


def slogdet(A: Tensor) -> Any:
    """The sign of the determinant, and the logarithm of its magnitude.

    A named tuple ``(sign, logabsdet)``; of a singular matrix 0 and ``-inf``.

    >>> sign, logarithm = torch.linalg.slogdet(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> sign, logarithm
    (tensor(-1.), tensor(0.))
    """
    return return_types.linalg_slogdet(*_slogdet(A))


def _slogdet(A: Tensor) -> tuple[Tensor, ...]:
    x = as_matrices("linalg.slogdet", A, is_square=True)
    return several("LinalgSlogdetBackward0", lambda u: tuple(np.linalg.slogdet(u)), x)


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The solution of ``A @ X = B``; with ``left=False``, of ``X @ A = B``.

    ``A`` is ``(..., n, n)``, ``B`` ``(..., n, k)``, or vectors ``(..., n)``.

    Raises:
        LinAlgError: a matrix is singular.

    >>> A = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    >>> torch.linalg.solve(A, torch.tensor([2.0, 3.0]))
    tensor([1., 2.])
    """
    x = as_matrices("linalg.solve", A, is_square=True)
    y = require_tensor("linalg.solve", B, 2)
    compute = solving(x, y, left)
    return _checked(  # type: ignore[no-any-return]
        lambda: failure(SINGULAR_SOLVE, "linalg.solve", _ranks_missed(x._array)),
        lambda: one("LinalgSolveExBackward0", compute, x, y),
    )


def solving(x: Tensor, y: Tensor, left: bool, solve: Any = np.linalg.solve) -> Any:
    """The function of arrays of a matrix and right-hand sides that solves for them."""
    first, second = x._aval.shape, y._aval.shape
    is_vector = len(second) == 1 or second == first[:-1]

    def compute(a: Any, b: Any) -> Any:
        if not left:
            turned = solve(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2))
            return np.swapaxes(turned, -1, -2)
        return solve(a, b[..., None])[..., 0] if is_vector else solve(a, b)

    return compute


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The triangular ``L`` with ``L @ L.T = A`` of positive definite ``(..., n, n)``.

    With ``upper`` the triangle above the diagonal, ``L.T``. Only that triangle of ``A``
    is read; its gradient is symmetric.

    Raises:
        LinAlgError: a matrix is not positive definite.

    >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    x = as_matrices("linalg.cholesky", A, is_square=True)
    return checked_cholesky("LinalgCholeskyExBackward0", "linalg.cholesky", x, upper)


def checked_cholesky(node: str, name: str, x: Tensor, upper: bool) -> Tensor:
    """The triangle, recorded under a name.

    Raises:
        LinAlgError: a matrix is not positive definite.
    """
    return _checked(  # type: ignore[no-any-return]
        lambda: failure(NOT_POSITIVE, name, bad_minors(x._array, upper)),
        lambda: one(node, lambda a: cholesky_of(a, upper), x),
    )


def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """The eigenvalues and eigenvectors of symmetric matrices ``(..., n, n)``.

    A named tuple of the values ``(..., n)``, real and ascending, and the vectors as
    columns ``(..., n, n)``. Only the triangle ``UPLO`` is read: ``"L"`` or ``"U"``. The
    sign of a vector is not determined, so gradients should not depend on it.

    >>> torch.linalg.eigh(torch.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    x = as_matrices("linalg.eigh", A, is_square=True)
    found = several(
        "LinalgEighBackward0",
        lambda a: tuple(np.linalg.eigh(mirrored(a), _side(UPLO))),
        x,
    )
    return return_types.linalg_eigh(*found)


def _side(UPLO: str) -> Any:
    return UPLO


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, ascending: ``(..., n, n)`` gives ``(...,
    n)``.

    >>> torch.linalg.eigvalsh(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    tensor([-1.,  1.])
    """
    x = as_matrices("linalg.eigvalsh", A, is_square=True)

    def compute(a: Any) -> Any:
        return np.linalg.eigvalsh(mirrored(a), _side(UPLO))

    return one("LinalgEighBackward0", compute, x)


def qr(A: Tensor, mode: str = "reduced") -> Any:
    """An orthogonal and an upper triangular matrix whose product is ``A``.

    ``(..., m, n)`` gives ``(..., m, k)`` and ``(..., k, n)`` with ``k = min(m, n)``; in
    mode ``"complete"`` ``k = m``; in mode ``"r"`` the first is empty.

    >>> Q, R = torch.linalg.qr(torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> torch.allclose(Q @ R, torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    True
    """
    x = as_matrices("linalg.qr", A)
    kind: Any = mode
    found = several("LinalgQrBackward0", lambda a: tuple(np.linalg.qr(a, kind)), x)
    return return_types.linalg_qr(*found)


def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number of matrices: of their 2-norms by default.

    >>> torch.linalg.cond(torch.tensor([[1.0, 0.0], [0.0, 4.0]]))
    tensor(4.)
    """
    values = svdvals(A)
    if p in (None, 2):
        return values[..., 0] / values[..., -1]  # type: ignore[index, no-any-return]
    return matrix_norm(A, p) * matrix_norm(inv(A), p)  # type: ignore[operator, no-any-return]


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices, in the cheapest order.

    The first and the last may be vectors.

    >>> torch.linalg.multi_dot([torch.eye(2), 2 * torch.eye(2), torch.ones(2)])
    tensor([2., 2.])
    """
    return one("ViewBackward0", lambda *us: np.linalg.multi_dot(us), *tensors)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sums of products along an axis; complex ``x`` is conjugated.

    >>> torch.linalg.vecdot(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.ones(2))
    tensor([3., 7.])
    """
    return (x * y).sum(dim)  # type: ignore[operator, no-any-return]


@operation("matrix_power")
def matrix_power(input: Tensor, n: int) -> Tensor:
    """The ``n``-th power of matrices ``(..., m, m)``; of the inverse where ``n < 0``.

    >>> torch.matrix_power(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    x = as_matrices("linalg.matrix_power", input, is_square=True)
    if n in (0, 1) or n < 0:
        return one("CloneBackward0", lambda u: np.linalg.matrix_power(u, n), x)
    node = "MmBackward0" if x._aval.ndim == 2 else "BmmBackward0"
    return one(node, lambda u: np.linalg.matrix_power(u, n), x)


operation("inverse")(inv)
operation("det")(det)


place_functions(globals())
