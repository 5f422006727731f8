"""Linear algebra on stacks of matrices: solve, inv, det, decompositions, least squares.

The tangent rules follow M. Giles, "An extended collection of matrix derivative results
for forward and reverse mode algorithmic differentiation" (2008), or the source that a
comment gives. Matrices are in the last two axes.

Where eigenvalues or singular values coincide, to rounding, their vectors are not
determined and have no derivative. There the rules take zero in place of the reciprocal
of the difference. First derivatives are right of functions of the values alone, and of
the space that all vectors of equal values span, such as the projector on it; they are
not of ``v f(w) v^H`` where elements of w coincide, nor are second derivatives. Likewise
the phases of complex vectors are free: what depends on them has no derivative.

`cholesky`, `eigh` and `eigvalsh` read one triangle of their operand only, as in NumPy,
and have their gradient in this triangle (JAX takes the mean of both). The gradient
through a matrix that is Hermitian by construction is the same in both conventions.
"""

from typing import Any

import numpy as np

from fgrad.errors import DerivativeError
from fgrad.ir import Aval
from fgrad.ops.contract import matmul, swap_last
from fgrad.ops.einsum import diagonal
from fgrad.ops.elementwise import absolute, conjugate, imag, real, where
from fgrad.ops.index import index
from fgrad.ops.logic import is_less_equal
from fgrad.ops.reduce import sum_
from fgrad.ops.structure import concatenate, reshape
from fgrad.primitive import Primitive, Sample, linear
from fgrad.trace import type_of

WELL_CONDITIONED = 1e6  # condition number up to which an adjugate is det(a) inv(a)

# --- types, samples and small functions of matrices


def _dtype(*operands: Aval) -> Any:
    """NumPy's: integers become float64; float32 stays."""
    exact = np.dtype(np.float64)
    return np.result_type(*(x.numpy_dtype if x.is_inexact else exact for x in operands))


def _matrix(x: Aval, *trailing: int) -> Aval:
    """The type of a result with these last axes for each matrix of ``x``."""
    return Aval((*x.shape[:-2], *trailing), _dtype(x))


def _require_square(*operands: Aval) -> None:
    for x in operands:
        if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
            raise np.linalg.LinAlgError(f"a square matrix is needed, got {x.shape}")


def _square_aval(x: Aval, **params: Any) -> Aval:
    _require_square(x)
    return Aval(x.shape, _dtype(x))


