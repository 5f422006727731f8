"""Orthogonal factors as products of reflections, and decompositions of low rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch import linalg, return_types
from fgrad.torch.known import examined
from fgrad.torch.norms import as_matrices
from fgrad.torch.recording import one
from fgrad.torch.registry import function, operation
from fgrad.torch.tensor import Tensor, make, require_tensor

_GEQRF = "GeqrfBackward0:the derivative for 'geqrf' is not implemented."


@operation("orgqr")
def householder_product(input: Tensor, tau: Tensor) -> Tensor:
    """The first columns of a product of reflections ``I - tau v v^H``.

    Args:
        input: ``(..., m, n)`` with m at least n; below the diagonal of column i are the
            elements of v after its i-th, which is 1.
        tau: ``(..., k)`` with k at most n.

    Raises:
        RuntimeError: the shapes do not fit.

    >>> a, tau = torch.geqrf(torch.tensor([[3.0], [4.0]]))
    >>> torch.linalg.householder_product(a, tau)
    tensor([[-0.6000],
            [-0.8000]])
    """
    x = require_tensor("linalg.householder_product", input)
    rows, columns = x._aval.shape[-2:]
    count = tau._aval.shape[-1]
    if rows < columns:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or "
            "equal to input.shape[-1]"
        )
    if columns < count:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or "
            "equal to tau.shape[-1]"
        )

    def compute(a: Any, t: Any) -> Any:
        begin = np.eye(rows, columns, dtype=a.dtype)
        return _reflected(a, t, np.broadcast_to(begin, a.shape), False)

    return one("LinalgHouseholderProductBackward0", compute, x, tau)


def _reflected(a: Any, tau: Any, x: Any, is_adjoint: bool) -> Any:
    """The product of the reflections, or its adjoint, with ``x``."""
    lower = np.tril(a, -1) + np.eye(*a.shape[-2:], dtype=a.dtype)
    count = tau.shape[-1]
    for k in range(count) if is_adjoint else reversed(range(count)):
        v = lower[..., :, k, None]
        factor = tau[..., k, None, None]
        factor = np.conj(factor) if is_adjoint else factor
        x = x - factor * v * (np.conj(np.swapaxes(v, -1, -2)) @ x)
    return x


@operation("geqrf")
def geqrf(input: Tensor) -> Any:
    """The reflections of a QR decomposition, and ``R`` above them; without gradients.

    Returns:
        A named tuple of ``a`` and ``tau``, which `householder_product` takes.

    >>> a, tau = torch.geqrf(torch.tensor([[3.0], [4.0]]))
    >>> a, tau
    (tensor([[-5.0000],
            [ 0.5000]]), tensor([1.6000]))
    """
    x = require_tensor("geqrf", input)
    values: Any = np.linalg.qr(examined(x._array), mode="raw")
    packed, tau = np.swapaxes(values[0], -1, -2), values[1]
    first = one(_GEQRF, lambda a: packed + a * 0, x)
    # a sum of zeros keeps the place in the graph, where backward says what is missing
    second = one(_GEQRF, lambda a: tau + np.sum(a * 0, axis=-1)[..., :1], x)
    return return_types.geqrf(first, second)


@operation("ormqr")
def ormqr(
    input: Tensor,
    tau: Tensor,
    other: Tensor,
    left: bool = True,
    transpose: bool = False,
) -> Tensor:
    """The product of all reflections with a matrix.

    Args:
        input: as of `householder_product`.
        tau: likewise.
        other: the matrix.
        left: False for ``other @ Q``.
        transpose: take the conjugate transpose of ``Q``.

    >>> a, tau = torch.geqrf(torch.tensor([[3.0], [4.0]]))
    >>> torch.ormqr(a, tau, torch.tensor([[-5.0], [0.0]]))
    tensor([[3.],
            [4.]])
    """
    x = require_tensor("ormqr", input)

    def compute(a: Any, t: Any, b: Any) -> Any:
        if left:
            return _reflected(a, t, b, transpose)
        turned = np.conj(np.swapaxes(b, -1, -2))
        found = _reflected(a, t, turned, not transpose)
        return np.conj(np.swapaxes(found, -1, -2))

    return one("OrmqrBackward0", compute, x, tau, other)


@function("svd_lowrank")
def svd_lowrank(A: Tensor, q: int | None = 6, niter: int = 2, M: Any = None) -> Any:
    """The first ``q`` singular vectors and values; they are exact here.

    Args:
        A: matrices.
        q: how many.
        niter: without effect: PyTorch's are estimated in so many steps.
        M: what is subtracted from ``A``.

    Returns:
        ``U``, the singular values, and ``V`` (not its transpose).

    >>> U, S, V = torch.svd_lowrank(torch.tensor([[3.0, 0.0], [0.0, 2.0]]), q=2)
    >>> S.round()
    tensor([3., 2.])
    """
    x: Any = A if M is None else A - M
    left, values, right = linalg.svd(x, full_matrices=False)
    count = 6 if q is None else q
    return left[..., :count], values[..., :count], right.mT[..., :count]


@function("pca_lowrank")
def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> Any:
    """The first principal components of rows: ``U``, singular values and ``V``.

    Args:
        A: ``(..., samples, features)``.
        q: how many; at most 6 by default.
        center: subtract the means of columns.
        niter: without effect: PyTorch's are estimated in so many steps.

    Raises:
        ValueError: there are not so many.

    >>> U, S, V = torch.pca_lowrank(torch.tensor([[3.0, 4.0], [-3.0, -4.0]]), q=1)
    >>> S, V.abs()
    (tensor([7.0711]), tensor([[0.6000],
            [0.8000]]))
    """
    x: Any = require_tensor("pca_lowrank", A)
    rows, columns = x._aval.shape[-2:]
    count = min(6, rows, columns) if q is None else q
    if not 0 <= count <= min(rows, columns):
        raise ValueError(
            f"q(={count}) must be non-negative integer and not greater than min(m, n)="
            f"{min(rows, columns)}"
        )
    return svd_lowrank(x - x.mean(-2, True) if center else x, count, niter)


def _with_info(
    name: str, compute: Any, check_errors: bool, shape: Any, failed: Any
) -> tuple[Any, Any]:
    """A result and a number for each matrix: 0, or what failed in it."""
    info = np.asarray(failed, np.int32)
    if check_errors or not np.any(info):
        return compute(), make(info)
    return make(np.full(shape, np.nan, name)), make(info)


def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """The inverse, and a number for each matrix: that of a zero pivot, or 0.

    Where a matrix is singular, all elements are NaN.

    >>> torch.linalg.inv_ex(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    torch.return_types.linalg_inv_ex(
    inverse=tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]]),
    info=tensor(0, dtype=torch.int32))
    """
    x = as_matrices("linalg.inv", A, is_square=True)
    if check_errors and np.any(_zero_pivots(x._array)):
        text = linalg.SINGULAR.replace("linalg.inv:", "linalg.inv_ex:")
        raise linalg.LinAlgError(text.format(int(_zero_pivots(x._array).max())))
    rest = (check_errors, x._aval.shape, _zero_pivots(x._array))
    found = _with_info(x._aval.dtype.name, lambda: linalg.inv(x), *rest)
    return return_types.linalg_inv_ex(*found)


def _zero_pivots(a: Any) -> Any:
    """The number of the first pivot that is zero in each matrix; 0 for none."""
    from_lu = linalg.lu_factor_ex(make(a))  # type: ignore[attr-defined]
    return from_lu.info._array


def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False
) -> Any:
    """The solution of ``A @ X = B``, and a number for each matrix as of `inv_ex`.

    >>> A = torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    >>> torch.linalg.solve_ex(A, torch.tensor([[2.0], [2.0]]))
    torch.return_types.linalg_solve_ex(
    result=tensor([[1.0000],
            [0.5000]]),
    info=tensor(0, dtype=torch.int32))
    """
    x = as_matrices("linalg.solve", A, is_square=True)
    if check_errors and np.any(_zero_pivots(x._array)):
        text = linalg.SINGULAR_SOLVE.replace("linalg.solve:", "linalg.solve_ex:")
        raise linalg.LinAlgError(text)
    rest = (check_errors, B._aval.shape, _zero_pivots(x._array))
    name = x._aval.dtype.name
    found = _with_info(name, lambda: linalg.solve(x, B, left=left), *rest)
    return return_types.linalg_solve_ex(*found)


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """The triangular factor, and a number for each matrix: the order of the first
    leading minor that is not positive, or 0. Where there is one, all elements are NaN.

    >>> torch.linalg.cholesky_ex(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    torch.return_types.linalg_cholesky_ex(
    L=tensor([[2., 0.],
            [1., 2.]]),
    info=tensor(0, dtype=torch.int32))
    """
    x = as_matrices("linalg.cholesky", A, is_square=True)
    flat = x._array.reshape(-1, *x._aval.shape[-2:])
    failed = np.array([linalg._bad_minor(each) for each in flat])
    info = failed.reshape(x._aval.shape[:-2])
    if check_errors and np.any(info):
        text = linalg.NOT_POSITIVE.replace("linalg.cholesky:", "linalg.cholesky_ex:")
        raise linalg.LinAlgError(text.format(int(failed.max())))
    rest = (check_errors, x._aval.shape, info)
    name = x._aval.dtype.name
    found = _with_info(name, lambda: linalg.cholesky(x, upper=upper), *rest)
    return return_types.linalg_cholesky_ex(*found)


for _function in (householder_product, inv_ex, solve_ex, cholesky_ex):
    setattr(linalg, _function.__name__, _function)
    linalg.__all__.append(_function.__name__)
