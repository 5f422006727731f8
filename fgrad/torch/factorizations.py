"""Factors of matrices by elimination (``lu``) and by reflections (``geqrf``).

NumPy has no LU decomposition: it is computed here by columns. Its derivative is that of
the factors, for the permutation found; M. Seeger et al., Auto-differentiating linear
algebra, 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad
from fgrad.torch import linalg, return_types
from fgrad.torch.known import examined
from fgrad.torch.recording import one, several
from fgrad.torch.registry import publish
from fgrad.torch.tensor import Tensor, make, require_tensor

NO_PIVOTS = "LU without pivoting is not implemented on the CPU"
SINGULAR = (
    "{}: {}U[{},{}] is zero and using it on lu_solve would result in a division by zero"
    ". If you still want to perform the factorization, consider calling "
    "linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
)


def _turned(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _lower(compact: Any) -> Any:
    """The factor ``L`` of square compact factors: ones are on its diagonal."""
    return np.tril(compact, -1) + np.eye(compact.shape[-1], dtype=compact.dtype)


def _eliminated(a: Any) -> Any:
    """Both factors of square matrices in one, without pivoting."""
    compact = np.array(a)
    for j in range(a.shape[-1] - 1):
        pivot = compact[..., j, j, None]
        safe = np.where(pivot == 0, 1, pivot)
        compact[..., j + 1 :, j] /= safe
        row = compact[..., j, None, j + 1 :]
        compact[..., j + 1 :, j + 1 :] -= compact[..., j + 1 :, j, None] * row
    return compact


_square_factors = fgrad.custom_jvp(_eliminated)


@_square_factors.defjvp
def _(primals: Any, tangents: Any) -> Any:
    compact = _square_factors(*primals)
    lower, upper = _lower(compact), np.triu(compact)
    half = np.linalg.solve(lower, tangents[0])
    inner = _turned(np.linalg.solve(_turned(upper), _turned(half)))
    return compact, lower @ np.tril(inner, -1) + np.triu(inner) @ upper


def _pivots(a: Any) -> tuple[Any, Any]:
    """The rows that each step of the elimination exchanges, counted from 1, and their
    order after it; the first of the largest elements is the pivot.
    """
    *lead, rows, columns = a.shape
    work = np.array(a).reshape(-1, rows, columns)
    steps = min(rows, columns)
    pivots = np.zeros((len(work), steps), np.int32)
    order = np.tile(np.arange(rows), (len(work), 1))
    for number, matrix in enumerate(work):
        for j in range(steps):
            best = j + int(np.argmax(np.abs(matrix[j:, j])))
            pivots[number, j] = best + 1
            matrix[[j, best]] = matrix[[best, j]]
            order[number, [j, best]] = order[number, [best, j]]
            if matrix[j, j] != 0:
                matrix[j + 1 :, j] /= matrix[j, j]
            matrix[j + 1 :, j + 1 :] -= np.outer(matrix[j + 1 :, j], matrix[j, j + 1 :])
    return pivots.reshape(*lead, steps), order.reshape(*lead, rows)


def _factors(a: Any, order: Any) -> Any:
    """Both factors in one array of the shape of ``a``, for an order of its rows."""
    count = min(a.shape[-2:])
    moved = np.take_along_axis(a, order[..., None], -2)
    square = _square_factors(moved[..., :count, :count])
    if a.shape[-1] > count:
        more = np.linalg.solve(_lower(square), moved[..., :count, count:])
        return np.concatenate([square, more], -1)
    if a.shape[-2] > count:
        upper = _turned(np.triu(square))
        more = _turned(np.linalg.solve(upper, _turned(moved[..., count:, :])))
        return np.concatenate([square, more], -2)
    return square


def triangles_of(compact: Any) -> tuple[Any, Any]:
    """``L`` and ``U`` of compact factors ``(..., m, n)``.

    They are ``(..., m, k)``, with ones on its diagonal, and ``(..., k, n)``; ``k`` is
    the smaller of m and n.
    """
    rows, columns = compact.shape[-2:]
    count = min(rows, columns)
    ones = np.eye(rows, count, dtype=compact.dtype)
    lower = np.tril(compact[..., :, :count], -1) + ones
    return lower, np.triu(compact[..., :count, :])


def order_of(pivots: Any, rows: int) -> Any:
    """The order of rows that pivots ``(..., k)``, counted from 1, lead to.

    Row ``j`` of what was eliminated is row ``order[..., j]`` of the matrix.
    """
    flat = pivots.reshape(-1, pivots.shape[-1]) - 1
    order = np.tile(np.arange(rows), (len(flat), 1))
    for line, exchanges in zip(order, flat, strict=True):
        for j, best in enumerate(exchanges):
            line[[j, best]] = line[[best, j]]
    return order.reshape(*pivots.shape[:-1], rows)


def permutation_of(order: Any, dtype: Any) -> Any:
    """The matrices ``P`` of an order of rows, with ``P @ moved = a``."""
    return _turned(np.eye(order.shape[-1], dtype=dtype)[order])


def _matrix(name: str, A: Any) -> Tensor:
    x = require_tensor(name, A)
    if x._aval.ndim < 2:
        raise RuntimeError(
            f"{name}: Expected tensor with 2 or more dimensions. Got size: "
            f"{list(x.shape)} instead"
        )
    if x.dtype.category < 2:
        raise NotImplementedError(f"\"lu_cpu\" not implemented for '{x.dtype.kind}'")
    return x


def lu(A: Tensor, *, pivot: bool = True) -> Any:
    """``P``, ``L`` and ``U`` with ``A = P @ L @ U``: a permutation and two triangles.

    Args:
        A: matrices ``(..., m, n)``.
        pivot: always True.

    Returns:
        A named tuple of ``P`` ``(..., m, m)``, ``L`` ``(..., m, k)`` with ones on its
        diagonal, and ``U`` ``(..., k, n)``, ``k`` being the smaller of m and n.

    Raises:
        RuntimeError: ``pivot`` is False.

    >>> import fgrad.torch as torch
    >>> A = torch.tensor([[1.0, 2.0], [4.0, 2.0]])
    >>> P, L, U = torch.linalg.lu(A)
    >>> L, U
    (tensor([[1.0000, 0.0000],
            [0.2500, 1.0000]]), tensor([[4.0000, 2.0000],
            [0.0000, 1.5000]]))
    """
    x = _matrix("linalg.lu", A)
    if not pivot:
        raise RuntimeError(f"linalg.lu_factor: {NO_PIVOTS}")
    _, order = _pivots(examined(x._array))
    found = several("LinalgLuBackward0", lambda a: triangles_of(_factors(a, order)), x)
    return return_types.linalg_lu(make(permutation_of(order, x._aval.dtype)), *found)


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """As `lu_factor`, with a number for each matrix in place of errors.

    Returns:
        A named tuple of ``LU``, ``pivots`` and ``info``: 0, or the number of the first
        diagonal element of ``U`` that is zero.

    >>> torch.linalg.lu_factor_ex(torch.tensor([[1.0, 2.0], [2.0, 4.0]])).info
    tensor(2, dtype=torch.int32)
    """
    return _factored("linalg.lu_factor_ex", A, pivot, check_errors)


def _factored(name: str, A: Tensor, pivot: bool, check_errors: bool) -> Any:
    x = _matrix(name, A)
    if not pivot:
        raise RuntimeError(f"linalg.lu_factor: {NO_PIVOTS}")
    pivots, order = _pivots(examined(x._array))
    compact = one("LinalgLuFactorExBackward0", lambda a: _factors(a, order), x)
    values = examined(compact._array)
    diagonal = np.diagonal(values, axis1=-2, axis2=-1)
    info = np.where(
        np.any(diagonal == 0, -1), np.argmax(diagonal == 0, -1) + 1, 0
    ).astype(np.int32)
    if check_errors and np.any(info):
        batch = int(np.flatnonzero(info)[0])
        where = f"(Batch element {batch}): " if info.ndim else ""
        k = int(info.reshape(-1)[batch])
        raise RuntimeError(SINGULAR.format(f"torch.{name}", where, k, k))
    return return_types.linalg_lu_factor_ex(compact, make(pivots), make(info))


def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """``L`` and ``U`` in one matrix, and the rows that were exchanged, from 1 on.

    Args:
        A: matrices ``(..., m, n)``.
        pivot: always True.

    Returns:
        A named tuple of ``LU``, of the shape of ``A``, and ``pivots``, int32.

    Raises:
        RuntimeError: a matrix is singular.

    >>> torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 4.0]]))
    torch.return_types.linalg_lu_factor(
    LU=tensor([[4.0000, 4.0000],
            [0.2500, 1.0000]]),
    pivots=tensor([2, 2], dtype=torch.int32))
    """
    compact, pivots, _ = _factored("linalg.lu_factor", A, pivot, True)
    return return_types.linalg_lu_factor(compact, pivots)


def lu_solve(
    LU: Tensor,
    pivots: Tensor,
    B: Tensor,
    *,
    left: bool = True,
    adjoint: bool = False,
) -> Tensor:
    """The solution of ``A @ X = B`` for the factors of `lu_factor`.

    Args:
        LU: the factors of square matrices.
        pivots: the rows that were exchanged, int32.
        B: the right-hand sides.
        left: False for ``X @ A = B``.
        adjoint: solve with the conjugate transpose of ``A``.

    Raises:
        RuntimeError: the pivots do not fit.

    >>> LU, pivots = torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> torch.linalg.lu_solve(LU, pivots, torch.tensor([[5.0], [12.0]]))
    tensor([[1.],
            [2.]])
    """
    x, y = _matrix("linalg.lu_solve", LU), require_tensor("linalg.lu_solve", B, 3)
    if pivots._aval.dtype != np.int32:
        raise RuntimeError(
            "linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32"
        )
    if pivots._aval.shape[-1] != x._aval.shape[-1]:
        raise RuntimeError(
            "linalg.lu_solve: Number of pivots per batch should be same as the "
            "dimension of the matrix"
        )
    order = order_of(pivots._array, x._aval.shape[-1])
    back = np.argsort(order, -1)
    is_turned = adjoint == left  # the factors are passed in the other order then

    def compute(compact: Any, b: Any) -> Any:
        lower, upper = triangles_of(np.conj(compact) if adjoint else compact)
        right = b if left else _turned(b)
        if not is_turned:
            right = np.take_along_axis(right, order[..., None], -2)
            found = np.linalg.solve(upper, np.linalg.solve(lower, right))
            return found if left else _turned(found)
        half = np.linalg.solve(_turned(upper), right)
        found = np.linalg.solve(_turned(lower), half)
        found = np.take_along_axis(found, back[..., None], -2)
        return found if left else _turned(found)

    return one("LinalgLuSolveBackward0", compute, x, y)


publish(linalg, lu, lu_factor, lu_factor_ex, lu_solve)
