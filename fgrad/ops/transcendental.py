"""Powers, exponential, trigonometric and hyperbolic functions."""

import math
import operator
from typing import Any

import numpy as np

from fgrad.ir import PYTHON_NUMBERS
from fgrad.ops.elementwise import (
    NONZERO,
    POSITIVE,
    WIDE,
    maximum,
    minimum,
    real,
    square,
)
from fgrad.ops.logic import is_equal, is_less_equal
from fgrad.ops.select import where
from fgrad.primitive import Primitive, Sample, elementwise
from fgrad.trace import type_of

# --- powers


def _power_wrt_base(t: Any, out: Any, x: Any, y: Any) -> Any:
    # y x**(y-1) is 0 where y is 0, also at x = 0 where x**(-1) is infinite
    return t * where(is_equal(y, 0), 0.0, y * x ** (y - 1))


def _power_wrt_exponent(t: Any, out: Any, x: Any, y: Any) -> Any:
    # x**y log x tends to 0 as x -> 0, for y >= 0
    return where(is_equal(x, 0) & is_less_equal(0, real(y)), 0.0, t * (out * log(x)))


def _power_jax(xla: Any, x: Any, y: Any) -> Any:
    x, y = xla.np.broadcast_arrays(*xla.cast_all(x, y))
    if x.dtype.kind in "iu":
        return _integer_power(xla, x, y)
    power = xla.np.power(x, y)
    if x.dtype.kind != "c":
        return power
    return xla.np.where((x == 0) & (xla.np.real(y) > 0), 0, power)


def _integer_power(xla: Any, x: Any, y: Any) -> Any:
    """By squaring, modulo the size of the type; where NumPy would raise it is 0."""
    np = xla.np

    def step(state: Any) -> Any:
        power, square, rest = state
        power = np.where(rest % 2 == 1, power * square, power)
        return power, square * square, rest // 2

    first = np.where(y < 0, 0, np.ones_like(x)), x, np.maximum(y, 0)
    return xla.lax.while_loop(lambda state: np.any(state[2] > 0), step, first)[0]


power: Primitive = elementwise(
    "power",
    np.power,
    _power_wrt_base,
    _power_wrt_exponent,
    ranges=(*NONZERO, *WIDE),
    kinds="fc",
    operator=operator.pow,
    jax=_power_jax,
)


def _scalar_power(x: Any, *, exponent: Any) -> Any:
    if type(x) in PYTHON_NUMBERS:  # Python's powers raise, or become complex
        x = np.asarray(x)[()]
    return x**exponent


def _scalar_power_jax(xla: Any, x: Any, exponent: Any) -> Any:
    (x,) = xla.cast_all(x)
    if exponent == 0.5:  # NumPy takes the root, too
        return xla.np.sqrt(x)
    is_small = type(exponent) is float and exponent in range(-8, 9)
    return xla.np.power(x, int(exponent) if is_small else exponent)


def _scalar_power_derivative(t: Any, out: Any, x: Any, *, exponent: Any) -> Any:
    if exponent == 0:
        return t * 0
    if exponent == 1:
        return t
    return t * (exponent * x ** (exponent - 1))


scalar_power: Primitive = elementwise(
    "scalar_power",
    _scalar_power,
    _scalar_power_derivative,
    jax=_scalar_power_jax,
    expression="{0} ** {exponent!r}",
    scalar="float(np.float64({0}) ** {exponent!r})",
    samples=lambda: [
        Sample((np.array([0.5, 1.5, 0.0]),), {"exponent": 3}),
        Sample((np.array([0.5, 1.5], "float32"),), {"exponent": -2}),
        Sample((np.array([0.5, 1.5]),), {"exponent": 1.5}),
        Sample((np.array([1.0 + 2j, -0.5j]),), {"exponent": 3}),
        Sample((np.float64(0.7),), {"exponent": 0}),
        Sample((np.array([0.0, 2.0]),), {"exponent": 1}),
    ],
)

