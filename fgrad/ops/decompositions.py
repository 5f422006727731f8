"""Decompositions of stacks of matrices, and least squares; see `fgrad.ops.linalg`."""

from typing import Any

import numpy as np

from fgrad.errors import DerivativeError
from fgrad.ir import Aval
from fgrad.ops.batching import spread, with_rank
from fgrad.ops.contract import matmul, matmul_batch
from fgrad.ops.elementwise import conjugate, imag
from fgrad.ops.index import index
from fgrad.ops.linalg import apart, inv, side_by_side
from fgrad.ops.logic import is_greater
from fgrad.ops.matrices import (
    adjoint,
    as_column,
    as_row,
    columns_of,
    diagonal_of,
    each_dtype,
    half_lower,
    hermitian,
    hermitian_of,
    inexact_dtype,
    inverse_or_zero,
    matrix_aval,
    random_matrix,
    real_part,
    require_square,
    square_aval,
)
from fgrad.ops.reduce import sum_
from fgrad.ops.structure import astype, concatenate
from fgrad.primitive import Primitive, Sample, Unmapped
from fgrad.trace import type_of

# --- decompositions


def _cholesky_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    # I. Murray, "Differentiation of the Cholesky decomposition" (2016), (8)
    inverse = inv(outs[0])
    moved = hermitian(tangents[0], "L")
    inner = matmul(matmul(inverse, moved), adjoint(inverse))
    return matmul(outs[0], half_lower(inner))


def _positive(*shape: int, dtype: str = "float64") -> Any:
    return hermitian_of(random_matrix(*shape, dtype=dtype))


cholesky = Primitive(
    "cholesky",
    np.linalg.cholesky,
    square_aval,
    jvp=_cholesky_jvp,
    jax=lambda xla, a: xla.np.linalg.cholesky(*xla.cast_all(a), symmetrize_input=False),
    expression="np.linalg.cholesky({0})",
    stacks=True,
    samples=lambda: each_dtype(_positive),
)


def _eigvalsh_aval(a: Aval, *, uplo: str) -> Aval:
    require_square(a)
    return matrix_aval(a, a.shape[-1]).real


def _eigh_jax(xla: Any, a: Any, uplo: str) -> Any:
    a = xla.cast(a, inexact_dtype(*xla.ins))
    return xla.np.linalg.eigh(a, uplo, symmetrize_input=False)


def _eigvalsh_jvp(tangents: Any, outs: Any, a: Any, *, uplo: str) -> Any:
    _, v = eigh(a, uplo=uplo)
    moved = matmul(hermitian(tangents[0], uplo), v)
    bra = conjugate(v) if type_of(v).is_complex else v
    return real_part(sum_(bra * moved, axis=(type_of(v).ndim - 2,)))


eigvalsh = Primitive(
    "eigvalsh",
    lambda a, *, uplo: np.linalg.eigvalsh(a, uplo),
    _eigvalsh_aval,
    jvp=_eigvalsh_jvp,
    jax=lambda xla, a, *, uplo: _eigh_jax(xla, a, uplo)[0],
    expression="np.linalg.eigvalsh({0}, {uplo!r})",
    stacks=True,
    samples=lambda: [
        *each_dtype(_positive, uplo="L"),
        *each_dtype(_positive, uplo="U")[-1:],
    ],
)


def _eigh_jvp(tangents: Any, outs: Any, a: Any, *, uplo: str) -> Any:
    w, v = outs
    moved = matmul(hermitian(tangents[0], uplo), v)
    inner = matmul(adjoint(v), moved)
    turn = inverse_or_zero(as_row(w) - as_column(w), w) * inner
    return real_part(diagonal_of(inner)), matmul(v, turn)


# No complex samples, here and in svd: LAPACK chooses the phases, unknown to the rule.
eigh = Primitive(
    "eigh",
    lambda a, *, uplo: np.linalg.eigh(a, uplo),
    lambda a, *, uplo: (_eigvalsh_aval(a, uplo=uplo), square_aval(a)),
    jvp=_eigh_jvp,
    jax=lambda xla, a, *, uplo: _eigh_jax(xla, a, uplo),
    multiple=True,
    expression="np.linalg.eigh({0}, {uplo!r})",
    stacks=True,
    samples=lambda: [
        *each_dtype(_positive, complex_too=False, uplo="L"),
        *each_dtype(_positive, complex_too=False, uplo="U")[:1],
    ],
)


def _svdvals_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    u, _, vh = svd(a, full_matrices=False)
    bra = conjugate(u) if type_of(u).is_complex else u
    moved = matmul(tangents[0], adjoint(vh))
    return real_part(sum_(bra * moved, axis=(type_of(u).ndim - 2,)))


def _rectangles(dtypes: tuple[str, ...]) -> list[Any]:
    shapes = [(3, 2), (2, 4), (3, 3), (2, 3, 2)]
    return [
        random_matrix(*shapes[k % 4], dtype=dtype) for k, dtype in enumerate(dtypes)
    ]