def _random(*shape: int, dtype: str = "float64") -> Any:
    rng = np.random.default_rng(sum(shape))
    values = rng.uniform(-1, 1, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.uniform(-1, 1, shape)
    return values.astype(dtype)


def _regular(*shape: int, dtype: str = "float64") -> Any:
    return _random(*shape, dtype=dtype) + 2 * np.eye(shape[-1], dtype=dtype)


def _hermitian_of(x: Any) -> Any:
    """Hermitian, positive definite, with distinct eigenvalues."""
    apart = np.diag(np.arange(1, x.shape[-1] + 1)).astype(x.dtype)
    return x @ np.conj(np.swapaxes(x, -1, -2)) + apart


def _each_dtype(make: Any, complex_too: bool = True, **params: Any) -> list[Sample]:
    """A matrix, a stack, one float32 and, unless phases are free, one complex."""
    made = [make(3, 3), make(2, 3, 3), make(2, 2, dtype="float32")]
    if complex_too:
        made.append(make(3, 3, dtype="complex128"))
    return [Sample((x,), params) for x in made]


def adjoint(x: Any) -> Any:
    """The conjugate transpose."""
    swapped = swap_last(x)
    return conjugate(swapped) if type_of(x).is_complex else swapped


def _real(x: Any) -> Any:
    return real(x) if type_of(x).is_complex else x


def _row(x: Any) -> Any:
    shape = type_of(x).shape
    return reshape(x, shape=(*shape[:-1], 1, shape[-1]))


def _column(x: Any) -> Any:
    return reshape(x, shape=(*type_of(x).shape, 1))


def _diagonal(x: Any) -> Any:
    letters = "abcdefghijklmnopqrstuvwxyz"[: type_of(x).ndim - 1]
    return diagonal(x, subscripts=f"{letters}{letters[-1]}->{letters}")


def _trace_of_product(x: Any, y: Any) -> Any:
    ndim = type_of(x).ndim
    return sum_(swap_last(x) * y, axis=(ndim - 2, ndim - 1))


def _columns(x: Any, start: int | None, stop: int | None) -> Any:
    whole = ((None, None, None),) * (type_of(x).ndim - 1)
    return index(x, at=(*whole, (start, stop, None)))


def _inverse_or_zero(x: Any, values: Any) -> Any:
    """1 / x, and 0 where x is zero to rounding, compared with ``values``."""
    aval = type_of(values)
    size = sum_(absolute(values), axis=(aval.ndim - 1,))
    epsilon = float(np.finfo(aval.dtype).eps)
    is_zero = is_less_equal(absolute(x), _column(_column(size)) * epsilon)
    return where(is_zero, 0.0, 1.0 / where(is_zero, 1.0, x))


def _tril_transpose(ct: Any, x: Any, *, k: int) -> Any:
    return (tril(ct, k=k),)


tril = linear(
    "tril",
    lambda x, *, k: np.tril(x, k),
    lambda x, *, k: Aval(x.shape, x.dtype),
    _tril_transpose,
    expression="np.tril({0}, {k})",
    samples=lambda: [
        Sample((_random(3, 3),), {"k": 0}),
        Sample((_random(2, 3, 4, dtype="float32"),), {"k": -1}),
    ],
)


def _half_lower(x: Any) -> Any:
    """The lower triangle, the diagonal halved: Hermitian x is this plus its adjoint."""
    return 0.5 * (tril(x, k=0) + tril(x, k=-1))


def hermitian(x: Any, uplo: str) -> Any:
    """The Hermitian matrix of which LAPACK reads one triangle."""
    half = _half_lower(x if uplo == "L" else adjoint(x))
    return half + adjoint(half)


# --- systems of equations


def _solve_aval(a: Aval, b: Aval) -> Aval:
    _require_square(a)
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        raise ValueError("the last but one axis of b must be as long as those of a")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return Aval((*batch, *b.shape[-2:]), _dtype(a, b))


def _solve_jvp(tangents: Any, outs: Any, a: Any, b: Any) -> Any:
    # a dx = db - da x
    ta, tb = tangents
    if ta is None:
        return left_divide(a, tb)
    moved = matmul(ta, outs[0])
    return left_divide(a, -moved if tb is None else tb - moved)


def _left_divide_jvp(tangents: Any, outs: Any, a: Any, b: Any) -> Any:
    return _solve_jvp(tangents, (left_divide(a, b),), a, b)


def _left_divide_transpose(ct: Any, a: Any, b: Any) -> Any:
    ct_b = left_divide(swap_last(a), ct)
    return -matmul(ct_b, swap_last(left_divide(a, b))), ct_b


def _solve_samples() -> list[Sample]:
    pairs = [
        (_regular(3, 3), _random(3, 2)),
        (_regular(2, 3, 3), _random(3, 1)),
        (_regular(3, 3), _random(2, 3, 2)),
        (_regular(3, 3, dtype="complex128"), _random(3, 2)),
        (_regular(2, 2, dtype="float32"), _random(2, 3, dtype="float32")),
    ]
    return [Sample(pair) for pair in pairs]


def _solve_record(name: str, jvp: Any, transpose: Any = None) -> Primitive:
    return Primitive(
        name,
        np.linalg.solve,
        _solve_aval,
        jvp=jvp,
        transpose=transpose,
        expression="np.linalg.solve({0}, {1})",
        samples=_solve_samples,
    )


# The same function twice. What applies a^-1 to a tangent needs a transpose of its own:
# its tangent rule contains it again, so transposing that rule would not end. Both its
# rules read its operands only, since a tape saves what the transpose reads. The rule of
# `solve`, and what is derived from it, reuse x.
left_divide = _solve_record("left_divide", _left_divide_jvp, _left_divide_transpose)
solve = _solve_record("solve", _solve_jvp)

inv = Primitive(
    "inv",
    np.linalg.inv,
    _square_aval,
    jvp=lambda tangents, outs, a: -matmul(outs[0], matmul(tangents[0], outs[0])),
    expression="np.linalg.inv({0})",
    samples=lambda: _each_dtype(_regular),
)

# --- determinants


def _adjugate_numpy(a: Any) -> Any:
    """det(a) inv(a), also of singular matrices."""
    try:
        inverse = np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return _adjugate_by_svd(a)
    sizes = np.linalg.norm(a, 1, (-2, -1)) * np.linalg.norm(inverse, 1, (-2, -1))
    if not np.all(sizes < WELL_CONDITIONED):
        return _adjugate_by_svd(a)
    return np.linalg.det(a)[..., None, None] * inverse


def _adjugate_by_svd(a: Any) -> Any:
    """The product of the adjugates of vh, s and u, where a = u s vh."""
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s], -1), -1)[..., :-1]
    after = np.cumprod(np.concatenate([ones, s[..., ::-1]], -1), -1)[..., -2::-1]
    phase = np.linalg.det(u @ vh)[..., None, None]
    v, uh = (np.conj(np.swapaxes(x, -1, -2)) for x in (vh, u))
    return phase * (v * (before * after)[..., None, :] @ uh)


