"""Elementwise arithmetic, exponential, trigonometric and hyperbolic functions.

A derivative is a map ``(t, out, *operands) -> t * partial``; it serves both modes.
"""

import math
import operator
from typing import Any

import numpy as np

from fgrad.ops.logic import is_equal, is_less, is_less_equal, step
from fgrad.primitive import Primitive, Sample, elementwise, elementwise_aval
from fgrad.trace import type_of

POSITIVE = ((0.2, 2.0),)
WIDE = ((-2.0, 2.0),)
NONZERO = ((0.5, 2.0),)

# --- arithmetic

add: Primitive = elementwise(
    "add",
    np.add,
    lambda t, out, x, y: t,
    lambda t, out, x, y: t,
    kinds="fci",
    operator=operator.add,
    in_place=operator.iadd,
    expression="{0} + {1}",
    augmented="{0} += {1}",
)
subtract: Primitive = elementwise(
    "subtract",
    np.subtract,
    lambda t, out, x, y: t,
    lambda t, out, x, y: -t,
    kinds="fci",
    operator=operator.sub,
    in_place=operator.isub,
    expression="{0} - {1}",
    augmented="{0} -= {1}",
)
multiply: Primitive = elementwise(
    "multiply",
    np.multiply,
    lambda t, out, x, y: t * y,
    lambda t, out, x, y: t * x,
    kinds="fci",
    scales=(0, 1),
    operator=operator.mul,
    in_place=operator.imul,
    expression="{0} * {1}",
    augmented="{0} *= {1}",
)
divide: Primitive = elementwise(
    "divide",
    np.divide,
    lambda t, out, x, y: t / y,
    lambda t, out, x, y: -t * (out / y),
    ranges=(*WIDE, *NONZERO),
    kinds="fci",
    scales=(0,),
    operator=operator.truediv,
    in_place=operator.itruediv,
    expression="{0} / {1}",
    augmented="{0} /= {1}",
)
negative: Primitive = elementwise(
    "negative",
    np.negative,
    lambda t, out, x: -t,
    kinds="fci",
    scales=(0,),
    operator=operator.neg,
    expression="-{0}",
)
positive: Primitive = elementwise(
    "positive", np.positive, lambda t, out, x: t, kinds="fci"
)
square: Primitive = elementwise(
    "square", np.square, lambda t, out, x: 2 * t * x, kinds="fci"
)
reciprocal: Primitive = elementwise(
    "reciprocal",
    np.reciprocal,
    lambda t, out, x: -t * (out * out),
    ranges=NONZERO,
    kinds="fc",
)


def _power_wrt_base(t: Any, out: Any, x: Any, y: Any) -> Any:
    # y x**(y-1) is 0 where y is 0, also at x = 0 where x**(-1) is infinite
    return t * where(is_equal(y, 0), 0.0, y * x ** (y - 1))


def _power_wrt_exponent(t: Any, out: Any, x: Any, y: Any) -> Any:
    # x**y log x tends to 0 as x -> 0, for y >= 0
    return where(is_equal(x, 0) & is_less_equal(0, real(y)), 0.0, t * (out * log(x)))


power: Primitive = elementwise(
    "power",
    np.power,
    _power_wrt_base,
    _power_wrt_exponent,
    ranges=(*NONZERO, *WIDE),
    kinds="fc",
    operator=operator.pow,
)


def _scalar_power(x: Any, *, exponent: Any) -> Any:
    return x**exponent


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
    expression="{0} ** {exponent!r}",
    samples=lambda: [
        Sample((np.array([0.5, 1.5, 0.0]),), {"exponent": 3}),
        Sample((np.array([0.5, 1.5], "float32"),), {"exponent": -2}),
        Sample((np.array([0.5, 1.5]),), {"exponent": 1.5}),
        Sample((np.array([1.0 + 2j, -0.5j]),), {"exponent": 3}),
        Sample((np.float64(0.7),), {"exponent": 0}),
        Sample((np.array([0.0, 2.0]),), {"exponent": 1}),
    ],
)

