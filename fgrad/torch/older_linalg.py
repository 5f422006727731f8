"""Decompositions under the names of older scripts: ``torch.lu``, ``torch.lu_solve``."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from fgrad.torch import linalg, return_types
from fgrad.torch.factorizations import (
    lu_factor_ex,
    order_of,
    permutation_of,
    triangles_of,
)
from fgrad.torch.factorizations import lu_solve as solve_factored
from fgrad.torch.norms import as_matrices
from fgrad.torch.recording import one, several
from fgrad.torch.registry import function, method, operation
from fgrad.torch.tensor import Tensor, make, require_tensor

LU = (
    "torch.lu is deprecated in favor of torch.linalg.lu_factor / "
    "torch.linalg.lu_factor_ex and will be removed in a future PyTorch release.\n"
    "LU, pivots = torch.lu(A, compute_pivots)\nshould be replaced with\n"
    "LU, pivots = torch.linalg.lu_factor(A, compute_pivots)\nand\n"
    "LU, pivots, info = torch.lu(A, compute_pivots, get_infos=True)\n"
    "should be replaced with\n"
    "LU, pivots, info = torch.linalg.lu_factor_ex(A, compute_pivots)"
)
LU_SOLVE = (
    "torch.lu_solve is deprecated in favor of torch.linalg.lu_solveand will be removed "
    "in a future PyTorch release.\nNote that torch.linalg.lu_solve has its arguments "
    "reversed.\nX = torch.lu_solve(B, LU, pivots)\nshould be replaced with\n"
    "X = torch.linalg.lu_solve(LU, pivots, B)"
)

CHOLESKY = (
    "torch.cholesky is deprecated in favor of torch.linalg.cholesky and will be "
    "removed in a future PyTorch release.\nL = torch.cholesky(A)\nshould be replaced "
    "with\nL = torch.linalg.cholesky(A)\nand\nU = torch.cholesky(A, upper=True)\n"
    "should be replaced with\nU = torch.linalg.cholesky(A).mH\nThis transform will "
    "produce equivalent results for all valid (symmetric positive definite) inputs."
)


@function("lu")
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """Both factors in one matrix, the exchanged rows, and perhaps the infos.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # it is deprecated
    ...     LU, pivots = torch.lu(torch.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> LU
    tensor([[4.0000, 4.0000],
            [0.2500, 1.0000]])
    """
    warnings.warn(LU, UserWarning, stacklevel=2)
    return _factors(A, pivot, get_infos)


@method("lu")
def _lu(self: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """Both factors in one matrix, the exchanged rows, and perhaps the infos.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # it is deprecated
    ...     LU, pivots = torch.tensor([[1.0, 2.0], [4.0, 4.0]]).lu()
    >>> pivots
    tensor([2, 2], dtype=torch.int32)
    """
    warnings.warn(LU, UserWarning, stacklevel=2)
    return _factors(self, pivot, get_infos)


def _factors(A: Tensor, pivot: bool, get_infos: bool) -> tuple[Any, ...]:
    found = tuple(lu_factor_ex(A, pivot=pivot, check_errors=not get_infos))
    return found if get_infos else found[:2]


@operation("lu_solve")
def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """As `torch.linalg.lu_solve`, with the right-hand sides first.

    >>> LU, pivots = torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # it is deprecated
    ...     print(torch.lu_solve(torch.tensor([[5.0], [12.0]]), LU, pivots))
    tensor([[1.],
            [2.]])
    """
    warnings.warn(LU_SOLVE, UserWarning, stacklevel=2)
    return solve_factored(LU_data, LU_pivots, input)


@function("lu_unpack")
def lu_unpack(
    LU_data: Tensor,
    LU_pivots: Tensor,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
) -> Any:
    """``P``, ``L`` and ``U`` of the result of ``torch.linalg.lu_factor``.

    What is not unpacked is empty.

    >>> factors = torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> P, L, U = torch.lu_unpack(*factors)
    >>> L @ U
    tensor([[4., 4.],
            [1., 2.]])
    """
    x = require_tensor("lu_unpack", LU_data)
    kind, rows = x._aval.dtype, x._aval.shape[-2]
    permutation = np.empty(0, kind)
    if unpack_pivots:
        permutation = permutation_of(order_of(LU_pivots._array, rows), kind)

    def compute(compact: Any) -> Any:
        if unpack_data:
            return triangles_of(compact)
        return compact.reshape(-1)[:0], compact.reshape(-1)[:0]

    found = several("LuUnpackBackward0", compute, x)
    return return_types.lu_unpack(make(permutation), *found)


@operation("addbmm")
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """``beta * input + alpha * sum(batch1 @ batch2)``, summed over the batch.

    >>> torch.addbmm(torch.ones(1, 1), torch.ones(3, 1, 2), torch.ones(3, 2, 1))
    tensor([[7.]])
    """
    x = require_tensor("addbmm", input)

    def compute(u: Any, v: Any, w: Any) -> Any:
        return beta * u + alpha * np.sum(v @ w, axis=0)

    return one("AddbmmBackward0", compute, x, batch1, batch2)


@operation("logdet")
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where that is negative, ``-inf`` for 0.

    >>> torch.logdet(torch.eye(2) * 2)
    tensor(1.3863)
    """
    x = as_matrices("logdet", input, is_square=True)

    def compute(u: Any) -> Any:
        sign, logarithm = np.linalg.slogdet(u)
        return np.where(sign < 0, math.nan, logarithm)

    return one("WhereBackward0", compute, x)


@function("chain_matmul")
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The older form of `multi_dot`, of matrices one by one.

    >>> torch.chain_matmul(torch.eye(2), 2 * torch.eye(2), torch.ones(2, 1))
    tensor([[2.],
            [2.]])
    """
    return linalg.multi_dot(matrices)


@operation("slogdet")
def _legacy_slogdet(input: Tensor) -> Any:
    """The sign of the determinant, and the logarithm of its magnitude.

    As `torch.linalg.slogdet`.

    >>> torch.slogdet(torch.eye(2)).sign
    tensor(1.)
    """
    return return_types.slogdet(*linalg.slogdet(input))


@operation("cholesky")
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """As `torch.linalg.cholesky`.

    Raises:
        LinAlgError: a matrix is not positive definite.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # it is deprecated
    ...     torch.cholesky(torch.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    warnings.warn(CHOLESKY, UserWarning, stacklevel=2)
    x = as_matrices("cholesky", input, is_square=True)
    return linalg.checked_cholesky("CholeskyBackward0", "cholesky", x, upper)
