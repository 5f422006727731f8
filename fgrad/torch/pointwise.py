"""Elementwise functions of one tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.arithmetic import as_number_or_tensor, result_type
from fgrad.torch.conversion import convert
from fgrad.torch.recording import apply
from fgrad.torch.registry import FUNCTIONS, METHODS, operation
from fgrad.torch.repeating import repeated
from fgrad.torch.tensor import Tensor, make, require_tensor


def _floating(name: str, node: str, function: Callable[[Any], Any]) -> Any:
    """A function whose result is floating-point; integers give the default dtype."""

    def compute(input: Tensor) -> Tensor:
        x = require_tensor(name, input)
        if x._aval.dtype.kind not in "fc":
            x = convert(x, dtypes.get_default_dtype())
        return apply(node, function, x)  # type: ignore[no-any-return]

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"Elementwise ``{name}``."
    METHODS[name] = FUNCTIONS[name] = repeated(compute)
    return METHODS[name]


def sigmoid_of(x: Any) -> Any:
    """The sigmoid of an array, without overflow."""
    # each branch where its exponential does not overflow: `where` is NaN-safe
    rising, falling = np.exp(x), np.exp(-x)
    low = np.where(np.isinf(falling), 0.0, rising / (1 + rising))
    return np.where(x < 0, low, 1 / (1 + falling))


def _sinc(x: Any) -> Any:
    turns = np.where(x == 0, 1.0, x) * np.pi
    return np.where(x == 0, 1.0, np.sin(turns) / turns)


exp = _floating("exp", "ExpBackward0", np.exp)
exp2 = _floating("exp2", "Exp2Backward0", np.exp2)
expm1 = _floating("expm1", "Expm1Backward0", np.expm1)
log = _floating("log", "LogBackward0", np.log)
log2 = _floating("log2", "Log2Backward0", np.log2)
log10 = _floating("log10", "Log10Backward0", np.log10)
log1p = _floating("log1p", "Log1PBackward0", np.log1p)
sqrt = _floating("sqrt", "SqrtBackward0", np.sqrt)
rsqrt = _floating("rsqrt", "RsqrtBackward0", lambda x: 1 / np.sqrt(x))
sin = _floating("sin", "SinBackward0", np.sin)
cos = _floating("cos", "CosBackward0", np.cos)
tan = _floating("tan", "TanBackward0", np.tan)
asin = _floating("asin", "AsinBackward0", np.arcsin)
acos = _floating("acos", "AcosBackward0", np.arccos)
atan = _floating("atan", "AtanBackward0", np.arctan)
sinh = _floating("sinh", "SinhBackward0", np.sinh)
cosh = _floating("cosh", "CoshBackward0", np.cosh)
tanh = _floating("tanh", "TanhBackward0", np.tanh)
asinh = _floating("asinh", "AsinhBackward0", np.arcsinh)
acosh = _floating("acosh", "AcoshBackward0", np.arccosh)
atanh = _floating("atanh", "AtanhBackward0", np.arctanh)
sigmoid = _floating("sigmoid", "SigmoidBackward0", sigmoid_of)
sinc = _floating("sinc", "SincBackward0", _sinc)
deg2rad = _floating("deg2rad", "Deg2RadBackward0", lambda x: x * (math.pi / 180))
rad2deg = _floating("rad2deg", "Rad2DegBackward0", lambda x: x * (180 / math.pi))
for _name in ("sin", "cos", "tan", "sinh", "cosh", "tanh"):
    METHODS[f"arc{_name}"] = METHODS.get(f"a{_name}")
    FUNCTIONS[f"arc{_name}"] = FUNCTIONS.get(f"a{_name}")


@operation("abs", "absolute", "__abs__")
def abs(input: Tensor) -> Tensor:
    """The absolute value; its gradient at 0 is 0."""
    x = require_tensor("abs", input)
    if x._aval.dtype == bool:
        raise NotImplementedError("\"abs_cpu\" not implemented for 'Bool'")
    return apply("AbsBackward0", np.abs, x)  # type: ignore[no-any-return]


@operation("relu")
@repeated
def relu(input: Tensor) -> Tensor:
    """The larger of an element and 0; its gradient at 0 is 0."""
    x = require_tensor("relu", input)
    if x._aval.dtype == bool:
        raise RuntimeError("Boolean inputs not supported for relu")
    zero = 0 if x._aval.dtype.kind in "iu" else 0.0
    return apply("ReluBackward0", lambda u: np.where(u <= 0, zero, u), x)  # type: ignore[no-any-return]


@operation("square")
def square(input: Tensor) -> Tensor:
    """``input ** 2``"""
    return require_tensor("square", input) ** 2  # type: ignore[operator, no-any-return]


@operation("clamp", "clip")
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Elements limited to ``[min, max]``; the gradient at a bound is that of inside.

    Args:
        input: a tensor.
        min: the lower bound: None, a number or a tensor.
        max: the upper bound, likewise.

    Raises:
        RuntimeError: neither bound is given.
        TypeError: a bound is neither a number nor a tensor.
    """
    x = require_tensor("clamp", input)
    bounds = [bound for bound in (min, max) if bound is not None]
    if not bounds:
        raise RuntimeError(
            "torch.clamp: At least one of 'min' or 'max' must not be None"
        )
    kinds = {isinstance(bound, Tensor) for bound in bounds}
    if len(kinds) == 2:  # a number and a tensor, which must have one element
        min, max = (b.item() if isinstance(b, Tensor) else b for b in (min, max))
        return clamp(x, min, max)
    if any(as_number_or_tensor(b) is NotImplemented for b in bounds):
        raise TypeError("clamp() takes numbers or tensors as bounds")
    target = result_type(x, bounds[0])
    for bound in bounds[1:]:
        target = dtypes.promote_types(target, result_type(x, bound))
    x = convert(x, target)
    if True in kinds:
        low, high = (b if b is None else convert(b, target) for b in (min, max))
        return apply("ClampBackward0", _between, x, low, high)  # type: ignore[no-any-return]
    return apply("ClampBackward1", lambda u: _clamped(u, min, max), x)  # type: ignore[no-any-return]