svdvals = Primitive(
    "svdvals",
    lambda a: np.linalg.svd(a, compute_uv=False),
    lambda a: matrix_aval(a, min(a.shape[-2:])).real,
    jvp=_svdvals_jvp,
    jax=lambda xla, a: xla.np.linalg.svd(
        xla.cast(a, inexact_dtype(*xla.ins)), compute_uv=False
    ),
    expression="np.linalg.svd({0}, compute_uv=False)",
    stacks=True,
    samples=lambda: [
        Sample((x,)) for x in _rectangles((*("float64",) * 4, "complex128", "float32"))
    ],
)


def _svd_aval(a: Aval, *, full_matrices: bool) -> Any:
    rows, columns = a.shape[-2:]
    k = min(rows, columns)
    u = matrix_aval(a, rows, rows if full_matrices else k)
    vh = matrix_aval(a, columns if full_matrices else k, columns)
    return u, matrix_aval(a, k).real, vh


def _svd_jvp(tangents: Any, outs: Any, a: Any, *, full_matrices: bool) -> Any:
    # J. Townsend, "Differentiating the singular value decomposition" (2016); with
    # p = uh da v the rotations are uh du = f (p s + s ph) and vh dv = f (s p + ph s)
    rows, columns = type_of(a).shape[-2:]
    if full_matrices and rows != columns:
        raise DerivativeError(
            f"np.linalg.svd of a {rows} x {columns} matrix with full_matrices=True has "
            "no derivative, since the vectors that complete the basis are not "
            "determined; pass full_matrices=False, or use np.linalg.svdvals"
        )
    (t,), (u, s, vh) = tangents, outs
    uh, v = adjoint(u), adjoint(vh)
    moved = matmul(t, v)
    inner = matmul(uh, moved)
    to, of = as_row(s), as_column(s)
    factor = inverse_or_zero(to - of, s) * inverse_or_zero(to + of, s)
    turn_u, turn_v = inner * to, of * inner
    turn_u = factor * (turn_u + adjoint(turn_u))
    turn_v = factor * (turn_v + adjoint(turn_v))
    inverse = inverse_or_zero(to, s)
    du, dv = matmul(u, turn_u), matmul(v, turn_v)
    if type_of(a).is_complex:  # the phases, of which all may be given to u
        du = du + u * (inverse * as_row(1j * imag(diagonal_of(inner))))
    if rows > columns:
        du = du + (moved - matmul(u, inner)) * inverse
    if columns > rows:
        dv = dv + (matmul(adjoint(t), u) - matmul(v, adjoint(inner))) * inverse
    return du, real_part(diagonal_of(inner)), adjoint(dv)


svd = Primitive(
    "svd",
    lambda a, *, full_matrices: np.linalg.svd(a, full_matrices),
    _svd_aval,
    jvp=_svd_jvp,
    jax=lambda xla, a, *, full_matrices: xla.np.linalg.svd(
        *xla.cast_all(a), full_matrices
    ),
    multiple=True,
    expression="np.linalg.svd({0}, {full_matrices})",
    stacks=True,
    samples=lambda: [
        *(
            Sample((x,), {"full_matrices": False})
            for x in _rectangles(("float64",) * 4)
        ),
        Sample((random_matrix(3, 3),), {"full_matrices": True}),
        Sample((random_matrix(3, 2, dtype="float32"),), {"full_matrices": False}),
    ],
)


def _qr_aval(a: Aval) -> Any:
    rows, columns = a.shape[-2:]
    k = min(rows, columns)
    return matrix_aval(a, rows, k), matrix_aval(a, k, columns)


def _qr_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    # S. Walter, L. Lehmann, "Algorithmic differentiation of linear algebra functions"
    # (2010), with a real diagonal of r; the first columns alone determine q
    (t,), (q, r) = tangents, outs
    rows, columns = type_of(a).shape[-2:]
    is_wide = columns > rows
    first, square = (columns_of(x, None, rows) if is_wide else x for x in (t, r))
    scaled = matmul(first, inv(square))
    inner = matmul(adjoint(q), scaled)
    lower = half_lower(inner)
    turn = lower - adjoint(lower)
    dq = matmul(q, turn - inner) + scaled
    dr = matmul(inner - turn, square)
    if is_wide:
        rest, rest_moved = (columns_of(x, rows, None) for x in (a, t))
        dr_rest = matmul(adjoint(dq), rest) + matmul(adjoint(q), rest_moved)
        dr = concatenate(dr, dr_rest, axis=type_of(dr).ndim - 1)
    return dq, dr


qr = Primitive(
    "qr",
    lambda a: np.linalg.qr(a),
    _qr_aval,
    jvp=_qr_jvp,
    jax=lambda xla, a: xla.np.linalg.qr(*xla.cast_all(a)),
    multiple=True,
    expression="np.linalg.qr({0})",
    stacks=True,
    samples=lambda: [
        Sample((x,))
        for x in _rectangles((*("float64",) * 4, "complex128", "complex128", "float32"))
    ],
)

