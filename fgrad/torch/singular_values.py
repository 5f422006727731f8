"""``torch.linalg``: what follows from the singular values of matrices.

Singular values that are not above a tolerance count as zero: ranks, pseudo-inverses
and least squares have that in common.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad
from fgrad.torch import return_types
from fgrad.torch.hermitian import adjoint
from fgrad.torch.norms import as_matrices
from fgrad.torch.recording import one, several
from fgrad.torch.registry import operation
from fgrad.torch.tensor import Tensor, make, require_tensor

DRIVER = (
    "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, "
    "gelss)"
)
NO_MATRIX = (
    "linalg.pinv({}): expected a tensor with 2 or more dimensions of float, double, "
    "cfloat or cdouble types"
)


@fgrad.custom_jvp
def _completed(a: Any) -> Any:
    """The decomposition with square ``U`` and ``Vh``."""
    return tuple(np.linalg.svd(a, full_matrices=True))


@_completed.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # The vectors that complete the bases are not determined: as in PyTorch, they take
    # no part. LAPACK's others are those of the reduced decomposition.
    _, (du, ds, dvh) = fgrad.jvp(_reduced, primals, tangents)
    u, s, vh = found = _completed(*primals)
    more = np.zeros((*u.shape[:-1], u.shape[-1] - s.shape[-1]), u.dtype)
    du = np.concatenate([du, more], -1)
    more = np.zeros((*vh.shape[:-2], vh.shape[-2] - s.shape[-1], vh.shape[-1]))
    dvh = np.concatenate([dvh, more.astype(vh.dtype)], -2)
    return found, (du, ds, dvh)


def _reduced(a: Any) -> Any:
    return tuple(np.linalg.svd(a, full_matrices=False))


def svd(A: Tensor, full_matrices: bool = True) -> Any:
    """``U``, the singular values, and ``Vh`` with ``A = U @ diag(S) @ Vh``.

    Of ``(..., m, n)``: ``(..., m, m)``, ``(..., k)`` with ``k = min(m, n)``, and
    ``(..., n, n)``; without ``full_matrices`` ``(..., m, k)`` and ``(..., k, n)``. The
    vectors that complete the bases have no gradients.

    >>> torch.linalg.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    x = as_matrices("linalg.svd", A)
    rows, columns = x._aval.shape[-2:]
    compute = _completed if full_matrices and rows != columns else _reduced
    return return_types.linalg_svd(*several("LinalgSvdBackward0", compute, x))


def svdvals(A: Tensor) -> Tensor:
    """The singular values of matrices, descending: ``(..., m, n)`` gives ``(..., k)``.

    >>> torch.linalg.svdvals(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    x = as_matrices("linalg.svdvals", A)
    return one("LinalgSvdBackward0", lambda a: np.linalg.svd(a, compute_uv=False), x)


@operation("svd")
def legacy_svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """``U``, the singular values, and ``V`` (not its transpose).

    See `torch.linalg.svd`.

    With ``some`` only as many columns as there are singular values; without
    ``compute_uv`` square matrices of zeros in place of ``U`` and ``V``.

    >>> torch.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    if compute_uv:
        left, values, right = svd(input, full_matrices=not some)
        return return_types.svd(left, values, adjoint_of(right))
    values, aval = svdvals(input), input._aval
    zeros = [
        make(np.zeros((*aval.shape[:-2], n, n), aval.dtype)) for n in aval.shape[-2:]
    ]
    return return_types.svd(zeros[0], values, zeros[1])


def adjoint_of(x: Tensor) -> Tensor:
    """The conjugate transposes, as views where nothing is to be conjugated."""
    turned: Tensor = x.transpose(-2, -1)
    return turned.conj() if x._aval.is_complex else turned


@fgrad.custom_jvp
def _from_below(a: Any) -> Any:
    """Hermitian matrices of which the lower triangle is read."""
    return np.tril(a) + adjoint(np.tril(a, -1))


@_from_below.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # PyTorch's gradient of pinv is that of any matrix, also with hermitian=True
    return _from_below(*primals), tangents[0]


