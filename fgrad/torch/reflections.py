"""Orthogonal factors as products of reflections, and decompositions of low rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch import linalg, return_types
from fgrad.torch.known import examined
from fgrad.torch.recording import one
from fgrad.torch.registry import function, operation
from fgrad.torch.tensor import Tensor, require_tensor

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


linalg.householder_product = householder_product  # type: ignore[attr-defined]
linalg.__all__.append("householder_product")
