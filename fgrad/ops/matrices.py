"""Types, samples and small functions that the rules of matrices share."""

from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.contract import swap_last
from fgrad.ops.einsum import diagonal
from fgrad.ops.elementwise import absolute, conjugate, real
from fgrad.ops.index import index
from fgrad.ops.logic import is_less_equal
from fgrad.ops.reduce import sum_
from fgrad.ops.select import where
from fgrad.ops.structure import reshape
from fgrad.primitive import Sample, linear
from fgrad.trace import type_of

# --- types, samples and small functions of matrices


def inexact_dtype(*operands: Aval) -> Any:
    """NumPy's: integers become float64; float32 stays."""
    exact = np.dtype(np.float64)
    return np.result_type(*(x.numpy_dtype if x.is_inexact else exact for x in operands))


def matrix_aval(x: Aval, *trailing: int) -> Aval:
    """The type of a result with these last axes for each matrix of ``x``."""
    return Aval((*x.shape[:-2], *trailing), inexact_dtype(x))


def require_square(*operands: Aval) -> None:
    for x in operands:
        if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
            raise np.linalg.LinAlgError(f"a square matrix is needed, got {x.shape}")


def square_aval(x: Aval, **params: Any) -> Aval:
    require_square(x)
    return Aval(x.shape, inexact_dtype(x))


def random_matrix(*shape: int, dtype: str = "float64") -> Any:
    rng = np.random.default_rng(sum(shape))
    values = rng.uniform(-1, 1, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.uniform(-1, 1, shape)
    return values.astype(dtype)


def regular_matrix(*shape: int, dtype: str = "float64") -> Any:
    return random_matrix(*shape, dtype=dtype) + 2 * np.eye(shape[-1], dtype=dtype)


def hermitian_of(x: Any) -> Any:
    """Hermitian, positive definite, with distinct eigenvalues."""
    apart = np.diag(np.arange(1, x.shape[-1] + 1)).astype(x.dtype)
    return x @ np.conj(np.swapaxes(x, -1, -2)) + apart


def each_dtype(make: Any, complex_too: bool = True, **params: Any) -> list[Sample]:
    """A matrix, a stack, one float32 and, unless phases are free, one complex."""
    made = [make(3, 3), make(2, 3, 3), make(2, 2, dtype="float32")]
    if complex_too:
        made.append(make(3, 3, dtype="complex128"))
    return [Sample((x,), params) for x in made]


def adjoint(x: Any) -> Any:
    """The conjugate transpose."""
    swapped = swap_last(x)
    return conjugate(swapped) if type_of(x).is_complex else swapped


def real_part(x: Any) -> Any:
    return real(x) if type_of(x).is_complex else x


def as_row(x: Any) -> Any:
    shape = type_of(x).shape
    return reshape(x, shape=(*shape[:-1], 1, shape[-1]))


def as_column(x: Any) -> Any:
    return reshape(x, shape=(*type_of(x).shape, 1))


def diagonal_of(x: Any) -> Any:
    letters = "abcdefghijklmnopqrstuvwxyz"[: type_of(x).ndim - 1]
    return diagonal(x, subscripts=f"{letters}{letters[-1]}->{letters}")


def trace_of_product(x: Any, y: Any) -> Any:
    ndim = type_of(x).ndim
    return sum_(swap_last(x) * y, axis=(ndim - 2, ndim - 1))


def columns_of(x: Any, start: int | None, stop: int | None) -> Any:
    whole = ((None, None, None),) * (type_of(x).ndim - 1)
    return index(x, at=(*whole, (start, stop, None)))


def inverse_or_zero(x: Any, values: Any) -> Any:
    """1 / x, and 0 where x is zero to rounding, compared with ``values``."""
    aval = type_of(values)
    size = sum_(absolute(values), axis=(aval.ndim - 1,))
    epsilon = float(np.finfo(aval.dtype).eps)
    is_zero = is_less_equal(absolute(x), as_column(as_column(size)) * epsilon)
    return where(is_zero, 0.0, 1.0 / where(is_zero, 1.0, x))


def _tril_transpose(ct: Any, x: Any, *, k: int) -> Any:
    return (tril(ct, k=k),)


tril = linear(
    "tril",
    lambda x, *, k: np.tril(x, k),
    lambda x, *, k: Aval(x.shape, x.dtype),
    _tril_transpose,
    stacks=True,
    expression="np.tril({0}, {k})",
    samples=lambda: [
        Sample((random_matrix(3, 3),), {"k": 0}),
        Sample((random_matrix(2, 3, 4, dtype="float32"),), {"k": -1}),
    ],
)


def half_lower(x: Any) -> Any:
    """The lower triangle, the diagonal halved: Hermitian x is this plus its adjoint."""
    return 0.5 * (tril(x, k=0) + tril(x, k=-1))


def hermitian(x: Any, uplo: str) -> Any:
    """The Hermitian matrix of which LAPACK reads one triangle."""
    half = half_lower(x if uplo == "L" else adjoint(x))
    return half + adjoint(half)
