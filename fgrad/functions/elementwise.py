"""Elementwise functions that are more than one primitive."""

import math
from typing import Any

import numpy as np

from fgrad.fast import bind1
from fgrad.functions.protocol import concrete, implements, write_out
from fgrad.ops import elementwise as ops
from fgrad.ops import logic, transcendental
from fgrad.ops.cut import stop
from fgrad.ops.select import where as where_
from fgrad.ops.structure import astype, copy
from fgrad.trace import Tracer, as_operand, type_of

SMALL_POWER = 64  # exponents up to which x**n is worth its own equation


@implements(np.power)
def power(x: Any, y: Any) -> Any:
    """``x ** y``; a Python number as exponent becomes part of the equation."""
    if type(x) is Tracer and type(y) is int and y == 2:
        return bind1(ops.square, x)
    if type(y) in (int, float) and type(x) is Tracer and math.isfinite(y):
        is_whole = type(y) is int or y.is_integer()
        if x.aval.is_inexact:
            exponent = int(y) if is_whole and abs(y) <= SMALL_POWER else y
            if exponent == 2:
                return bind1(ops.square, x)
            return transcendental.scalar_power(x, exponent=exponent)
    return transcendental.power(as_operand(x), as_operand(y))


@implements(np.float_power)
def float_power(x: Any, y: Any) -> Any:
    """``power`` in at least double precision."""
    return power(_at_least_double(x), y)


def _at_least_double(x: Any) -> Any:
    x = as_operand(x)
    dtype = np.result_type(type_of(x).dtype, np.float64).name
    return x if type_of(x).numpy_dtype.name == dtype else astype(x, dtype=dtype)


@implements(np.divmod)
def divmod_(x: Any, y: Any) -> tuple[Any, Any]:
    """Quotient rounded down, and the rest."""
    x, y = as_operand(x), as_operand(y)
    return ops.floor_divide(x, y), ops.remainder(x, y)


@implements(np.modf)
def modf(x: Any) -> tuple[Any, Any]:
    """Fractional and integral part."""
    whole = ops.trunc(as_operand(x))
    return x - whole, whole


@implements(np.degrees)
def degrees(x: Any) -> Any:
    """Radians to degrees."""
    return transcendental.rad2deg(as_operand(x))


@implements(np.radians)
def radians(x: Any) -> Any:
    """Degrees to radians."""
    return transcendental.deg2rad(as_operand(x))


@implements(np.ldexp)
def ldexp(x: Any, exponent: Any) -> Any:
    """``x * 2**exponent``"""
    x = as_operand(x)
    return x * np.exp2(exponent).astype(type_of(x).numpy_dtype)


@implements(np.clip)
def clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **bounds: Any
) -> Any:
    """Values limited to an interval; the derivative at a bound is 1."""
    low, high = bounds.get("min", a_min), bounds.get("max", a_max)
    a = as_operand(a)
    if low is not None and high is not None:
        result = ops.clip(a, as_operand(low), as_operand(high))
    elif low is not None:
        result = ops.clip(a, as_operand(low), _bound(a, np.inf))
    elif high is not None:
        result = ops.clip(a, _bound(a, -np.inf), as_operand(high))
    else:
        result = copy(a)
    return result if out is None else _write(out, result)


def _bound(a: Any, infinity: float) -> Any:
    aval = type_of(a)
    if aval.is_inexact:
        return infinity
    info = np.iinfo(aval.numpy_dtype)
    return int(info.max if infinity > 0 else info.min)


def _write(out: Any, result: Any) -> Any:
    return write_out((out,), result)


@implements(np.where)
def where(condition: Any, *branches: Any) -> Any:
    """Elements of ``x`` where the condition holds, else of ``y``; NaN-safe gradient."""
    if not branches:
        return np.nonzero(condition)
    x, y = map(as_operand, branches)
    condition = as_operand(condition)
    if type_of(condition).numpy_dtype != np.bool_:
        condition = condition != 0
    return where_(condition, x, y)


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """The first choice whose condition holds."""
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, choice, result)
    return result


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """Functions, each applied where its condition holds; the last condition wins."""
    conditions = list(condlist) if isinstance(condlist, list | tuple) else [condlist]
    functions = list(funclist)
    result: Any = 0.0
    if len(functions) == len(conditions) + 1:
        result = _piece(functions.pop(), x, args, kw)
    for condition, function in zip(conditions, functions, strict=True):
        result = where(condition, _piece(function, x, args, kw), result)
    return result


def _piece(function: Any, x: Any, args: Any, kw: Any) -> Any:
    if not callable(function):
        return function
    with np.errstate(all="ignore"):
        return function(x, *args, **kw)


@implements(np.nan_to_num)
def nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """NaN and infinities replaced by numbers."""
    result = ops.nan_to_num(as_operand(x), nan=nan, posinf=posinf, neginf=neginf)
    return result if copy else _write(x, result)


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """``sin(pi x) / (pi x)``"""
    return transcendental.sinc(as_operand(x))


@implements(np.real)
def real(val: Any) -> Any:
    """The real part; a real array itself."""
    return ops.real(val) if type_of(val).is_complex else val


@implements(np.imag)
def imag(val: Any) -> Any:
    """The imaginary part."""
    return ops.imag(val)


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """The argument of a complex number."""
    z = as_operand(z)
    if type_of(z).is_complex:
        result = ops.angle(z)
    else:
        result = where_(logic.is_less(z, 0), math.pi, z * 0)
    return result * (180 / math.pi) if deg else result


@implements(np.sign)
def sign(x: Any) -> Any:
    """-1, 0 or 1; ``z / |z|`` of a complex number."""
    x = as_operand(x)
    return ops.complex_sign(x) if type_of(x).is_complex else ops.sign(x)


@implements(np.round, np.around)
def round_(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """Rounded to ``decimals``; the derivative is zero."""
    a = as_operand(a)
    result = _rounded(a, decimals)
    return result if out is None else _write(out, result)


def _rounded(a: Any, decimals: int) -> Any:
    aval = type_of(a)
    is_integer = aval.numpy_dtype.kind in "iu"
    if is_integer and decimals >= 0:
        return copy(a)
    if decimals == 0:
        return ops.rint(a)
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return ops.rint(a * scale) / scale
    result = ops.rint(a / scale) * scale
    return astype(result, dtype=aval.numpy_dtype.name) if is_integer else result


@implements(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    """Rounded towards zero."""
    return ops.trunc(as_operand(x))


@implements(np.isreal)
def isreal(x: Any) -> Any:
    """Whether elements have no imaginary part."""
    return ops.imag(x) == 0


@implements(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    """The real part where all imaginary parts are negligible."""
    if not type_of(a).is_complex:
        return a
    close = not np.iscomplexobj(np.real_if_close(concrete(a), tol))
    return ops.real(a) if close else a


@implements(np.isclose)
def isclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether elements are equal within tolerances; not differentiated."""
    a, b = (stop(x) if type(x) is Tracer else as_operand(x) for x in (a, b))
    with np.errstate(invalid="ignore"):
        is_near = abs(a - b) <= atol + rtol * abs(b)
        close = (is_near & np.isfinite(b)) | (a == b)
    return close | (np.isnan(a) & np.isnan(b)) if equal_nan else close
