"""More of ``torch.linalg``: triangular systems, exponentials, general eigenvalues."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fgrad.ops import eigen
from fgrad.torch import linalg, return_types
from fgrad.torch.fitting import mismatch
from fgrad.torch.known import is_traced
from fgrad.torch.numerical import vander as powers
from fgrad.torch.recording import one, several
from fgrad.torch.registry import operation, publish
from fgrad.torch.tensor import Tensor, make, require_tensor

TRIANGULAR_SOLVE = (
    "torch.triangular_solve is deprecated in favor of torch.linalg.solve_triangularand "
    "will be removed in a future PyTorch release.\ntorch.linalg.solve_triangular has "
    "its arguments reversed and does not return a copy of one of the inputs.\n"
    "X = torch.triangular_solve(B, A).solution\nshould be replaced with\n"
    "X = torch.linalg.solve_triangular(A, B)."
)


def solve_triangular(
    A: Tensor,
    B: Tensor,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
) -> Tensor:
    """The solution of ``A @ X = B`` (or ``X @ A = B``) for a triangle ``A``.

    Args:
        A: matrices, of which one triangle is read.
        B: the right-hand sides.
        upper: which triangle.
        left: on which side ``A`` stands.
        unitriangular: take the diagonal for ones.

    Raises:
        RuntimeError: these are no matrices, those of ``A`` are not square, or shapes do
            not fit.

    >>> A = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    >>> torch.linalg.solve_triangular(A, torch.tensor([[2.0], [3.0]]), upper=False)
    tensor([[1.],
            [2.]])
    """
    _check_triangle(A, B, left)
    return _solved("LinalgSolveTriangularBackward0", A, B, upper, left, unitriangular)


def _solved(
    node: str, A: Tensor, B: Tensor, upper: bool, left: bool, unitriangular: bool
) -> Tensor:
    def compute(a: Any, b: Any) -> Any:
        triangle = np.triu(a) if upper else np.tril(a)
        if unitriangular:
            n = a.shape[-1]
            strict = np.triu(a, 1) if upper else np.tril(a, -1)
            triangle = strict + np.eye(n, dtype=a.dtype)
        if left:
            return solve(triangle, b, upper)
        turned = np.swapaxes(triangle, -1, -2), np.swapaxes(b, -1, -2)
        return np.swapaxes(solve(*turned, not upper), -1, -2)

    solve: Any = _by_factors
    is_known = not unitriangular and not is_traced(A._array)
    if is_known and np.any(np.diagonal(A._array, 0, -2, -1) == 0):
        solve = by_substitution
    return one(node, compute, A, B)


def _by_factors(triangle: Any, b: Any, upper: bool) -> Any:
    return np.linalg.solve(triangle, b)


def by_substitution(triangle: Any, b: Any, upper: bool) -> Any:
    """The solution, row by row, which is infinite or NaN where there is none."""
    n = triangle.shape[-1]
    batch = np.broadcast_shapes(triangle.shape[:-2], b.shape[:-2])
    known: list[Any] = []
    rows: list[int] = []
    for k in reversed(range(n)) if upper else range(n):
        rest = np.broadcast_to(b[..., k, :], (*batch, b.shape[-1]))
        for x, j in zip(known, rows, strict=True):
            rest = rest - triangle[..., k, j][..., None] * x
        known.append(rest / triangle[..., k, k][..., None])
        rows.append(k)
    return np.stack(known[::-1] if upper else known, -2)


def _check_triangle(A: Tensor, B: Tensor, left: bool) -> None:
    """Raise PyTorch's error for what is no triangle and right-hand sides."""
    name = "linalg.solve_triangular"
    for k, matrix in enumerate((A, B)):
        require_tensor(name.replace(".", "_"), matrix, k + 1)
    first, second = A._aval.shape, B._aval.shape
    for letter, shape in (("A", first), ("B", second)):
        if len(shape) < 2:
            raise RuntimeError(
                f"{name}: The input tensor {letter} must have at least 2 dimensions."
            )
        if letter == "A" and shape[-1] != shape[-2]:
            raise RuntimeError(
                f"{name}: A must be batches of square matrices, but they are "
                f"{shape[-2]} by {shape[-1]} matrices"
            )
    if first[-1] != second[-2 if left else -1]:
        sizes = f"{first[-2]}x{first[-1]} and {second[-2]}x{second[-1]}"
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({sizes})"
        )
    error = mismatch(second[:-2], first[:-2])
    if error is not None:
        raise error
    if A.dtype.category < 2:
        raise NotImplementedError(
            f"\"triangular_solve_cpu\" not implemented for '{A.dtype.kind}'"
        )


@operation("triangular_solve")
def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Any:
    """The older form of `solve_triangular`: the right-hand side comes first.

    A named tuple of the solution and a copy of ``A``.

    >>> import warnings
    >>> B, A = torch.tensor([[2.0], [3.0]]), torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    >>> with warnings.catch_warnings(action="ignore"):  # it is deprecated
    ...     torch.triangular_solve(B, A, upper=False).solution
    tensor([[1.],
            [2.]])
    """
    warnings.warn(TRIANGULAR_SOLVE, UserWarning, stacklevel=2)
    matrix: Any = A.mT if transpose else A
    node, is_upper = "TriangularSolveBackward0", upper != transpose
    solution = _solved(node, matrix, input, is_upper, True, unitriangular)
    return return_types.triangular_solve(solution, A.clone())


