"""``where``: elements of one operand or of another; ``relu``: the same with zero."""

import functools
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.logic import is_less_equal
from fgrad.primitive import Primitive, Sample, elementwise, elementwise_aval

UNPREDICTABLE = 1 << 13  # elements from which NumPy's select waits for its branches
_CHARS = "df"  # of the dtypes whose bits are selected


def _where_numpy(condition: Any, x: Any, y: Any, out: Any = None) -> Any:
    if type(condition) is np.ndarray and condition.size >= UNPREDICTABLE:
        dtype = _dtype_of_bits(condition, x, y)
        if dtype is not None:
            is_whole = out is not None and out.flags.c_contiguous
            place = out if is_whole else np.empty(condition.shape, dtype)
            chosen = _select(condition, x, y, dtype, place)
            if out is not None and not is_whole:  # several passes over its gaps
                out[...] = chosen
            return chosen if out is None else out
    chosen = np.where(condition, x, y)[()]
    if out is None:
        return chosen
    np.copyto(out, chosen)
    return out


def _dtype_of_bits(condition: Any, x: Any, y: Any) -> Any:
    """The dtype of the result, if it may be put together from the operands' bits.

    That is so for two floating-point arrays of one dtype, or one and a number, which
    fit the condition.
    """
    if condition.dtype != bool:
        return None
    found = None
    for operand in (x, y):
        if type(operand) is float or type(operand) is int:
            continue
        if not isinstance(operand, np.ndarray | np.generic):
            return None
        if found is None:
            found = operand.dtype
        if operand.dtype is not found or found.char not in _CHARS:
            return None
        if operand.ndim and operand.shape != condition.shape:
            return None
    return found


def _select(condition: Any, x: Any, y: Any, dtype: Any, out: Any) -> Any:
    """``np.where`` without branches: a mask of bits, all 0 or all 1.

    For a condition that changes often this takes a fifth of the time.
    """
    first, second = np.asarray(x, dtype), np.asarray(y, dtype)
    mask = out.view(np.int64 if dtype.char == "d" else np.int32)
    mask[...] = condition
    if not first.ndim and _is_zero(first):
        mask -= 1
        mask &= second.view(mask.dtype)
        return out
    np.negative(mask, out=mask)
    if not second.ndim and _is_zero(second):
        mask &= first.view(mask.dtype)
        return out
    second = second.view(mask.dtype)
    mask &= first.view(mask.dtype) ^ second
    mask ^= second
    return out


def _is_zero(number: Any) -> bool:
    """Whether all bits of an array without axes are 0: it is no -0.0."""
    return not any(number.tobytes())


def _where_lines(
    out: str, ins: list[str], avals: list[Aval], params: Any, in_place: bool
) -> tuple[str, ...] | None:
    """NumPy's own function, where that gives the array, and quickly."""
    if avals[0].size >= UNPREDICTABLE or not any(aval.ndim for aval in avals):
        return None
    return (f"{out} = np.where({', '.join(ins)})",)


def _where_jax(xla: Any, condition: Any, x: Any, y: Any) -> Any:
    values = xla.cast(condition, bool), *xla.cast_all(x, y)
    return xla.lax.select(*map(xla.spread, values))


def _where_transpose(ct: Any, condition: Any, x: Any, y: Any) -> Any:
    return None, where(condition, ct, 0.0), where(condition, 0.0, ct)


where: Primitive = Primitive(
    "where",
    _where_numpy,
    elementwise_aval(_where_numpy),
    linear=((1, 2),),
    transpose=_where_transpose,
    elementwise=True,
    scalar="{1} if {0} else {2}",
    takes_out=True,
    statements=_where_lines,
    jax=_where_jax,
    samples=lambda: [
        Sample((np.array([True, False]), np.array([1.0, 2.0]), np.array([3.0, 4.0]))),
        Sample((np.array([[True], [False]]), np.ones(3), np.float64(2.0))),
        Sample((np.array([True, False]), np.ones(2, "float32"), 0.0)),
    ],
)


@functools.cache
def _keeps_zeros() -> bool:
    """Whether ``np.maximum(0.0, x)`` gives ``x`` where that is -0.0.

    It does with the instructions of x86 processors, not with those of others.
    """
    found = []
    for char in _CHARS:
        zero = np.zeros((), char)
        for size in (1, 2, 3, 4, 7, 19, 64, 133):
            line = np.full(2 * size, -0.0, char)
            for x in (line[:size], line[::2], line.reshape(2, size).T):
                found += [np.signbit(np.maximum(zero, x)).all()]
                found += [np.signbit(np.maximum(zero, x, out=x.copy())).all()]
    return all(found)


_ZERO, _SINGLE_ZERO = np.zeros(()), np.zeros((), "float32")


def _relu_numpy(x: Any, out: Any = None) -> Any:
    """0 where an element is less; -0.0 stays."""
    if type(x) is np.ndarray and x.dtype.char in _CHARS and _keeps_zeros():
        zero = _ZERO if x.dtype.char == "d" else _SINGLE_ZERO
        return np.maximum(zero, x) if out is None else np.maximum(zero, x, out=out)
    return _where_numpy(x < 0, 0, x, out)


def _relu_jax(xla: Any, x: Any) -> Any:
    (x,) = xla.cast_all(x)
    return xla.np.where(x < 0, xla.np.zeros_like(x), x)


relu: Primitive = elementwise(
    "relu",
    _relu_numpy,
    lambda t, out, x: where(is_less_equal(out, 0), 0.0, t),
    ranges=((-2.0, 2.0),),
    kinds="fi",
    scalar="0.0 if {0} < 0 else {0}",
    takes_out=True,
    jax=_relu_jax,
)