def _adjugate_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    # of det(a) inv(a); at a singular matrix inv raises LinAlgError
    (t,), inverse = tangents, inv(a)
    trace = _column(_column(_trace_of_product(outs[0], t)))
    return trace * inverse - matmul(matmul(outs[0], t), inverse)


# Jacobi's formula: d det(a) = tr(adj(a) da), also where a is singular.
adjugate = Primitive(
    "adjugate",
    _adjugate_numpy,
    _square_aval,
    jvp=_adjugate_jvp,
    samples=lambda: _each_dtype(_regular),
)


def _det_aval(a: Aval) -> Aval:
    _require_square(a)
    return _matrix(a)


det = Primitive(
    "det",
    np.linalg.det,
    _det_aval,
    jvp=lambda tangents, outs, a: _trace_of_product(adjugate(a), tangents[0]),
    expression="np.linalg.det({0})",
    samples=lambda: _each_dtype(_regular),
)


def _slogdet_aval(a: Aval) -> Any:
    sign = _det_aval(a)
    return sign, sign.real


def _slogdet_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    # d log det = tr(a^-1 da); its imaginary part turns the sign
    trace = _trace_of_product(inv(a), tangents[0])
    if not type_of(a).is_complex:
        return None, trace
    return outs[0] * (1j * imag(trace)), real(trace)


slogdet = Primitive(
    "slogdet",
    np.linalg.slogdet,
    _slogdet_aval,
    jvp=_slogdet_jvp,
    multiple=True,
    expression="np.linalg.slogdet({0})",
    samples=lambda: _each_dtype(_regular),
)

# --- decompositions


def _cholesky_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    # I. Murray, "Differentiation of the Cholesky decomposition" (2016), (8)
    inverse = inv(outs[0])
    moved = hermitian(tangents[0], "L")
    inner = matmul(matmul(inverse, moved), adjoint(inverse))
    return matmul(outs[0], _half_lower(inner))


def _positive(*shape: int, dtype: str = "float64") -> Any:
    return _hermitian_of(_random(*shape, dtype=dtype))


cholesky = Primitive(
    "cholesky",
    np.linalg.cholesky,
    _square_aval,
    jvp=_cholesky_jvp,
    expression="np.linalg.cholesky({0})",
    samples=lambda: _each_dtype(_positive),
)


def _eigvalsh_aval(a: Aval, *, uplo: str) -> Aval:
    _require_square(a)
    return _matrix(a, a.shape[-1]).real