# --- exponentials and logarithms

exp: Primitive = elementwise(
    "exp",
    np.exp,
    lambda t, out, x: t * out,
    kinds="fc",
    jax="lax.exp",
    calm="-700.0 < {0} < 700.0",
)
exp2: Primitive = elementwise(
    "exp2",
    np.exp2,
    lambda t, out, x: t * (out * math.log(2)),
    kinds="fc",
    # jax's own exp2 is exp(x log 2), which is less precise for large x
    jax=lambda xla, x: xla.np.power(*xla.cast_all(2.0, x)),
)
expm1: Primitive = elementwise(
    "expm1",
    np.expm1,
    lambda t, out, x: t * (out + 1),
    kinds="fc",
    jax="lax.expm1",
    calm="-700.0 < {0} < 700.0",
)
log: Primitive = elementwise(
    "log",
    np.log,
    lambda t, out, x: t / x,
    ranges=POSITIVE,
    kinds="fc",
    jax="lax.log",
    calm="1e-300 < {0} < 1e300",
)
log2: Primitive = elementwise(
    "log2",
    np.log2,
    lambda t, out, x: t / (x * math.log(2)),
    ranges=POSITIVE,
    kinds="fc",
    calm="1e-300 < {0} < 1e300",
)
log10: Primitive = elementwise(
    "log10",
    np.log10,
    lambda t, out, x: t / (x * math.log(10)),
    ranges=POSITIVE,
    kinds="fc",
    calm="1e-300 < {0} < 1e300",
)
log1p: Primitive = elementwise(
    "log1p",
    np.log1p,
    lambda t, out, x: t / (1 + x),
    ranges=POSITIVE,
    kinds="fc",
    jax="lax.log1p",
    calm="-0.5 < {0} < 1e300",
)
sqrt: Primitive = elementwise(
    "sqrt",
    np.sqrt,
    lambda t, out, x: 0.5 * t / out,
    ranges=POSITIVE,
    kinds="fc",
    jax="lax.sqrt",
    scalar="math.sqrt({0})",
)
cbrt: Primitive = elementwise(
    "cbrt", np.cbrt, lambda t, out, x: t / (3 * square(out)), ranges=POSITIVE
)


def _logaddexp_slope_numpy(x: Any, y: Any) -> Any:
    """``exp(x) / (exp(x) + exp(y))``; where both are infinite 1 at inf, 0 at -inf."""
    slope = 1.0 / (1.0 + np.exp(y - x))
    is_twice = np.isinf(x) & (x == y)
    return (
        np.where(is_twice, x > 0, slope).astype(slope.dtype)
        if is_twice.any()
        else slope
    )


logaddexp_slope: Primitive = elementwise(
    "logaddexp_slope",
    _logaddexp_slope_numpy,
    lambda t, out, x, y: t * (out * (1.0 - out)),
    lambda t, out, x, y: t * (out * (out - 1.0)),
    scalar="1.0 / (1.0 + float(np.exp({1} - {0})))",
    calm="-700.0 < {1} - {0} < 700.0",
    jax=lambda xla, x, y: _logaddexp_slope_jax(xla, *xla.cast_all(x, y)),
)


def _logaddexp_slope_jax(xla: Any, x: Any, y: Any) -> Any:
    is_twice = xla.np.isinf(x) & (x == y)
    slope = 1.0 / (1.0 + xla.np.exp(y - x))
    return xla.np.where(is_twice, (x > 0).astype(slope.dtype), slope)


logaddexp: Primitive = elementwise(
    "logaddexp",
    np.logaddexp,
    lambda t, out, x, y: t * logaddexp_slope(x, y),
    lambda t, out, x, y: t * logaddexp_slope(y, x),
)
logaddexp2: Primitive = elementwise(
    "logaddexp2",
    np.logaddexp2,
    lambda t, out, x, y: t * exp2(_difference(x, out)),
    lambda t, out, x, y: t * exp2(_difference(y, out)),
)