floor_divide: Primitive = elementwise(
    "floor_divide",
    np.floor_divide,
    None,
    None,
    ranges=(*WIDE, *NONZERO),
    kinds="f",
    operator=operator.floordiv,
    expression="{0} // {1}",
)
remainder: Primitive = elementwise(
    "remainder",
    np.remainder,
    lambda t, out, x, y: t,
    lambda t, out, x, y: -t * (x // y),
    ranges=(*WIDE, *NONZERO),
    operator=operator.mod,
    expression="{0} % {1}",
)
fmod: Primitive = elementwise(
    "fmod",
    np.fmod,
    lambda t, out, x, y: t,
    lambda t, out, x, y: -t * trunc(x / y),
    ranges=(*WIDE, *NONZERO),
)

# --- selection


def _where_numpy(condition: Any, x: Any, y: Any) -> Any:
    return np.where(condition, x, y)[()]


def _where_transpose(ct: Any, condition: Any, x: Any, y: Any) -> Any:
    return None, where(condition, ct, 0.0), where(condition, 0.0, ct)


where: Primitive = Primitive(
    "where",
    _where_numpy,
    elementwise_aval(_where_numpy),
    linear=((1, 2),),
    transpose=_where_transpose,
    elementwise=True,
    samples=lambda: [
        Sample((np.array([True, False]), np.array([1.0, 2.0]), np.array([3.0, 4.0]))),
        Sample((np.array([[True], [False]]), np.ones(3), np.float64(2.0))),
        Sample((np.array([True, False]), np.ones(2, "float32"), 0.0)),
    ],
)


def _pick(t: Any, chosen: Any, other: Any) -> Any:
    # half the derivative each at ties; the select keeps masked elements exactly zero
    return where(is_less(chosen, other), 0.0, t * step(chosen, other))


maximum: Primitive = elementwise(
    "maximum",
    np.maximum,
    lambda t, out, x, y: _pick(t, x, y),
    lambda t, out, x, y: _pick(t, y, x),
)
minimum: Primitive = elementwise(
    "minimum",
    np.minimum,
    lambda t, out, x, y: _pick(t, y, x),
    lambda t, out, x, y: _pick(t, x, y),
)
# fmax and fmin pass over a NaN, so the derivative goes to the operand that is not NaN.
fmax: Primitive = elementwise(
    "fmax",
    np.fmax,
    lambda t, out, x, y: where(is_equal(x, out), t * step(x, fmax(y, -np.inf)), 0.0),
    lambda t, out, x, y: where(is_equal(y, out), t * step(y, fmax(x, -np.inf)), 0.0),
)
fmin: Primitive = elementwise(
    "fmin",
    np.fmin,
    lambda t, out, x, y: where(is_equal(x, out), t * step(fmin(y, np.inf), x), 0.0),
    lambda t, out, x, y: where(is_equal(y, out), t * step(fmin(x, np.inf), y), 0.0),
)
clip: Primitive = elementwise(
    "clip",
    lambda x, low, high: np.clip(x, low, high),
    lambda t, out, x, low, high: where(
        is_less_equal(low, x) & is_less_equal(x, high), t, 0.0
    ),
    lambda t, out, x, low, high: where(is_less(x, low), t, 0.0),
    lambda t, out, x, low, high: where(is_less(high, x), t, 0.0),
    ranges=((-2.0, 2.0), (-1.0, -0.5), (0.5, 1.0)),
)

# --- rounding: piecewise constant, so the derivative is zero

floor: Primitive = elementwise("floor", np.floor, None)
ceil: Primitive = elementwise("ceil", np.ceil, None)
trunc: Primitive = elementwise("trunc", np.trunc, None)
rint: Primitive = elementwise("rint", np.rint, None)

# --- exponentials and logarithms

exp: Primitive = elementwise("exp", np.exp, lambda t, out, x: t * out, kinds="fc")
exp2: Primitive = elementwise(
    "exp2", np.exp2, lambda t, out, x: t * (out * math.log(2)), kinds="fc"
)
expm1: Primitive = elementwise(
    "expm1", np.expm1, lambda t, out, x: t * (out + 1), kinds="fc"
)
log: Primitive = elementwise(
    "log", np.log, lambda t, out, x: t / x, ranges=POSITIVE, kinds="fc"
)
log2: Primitive = elementwise(
    "log2",
    np.log2,
    lambda t, out, x: t / (x * math.log(2)),
    ranges=POSITIVE,
    kinds="fc",
)
log10: Primitive = elementwise(
    "log10",
    np.log10,
    lambda t, out, x: t / (x * math.log(10)),
    ranges=POSITIVE,
    kinds="fc",
)
log1p: Primitive = elementwise(
    "log1p", np.log1p, lambda t, out, x: t / (1 + x), ranges=POSITIVE, kinds="fc"
)
sqrt: Primitive = elementwise(
    "sqrt", np.sqrt, lambda t, out, x: 0.5 * t / out, ranges=POSITIVE, kinds="fc"
)
cbrt: Primitive = elementwise(
    "cbrt", np.cbrt, lambda t, out, x: t / (3 * square(out)), ranges=POSITIVE
)
logaddexp: Primitive = elementwise(
    "logaddexp",
    np.logaddexp,
    lambda t, out, x, y: t * _softmax_term(x, out),
    lambda t, out, x, y: t * _softmax_term(y, out),
)
logaddexp2: Primitive = elementwise(
    "logaddexp2",
    np.logaddexp2,
    lambda t, out, x, y: t * exp2(_difference(x, out)),
    lambda t, out, x, y: t * exp2(_difference(y, out)),
)


def _difference(x: Any, out: Any) -> Any:
    # x - out where both are the same infinity: the derivative there is 1, or 0 at -inf
    return where(is_equal(x, out), where(is_less(x, -1e308), x, 0.0), x - out)


def _softmax_term(x: Any, out: Any) -> Any:
    return exp(_difference(x, out))


# --- trigonometric and hyperbolic functions

sin: Primitive = elementwise("sin", np.sin, lambda t, out, x: t * cos(x), kinds="fc")
cos: Primitive = elementwise("cos", np.cos, lambda t, out, x: -t * sin(x), kinds="fc")
tan: Primitive = elementwise(
    "tan", np.tan, lambda t, out, x: t * (1 + square(out)), kinds="fc"
)
arcsin: Primitive = elementwise(
    "arcsin", np.arcsin, lambda t, out, x: t / sqrt(1 - square(x)), kinds="fc"
)
arccos: Primitive = elementwise(
    "arccos", np.arccos, lambda t, out, x: -t / sqrt(1 - square(x)), kinds="fc"
)
arctan: Primitive = elementwise(
    "arctan", np.arctan, lambda t, out, x: t / (1 + square(x)), kinds="fc"
)
sinh: Primitive = elementwise(
    "sinh", np.sinh, lambda t, out, x: t * cosh(x), kinds="fc"
)
cosh: Primitive = elementwise(
    "cosh", np.cosh, lambda t, out, x: t * sinh(x), kinds="fc"
)
tanh: Primitive = elementwise(
    "tanh", np.tanh, lambda t, out, x: t * (1 - square(out)), kinds="fc"
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
    "sinc", lambda x: np.sinc(x)[()], _sinc_derivative, ranges=NONZERO
)

# --- sign and magnitude

sign: Primitive = elementwise("sign", np.sign, None)
heaviside: Primitive = elementwise(
    "heaviside", np.heaviside, None, None, ranges=(*WIDE, *WIDE)
)
copysign: Primitive = elementwise(
    "copysign",
    np.copysign,
    lambda t, out, x, y: t * (sign(x) * copysign(1.0, y)),
    None,
    ranges=(*NONZERO, *WIDE),
)


def _absolute_jvp(tangents: Any, outs: Any, x: Any) -> Any:
    (t,) = tangents
    if type_of(x).is_complex:
        return real(t * conjugate(complex_sign(x)))
    return t * sign(x)


absolute: Primitive = elementwise(
    "absolute",
    np.absolute,
    jvp=_absolute_jvp,
    kinds="fci",
    operator=operator.abs,
    expression="abs({0})",
)
fabs: Primitive = elementwise("fabs", np.fabs, lambda t, out, x: t * sign(x))


def _complex_sign_jvp(tangents: Any, outs: Any, x: Any) -> Any:
    # d(z/|z|) = i z/|z| Im(conj(z) dz) / |z|^2
    (t,) = tangents
    size = absolute(x)
    safe = where(is_equal(size, 0), 1.0, size)
    return outs[0] * (1j * (imag(conjugate(x) * t) / square(safe)))


complex_sign: Primitive = elementwise(
    "complex_sign", np.sign, jvp=_complex_sign_jvp, kinds="c"
)

# --- complex numbers: the pairing is Re(ct * t), JAX's convention

real: Primitive = elementwise(
    "real",
    np.real,
    scales=(0,),
    linear=((0,),),
    transpose=lambda ct, x: (ct,),
    view_step=lambda out, x, operands, params: ("real", ()),
    aval=lambda x: x.real,
    kinds="fc",
)
imag: Primitive = elementwise(
    "imag",
    np.imag,
    scales=(0,),
    linear=((0,),),
    transpose=lambda ct, x: (ct * -1j if type_of(x).is_complex else ct * 0,),
    view_step=lambda out, x, operands, params: ("imag", ()),
    aval=lambda x: x.real,
    kinds="fc",
)
conjugate: Primitive = elementwise(
    "conjugate",
    np.conjugate,
    scales=(0,),
    linear=((0,),),
    transpose=lambda ct, x: (conjugate(ct),),
    kinds="fc",
)


def _angle_jvp(tangents: Any, outs: Any, x: Any) -> Any:
    (t,) = tangents
    return imag(conjugate(x) * t) / square(absolute(x))


angle: Primitive = elementwise(
    "angle", lambda x: np.angle(x)[()], jvp=_angle_jvp, kinds="c"
)


def _nan_to_num_derivative(t: Any, out: Any, x: Any, **replacements: Any) -> Any:
    return where(is_equal(x, out), t, 0.0)


nan_to_num: Primitive = elementwise(
    "nan_to_num",
    lambda x, *, nan, posinf, neginf: np.nan_to_num(
        x, nan=nan, posinf=posinf, neginf=neginf
    )[()],
    _nan_to_num_derivative,
    samples=lambda: [
        Sample((np.array([0.5, -1.0]),), {"nan": 0.0, "posinf": None, "neginf": None})
    ],
)