# --- least squares


def _pinv_aval(a: Aval, rcond: Aval) -> Aval:
    return matrix_aval(a, a.shape[-1], a.shape[-2])


def _pinv_jvp(tangents: Any, outs: Any, a: Any, rcond: Any) -> Any:
    # at constant rank: G. Golub, V. Pereyra, SIAM J. Numer. Anal. 10 (1973) 413, (4.12)
    t, p = tangents[0], outs[0]
    if t is None:
        return None
    th, ph = adjoint(t), adjoint(p)
    left = matmul(matmul(p, ph), th)
    right = matmul(th, matmul(ph, p))
    left = left - matmul(matmul(left, a), p)
    right = right - matmul(p, matmul(a, right))
    return left + right - matmul(matmul(p, t), p)


def _pinv_batch(size: int, mapped: Any, a: Any, rcond: Any) -> Any:
    a = spread(size, a, mapped[0])
    return pinv(a, with_rank(rcond, type_of(a).ndim - 3) if mapped[1] else rcond)


pinv = Primitive(
    "pinv",
    lambda a, rcond: np.linalg.pinv(a, rcond),
    _pinv_aval,
    jvp=_pinv_jvp,
    batch=_pinv_batch,
    jax=lambda xla, a, rcond: xla.np.linalg.pinv(*xla.cast_all(a), rcond),
    expression="np.linalg.pinv({0}, {1})",
    samples=lambda: [
        Sample((random_matrix(4, 2), 1e-15)),
        Sample((random_matrix(2, 2, 3), 1e-15)),
        Sample((random_matrix(3, 2, dtype="complex128"), 1e-15)),
        Sample((random_matrix(3, 2, dtype="float32"), 1e-7)),
    ],
)


def _lstsq_numpy(a: Any, b: Any, *, rcond: float) -> Any:
    x, _, rank, s = np.linalg.lstsq(a, b, rcond)
    return x, rank, s


def _lstsq_jax(xla: Any, a: Any, b: Any, *, rcond: float) -> Any:
    x, _, rank, s = xla.np.linalg.lstsq(*xla.cast_all(a, b), rcond)
    return x, rank, s


def _lstsq_aval(a: Aval, b: Aval, *, rcond: float) -> Any:
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[0]:
        raise ValueError("lstsq takes two matrices with equally many rows")
    x = Aval((a.shape[1], b.shape[1]), inexact_dtype(a, b))
    return x, Aval((), np.int32), Aval((min(a.shape),), x.real.dtype)


def _lstsq_jvp(tangents: Any, outs: Any, a: Any, b: Any, *, rcond: float) -> Any:
    # x = a+ b with the derivative of a+ at constant rank, see `_pinv_jvp`
    (ta, tb), x = tangents, outs[0]
    p = pinv(a, rcond)
    if ta is None:
        return matmul(p, tb), None, None
    moved = matmul(ta, x)
    dx = matmul(p, -moved if tb is None else tb - moved)
    ph, tah = adjoint(p), adjoint(ta)
    dx = dx + matmul(p, matmul(ph, matmul(tah, b - matmul(a, x))))
    kernel = matmul(tah, matmul(ph, x))
    dx = dx + kernel - matmul(p, matmul(a, kernel))
    u, _, vh = svd(a, full_matrices=False)
    ds = real_part(diagonal_of(matmul(adjoint(u), matmul(ta, adjoint(vh)))))
    return dx, None, ds


def _lstsq_batch(size: int, mapped: Any, a: Any, b: Any, *, rcond: float) -> Any:
    if not mapped[0]:
        x, rank, s = lstsq(a, side_by_side(b), rcond=rcond)
        return apart(x, size, type_of(b).shape[2]), Unmapped(rank), Unmapped(s)
    s = svdvals(a)
    cut = rcond * index(s, at=((None, None, None), (None, 1, None)))
    rank = astype(sum_(is_greater(s, cut), axis=(1,)), dtype="int32")
    return matmul_batch(size, mapped, pinv(a, rcond), b), rank, s


lstsq = Primitive(
    "lstsq",
    _lstsq_numpy,
    _lstsq_aval,
    jvp=_lstsq_jvp,
    batch=_lstsq_batch,
    jax=_lstsq_jax,
    multiple=True,
    samples=lambda: [
        Sample((random_matrix(4, 2), random_matrix(4, 3)), {"rcond": 1e-15}),
        Sample((random_matrix(2, 3), random_matrix(2, 1)), {"rcond": 1e-15}),
        Sample(
            (random_matrix(4, 2, dtype="complex128"), random_matrix(4, 1)),
            {"rcond": 1e-15},
        ),
        Sample(
            (
                random_matrix(3, 2, dtype="float32"),
                random_matrix(3, 1, dtype="float32"),
            ),
            {"rcond": 1e-15},
        ),
    ],
)