def _difference(x: Any, out: Any) -> Any:
    # x - out is NaN where both are infinite; the derivative is 1 at inf, and 0 at -inf
    largest = float(np.finfo(type_of(out).numpy_dtype).max)
    return minimum(x, largest) - maximum(minimum(out, largest), -largest)


# --- trigonometric and hyperbolic functions

sin: Primitive = elementwise(
    "sin",
    np.sin,
    lambda t, out, x: t * cos(x),
    kinds="fc",
    jax="lax.sin",
    scalar="math.sin({0})",
)
cos: Primitive = elementwise(
    "cos",
    np.cos,
    lambda t, out, x: -t * sin(x),
    kinds="fc",
    jax="lax.cos",
    scalar="math.cos({0})",
)
tan: Primitive = elementwise(
    "tan", np.tan, lambda t, out, x: t * (1 + square(out)), kinds="fc", jax="lax.tan"
)
arcsin: Primitive = elementwise(
    "arcsin", np.arcsin, lambda t, out, x: t / sqrt(1 - square(x)), kinds="fc"
)
arccos: Primitive = elementwise(
    "arccos", np.arccos, lambda t, out, x: -t / sqrt(1 - square(x)), kinds="fc"
)
arctan: Primitive = elementwise(
    "arctan",
    np.arctan,
    lambda t, out, x: t / (1 + square(x)),
    kinds="fc",
    calm="-1e300 < {0} < 1e300",
)
sinh: Primitive = elementwise(
    "sinh",
    np.sinh,
    lambda t, out, x: t * cosh(x),
    kinds="fc",
    calm="-700.0 < {0} < 700.0",
)
cosh: Primitive = elementwise(
    "cosh",
    np.cosh,
    lambda t, out, x: t * sinh(x),
    kinds="fc",
    calm="-700.0 < {0} < 700.0",
)
tanh: Primitive = elementwise(
    "tanh",
    np.tanh,
    lambda t, out, x: t * (1 - square(out)),
    kinds="fc",
    jax="lax.tanh",
    calm="-1e300 < {0} < 1e300",
)
arcsinh: Primitive = elementwise(
    "arcsinh", np.arcsinh, lambda t, out, x: t / sqrt(1 + square(x)), kinds="fc"
)
arccosh: Primitive = elementwise(
    "arccosh",
    np.arccosh,
    lambda t, out, x: t / (sqrt(x - 1) * sqrt(x + 1)),
    ranges=((1.2, 3.0),),
    kinds="fc",
)
arctanh: Primitive = elementwise(
    "arctanh", np.arctanh, lambda t, out, x: t / (1 - square(x)), kinds="fc"
)
arctan2: Primitive = elementwise(
    "arctan2",
    np.arctan2,
    lambda t, out, y, x: t * (x / (square(x) + square(y))),
    lambda t, out, y, x: -t * (y / (square(x) + square(y))),
    ranges=(*NONZERO, *NONZERO),
)
hypot: Primitive = elementwise(
    "hypot",
    np.hypot,
    lambda t, out, x, y: t * (x / out),
    lambda t, out, x, y: t * (y / out),
    ranges=(*NONZERO, *NONZERO),
)
deg2rad: Primitive = elementwise(
    "deg2rad", np.deg2rad, lambda t, out, x: t * (np.pi / 180)
)
rad2deg: Primitive = elementwise(
    "rad2deg", np.rad2deg, lambda t, out, x: t * (180 / np.pi)
)


def _sinc_derivative(t: Any, out: Any, x: Any) -> Any:
    # (cos(pi x) - sinc x) / x, and 0 at x = 0 by symmetry
    return t * where(is_equal(x, 0), 0.0, (cos(np.pi * x) - out) / x)


sinc: Primitive = elementwise(
    "sinc",
    lambda x: np.sinc(x)[()],
    _sinc_derivative,
    ranges=NONZERO,
    jax=lambda xla, x: xla.np.sinc(*xla.cast_all(x)),
)