def _eigvalsh_jvp(tangents: Any, outs: Any, a: Any, *, uplo: str) -> Any:
    _, v = eigh(a, uplo=uplo)
    moved = matmul(hermitian(tangents[0], uplo), v)
    bra = conjugate(v) if type_of(v).is_complex else v
    return _real(sum_(bra * moved, axis=(type_of(v).ndim - 2,)))


eigvalsh = Primitive(
    "eigvalsh",
    lambda a, *, uplo: np.linalg.eigvalsh(a, uplo),
    _eigvalsh_aval,
    jvp=_eigvalsh_jvp,
    expression="np.linalg.eigvalsh({0}, {uplo!r})",
    samples=lambda: [
        *_each_dtype(_positive, uplo="L"),
        *_each_dtype(_positive, uplo="U")[-1:],
    ],
)


def _eigh_jvp(tangents: Any, outs: Any, a: Any, *, uplo: str) -> Any:
    w, v = outs
    moved = matmul(hermitian(tangents[0], uplo), v)
    inner = matmul(adjoint(v), moved)
    turn = _inverse_or_zero(_row(w) - _column(w), w) * inner
    return _real(_diagonal(inner)), matmul(v, turn)


# No complex samples, here and in svd: LAPACK chooses the phases, unknown to the rule.
eigh = Primitive(
    "eigh",
    lambda a, *, uplo: np.linalg.eigh(a, uplo),
    lambda a, *, uplo: (_eigvalsh_aval(a, uplo=uplo), _square_aval(a)),
    jvp=_eigh_jvp,
    multiple=True,
    expression="np.linalg.eigh({0}, {uplo!r})",
    samples=lambda: [
        *_each_dtype(_positive, complex_too=False, uplo="L"),
        *_each_dtype(_positive, complex_too=False, uplo="U")[:1],
    ],
)


def _svdvals_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    u, _, vh = svd(a, full_matrices=False)
    bra = conjugate(u) if type_of(u).is_complex else u
    moved = matmul(tangents[0], adjoint(vh))
    return _real(sum_(bra * moved, axis=(type_of(u).ndim - 2,)))


def _rectangles(dtypes: tuple[str, ...]) -> list[Any]:
    shapes = [(3, 2), (2, 4), (3, 3), (2, 3, 2)]
    return [_random(*shapes[k % 4], dtype=dtype) for k, dtype in enumerate(dtypes)]


svdvals = Primitive(
    "svdvals",
    lambda a: np.linalg.svd(a, compute_uv=False),
    lambda a: _matrix(a, min(a.shape[-2:])).real,
    jvp=_svdvals_jvp,
    expression="np.linalg.svd({0}, compute_uv=False)",
    samples=lambda: [
        Sample((x,)) for x in _rectangles((*("float64",) * 4, "complex128", "float32"))
    ],
)


def _svd_aval(a: Aval, *, full_matrices: bool) -> Any:
    rows, columns = a.shape[-2:]
    k = min(rows, columns)
    u = _matrix(a, rows, rows if full_matrices else k)
    vh = _matrix(a, columns if full_matrices else k, columns)
    return u, _matrix(a, k).real, vh


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
    to, of = _row(s), _column(s)
    factor = _inverse_or_zero(to - of, s) * _inverse_or_zero(to + of, s)
    turn_u, turn_v = inner * to, of * inner
    turn_u = factor * (turn_u + adjoint(turn_u))
    turn_v = factor * (turn_v + adjoint(turn_v))
    inverse = _inverse_or_zero(to, s)
    du, dv = matmul(u, turn_u), matmul(v, turn_v)
    if type_of(a).is_complex:  # the phases, of which all may be given to u
        du = du + u * (inverse * _row(1j * imag(_diagonal(inner))))
    if rows > columns:
        du = du + (moved - matmul(u, inner)) * inverse
    if columns > rows:
        dv = dv + (matmul(adjoint(t), u) - matmul(v, adjoint(inner))) * inverse
    return du, _real(_diagonal(inner)), adjoint(dv)