def _tolerances(x: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """The absolute and the relative tolerance, as arrays with an axis for values."""
    if rtol is None:
        kind = np.finfo(x._aval.dtype)
        rtol = float(kind.eps) * max(x._aval.shape[-2:]) if _is_zero(atol) else 0.0
    pair = [0.0 if each is None else each for each in (atol, rtol)]
    first, second = (
        np.asarray(each._array if isinstance(each, Tensor) else each, np.float64)
        for each in pair
    )
    return first[..., None], second[..., None]


def _is_zero(atol: Any) -> bool:
    """Whether the relative tolerance has its default."""
    if isinstance(atol, Tensor):
        return not np.any(atol._array > 0)
    return atol is None or not atol > 0


def _sizes(a: Any, hermitian: bool) -> Any:
    """The singular values of matrices; of Hermitian ones by their eigenvalues."""
    return np.linalg.svd(a, compute_uv=False, hermitian=hermitian)


def pinv(
    A: Tensor,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Tensor:
    """The pseudo-inverse of matrices: ``(..., m, n)`` gives ``(..., n, m)``.

    Args:
        A: the matrices.
        rcond: an older name of ``rtol``.
        hermitian: the matrices are Hermitian; only their lower triangles are read.
        atol: singular values up to this count as zero.
        rtol: so do those up to this part of the largest; by default the precision of
            the dtype times ``max(m, n)``, or 0 where ``atol`` is given. Both may be
            tensors, with a number for each matrix.

    >>> torch.linalg.pinv(torch.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    x = require_tensor("linalg.pinv", A)
    if x._aval.ndim < 2 or x.dtype.category < 2:
        raise RuntimeError(NO_MATRIX.format(f"{x.dtype.kind}{{{list(x.shape)}}}"))
    if hermitian:
        as_matrices("linalg.eigh", x, is_square=True)
    if not x._aval.size:
        return one("LinalgPinvBackward0", lambda a: np.swapaxes(a, -1, -2), x)
    tolerances = _tolerances(x, atol, rcond if rtol is None else rtol)
    least, part = (each[..., 0] for each in tolerances)
    is_absolute = bool(np.any(least))

    def compute(a: Any) -> Any:
        whole = _from_below(a) if hermitian else a
        if not is_absolute:
            return np.linalg.pinv(whole, part)
        largest = np.max(fgrad.stop_gradient(_sizes(whole, hermitian)), -1)
        safe = np.where(largest == 0, 1, largest)
        return np.linalg.pinv(whole, np.maximum(least / safe, part))

    return one("LinalgPinvBackward0", compute, x)


@operation("pinverse")
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """As `torch.linalg.pinv`.

    >>> torch.pinverse(torch.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    return pinv(input, rcond)


def matrix_rank(
    A: Tensor,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Tensor:
    """The rank of matrices: ``(..., m, n)`` gives integers ``(...)``.

    ``tol`` is an older name of ``atol`` with ``rtol=0``; for the other arguments see
    `torch.linalg.pinv`.

    >>> torch.linalg.matrix_rank(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor(1)
    """
    x = require_tensor("linalg.matrix_rank", A)
    if x.dtype.category < 2:
        raise RuntimeError(
            "This function doesn't handle types other than float and double"
        )
    if x._aval.ndim < 2:
        raise RuntimeError(
            "torch.linalg.matrix_rank: The input tensor input must have at least 2 "
            "dimensions."
        )
    if tol is not None:
        atol, rtol = tol, 0.0
    least, part = _tolerances(x, atol, rtol)
    sizes = _sizes(x._array, hermitian)
    largest = np.max(sizes, -1, keepdims=True, initial=0)
    return make(np.asarray(np.sum(sizes > np.maximum(least, part * largest), -1)))


def lstsq(A: Tensor, B: Tensor, rcond: Any = None, *, driver: str | None = None) -> Any:
    """The solution of ``A @ X = B`` with the least squares; with residuals and rank.

    Args:
        A: matrices ``(..., m, n)``.
        B: right-hand sides ``(..., m, k)``, or ``(..., m)``.
        rcond: singular values up to this part of the largest count as zero.
        driver: ``"gels"`` for matrices of full rank, ``"gelsy"`` (the default),
            ``"gelsd"`` or ``"gelss"``. It says which of the results are computed; here
            all solve by singular values.

    Returns:
        A named tuple ``(solution, residuals, rank, singular_values)``; what the driver
        does not compute is empty.

    >>> A, B = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [3.0]])
    >>> torch.linalg.lstsq(A, B).solution
    tensor([[2.0000]])
    """
    x, y = as_matrices("linalg.lstsq", A), require_tensor("linalg.lstsq", B, 2)
    name = "gelsy" if driver is None else driver
    if name not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(DRIVER)
    _check_equations(x, y)
    (rows, columns), kind = x._aval.shape[-2:], x._aval.dtype
    is_vector = y._aval.ndim == 1 or y._aval.shape == x._aval.shape[:-1]
    cut = float(np.finfo(kind).eps) * max(rows, columns) if rcond is None else rcond

    def compute(a: Any, b: Any) -> Any:
        inverse = np.linalg.pinv(a, cut)
        return (inverse @ b[..., None])[..., 0] if is_vector else inverse @ b

    solution = one("LinalgLstsqBackward0", compute, x, y)
    sizes = _sizes(x._array, False)
    ranks = np.asarray(np.sum(sizes > cut * np.max(sizes, -1, keepdims=True), -1))
    residuals = values = make(np.zeros(0, sizes.dtype))
    is_full = name == "gels" or bool(np.all(ranks == columns))
    if rows > columns and name != "gelsy" and is_full:
        residuals = _residuals(x, y, solution, is_vector)
    if name in ("gelsd", "gelss"):
        values = make(sizes)
    rank = make(np.zeros(0, np.int64) if name == "gels" else ranks)
    return return_types.linalg_lstsq(solution, residuals, rank, values)


def _check_equations(x: Tensor, y: Tensor) -> None:
    """Refuse right-hand sides that do not fit.

    Raises:
        RuntimeError: they have another number of axes or rows, or another dtype.
    """
    if not 0 <= x._aval.ndim - y._aval.ndim <= 1:
        raise RuntimeError(
            "torch.linalg.lstsq: input.dim() must be greater or equal to other.dim() "
            "and (input.dim() - other.dim()) <= 1"
        )
    is_vector = y._aval.ndim == 1 or y._aval.shape == x._aval.shape[:-1]
    axis = -1 if is_vector else -2
    if x._aval.shape[-2] != y._aval.shape[axis]:
        raise RuntimeError(
            f"torch.linalg.lstsq: input.size(-2) should match other.size({axis})"
        )
    if x.dtype is not y.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but "
            f"got input's dtype {x.dtype.kind} and other's dtype {y.dtype.kind}"
        )


def _residuals(x: Tensor, y: Tensor, solution: Tensor, is_vector: bool) -> Tensor:
    """The sums of squares of what a solution leaves."""

    def compute(a: Any, b: Any, found: Any) -> Any:
        if is_vector:
            b, found = b[..., None], found[..., None]
        left = np.abs(b - a @ found)
        return np.sum(left * left, -2)

    return one("LinalgLstsqBackward0", compute, x, y, solution)