@operation("clamp_min")
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Elements, but at least ``min``."""
    x = require_tensor("clamp_min", input)
    if isinstance(min, Tensor):
        return clamp(x, min=min)
    x = convert(x, result_type(x, min))
    return apply("ClampMinBackward0", lambda u: _clamped(u, min, None), x)  # type: ignore[no-any-return]


@operation("clamp_max")
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Elements, but at most ``max``."""
    x = require_tensor("clamp_max", input)
    if isinstance(max, Tensor):
        return clamp(x, max=max)
    x = convert(x, result_type(x, max))
    return apply("ClampMaxBackward0", lambda u: _clamped(u, None, max), x)  # type: ignore[no-any-return]


def _between(x: Any, low: Any, high: Any) -> Any:
    if low is not None:
        x = np.where(x < low, low, x)
    return x if high is None else np.where(x > high, high, x)


def _clamped(x: Any, low: Any, high: Any) -> Any:
    if low is not None and high is not None and low > high:
        return np.where(x == x, x * 0 + high, x)
    return np.clip(x, low, high)


@operation("isnan")
def isnan(input: Tensor) -> Tensor:
    """Whether elements are NaN."""
    return make(np.isnan(input._array))


@operation("isinf")
def isinf(input: Tensor) -> Tensor:
    """Whether elements are infinite."""
    return make(np.isinf(input._array))


@operation("isfinite")
def isfinite(input: Tensor) -> Tensor:
    """Whether elements are neither infinite nor NaN."""
    return make(np.isfinite(input._array))


@operation("isreal")
def isreal(input: Tensor) -> Tensor:
    """Whether elements are real: no imaginary part, or none but zero."""
    return make(np.isreal(input._array))


@operation("isposinf")
def isposinf(input: Tensor) -> Tensor:
    """Whether elements are plus infinity."""
    return make(input._array == np.inf)


@operation("isneginf")
def isneginf(input: Tensor) -> Tensor:
    """Whether elements are minus infinity."""
    return make(input._array == -np.inf)


@operation("nan_to_num")
def nan_to_num(
    input: Tensor, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Tensor:
    """NaN and infinities replaced by numbers; their gradient is zero."""
    x = require_tensor("nan_to_num", input)
    if x._aval.dtype.kind != "f":
        return make(x._array.copy())
    ends = np.finfo(x._aval.dtype)
    high = float(ends.max) if posinf is None else posinf
    low = float(ends.min) if neginf is None else neginf
    return apply("NanToNumBackward0", lambda u: _finite(u, nan or 0.0, high, low), x)  # type: ignore[no-any-return]


def _finite(x: Any, nan: float, high: float, low: float) -> Any:
    x = np.where(np.isnan(x), nan, x)
    x = np.where(x == np.inf, high, x)
    return np.where(x == -np.inf, low, x)


@operation("positive")
def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
    return require_tensor("positive", input)
