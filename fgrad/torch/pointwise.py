"""Elementwise functions of one tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.ops.select import relu as rectified
from fgrad.torch import dtypes
from fgrad.torch.arithmetic import as_number_or_tensor, result_type
from fgrad.torch.conversion import convert
from fgrad.torch.fitting import check_shapes
from fgrad.torch.recording import apply
from fgrad.torch.registry import operation
from fgrad.torch.repeating import repeated
from fgrad.torch.tensor import Tensor, make, require_tensor


@operation("abs", "absolute", "__abs__")
def abs(input: Tensor) -> Tensor:
    """The absolute value, of complex numbers the magnitude; its gradient at 0 is 0.

    Raises:
        NotImplementedError: the elements are booleans.

    >>> torch.abs(torch.tensor([-2, 3]))
    tensor([2, 3])
    """
    x = require_tensor("abs", input)
    if x._aval.dtype == bool:
        raise NotImplementedError("\"abs_cpu\" not implemented for 'Bool'")
    return apply("AbsBackward0", np.abs, x)  # type: ignore[no-any-return]


def relu_of(x: Any) -> Any:
    """The larger of an element and 0, of an array or a tracer; -0.0 stays as it is."""
    return rectified(x)


@operation("relu")
@repeated
def relu(input: Tensor) -> Tensor:
    """The larger of an element and 0; its gradient at 0 is 0.

    Raises:
        RuntimeError: the elements are booleans.

    >>> torch.relu(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    x = require_tensor("relu", input)
    if x._aval.dtype == bool:
        raise RuntimeError("Boolean inputs not supported for relu")
    return apply("ReluBackward0", relu_of, x)  # type: ignore[no-any-return]


@operation("square")
def square(input: Tensor) -> Tensor:
    """``input ** 2``, elementwise.

    >>> torch.square(torch.tensor([-2.0, 3.0]))
    tensor([4., 9.])
    """
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

    >>> torch.clamp(torch.tensor([-3.0, 0.5, 3.0]), -1.0, 1.0)
    tensor([-1.0000,  0.5000,  1.0000])
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
    check_shapes(x, *bounds)
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
    """Elements, but at least ``min``.

    >>> torch.clamp_min(torch.tensor([-3, 5]), 0)
    tensor([0, 5])
    """
    x = require_tensor("clamp_min", input)
    if isinstance(min, Tensor):
        return clamp(x, min=min)
    x = convert(x, result_type(x, min))
    return apply("ClampMinBackward0", lambda u: _clamped(u, min, None), x)  # type: ignore[no-any-return]


@operation("clamp_max")
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Elements, but at most ``max``.

    >>> torch.clamp_max(torch.tensor([-3, 5]), 0)
    tensor([-3,  0])
    """
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
    limited = np.clip(x, low, high)
    if low == 0 or high == 0:
        return np.where(x == 0, x, limited)  # -0.0 is inside
    return limited


@operation("isnan")
def isnan(input: Tensor) -> Tensor:
    """Whether elements are NaN: a tensor of booleans.

    >>> torch.isnan(torch.tensor([1.0, float("nan")]))
    tensor([False,  True])
    """
    return make(np.isnan(input._array))


@operation("isinf")
def isinf(input: Tensor) -> Tensor:
    """Whether elements are infinite: a tensor of booleans.

    >>> torch.isinf(torch.tensor([1.0, float("-inf")]))
    tensor([False,  True])
    """
    return make(np.isinf(input._array))


@operation("isfinite")
def isfinite(input: Tensor) -> Tensor:
    """Whether elements are neither infinite nor NaN: a tensor of booleans.

    >>> torch.isfinite(torch.tensor([1.0, float("nan"), float("inf")]))
    tensor([ True, False, False])
    """
    return make(np.isfinite(input._array))


@operation("isreal")
def isreal(input: Tensor) -> Tensor:
    """Whether elements are real: no imaginary part, or none but zero.

    >>> torch.isreal(torch.tensor([1 + 0j, 1 + 1j]))
    tensor([ True, False])
    """
    return make(np.isreal(input._array))


@operation("isposinf")
def isposinf(input: Tensor) -> Tensor:
    """Whether elements are plus infinity.

    >>> torch.isposinf(torch.tensor([float("inf"), float("-inf")]))
    tensor([ True, False])
    """
    return make(input._array == np.inf)


@operation("isneginf")
def isneginf(input: Tensor) -> Tensor:
    """Whether elements are minus infinity.

    >>> torch.isneginf(torch.tensor([float("inf"), float("-inf")]))
    tensor([False,  True])
    """
    return make(input._array == -np.inf)


@operation("nan_to_num")
def nan_to_num(
    input: Tensor, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Tensor:
    """NaN and infinities replaced by numbers; their gradient is zero.

    Infinities become the largest and smallest number of the dtype by default.

    >>> torch.nan_to_num(torch.tensor([float("nan"), float("inf"), 1.0]), posinf=9.0)
    tensor([0., 9., 1.])
    """
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
    """The tensor itself.

    >>> torch.positive(torch.tensor([-1, 2]))
    tensor([-1,  2])
    """
    return require_tensor("positive", input)
