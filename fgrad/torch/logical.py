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

_LOGIC = """{}, elementwise: a tensor of booleans.

    >>> torch.{}(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]))
    tensor({})
    """
_BITS = """``input {} other``, elementwise, of integers or booleans.

    >>> torch.{}(torch.tensor([6, 12]), 3)
    tensor({})
    """


def _logic(
    name: str, compute: Callable[[Any, Any], Any], summary: str, result: str
) -> Any:
    def apply_logic(input: Tensor, other: Tensor) -> Tensor:
        x, y = require_tensor(name, input), require_tensor(name, other, 2)
        return cut_off(make(compute(x._array, y._array)), f"{name}()", x, y)

    apply_logic.__name__ = apply_logic.__qualname__ = name
    apply_logic.__doc__ = _LOGIC.format(summary, name, result)
    METHODS[name] = FUNCTIONS[name] = apply_logic
    return apply_logic


logical_and = _logic(
    "logical_and",
    np.logical_and,
    "Whether both elements are not zero",
    "[ True, False, False]",
)
logical_or = _logic(
    "logical_or",
    np.logical_or,
    "Whether one of two elements is not zero",
    "[ True,  True, False]",
)
logical_xor = _logic(
    "logical_xor",
    np.logical_xor,
    "Whether one of two elements, but not both, is not zero",
    "[False,  True, False]",
)


def _bits(name: str, compute: Callable[[Any, Any], Any], sign: str, result: str) -> Any:
    def apply_bits(input: Operand, other: Operand) -> Tensor:
        target = result_type(input, other)
        if target.category > 1:
            kernel = {"bitwise_left_shift": "lshift", "bitwise_right_shift": "rshift"}
            raise NotImplementedError(
                f"\"{kernel.get(name, name)}_cpu\" not implemented for '{target.kind}'"
            )
        return binary("", compute, input, other, target)

    apply_bits.__name__ = apply_bits.__qualname__ = name
    apply_bits.__doc__ = _BITS.format(sign, name, result)
    METHODS[name] = FUNCTIONS[name] = apply_bits
    return apply_bits


bitwise_and = _bits("bitwise_and", np.bitwise_and, "&", "[2, 0]")
bitwise_or = _bits("bitwise_or", np.bitwise_or, "|", "[ 7, 15]")
bitwise_xor = _bits("bitwise_xor", np.bitwise_xor, "^", "[ 5, 15]")
bitwise_left_shift = _bits("bitwise_left_shift", np.left_shift, "<<", "[48, 96]")
bitwise_right_shift = _bits("bitwise_right_shift", np.right_shift, ">>", "[0, 1]")
METHODS["__lshift__"] = bitwise_left_shift
METHODS["__rshift__"] = bitwise_right_shift


@operation("bitwise_not")
def bitwise_not(input: Tensor) -> Tensor:
    """The bits of integers, inverted; the opposite of booleans.

    >>> torch.bitwise_not(torch.tensor([0, 5]))
    tensor([-1, -6])
    """
    return ~input  # type: ignore[operator, no-any-return]


@operation("gcd")
def gcd(input: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor of integers.

    >>> torch.gcd(torch.tensor([12, 7]), torch.tensor([18, 21]))
    tensor([6, 7])
    """
    return binary("", np.gcd, input, other, result_type(input, other))


@operation("lcm")
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple of integers.

    >>> torch.lcm(torch.tensor([4, 7]), torch.tensor([6, 3]))
    tensor([12, 21])
    """
    return binary("", np.lcm, input, other, result_type(input, other))


@operation("isclose")
def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Tensor:
    """Whether ``|input - other| <= atol + rtol * |other|``, elementwise.

    Raises:
        RuntimeError: the dtypes differ.

    >>> torch.isclose(torch.tensor([1.0, 1.0]), torch.tensor([1.0 + 1e-7, 1.1]))
    tensor([ True, False])
    """
    x, y = require_tensor("isclose", input), require_tensor("isclose", other, 2)
    if x._aval.dtype != y._aval.dtype:
        raise RuntimeError(f"{x.dtype.kind} did not match {y.dtype.kind}")
    return make(np.isclose(x._array, y._array, rtol, atol, equal_nan))


@operation("isin")
def isin(
    elements: Any,
    test_elements: Any,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> Tensor:
    """Whether elements are among others: a tensor of booleans, of the first's shape.

    ``assume_unique`` says that no element is there twice, which changes nothing here.

    >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([2, 5]))
    tensor([False,  True, False])
    """
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


all = _quantifier(
    "all",
    np.all,
    """Whether all elements are true, or those over axes.

    >>> torch.all(torch.tensor([[True, False], [True, True]]), dim=1)
    tensor([False,  True])
    """,
)
any = _quantifier(
    "any",
    np.any,
    """Whether one of the elements is true, or of those over axes.

    >>> torch.any(torch.tensor([[True, False], [False, False]]), dim=1)
    tensor([ True, False])
    """,
)


@operation("count_nonzero")
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not zero, over all axes or some: int64.

    >>> torch.count_nonzero(torch.tensor([[1, 0], [2, 3]]), dim=1)
    tensor([1, 2])
    """
    x = require_tensor("count_nonzero", input)
    count = np.count_nonzero(x._array, axis=axes_of(dim, x._aval.ndim))
    return make(np.asarray(count, np.int64))


@operation("is_nonzero")
def is_nonzero(input: Tensor) -> builtins.bool:
    """Whether the one element is not zero.

    Raises:
        RuntimeError: there is more than one element, or none.

    >>> torch.is_nonzero(torch.tensor([0.0]))
    False
    """
    if input._aval.size != 1:
        found = "no values" if not input._aval.size else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {found} is ambiguous")
    return builtins.bool(input._array.item())


@operation("is_same_size")
def is_same_size(input: Tensor, other: Tensor) -> builtins.bool:
    """Whether two tensors have the same shape.

    >>> torch.is_same_size(torch.ones(2, 3), torch.zeros(2, 3))
    True
    """
    return input._aval.shape == other._aval.shape


@operation("is_signed")
def is_signed(input: Tensor) -> builtins.bool:
    """Whether the dtype has negative numbers.

    >>> torch.is_signed(torch.tensor([1])), torch.is_signed(torch.tensor([True]))
    (True, False)
    """
    return input.dtype.is_signed


def is_integral(x: Tensor) -> builtins.bool:
    """Whether a tensor holds integers, booleans not included."""
    return x.dtype is not dtypes.bool_ and not x.dtype.is_floating_point