@operation("matrix_exp")
def matrix_exp(input: Tensor) -> Tensor:
    """The exponential of matrices: a Taylor series of a part, squared again.

    C. Moler and C. Van Loan, Nineteen dubious ways to compute the exponential of a
    matrix, twenty-five years later, 2003: method 3.

    >>> torch.matrix_exp(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [0., 1.]])
    """
    x = require_tensor("linalg.matrix_exp", input)
    size = float(np.max(np.sum(np.abs(x._array), -1))) if x._aval.size else 0.0
    squarings = max(0, int(np.ceil(np.log2(max(size, 1e-300)))) + 3)

    def compute(a: Any) -> Any:
        exact = np.complex128 if a.dtype.kind == "c" else np.float64
        part = a.astype(exact) / 2.0**squarings
        identity = np.eye(a.shape[-1], dtype=exact)
        term, total = part, identity + part
        for k in range(2, 16):
            term = term @ part / k
            total = total + term
        for _ in range(squarings):
            total = total @ total
        return total.astype(a.dtype)

    return one("LinalgMatrixExpBackward0", compute, x)


@operation("cholesky_solve")
def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """The solution of ``A @ X = input`` for the Cholesky factor of ``A``.

    ``input`` is ``(..., n, k)``, ``L`` ``(..., n, n)``.

    >>> torch.cholesky_solve(torch.tensor([[8.0]]), torch.tensor([[2.0]]))
    tensor([[2.]])
    """
    factor: Any = L.mT if upper else L
    half = solve_triangular(factor, input, upper=False)
    return solve_triangular(factor.mT, half, upper=True)


@operation("cholesky_inverse")
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose Cholesky factor is given.

    >>> torch.cholesky_inverse(torch.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    identity = make(np.eye(L._aval.shape[-1], dtype=L._aval.dtype))
    return cholesky_solve(identity, L, upper)


def eig(A: Tensor) -> Any:
    """Eigenvalues and eigenvectors of general matrices, complex.

    A named tuple: ``(..., n)`` and, as columns, ``(..., n, n)``. Gradients are defined
    for what does not depend on the phases of the vectors; PyTorch refuses others.

    >>> torch.linalg.eig(torch.tensor([[2.0, 0.0], [0.0, 3.0]])).eigenvalues
    tensor([2.+0.j, 3.+0.j])
    """
    x = require_tensor("linalg.eig", A)
    return return_types.linalg_eig(*several("LinalgEigBackward0", eigen.eig, x))


def eigvals(A: Tensor) -> Tensor:
    """Eigenvalues of general matrices, complex.

    >>> torch.linalg.eigvals(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
    tensor([2.+0.j, 3.+0.j])
    """
    x = require_tensor("linalg.eigvals", A)
    return one("LinalgEigBackward0", eigen.eigvals, x)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The rising powers of the elements of a vector, as columns, ``N`` of them.

    >>> torch.linalg.vander(torch.tensor([2.0, 3.0]), N=3)
    tensor([[1., 2., 4.],
            [1., 3., 9.]])
    """
    return powers(x, N, True)


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of a tensor as a map between groups of axes, the first of ``ind``.

    Raises:
        RuntimeError: the products of the lengths of the groups differ.

    >>> torch.linalg.tensorinv(torch.eye(4).reshape(2, 2, 4)).shape
    torch.Size([4, 2, 2])
    """
    x: Any = require_tensor("linalg.tensorinv", A)
    first, second = tuple(x.shape[:ind]), tuple(x.shape[ind:])
    size = int(np.prod(first))
    return linalg.inv(x.reshape(size, -1)).reshape(*second, *first)  # type: ignore[no-any-return]


def tensorsolve(A: Tensor, B: Tensor) -> Tensor:
    """The solution of ``tensordot(A, X, X.ndim) = B``.

    >>> torch.linalg.tensorsolve(2 * torch.eye(2), torch.ones(2))
    tensor([0.5000, 0.5000])
    """
    x: Any = require_tensor("linalg.tensorsolve", A)
    right: Any = B
    shape = tuple(x.shape[right.dim() :])
    square = x.reshape(right.numel(), -1)
    return linalg.solve(square, right.reshape(-1)).reshape(*shape)  # type: ignore[no-any-return]


publish(
    linalg,
    solve_triangular,
    matrix_exp,
    eig,
    eigvals,
    vander,
    tensorinv,
    tensorsolve,
)


@operation("qr")
def _legacy_qr(input: Tensor, some: bool = True) -> Any:
    """An orthogonal and an upper triangular matrix; see `torch.linalg.qr`.

    With ``some`` only as many columns as needed.

    >>> Q, R = torch.qr(torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> torch.allclose(Q @ R, torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    True
    """
    return return_types.qr(*linalg.qr(input, "reduced" if some else "complete"))