svd = Primitive(
    "svd",
    lambda a, *, full_matrices: np.linalg.svd(a, full_matrices),
    _svd_aval,
    jvp=_svd_jvp,
    multiple=True,
    expression="np.linalg.svd({0}, {full_matrices})",
    samples=lambda: [
        *(
            Sample((x,), {"full_matrices": False})
            for x in _rectangles(("float64",) * 4)
        ),
        Sample((_random(3, 3),), {"full_matrices": True}),
        Sample((_random(3, 2, dtype="float32"),), {"full_matrices": False}),
    ],
)


def _qr_aval(a: Aval) -> Any:
    rows, columns = a.shape[-2:]
    k = min(rows, columns)
    return _matrix(a, rows, k), _matrix(a, k, columns)


def _qr_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    # S. Walter, L. Lehmann, "Algorithmic differentiation of linear algebra functions"
    # (2010), with a real diagonal of r; the first columns alone determine q
    (t,), (q, r) = tangents, outs
    rows, columns = type_of(a).shape[-2:]
    is_wide = columns > rows
    first, square = (_columns(x, None, rows) if is_wide else x for x in (t, r))
    scaled = matmul(first, inv(square))
    inner = matmul(adjoint(q), scaled)
    lower = _half_lower(inner)
    turn = lower - adjoint(lower)
    dq = matmul(q, turn - inner) + scaled
    dr = matmul(inner - turn, square)
    if is_wide:
        rest, rest_moved = (_columns(x, rows, None) for x in (a, t))
        dr_rest = matmul(adjoint(dq), rest) + matmul(adjoint(q), rest_moved)
        dr = concatenate(dr, dr_rest, axis=type_of(dr).ndim - 1)
    return dq, dr


qr = Primitive(
    "qr",
    lambda a: np.linalg.qr(a),
    _qr_aval,
    jvp=_qr_jvp,
    multiple=True,
    expression="np.linalg.qr({0})",
    samples=lambda: [
        Sample((x,))
        for x in _rectangles((*("float64",) * 4, "complex128", "complex128", "float32"))
    ],
)

# --- least squares


def _pinv_aval(a: Aval, rcond: Aval) -> Aval:
    return _matrix(a, a.shape[-1], a.shape[-2])


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


pinv = Primitive(
    "pinv",
    lambda a, rcond: np.linalg.pinv(a, rcond),
    _pinv_aval,
    jvp=_pinv_jvp,
    expression="np.linalg.pinv({0}, {1})",
    samples=lambda: [
        Sample((_random(4, 2), 1e-15)),
        Sample((_random(2, 2, 3), 1e-15)),
        Sample((_random(3, 2, dtype="complex128"), 1e-15)),
        Sample((_random(3, 2, dtype="float32"), 1e-7)),
    ],
)


def _lstsq_numpy(a: Any, b: Any, *, rcond: float) -> Any:
    x, _, rank, s = np.linalg.lstsq(a, b, rcond)
    return x, rank, s


def _lstsq_aval(a: Aval, b: Aval, *, rcond: float) -> Any:
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[0]:
        raise ValueError("lstsq takes two matrices with equally many rows")
    x = Aval((a.shape[1], b.shape[1]), _dtype(a, b))
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
    ds = _real(_diagonal(matmul(adjoint(u), matmul(ta, adjoint(vh)))))
    return dx, None, ds


lstsq = Primitive(
    "lstsq",
    _lstsq_numpy,
    _lstsq_aval,
    jvp=_lstsq_jvp,
    multiple=True,
    samples=lambda: [
        Sample((_random(4, 2), _random(4, 3)), {"rcond": 1e-15}),
        Sample((_random(2, 3), _random(2, 1)), {"rcond": 1e-15}),
        Sample((_random(4, 2, dtype="complex128"), _random(4, 1)), {"rcond": 1e-15}),
        Sample(
            (_random(3, 2, dtype="float32"), _random(3, 1, dtype="float32")),
            {"rcond": 1e-15},
        ),
    ],
)
