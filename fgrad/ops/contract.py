"""Products that sum: matmul and einsum."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.batching import aligned, move_axis, rank_of
from fgrad.ops.structure import reshape, transpose
from fgrad.primitive import Primitive, Sample
from fgrad.threads import run_parts
from fgrad.trace import type_of


def swap_last(x: Any) -> Any:
    """The last two axes exchanged."""
    ndim = type_of(x).ndim
    return transpose(x, axes=(*range(ndim - 2), ndim - 1, ndim - 2))


def _matmul_aval(x: Aval, y: Aval) -> Aval:
    if not x.ndim or not y.ndim:
        raise ValueError("matmul takes no scalars; use * instead")
    inner = y.shape[-2] if y.ndim > 1 else y.shape[0]
    if x.shape[-1] != inner:
        raise ValueError("the last axis of x and the last but one of y must agree")
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    shape = batch + x.shape[-2:-1] + (y.shape[-1:] if y.ndim > 1 else ())
    return Aval(shape, np.result_type(x.dtype, y.dtype))


def _column(x: Any) -> Any:
    return reshape(x, shape=(*type_of(x).shape, 1))


def _row(x: Any) -> Any:
    shape = type_of(x).shape
    return reshape(x, shape=(*shape[:-1], 1, shape[-1]))


def _matmul_transpose(ct: Any, x: Any, y: Any) -> Any:
    x_ndim, y_ndim = type_of(x).ndim, type_of(y).ndim
    if x_ndim == 1 and y_ndim == 1:
        return ct * y, ct * x
    if x_ndim == 1:
        ct_x = reshape(matmul(y, _column(ct)), shape=type_of(y).shape[:-1])
        return ct_x, _column(x) * _row(ct)
    if y_ndim == 1:
        if x_ndim == 2:
            return _column(ct) * y, matmul(swap_last(x), ct)
        columns = matmul(swap_last(x), _column(ct))
        return _column(ct) * y, reshape(columns, shape=type_of(columns).shape[:-1])
    return matmul(ct, swap_last(y)), matmul(swap_last(x), ct)


def _random(*shape: int, dtype: str = "float64") -> Any:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(dtype)


def _matmul_samples() -> list[Sample]:
    shapes = [
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((1, 2, 3), (5, 3, 4)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3,)),
    ]
    samples = [Sample((_random(*x), _random(*y))) for x, y in shapes]
    mixed = Sample((_random(2, 3, dtype="float32"), _random(3, 2) + 1j))
    return [*samples, mixed]


def _matmul_lines(
    out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
) -> list[str]:
    x, y = ins
    first, second = avals
    if _is_one_call(first, second):
        return [f"{out} = {x}.dot({y})"]
    return [f"{out} = {x} @ {y}"]


def _matmul_jax(xla: Any, x: Any, y: Any) -> Any:
    x, y = xla.cast_all(x, y)
    if y.ndim > 2 or x.dtype == bool:
        return xla.np.matmul(x, y)
    inner = ((x.ndim - 1,), (max(y.ndim - 2, 0),))
    return xla.lax.dot_general(x, y, (inner, ((), ())))


def _is_one_call(x: Aval, y: Aval) -> bool:
    """Whether ``dot`` is the same BLAS call as ``@``, at half the overhead.

    For matrices whose columns are strided and for reversed vectors, NumPy takes other
    ways in ``@``, whose results differ in the last bit.
    """
    is_plain = 1 <= x.ndim <= 2 and 1 <= y.ndim <= 2
    return is_plain and x.dtype == y.dtype and x.is_inexact


def _product(x: Any, y: Any) -> Any:
    """``x @ y`` as compiled programs compute it, so that the first run, which is
    interpreted, gives the same bits.
    """
    is_one = 0 < x.ndim <= 2 and 0 < y.ndim <= 2 and x.dtype == y.dtype
    return x.dot(y) if is_one and x.dtype.kind in "fc" else x @ y


ONE_THREAD = 1 << 18  # multiplications of a product up to which BLAS does it alone
WORK_FOR_THREADS = 1 << 22  # of a stack from which a second thread pays


def _matmul_into(x: Aval, y: Aval) -> str | Callable[..., Any] | None:
    if x.ndim == y.ndim == 1:
        return None
    if _is_one_call(x, y):
        return "{0}.dot({1}, out={out})"
    if x.dtype != y.dtype:
        return None
    return stacked_products if _is_shared(x, y) else "np.matmul({0}, {1}, out={out})"


def _is_shared(x: Aval, y: Aval) -> bool:
    """Whether products of a stack are done on several threads."""
    out = _matmul_aval(x, y)
    if min(x.ndim, y.ndim) < 2 or out.ndim < 3 or not out.size:
        return False
    work = out.size * x.shape[-1]
    one = work // math.prod(out.shape[:-2])
    return one <= ONE_THREAD and work >= WORK_FOR_THREADS


def stacked_products(x: Any, y: Any, out: Any = None) -> Any:
    """``np.matmul`` of stacks of matrices, parts of a stack on several threads."""
    if out is None:
        stack = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        out = np.empty((*stack, x.shape[-2], y.shape[-1]), x.dtype)

    def part(first: int, last: int) -> None:
        a, b = (z[first:last] if _leads(z) else z for z in (x, y))
        np.matmul(a, b, out=out[first:last])

    def _leads(z: Any) -> bool:
        return bool(z.ndim == out.ndim and len(z) > 1)

    run_parts(part, len(out), 1)
    return out


def matmul_batch(size: int, mapped: Any, x: Any, y: Any) -> Any:
    """The products of each element; where one matrix serves all, one product."""
    ranks = rank_of(x, mapped[0]), rank_of(y, mapped[1])
    if not mapped[1] and ranks[1] <= 2:
        return _rows_times(x, y)
    if not mapped[0] and ranks[1] == 1:
        columns = x if ranks[0] == 1 else swap_last(_as_matrix(x))
        return _in_shape(matmul(y, columns), (size, *type_of(x).shape[:-1]))
    if not mapped[1] and ranks[0] == 1:
        return move_axis(matmul(x, y), -2, 0)
    return _stacked_product(size, mapped, x, y)


def _in_shape(x: Any, shape: tuple[int, ...]) -> Any:
    return x if type_of(x).shape == shape else reshape(x, shape=shape)


def _as_matrix(x: Any) -> Any:
    """The axes before the last joined into one."""
    shape = type_of(x).shape
    return _in_shape(x, (math.prod(shape[:-1]), shape[-1]))


def _rows_times(x: Any, y: Any) -> Any:
    """``x @ y`` for a vector or one matrix y: one product, however many axes x has."""
    shape = (*type_of(x).shape[:-1], *type_of(y).shape[1:])
    return _in_shape(matmul(x if type_of(x).ndim <= 2 else _as_matrix(x), y), shape)


def _stacked_product(size: int, mapped: Any, x: Any, y: Any) -> Any:
    """Products of the matrices of each element; mapped vectors are rows or columns."""
    x_is_row = mapped[0] and type_of(x).ndim == 2
    y_is_column = mapped[1] and type_of(y).ndim == 2
    x, y = (_row(x) if x_is_row else x), (_column(y) if y_is_column else y)
    product = matmul(*aligned(mapped, (x, y)))
    shape = type_of(product).shape
    if y_is_column:
        shape = shape[:-1]
    if x_is_row:
        shape = shape[:-1] if y_is_column else (*shape[:-2], shape[-1])
    return _in_shape(product, shape)


matmul: Primitive = Primitive(
    "matmul",
    np.matmul,
    _matmul_aval,
    linear=((0,), (1,)),
    transpose=_matmul_transpose,
    batch=matmul_batch,
    jax=_matmul_jax,
    operator=_product,
    specialized=lambda x, y: np.ndarray.dot if _is_one_call(x, y) else None,
    into=_matmul_into,
    statements=_matmul_lines,
    samples=_matmul_samples,
)
