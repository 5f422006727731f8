"""Eigenvalues and eigenvectors of general square matrices: complex numbers.

Vectors are those of LAPACK: of length one, with a largest element that is real.
"""

from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.contract import matmul
from fgrad.ops.elementwise import absolute, conjugate, imag, real
from fgrad.ops.linalg import solve
from fgrad.ops.logic import is_equal
from fgrad.ops.matrices import (
    as_column,
    as_row,
    diagonal_of,
    inexact_dtype,
    inverse_or_zero,
    random_matrix,
    require_square,
)
from fgrad.ops.reduce import sum_
from fgrad.ops.select import where
from fgrad.ops.structure import astype
from fgrad.primitive import Primitive, Sample
from fgrad.trace import type_of


def _complex(a: Aval) -> Any:
    return np.result_type(inexact_dtype(a), np.complex64)


def _eigvals_aval(a: Aval) -> Aval:
    require_square(a)
    return Aval(a.shape[:-1], _complex(a))


def _eig_aval(a: Aval) -> tuple[Aval, Aval]:
    require_square(a)
    return Aval(a.shape[:-1], _complex(a)), Aval(a.shape, _complex(a))


def _eig_numpy(a: Any) -> tuple[Any, Any]:
    w, v = np.linalg.eig(a)
    dtype = np.result_type(w.dtype, np.complex64)
    return w.astype(dtype), v.astype(dtype)


def _eigvals_numpy(a: Any) -> Any:
    w = np.linalg.eigvals(a)
    return w.astype(np.result_type(w.dtype, np.complex64))


def _inner(t: Any, v: Any) -> Any:
    """A tangent of the matrix, in the basis of the eigenvectors."""
    if not type_of(t).is_complex:
        t = astype(t, dtype=type_of(v).numpy_dtype.name)
    return solve(v, matmul(t, v))


def _eigvals_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    _, v = eig(a)
    return diagonal_of(_inner(tangents[0], v))


def _eig_jvp(tangents: Any, outs: Any, a: Any) -> Any:
    w, v = outs
    inner = _inner(tangents[0], v)
    turn = inverse_or_zero(as_row(w) - as_column(w), w) * inner
    return diagonal_of(inner), _kept(v, matmul(v, turn))


def _kept(v: Any, moved: Any) -> Any:
    """The tangent of vectors whose length and phase stay as LAPACK chooses them."""
    rows = (type_of(v).ndim - 2,)
    along = real(sum_(conjugate(v) * moved, axis=rows))
    moved = moved - v * as_row(along)
    sizes = absolute(v)
    argmax = Primitive.registry["argmax"]
    places = argmax(sizes, axis=rows[0])
    is_top = is_equal(as_column(np.arange(type_of(v).shape[-1])), as_row(places))
    top = sum_(where(is_top, real(v), 0.0), axis=rows)
    turned = sum_(where(is_top, imag(moved), 0.0), axis=rows) / top
    return moved - v * (as_row(turned) * 1j)


def _rotating(*shape: int, dtype: str = "float64") -> Any:
    """Matrices with real and with complex eigenvalues."""
    return random_matrix(*shape, dtype=dtype) + np.diag(np.arange(shape[-1]))


def _samples() -> list[Sample]:
    made = [_rotating(3, 3), _rotating(2, 3, 3), _rotating(2, 2, dtype="float32")]
    return [Sample((x,)) for x in (*made, _rotating(3, 3, dtype="complex128"))]


eigvals = Primitive(
    "eigvals",
    _eigvals_numpy,
    _eigvals_aval,
    jvp=_eigvals_jvp,
    jax=lambda xla, a: xla.np.linalg.eigvals(xla.cast(a, inexact_dtype(*xla.ins))),
    stacks=True,
    samples=_samples,
)

eig = Primitive(
    "eig",
    _eig_numpy,
    _eig_aval,
    jvp=_eig_jvp,
    jax=lambda xla, a: xla.np.linalg.eig(xla.cast(a, inexact_dtype(*xla.ins))),
    multiple=True,
    stacks=True,
    samples=_samples,
)
