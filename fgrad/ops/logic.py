"""Comparisons, logical and integer operations: results that do not vary smoothly."""

import operator
from typing import Any

import numpy as np

from fgrad.primitive import Primitive, Range, Sample, elementwise

_PAIR: tuple[Range, ...] = ((-1.0, 1.0), (-1.0, 1.0))


def _compare(xla: Any, ufunc: Any, lax_name: str, x: Any, y: Any) -> Any:
    """A comparison by value, as NumPy's, whatever the types of the integers are."""
    types = [aval.dtype for aval in xla.ins]
    if int in types and not {float, complex} & set(types):
        others = [np.dtype(t).kind for t in types]
        if set(others) <= set("iu"):  # a Python int need not fit the other's type
            types = [_own_type(t, z) for t, z in zip(types, (x, y), strict=True)]
    first, second = xla.loop(ufunc, types)
    function = getattr(xla.np, ufunc.__name__)
    x, y = xla.cast(x, first), xla.cast(y, second)
    if first == second and first.kind != "c":
        return getattr(xla.lax, lax_name)(*xla.aligned(x, y))
    if first == second:
        return function(x, y)
    if first.kind == "i":  # with uint64: there is no type that holds both
        return xla.np.where(x < 0, function(0, 1), function(x.astype(second), y))
    return xla.np.where(y < 0, function(1, 0), function(x, y.astype(first)))


def _own_type(dtype: Any, value: Any) -> Any:
    """The dtype of a number on its own: that of a Python int follows its value."""
    if dtype is not int:
        return dtype
    return np.asarray(value).dtype if type(value) is int else np.dtype(int)


def _constant(
    name: str, ufunc: Any, symbol: str, function: Any, kinds: str = "fi", **fields: Any
) -> Primitive:
    return elementwise(
        name,
        ufunc,
        ranges=_PAIR,
        kinds=kinds,
        is_constant=True,
        operator=function,
        expression=f"{{0}} {symbol} {{1}}",
        scalar=f"{{0}} {symbol} {{1}}",
        **fields,
    )


def _comparison(
    name: str,
    ufunc: Any,
    symbol: str,
    function: Any,
    lax_name: str,
    kinds: str = "fi",
) -> Primitive:
    def jax(xla: Any, x: Any, y: Any) -> Any:
        return _compare(xla, ufunc, lax_name, x, y)

    return _constant(name, ufunc, symbol, function, kinds, jax=jax)


is_equal = _comparison("equal", np.equal, "==", operator.eq, "eq", "fcib")
is_not_equal = _comparison("not_equal", np.not_equal, "!=", operator.ne, "ne", "fcib")
is_less = _comparison("less", np.less, "<", operator.lt, "lt")
is_less_equal = _comparison("less_equal", np.less_equal, "<=", operator.le, "le")
is_greater = _comparison("greater", np.greater, ">", operator.gt, "gt")
is_greater_equal = _comparison(
    "greater_equal", np.greater_equal, ">=", operator.ge, "ge"
)
bitwise_and = _constant("bitwise_and", np.bitwise_and, "&", operator.and_, "ib")
bitwise_or = _constant("bitwise_or", np.bitwise_or, "|", operator.or_, "ib")
bitwise_xor = _constant("bitwise_xor", np.bitwise_xor, "^", operator.xor, "ib")


def _plain(name: str, ufunc: Any, count: int, kinds: str, **fields: Any) -> Primitive:
    return elementwise(
        name, ufunc, ranges=_PAIR[:count], kinds=kinds, is_constant=True, **fields
    )


logical_and = _plain("logical_and", np.logical_and, 2, "fib")
logical_or = _plain("logical_or", np.logical_or, 2, "fib")
logical_xor = _plain("logical_xor", np.logical_xor, 2, "fib")
logical_not = _plain("logical_not", np.logical_not, 1, "fib")
invert = _plain("invert", np.invert, 1, "ib")
is_nan = _plain("isnan", np.isnan, 1, "fc")
is_inf = _plain("isinf", np.isinf, 1, "fc")
is_finite = _plain("isfinite", np.isfinite, 1, "fc")
signbit = _plain("signbit", np.signbit, 1, "f")


def _integer_samples() -> list[Sample]:
    return [Sample((np.array([12, 7, 30]), np.array([2, 3, 1])))]


def _sizes(xla: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Absolute values; unsigned, so that the smallest integer has one."""
    x, y = xla.np.broadcast_arrays(*xla.cast_all(x, y))
    unsigned = f"uint{8 * x.dtype.itemsize}"
    return xla.np.abs(x).astype(unsigned), xla.np.abs(y).astype(unsigned)


def _gcd_jax(xla: Any, x: Any, y: Any) -> Any:
    # jax's own function does not end for the smallest integer
    def step(pair: Any) -> Any:
        x, y = pair
        is_done = y == 0
        rest = xla.lax.rem(x, xla.np.where(is_done, xla.np.ones_like(y), y))
        return xla.np.where(is_done, x, y), xla.np.where(is_done, 0, rest)

    pair = _sizes(xla, x, y)
    return xla.lax.while_loop(lambda pair: xla.np.any(pair[1] != 0), step, pair)[0]


def _lcm_jax(xla: Any, x: Any, y: Any) -> Any:
    divisor = _gcd_jax(xla, x, y)
    x, y = _sizes(xla, x, y)
    safe = xla.np.where(divisor == 0, xla.np.ones_like(divisor), divisor)
    return xla.lax.div(x, safe) * y


left_shift = _plain("left_shift", np.left_shift, 2, "", samples=_integer_samples)
right_shift = _plain("right_shift", np.right_shift, 2, "", samples=_integer_samples)
gcd = _plain("gcd", np.gcd, 2, "", samples=_integer_samples, jax=_gcd_jax)
lcm = _plain("lcm", np.lcm, 2, "", samples=_integer_samples, jax=_lcm_jax)


def _step_numpy(x: Any, y: Any, out: Any = None) -> Any:
    """1 where x > y, 1/2 where they are equal, 0 elsewhere."""
    dtype = np.result_type(x, y, np.float16)
    reaches, exceeds = np.greater_equal(x, y), np.greater(x, y)
    twice = reaches.view(np.int8) + exceeds.view(np.int8)
    if out is None:
        return twice.astype(dtype) * dtype.type(0.5)
    np.copyto(out, twice)
    out *= dtype.type(0.5)
    return out


def _step_jax(xla: Any, x: Any, y: Any) -> Any:
    reaches = _compare(xla, np.greater_equal, "ge", x, y)
    exceeds = _compare(xla, np.greater, "gt", x, y)
    return xla.np.where(exceeds, 1.0, 0.5 * reaches)


step: Primitive = elementwise(
    "step",
    _step_numpy,
    ranges=_PAIR,
    is_constant=True,
    takes_out=True,
    jax=_step_jax,
)
