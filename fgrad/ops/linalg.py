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

import functools
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.batching import aligned
from fgrad.ops.contract import matmul, swap_last
from fgrad.ops.elementwise import imag, real
from fgrad.ops.matrices import (
    as_column,
    each_dtype,
    inexact_dtype,
    matrix_aval,
    random_matrix,
    regular_matrix,
    require_square,
    square_aval,
    trace_of_product,
)
from fgrad.ops.structure import reshape, transpose
from fgrad.primitive import Primitive, Sample
from fgrad.trace import type_of

WELL_CONDITIONED = 1e6  # condition number up to which an adjugate is det(a) inv(a)

# --- systems of equations


def _solve_aval(a: Aval, b: Aval) -> Aval:
    require_square(a)
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        raise ValueError("the last but one axis of b must be as long as those of a")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return Aval((*batch, *b.shape[-2:]), inexact_dtype(a, b))


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
        (regular_matrix(3, 3), random_matrix(3, 2)),
        (regular_matrix(2, 3, 3), random_matrix(3, 1)),
        (regular_matrix(3, 3), random_matrix(2, 3, 2)),
        (regular_matrix(3, 3, dtype="complex128"), random_matrix(3, 2)),
        (regular_matrix(2, 2, dtype="float32"), random_matrix(2, 3, dtype="float32")),
    ]
    return [Sample(pair) for pair in pairs]


def side_by_side(b: Any) -> Any:
    """The matrices of a batch as one matrix."""
    size, rows, columns = type_of(b).shape
    return reshape(transpose(b, axes=(1, 0, 2)), shape=(rows, size * columns))


def apart(x: Any, size: int, columns: int) -> Any:
    """The batch of matrices with so many columns each that are side by side in one."""
    parts = reshape(x, shape=(type_of(x).shape[0], size, columns))
    return transpose(parts, axes=(1, 0, 2))


def _solve_batch(name: str, size: int, mapped: Any, a: Any, b: Any) -> Any:
    prim = Primitive.registry[name]
    if mapped[0] or type_of(a).ndim != 2 or type_of(b).ndim != 3:
        return prim(*aligned(mapped, (a, b)))
    return apart(prim(a, side_by_side(b)), size, type_of(b).shape[2])


def _solve_record(name: str, jvp: Any, pullback: Any = None) -> Primitive:
    return Primitive(
        name,
        np.linalg.solve,
        _solve_aval,
        jvp=jvp,
        transpose=pullback,
        batch=functools.partial(_solve_batch, name),
        jax=lambda xla, a, b: xla.np.linalg.solve(*xla.cast_all(a, b)),
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
    square_aval,
    jvp=lambda tangents, outs, a: -matmul(outs[0], matmul(tangents[0], outs[0])),
    jax=lambda xla, a: xla.np.linalg.inv(*xla.cast_all(a)),
    expression="np.linalg.inv({0})",
    stacks=True,
    samples=lambda: each_dtype(regular_matrix),
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


def _adjugate_by_svd(a: Any, np: Any = np) -> Any:
    """The product of the adjugates of vh, s and u, where a = u s vh."""
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s], -1), -1)[..., :-1]
    after = np.cumprod(np.concatenate([ones, s[..., ::-1]], -1), -1)[..., -2::-1]
    phase = np.linalg.det(u @ vh)[..., None, None]
    v, uh = (np.conj(np.swapaxes(x, -1, -2)) for x in (vh, u))
    return phase * (v * (before * after)[..., None, :] @ uh)


def _adjugate_jax(xla: Any, a: Any) -> Any:
    np = xla.np
    (a,) = xla.cast_all(a)
    inverse = np.linalg.inv(a)
    sizes = np.linalg.norm(a, 1, (-2, -1)) * np.linalg.norm(inverse, 1, (-2, -1))
    return xla.lax.cond(
        np.all(sizes < WELL_CONDITIONED),
        lambda a, inverse: np.linalg.det(a)[..., None, None] * inverse,
        lambda a, inverse: _adjugate_by_svd(a, np),
        a,
        inverse,
    )


def _adjugate_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    # of det(a) inv(a); at a singular matrix inv raises LinAlgError
    (t,), inverse = tangents, inv(a)
    trace = as_column(as_column(trace_of_product(outs[0], t)))
    return trace * inverse - matmul(matmul(outs[0], t), inverse)


# Jacobi's formula: d det(a) = tr(adj(a) da), also where a is singular.
adjugate = Primitive(
    "adjugate",
    _adjugate_numpy,
    square_aval,
    jvp=_adjugate_jvp,
    jax=_adjugate_jax,
    stacks=True,
    samples=lambda: each_dtype(regular_matrix),
)


def _det_aval(a: Aval) -> Aval:
    require_square(a)
    return matrix_aval(a)


det = Primitive(
    "det",
    np.linalg.det,
    _det_aval,
    jvp=lambda tangents, outs, a: trace_of_product(adjugate(a), tangents[0]),
    jax=lambda xla, a: xla.np.linalg.det(*xla.cast_all(a)),
    expression="np.linalg.det({0})",
    stacks=True,
    samples=lambda: each_dtype(regular_matrix),
)


def _slogdet_aval(a: Aval) -> Any:
    sign = _det_aval(a)
    return sign, sign.real


def _slogdet_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    # d log det = tr(a^-1 da); its imaginary part turns the sign
    trace = trace_of_product(inv(a), tangents[0])
    if not type_of(a).is_complex:
        return None, trace
    return outs[0] * (1j * imag(trace)), real(trace)


slogdet = Primitive(
    "slogdet",
    np.linalg.slogdet,
    _slogdet_aval,
    jvp=_slogdet_jvp,
    jax=lambda xla, a: xla.np.linalg.slogdet(*xla.cast_all(a)),
    multiple=True,
    expression="np.linalg.slogdet({0})",
    stacks=True,
    samples=lambda: each_dtype(regular_matrix),
)
