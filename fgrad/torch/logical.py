"""Logic and bits, and questions with a yes or no; they have no gradients."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.arithmetic import Operand, binary, result_type
from fgrad.torch.cuts import cut_off
from fgrad.torch.registry import FUNCTIONS, METHODS, numpy_names, operation
from fgrad.torch.size import axes_of
from fgrad.torch.tensor import Tensor, make, require_tensor


def _logic(name: str, compute: Callable[[Any, Any], Any]) -> Any:
    def apply_logic(input: Tensor, other: Tensor) -> Tensor:
        x, y = require_tensor(name, input), require_tensor(name, other, 2)
        return cut_off(make(compute(x._array, y._array)), f"{name}()", x, y)

    apply_logic.__name__ = apply_logic.__qualname__ = name
    apply_logic.__doc__ = f"Elementwise ``{name}``; what is not zero is true."
    METHODS[name] = FUNCTIONS[name] = apply_logic
    return apply_logic


logical_and = _logic("logical_and", np.logical_and)
logical_or = _logic("logical_or", np.logical_or)
logical_xor = _logic("logical_xor", np.logical_xor)


def _bits(name: str, compute: Callable[[Any, Any], Any]) -> Any:
    def apply_bits(input: Operand, other: Operand) -> Tensor:
        target = result_type(input, other)
        if target.category > 1:
            kernel = {"bitwise_left_shift": "lshift", "bitwise_right_shift": "rshift"}
            raise NotImplementedError(
                f"\"{kernel.get(name, name)}_cpu\" not implemented for '{target.kind}'"
            )
        return binary("", compute, input, other, target)

    apply_bits.__name__ = apply_bits.__qualname__ = name
    apply_bits.__doc__ = f"Elementwise ``{name}`` of integers or booleans."
    METHODS[name] = FUNCTIONS[name] = apply_bits
    return apply_bits


bitwise_and = _bits("bitwise_and", np.bitwise_and)
bitwise_or = _bits("bitwise_or", np.bitwise_or)
bitwise_xor = _bits("bitwise_xor", np.bitwise_xor)
bitwise_left_shift = _bits("bitwise_left_shift", np.left_shift)
bitwise_right_shift = _bits("bitwise_right_shift", np.right_shift)
METHODS["__lshift__"] = bitwise_left_shift
METHODS["__rshift__"] = bitwise_right_shift


@operation("bitwise_not")
def bitwise_not(input: Tensor) -> Tensor:
    """``~input``"""
    return ~input  # type: ignore[operator, no-any-return]


@operation("gcd")
def gcd(input: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor of integers."""
    return binary("", np.gcd, input, other, result_type(input, other))


@operation("lcm")
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple of integers."""
    return binary("", np.lcm, input, other, result_type(input, other))


@operation("isclose")
def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Tensor:
    """Whether elements are equal within tolerances."""
    x, y = require_tensor("isclose", input), require_tensor("isclose", other, 2)
    if x._aval.dtype != y._aval.dtype:
        raise RuntimeError(f"{x.dtype.kind} did not match {y.dtype.kind}")
    return make(np.isclose(x._array, y._array, rtol, atol, equal_nan))


@operation("isin")
def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Tensor:
    """Whether elements are among others."""
    x, y = (z._array if isinstance(z, Tensor) else z for z in (elements, test_elements))
    return make(np.isin(x, y, invert=invert))


def _quantifier(name: str, compute: Any, doc: str) -> Any:
    def apply_quantifier(
        input: Tensor, dim: Any = None, keepdim: bool = False
    ) -> Tensor:
        x = require_tensor(name, input)
        axes = axes_of(dim, x._aval.ndim)
        found = compute(x._array, axis=axes, keepdims=keepdim)
        is_byte = x._aval.dtype == np.uint8
        return make(np.asarray(found).astype(np.uint8) if is_byte else found)

    apply_quantifier.__name__ = apply_quantifier.__qualname__ = name
    apply_quantifier.__doc__ = doc
    METHODS[name] = FUNCTIONS[name] = numpy_names(apply_quantifier)
    return METHODS[name]


all = _quantifier("all", np.all, "Whether all elements are true.")
any = _quantifier("any", np.any, "Whether one of the elements is true.")


@operation("count_nonzero")
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not zero, over all axes or some."""
    x = require_tensor("count_nonzero", input)
    count = np.count_nonzero(x._array, axis=axes_of(dim, x._aval.ndim))
    return make(np.asarray(count, np.int64))


@operation("is_nonzero")
def is_nonzero(input: Tensor) -> builtins.bool:
    """Whether the one element is not zero."""
    if input._aval.size != 1:
        found = "no values" if not input._aval.size else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {found} is ambiguous")
    return builtins.bool(input._array.item())


@operation("is_same_size")
def is_same_size(input: Tensor, other: Tensor) -> builtins.bool:
    """Whether two tensors have the same shape."""
    return input._aval.shape == other._aval.shape


@operation("is_signed")
def is_signed(input: Tensor) -> builtins.bool:
    """Whether elements may be negative."""
    return input.dtype.is_signed


def is_integral(x: Tensor) -> builtins.bool:
    """Whether a tensor holds integers, booleans not included."""
    return x.dtype is not dtypes.bool_ and not x.dtype.is_floating_point
