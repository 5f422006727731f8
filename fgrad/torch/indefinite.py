"""Factors of symmetric matrices that need not be definite: ``linalg.ldl_factor``.

J. Bunch and L. Kaufman, Some stable methods for calculating inertia and solving
symmetric linear systems, 1977: pivots of one row, or of two; algorithm and layout are
those of LAPACK's ``sytf2`` and ``hetf2`` for the lower triangle.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fgrad.torch import linalg, return_types
from fgrad.torch.known import examined
from fgrad.torch.norms import as_matrices
from fgrad.torch.recording import one
from fgrad.torch.registry import publish
from fgrad.torch.tensor import Array, Tensor, make, require_tensor

GROWTH = (1 + math.sqrt(17)) / 8  # of elements, the least that can be promised
FAILED = "torch.linalg.{}: Unknown error code: {}."
NO_DERIVATIVE = "NotImplemented:derivative for aten::{} is not implemented"


def _size(x: Any) -> Any:
    """The magnitude by which LAPACK compares: of complex numbers that of both parts."""
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


class _Factored:
    """The factors of one matrix, in place of its lower triangle.

    Attributes:
        a: the factors.
        pivots: for each row the one it was exchanged with, counted from 1; negative
            for both rows of a pivot of two.
        info: the number of the first pivot that is zero; 0 for none.
    """

    def __init__(self, matrix: Array, is_hermitian: bool) -> None:
        self.a = np.tril(matrix)
        self.pivots = np.zeros(len(matrix), np.int32)
        self.info = 0
        self._is_hermitian = is_hermitian
        k = 0
        while k < len(matrix):
            k += self._eliminate(k)

    def _turned(self, x: Any) -> Any:
        return np.conj(x) if self._is_hermitian else x

    def _eliminate(self, k: int) -> int:
        """Take out one row, or two; gives how many."""
        a, n = self.a, len(self.a)
        if self._is_hermitian:
            a[k, k] = a[k, k].real
        below = _size(a[k + 1 :, k])
        best = k + 1 + int(np.argmax(below)) if k + 1 < n else k
        largest = below[best - k - 1] if k + 1 < n else 0.0
        own = _size(a[k : k + 1, k].real if self._is_hermitian else a[k : k + 1, k])[0]
        if max(own, largest) == 0:
            self.info = self.info or k + 1
            self.pivots[k] = k + 1
            return 1
        count, row = self._pivot(k, best, own, largest)
        last = k + count - 1
        if row != last:
            self._exchange(k, last, row)
        if count == 1:
            self._take_one(k)
            self.pivots[k] = row + 1
        else:
            self._take_two(k)
            self.pivots[k : k + 2] = -(row + 1)
        return count

    def _pivot(self, k: int, best: int, own: Any, largest: Any) -> tuple[int, int]:
        """How many rows the pivot has, and which row becomes the last of them."""
        if own >= GROWTH * largest:
            return 1, k
        a = self.a
        around = np.concatenate([a[best, k:best], a[best + 1 :, best]])
        most = _size(around).max()
        if own >= GROWTH * largest * (largest / most):
            return 1, k
        diagonal = a[best : best + 1, best]
        if _size(diagonal.real if self._is_hermitian else diagonal)[0] >= GROWTH * most:
            return 1, best
        return 2, best

    def _exchange(self, k: int, last: int, row: int) -> None:
        """Exchange two rows and columns of what is left."""
        a = self.a
        a[row + 1 :, [last, row]] = a[row + 1 :, [row, last]]
        middle = a[last + 1 : row, last].copy()
        a[last + 1 : row, last] = self._turned(a[row, last + 1 : row])
        a[row, last + 1 : row] = self._turned(middle)
        a[row, last] = self._turned(a[row, last])
        a[[last, row], [last, row]] = a[[row, last], [row, last]]
        if last > k:
            a[[last, row], k] = a[[row, last], k]

    def _take_one(self, k: int) -> None:
        a = self.a
        column = a[k + 1 :, k].copy()
        pivot = a[k, k].real if self._is_hermitian else a[k, k]
        rest = np.outer(column, self._turned(column)) / pivot
        a[k + 1 :, k + 1 :] -= np.tril(rest)
        a[k + 1 :, k] = column / pivot

    def _take_two(self, k: int) -> None:
        a = self.a
        columns = a[k + 2 :, k : k + 2].copy()
        lower = a[k + 1, k]
        block = np.array([[a[k, k], self._turned(lower)], [lower, a[k + 1, k + 1]]])
        if not len(columns):
            return
        scaled = np.linalg.solve(block.T, columns.T).T
        a[k + 2 :, k + 2 :] -= np.tril(scaled @ self._turned(columns).T)
        a[k + 2 :, k : k + 2] = scaled
        if self._is_hermitian:
            np.fill_diagonal(a[k + 2 :, k + 2 :], a.diagonal()[k + 2 :].real)


def ldl_factor_ex(
    A: Tensor, *, hermitian: bool = False, check_errors: bool = False
) -> Any:
    """As `ldl_factor`, with a number for each matrix: that of a zero pivot, or 0.

    Raises:
        RuntimeError: a pivot is zero, and ``check_errors``.

    >>> torch.linalg.ldl_factor_ex(torch.tensor([[2.0, 1.0], [1.0, 3.0]])).info
    tensor(0, dtype=torch.int32)
    """
    return return_types.linalg_ldl_factor_ex(
        *_factored("ldl_factor_ex", A, hermitian, check_errors)
    )


def ldl_factor(A: Tensor, *, hermitian: bool = False) -> Any:
    """``L`` and ``D`` in one matrix, with ``A = L @ D @ L.T``, and exchanged rows.

    ``D`` has blocks of one row, or of two where ``A`` is not definite. There is no
    derivative.

    Args:
        A: matrices ``(..., n, n)``, of which the lower triangle is read.
        hermitian: whether complex matrices are Hermitian, or symmetric.

    Returns:
        A named tuple of ``LD``, of the shape of ``A``, and ``pivots``, int32: the rows
        from 1 on that were exchanged, negative for blocks of two.

    Raises:
        RuntimeError: a pivot is zero.

    >>> torch.linalg.ldl_factor(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
    torch.return_types.linalg_ldl_factor(
    LD=tensor([[2.0000, 0.0000],
            [0.5000, 2.5000]]),
    pivots=tensor([1, 2], dtype=torch.int32))
    """
    compact, pivots, _ = _factored("ldl_factor", A, hermitian, True)
    return return_types.linalg_ldl_factor(compact, pivots)


def _factored(
    name: str, A: Tensor, hermitian: bool, check_errors: bool
) -> tuple[Tensor, Tensor, Tensor]:
    x = as_matrices("torch.linalg.ldl_factor_ex", A, is_square=True)
    array = examined(x._array)
    is_turned = hermitian and array.dtype.kind == "c"
    lead, n = array.shape[:-2], array.shape[-1]
    found = [_Factored(each, is_turned) for each in array.reshape(-1, n, n)]
    info = np.array([each.info for each in found], np.int32).reshape(lead)
    if check_errors and np.any(info):
        raise RuntimeError(FAILED.format(name, int(info[info > 0][0])))
    compact = np.array([each.a for each in found], array.dtype).reshape(array.shape)
    pivots = np.array([each.pivots for each in found], np.int32).reshape(*lead, n)
    node = NO_DERIVATIVE.format("linalg_ldl_factor_ex")
    result = one(node, lambda u, v: v + 0 * u, x, constants=(compact,))
    return result, make(pivots), make(info)


def ldl_solve(
    LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False
) -> Tensor:
    """The solution of ``A @ X = B`` for the factors of `ldl_factor`.

    There is no derivative.

    Args:
        LD: the factors ``(..., n, n)``.
        pivots: the rows that were exchanged ``(..., n)``.
        B: the right-hand sides ``(..., n, k)``.
        hermitian: as it was for the factors.

    Raises:
        RuntimeError: shapes or dtypes do not fit.

    >>> factors = torch.linalg.ldl_factor(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
    >>> torch.linalg.ldl_solve(*factors, torch.tensor([[3.0], [4.0]]))
    tensor([[1.],
            [1.]])
    """
    x, y = require_tensor("linalg_ldl_solve", LD), require_tensor("ldl_solve", B, 3)
    _check_system(x, pivots, y)
    compact, given = examined(x._array), examined(y._array)
    is_turned = hermitian and compact.dtype.kind == "c"
    n, columns = given.shape[-2:]
    lead = np.broadcast_shapes(compact.shape[:-2], given.shape[:-2])
    parts = (
        np.broadcast_to(each, (*lead, *own)).reshape(-1, *own)
        for each, own in (
            (compact, (n, n)),
            (pivots._array, (n,)),
            (given, (n, columns)),
        )
    )
    systems: Any = zip(*parts, strict=True)
    solved = [_solved(a, order, b, is_turned) for a, order, b in systems]
    found = np.array(solved, given.dtype).reshape(*lead, n, columns)
    node = NO_DERIVATIVE.format("linalg_ldl_solve")

    def compute(u: Any, v: Any, w: Any) -> Any:
        return w + 0 * (v + np.sum(u, axis=(-2, -1), keepdims=True))

    return one(node, compute, x, y, constants=(found,))


def _check_system(x: Tensor, pivots: Tensor, y: Tensor) -> None:
    name = "torch.linalg.ldl_solve"
    as_matrices(name, x, is_square=True)
    if y._aval.ndim < 2:
        raise IndexError(
            "Dimension out of range (expected to be in range of "
            f"[{-y._aval.ndim}, {y._aval.ndim - 1}], but got -2)"
        )
    if y.dtype is not x.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type "
            f"{y.dtype.kind} and A of type {x.dtype.kind} instead."
        )
    n, (rows, columns) = x._aval.shape[-1], y._aval.shape[-2:]
    if rows != n:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {n} by {n} but "
            f"each b matrix is {rows} by {columns}"
        )
    if pivots._aval.shape != x._aval.shape[:-1]:
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got "
            f"pivots with shape {list(pivots.shape)} instead"
        )


def _solved(a: Array, pivots: Array, b: Array, is_hermitian: bool) -> Array:
    """The solution for one matrix: row by row down, and up again."""
    x, n = b.copy(), len(a)
    blocks: list[tuple[int, int]] = []
    k = 0
    while k < n:
        count = 1 if pivots[k] > 0 else 2
        last, row = k + count - 1, abs(int(pivots[k])) - 1
        x[[last, row]] = x[[row, last]]
        x[k + count :] -= a[k + count :, k : k + count] @ x[k : k + count]
        block = a[k : k + count, k : k + count].copy()
        if count == 2:
            block[0, 1] = np.conj(block[1, 0]) if is_hermitian else block[1, 0]
        x[k : k + count] = np.linalg.solve(block, x[k : k + count])
        blocks.append((k, count))
        k += count
    for k, count in reversed(blocks):
        below = a[k + count :, k : k + count].T
        below = np.conj(below) if is_hermitian else below
        x[k : k + count] -= below @ x[k + count :]
        last, row = k + count - 1, abs(int(pivots[k])) - 1
        x[[last, row]] = x[[row, last]]
    return x


publish(linalg, ldl_factor, ldl_factor_ex, ldl_solve)
