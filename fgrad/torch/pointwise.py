"""Elementwise functions of one tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.arithmetic import as_number_or_tensor, result_type
from fgrad.torch.conversion import convert
from fgrad.torch.graph import apply
from fgrad.torch.registry import METHODS, method
from fgrad.torch.tensor import Tensor, make, require_tensor


def _floating(name: str, node: str, function: Callable[[Any], Any]) -> Any:
    """A function whose result is floating-point; integers give the default dtype."""

    def compute(input: Tensor) -> Tensor:
        x = require_tensor(name, input)
        if x._array.dtype.kind != "f":
            x = convert(x, dtypes.get_default_dtype())
        return apply(node, function, x)  # type: ignore[no-any-return]

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"Elementwise ``{name}``."
    METHODS[name] = compute
    return compute


def _sigmoid(x: Any) -> Any:
    # each branch where its exponential does not overflow: `where` is NaN-safe
    rising, falling = np.exp(x), np.exp(-x)
    low = np.where(np.isinf(falling), 0.0, rising / (1 + rising))
    return np.where(x < 0, low, 1 / (1 + falling))


exp = _floating("exp", "ExpBackward0", np.exp)
log = _floating("log", "LogBackward0", np.log)
sqrt = _floating("sqrt", "SqrtBackward0", np.sqrt)
sin = _floating("sin", "SinBackward0", np.sin)
cos = _floating("cos", "CosBackward0", np.cos)
tanh = _floating("tanh", "TanhBackward0", np.tanh)
sigmoid = _floating("sigmoid", "SigmoidBackward0", _sigmoid)


@method("abs", "absolute", "__abs__")
def abs(input: Tensor) -> Tensor:
    """The absolute value; its gradient at 0 is 0."""
    x = require_tensor("abs", input)
    if x._array.dtype == bool:
        raise NotImplementedError("\"abs_cpu\" not implemented for 'Bool'")
    return apply("AbsBackward0", np.abs, x)  # type: ignore[no-any-return]


@method("relu")
def relu(input: Tensor) -> Tensor:
    """The larger of an element and 0; its gradient at 0 is 0."""
    x = require_tensor("relu", input)
    if x._array.dtype == bool:
        raise RuntimeError("Boolean inputs not supported for relu")
    zero = 0 if x._array.dtype.kind in "iu" else 0.0
    return apply("ReluBackward0", lambda u: np.where(u <= 0, zero, u), x)  # type: ignore[no-any-return]


@method("square")
def square(input: Tensor) -> Tensor:
    """``input ** 2``"""
    return require_tensor("square", input) ** 2  # type: ignore[operator, no-any-return]


@method("clamp", "clip")
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Elements limited to ``[min, max]``; the gradient at a bound is that of inside.

    Raises:
        RuntimeError: neither bound is given.
        NotImplementedError: a bound is a tensor.
    """
    x = require_tensor("clamp", input)
    bounds = [bound for bound in (min, max) if bound is not None]
    if not bounds:
        raise RuntimeError(
            "torch.clamp: At least one of 'min' or 'max' must not be None"
        )
    for bound in bounds:
        if as_number_or_tensor(bound) is NotImplemented or isinstance(bound, Tensor):
            raise NotImplementedError("clamp takes numbers as bounds so far")
    target = result_type(x, bounds[0])
    for bound in bounds[1:]:
        target = dtypes.promote_types(target, result_type(x, bound))
    x = convert(x, target)
    return apply("ClampBackward1", lambda u: _clamped(u, min, max), x)  # type: ignore[no-any-return]


def _clamped(x: Any, low: Any, high: Any) -> Any:
    if low is not None and high is not None and low > high:
        return np.where(x == x, x * 0 + high, x)
    return np.clip(x, low, high)


@method("isnan")
def isnan(input: Tensor) -> Tensor:
    """Whether elements are NaN."""
    return make(np.isnan(input._array))


@method("isinf")
def isinf(input: Tensor) -> Tensor:
    """Whether elements are infinite."""
    return make(np.isinf(input._array))


@method("isfinite")
def isfinite(input: Tensor) -> Tensor:
    """Whether elements are neither infinite nor NaN."""
    return make(np.isfinite(input._array))
