"""Elementwise arithmetic, exponential, trigonometric and hyperbolic functions.

A derivative is a map ``(t, out, *operands) -> t * partial``; it serves both modes.
"""

import operator
from typing import Any

import numpy as np

from fgrad.ir import PYTHON_AVALS
from fgrad.ops.logic import is_equal, is_less, is_less_equal, step
from fgrad.ops.select import where
from fgrad.primitive import Primitive, Sample, elementwise
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
    commutes=True,
    operator=operator.add,
    in_place=operator.iadd,
    expression="{0} + {1}",
    scalar="{0} + {1}",
    augmented="{0} += {1}",
    jax="lax.add",
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
    scalar="{0} - {1}",
    augmented="{0} -= {1}",
    jax="lax.sub",
)
multiply: Primitive = elementwise(
    "multiply",
    np.multiply,
    lambda t, out, x, y: t * y,
    lambda t, out, x, y: t * x,
    kinds="fci",
    commutes=True,
    scales=(0, 1),
    operator=operator.mul,
    in_place=operator.imul,
    expression="{0} * {1}",
    scalar="{0} * {1}",
    augmented="{0} *= {1}",
    jax="lax.mul",
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
    scalar="{0} / {1}",
    augmented="{0} /= {1}",
    jax="lax.div",
)
negative: Primitive = elementwise(
    "negative",
    np.negative,
    lambda t, out, x: -t,
    kinds="fci",
    scales=(0,),
    operator=operator.neg,
    expression="-{0}",
    scalar="-{0}",
    jax="lax.neg",
)
positive: Primitive = elementwise(
    "positive", np.positive, lambda t, out, x: t, kinds="fci"
)
_KINDS = {kind.__name__: kind for kind in (int, float, complex)}


def _as_number(x: Any, *, kind: str) -> Any:
    return x if np.ndim(x) else _KINDS[kind](x)


number: Primitive = elementwise(  # what Python's operators give for Python's numbers
    "number",
    _as_number,
    lambda t, out, x, kind: number(t, kind=kind),
    aval=lambda x, kind: x if x.ndim else PYTHON_AVALS[_KINDS[kind]],
    expression="{kind}({0})",
    jax=lambda xla, x, kind: x,
    scalar=lambda kind: "{0}" if kind == "float" else None,
    batch=lambda size, mapped, x, kind: x,
    samples=lambda: [Sample((np.float64(0.5),), {"kind": "float"})],
)
square: Primitive = elementwise(
    "square",
    np.square,
    lambda t, out, x: 2 * t * x,
    kinds="fci",
    jax="lax.square",
    scalar="{0} * {0}",
)
reciprocal: Primitive = elementwise(
    "reciprocal",
    np.reciprocal,
    lambda t, out, x: -t * (out * out),
    ranges=NONZERO,
    kinds="fc",
)


def _divmod_jax(xla: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Quotient and remainder as in ``npy_divmod`` of NumPy, for integers, too."""
    np, lax = xla.np, xla.lax
    x, y = np.broadcast_arrays(*xla.cast_all(x, y))
    if np.issubdtype(x.dtype, np.integer):
        is_zero = y == 0
        divisor = np.where(is_zero, np.ones_like(y), y)
        quotient, rest = lax.div(x, divisor), lax.rem(x, divisor)
        is_off = (rest != 0) & ((rest < 0) != (divisor < 0))
        quotient = np.where(is_off, quotient - 1, quotient)
        rest = np.where(is_off, rest + divisor, rest)
        return np.where(is_zero, 0, quotient), np.where(is_zero, 0, rest)
    rest = lax.rem(x, y)
    quotient = (x - rest) / y
    is_off = (rest != 0) & ((rest < 0) != (y < 0))
    quotient = np.where(is_off, quotient - 1, quotient)
    rest = np.where(is_off, rest + y, rest)
    rest = np.where(rest == 0, np.copysign(np.zeros_like(rest), y), rest)
    rounded = np.floor(quotient)
    rounded = np.where(quotient - rounded > 0.5, rounded + 1, rounded)
    zero = np.copysign(np.zeros_like(rounded), x / y)
    quotient = np.where(quotient == 0, zero, rounded)
    return np.where(y == 0, x / y, quotient), rest


def _fmod_jax(xla: Any, x: Any, y: Any) -> Any:
    x, y = xla.np.broadcast_arrays(*xla.cast_all(x, y))
    if x.dtype.kind == "f":
        return xla.lax.rem(x, y)
    rest = xla.lax.rem(x, xla.np.where(y == 0, xla.np.ones_like(y), y))
    return xla.np.where(y == 0, 0, rest)


floor_divide: Primitive = elementwise(
    "floor_divide",
    np.floor_divide,
    None,
    None,
    jax=lambda xla, x, y: _divmod_jax(xla, x, y)[0],
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
    jax=lambda xla, x, y: _divmod_jax(xla, x, y)[1],
    expression="{0} % {1}",
)
fmod: Primitive = elementwise(
    "fmod",
    np.fmod,
    lambda t, out, x, y: t,
    lambda t, out, x, y: -t * trunc(x / y),
    ranges=(*WIDE, *NONZERO),
    jax=_fmod_jax,
)

# --- selection


def _pick(t: Any, chosen: Any, other: Any) -> Any:
    # half the derivative each at ties; the select keeps masked elements exactly zero
    return where(is_less(chosen, other), 0.0, t * step(chosen, other))


def _extremum_jax(xla: Any, x: Any, y: Any) -> Any:
    """NaN where an operand is, of complex ones, too, which jax orders otherwise."""
    np = xla.np
    x, y = map(xla.spread, xla.cast_all(x, y))
    if x.dtype.kind != "c":
        is_max = xla.prim.name == "maximum"
        return xla.lax.max(x, y) if is_max else xla.lax.min(x, y)
    extremum = getattr(np, xla.prim.name)(x, y)
    return np.where(x != x, x, np.where(y != y, y, extremum))


maximum: Primitive = elementwise(
    "maximum",
    np.maximum,
    lambda t, out, x, y: _pick(t, x, y),
    lambda t, out, x, y: _pick(t, y, x),
    jax=_extremum_jax,
)
minimum: Primitive = elementwise(
    "minimum",
    np.minimum,
    lambda t, out, x, y: _pick(t, y, x),
    lambda t, out, x, y: _pick(t, x, y),
    jax=_extremum_jax,
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
    jax=lambda xla, x, low, high: xla.np.clip(*xla.cast_all(x, low, high)),
)

# --- rounding: piecewise constant, so the derivative is zero

floor: Primitive = elementwise("floor", np.floor, None)
ceil: Primitive = elementwise("ceil", np.ceil, None)
trunc: Primitive = elementwise("trunc", np.trunc, None)
rint: Primitive = elementwise("rint", np.rint, None)

# --- sign and magnitude

sign: Primitive = elementwise(
    "sign",
    np.sign,
    None,
    jax=lambda xla, x: xla.np.where(x == 0, 0, xla.np.sign(x)),  # 0.0 for -0.0
)
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
    scalar="abs({0})",
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


def _angle_jax(xla: Any, x: Any) -> Any:
    return xla.np.angle(x if xla.ins[0].is_complex else xla.cast_all(x)[0])


angle: Primitive = elementwise(
    "angle", lambda x: np.angle(x)[()], jvp=_angle_jvp, kinds="c", jax=_angle_jax
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
