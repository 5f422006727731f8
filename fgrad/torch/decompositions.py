"""More of ``torch.linalg``: triangular systems, exponentials, general eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad
from fgrad.torch import linalg, return_types
from fgrad.torch.numerical import vander as powers
from fgrad.torch.recording import one
from fgrad.torch.registry import operation
from fgrad.torch.tensor import Tensor, make, require_tensor

_EIGENVALUES = (
    "derivative for linalg_eig is not in fgrad.torch: NumPy's eigenvalues of general "
    "matrices have no rule; use eigh for symmetric ones"
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
    """

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
            return np.linalg.solve(triangle, b)
        turned = np.swapaxes(triangle, -1, -2), np.swapaxes(b, -1, -2)
        return np.swapaxes(np.linalg.solve(*turned), -1, -2)

    return one(node, compute, A, B)


@operation("triangular_solve")
def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Any:
    """The older form of `solve_triangular`: the right-hand side comes first."""
    matrix: Any = A.mT if transpose else A
    node, is_upper = "TriangularSolveBackward0", upper != transpose
    solution = _solved(node, matrix, input, is_upper, True, unitriangular)
    return return_types.triangular_solve(solution, A.clone())


@operation("matrix_exp")
def matrix_exp(input: Tensor) -> Tensor:
    """The exponential of matrices: a Taylor series of a part, squared again.

    C. Moler and C. Van Loan, Nineteen dubious ways to compute the exponential of a
    matrix, twenty-five years later, 2003: method 3.
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
    """The solution of ``A @ X = input`` for the Cholesky factor of ``A``."""
    factor: Any = L.mT if upper else L
    half = solve_triangular(factor, input, upper=False)
    return solve_triangular(factor.mT, half, upper=True)


@operation("cholesky_inverse")
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose Cholesky factor is given."""
    identity = make(np.eye(L._aval.shape[-1], dtype=L._aval.dtype))
    return cholesky_solve(identity, L, upper)


def _complex(array: Any) -> Any:
    return array.astype(np.result_type(array.dtype, np.complex64))


def eig(A: Tensor) -> Any:
    """Eigenvalues and eigenvectors of general matrices, complex; without gradients."""
    x = require_tensor("linalg.eig", A)
    name = f"LinalgEigBackward0:{_EIGENVALUES}"

    def of(part: int) -> Any:
        return lambda a: _eig(a, part)

    return return_types.linalg_eig(one(name, of(0), x), one(name, of(1), x))


def _eig(a: Any, part: int) -> Any:
    found = np.linalg.eig(fgrad.stop_gradient(a))
    flat = a * 0  # keeps the place in the graph, where backward says what is missing
    anchor = np.sum(flat, axis=-1)
    result = _complex(found[part])
    return result + (anchor if part == 0 else flat)


def eigvals(A: Tensor) -> Tensor:
    """Eigenvalues of general matrices, complex; without gradients."""
    return eig(A)[0]  # type: ignore[no-any-return]


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The rising powers of the elements of a vector, as columns."""
    return powers(x, N, True)


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of a tensor as a map between groups of axes."""
    x: Any = require_tensor("linalg.tensorinv", A)
    first, second = tuple(x.shape[:ind]), tuple(x.shape[ind:])
    size = int(np.prod(first))
    return linalg.inv(x.reshape(size, -1)).reshape(*second, *first)  # type: ignore[no-any-return]


def tensorsolve(A: Tensor, B: Tensor) -> Tensor:
    """The solution of ``tensordot(A, X, X.ndim) = B``."""
    x: Any = require_tensor("linalg.tensorsolve", A)
    right: Any = B
    shape = tuple(x.shape[right.dim() :])
    square = x.reshape(right.numel(), -1)
    return linalg.solve(square, right.reshape(-1)).reshape(*shape)  # type: ignore[no-any-return]


for _function in (
    solve_triangular,
    matrix_exp,
    eig,
    eigvals,
    vander,
    tensorinv,
    tensorsolve,
):
    setattr(linalg, _function.__name__, _function)
    linalg.__all__.append(_function.__name__)
