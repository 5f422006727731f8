"""Inverses and factors with a number for each matrix, in place of an error.

What a singular matrix gives are the infinities of a division by its zero pivot. They
are computed beside, so that the other matrices of a batch have their values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.lower.quiet import quietly
from fgrad.torch import linalg, return_types
from fgrad.torch.decompositions import by_substitution
from fgrad.torch.factorizations import lu_factor_ex, order_of, triangles_of
from fgrad.torch.hermitian import adjoint, bad_minors, cholesky_of
from fgrad.torch.known import examined
from fgrad.torch.norms import as_matrices
from fgrad.torch.recording import one
from fgrad.torch.registry import publish
from fgrad.torch.tensor import Tensor, make, require_tensor


def _turned(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


class _Elimination:
    """The factors of matrices.

    Attributes:
        info: the number of the first pivot of each that is zero; 0 for none.
        is_turned: whether to solve with the transposes.
    """

    def __init__(self, a: Any, is_turned: bool = False) -> None:
        found = lu_factor_ex(make(a))
        self.compact, self.pivots, self.info = (x._array for x in found)
        self.is_turned = is_turned

    def solve(self, a: Any, b: Any) -> Any:
        """The solution, infinite or NaN where there is none."""
        return quietly(self._solve, b)

    def _solve(self, b: Any) -> Any:
        lower, upper = triangles_of(self.compact)
        order = order_of(self.pivots, lower.shape[-1])[..., None]
        if not self.is_turned:
            half = by_substitution(lower, np.take_along_axis(b, order, -2), False)
            return by_substitution(upper, half, True)
        half = by_substitution(_turned(upper), b, False)
        found = by_substitution(_turned(lower), half, True)
        return np.take_along_axis(found, np.argsort(order, -2), -2)


def _beside(failed: Any, of_failed: Any, compute: Any, ndim: int = 2) -> Any:
    """A function that takes the results of matrices that failed from elsewhere."""
    where = failed.reshape(*failed.shape, 1, 1)
    chosen = where.reshape(failed.shape + (1,) * ndim)

    def both(a: Any, *others: Any) -> Any:
        ones = np.eye(a.shape[-1], dtype=a.dtype)
        return np.where(chosen, of_failed, compute(np.where(where, ones, a), *others))

    return both


def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """The inverse, and a number for each matrix: that of a zero pivot, or 0.

    Where a matrix is singular, its elements are infinite or NaN.

    Raises:
        LinAlgError: a matrix is singular, and ``check_errors``.

    >>> torch.linalg.inv_ex(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    torch.return_types.linalg_inv_ex(
    inverse=tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]]),
    info=tensor(0, dtype=torch.int32))
    """
    x = as_matrices("linalg.inv", A, is_square=True)
    elimination = _Elimination(examined(x._array))
    info = elimination.info
    if not np.any(info):
        return return_types.linalg_inv_ex(linalg.inv(x), make(info))
    if check_errors:
        text = linalg.failure(linalg.SINGULAR, "linalg.inv_ex", info)
        raise linalg.LinAlgError(text)
    ones = np.broadcast_to(np.eye(*x._aval.shape[-2:], dtype=x._aval.dtype), x.shape)
    compute = _beside(info > 0, elimination.solve(None, ones), np.linalg.inv)
    found = one("LinalgInvExBackward0", compute, x)
    return return_types.linalg_inv_ex(found, make(info))


def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False
) -> Any:
    """The solution of ``A @ X = B``, and a number for each matrix as of `inv_ex`.

    Raises:
        LinAlgError: a matrix is singular, and ``check_errors``.

    >>> A = torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    >>> torch.linalg.solve_ex(A, torch.tensor([[2.0], [2.0]]))
    torch.return_types.linalg_solve_ex(
    result=tensor([[1.0000],
            [0.5000]]),
    info=tensor(0, dtype=torch.int32))
    """
    x = as_matrices("linalg.solve", A, is_square=True)
    y = require_tensor("linalg.solve", B, 2)
    elimination = _Elimination(examined(x._array), is_turned=not left)
    info = elimination.info
    if not np.any(info):
        return return_types.linalg_solve_ex(linalg.solve(x, y, left=left), make(info))
    if check_errors:
        text = linalg.failure(linalg.SINGULAR_SOLVE, "linalg.solve_ex", info)
        raise linalg.LinAlgError(text)
    of_failed = linalg.solving(x, y, left, elimination.solve)(
        examined(x._array), examined(y._array)
    )
    ndim = of_failed.ndim - info.ndim
    compute = _beside(info > 0, of_failed, linalg.solving(x, y, left), ndim)
    found = one("LinalgSolveExBackward0", compute, x, y)
    return return_types.linalg_solve_ex(found, make(info))


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """The triangular factor, and a number for each matrix: the order of the first
    leading minor that is not positive, or 0. Where there is one, the factor ends there.

    Raises:
        LinAlgError: a matrix is not positive definite, and ``check_errors``.

    >>> torch.linalg.cholesky_ex(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    torch.return_types.linalg_cholesky_ex(
    L=tensor([[2., 0.],
            [1., 2.]]),
    info=tensor(0, dtype=torch.int32))
    """
    x = as_matrices("linalg.cholesky", A, is_square=True)
    array = examined(x._array)
    info = bad_minors(array, upper)
    if not np.any(info):
        factor = linalg.cholesky(x, upper=upper)
        return return_types.linalg_cholesky_ex(factor, make(info))
    if check_errors:
        text = linalg.failure(linalg.NOT_POSITIVE, "linalg.cholesky_ex", info)
        raise linalg.LinAlgError(text)
    lower = adjoint(array) if upper else array
    flat = lower.reshape(-1, *array.shape[-2:])
    begun = [_begun(a, int(k)) for a, k in zip(flat, info.ravel(), strict=True)]
    factors = np.reshape(begun, array.shape)
    compute = _beside(
        info > 0,
        adjoint(factors) if upper else factors,
        lambda a: cholesky_of(a, upper),
    )
    found = one("LinalgCholeskyExBackward0", compute, x)
    return return_types.linalg_cholesky_ex(found, make(info))


def _begun(a: Any, order: int) -> Any:
    """The factor by columns up to a minor that is not positive; the rest as it was."""
    factor, k = np.tril(a), order - 1
    if not order:
        return factor
    first = np.linalg.cholesky(a[:k, :k])
    factor[:k, :k] = first
    factor[k:, :k] = np.conj(np.linalg.solve(first, np.conj(a[k:, :k].T)).T)
    factor[k, k] = a[k, k] - np.vdot(factor[k, :k], factor[k, :k])
    return factor


publish(linalg, inv_ex, solve_ex, cholesky_ex)
