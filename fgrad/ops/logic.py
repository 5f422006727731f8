"""Comparisons, logical and integer operations: results that do not vary smoothly."""

import operator
from typing import Any

import numpy as np

from fgrad.primitive import Primitive, Range, Sample, elementwise

_PAIR: tuple[Range, ...] = ((-1.0, 1.0), (-1.0, 1.0))


def _constant(
    name: str, ufunc: Any, symbol: str, function: Any, kinds: str = "fi"
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
    )


is_equal = _constant("equal", np.equal, "==", operator.eq, "fcib")
is_not_equal = _constant("not_equal", np.not_equal, "!=", operator.ne, "fcib")
is_less = _constant("less", np.less, "<", operator.lt)
is_less_equal = _constant("less_equal", np.less_equal, "<=", operator.le)
is_greater = _constant("greater", np.greater, ">", operator.gt)
is_greater_equal = _constant("greater_equal", np.greater_equal, ">=", operator.ge)
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


left_shift = _plain("left_shift", np.left_shift, 2, "", samples=_integer_samples)
right_shift = _plain("right_shift", np.right_shift, 2, "", samples=_integer_samples)
gcd = _plain("gcd", np.gcd, 2, "", samples=_integer_samples)
lcm = _plain("lcm", np.lcm, 2, "", samples=_integer_samples)


def _step_numpy(x: Any, y: Any) -> Any:
    """1 where x > y, 1/2 where they are equal, 0 elsewhere."""
    dtype = np.result_type(x, y, np.float16)
    twice = np.add(np.greater_equal(x, y), np.greater(x, y), dtype=np.int8)
    return np.multiply(twice, 0.5, dtype=dtype)


step: Primitive = elementwise("step", _step_numpy, ranges=_PAIR, is_constant=True)
