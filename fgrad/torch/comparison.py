"""Comparisons and bitwise operators; they have no gradients."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch.arithmetic import Operand, binary, operator_of, result_type
from fgrad.torch.cuts import cut_off
from fgrad.torch.registry import FUNCTIONS, METHODS, operation
from fgrad.torch.tensor import Tensor, make

_DOC = """``input {} other``, elementwise: a tensor of booleans.

    Shapes are broadcast, dtypes promoted; ``other`` may be a number.

    >>> torch.{}(torch.tensor([1, 2, 3]), 2)
    tensor({})
    """


def _comparison(
    name: str, function: Callable[[Any, Any], Any], sign: str, result: str
) -> Callable[[Operand, Operand], Tensor]:
    def compare(input: Operand, other: Operand) -> Tensor:
        x, y = (make(z._array) if isinstance(z, Tensor) else z for z in (input, other))
        target = result_type(x, y)
        if target.is_complex and name not in ("eq", "ne"):
            raise NotImplementedError(
                f"\"{name}_cpu\" not implemented for '{target.kind}'"
            )
        result = binary("", function, x, y, target)
        return cut_off(result, f"the comparison {name}()", input, other)

    compare.__name__ = name
    compare.__doc__ = _DOC.format(sign, name, result)
    METHODS[name] = FUNCTIONS[name] = compare
    METHODS[f"__{name}__"] = operator_of(compare)
    return compare


eq = _comparison("eq", operator.eq, "==", "[False,  True, False]")
ne = _comparison("ne", operator.ne, "!=", "[ True, False,  True]")
lt = _comparison("lt", operator.lt, "<", "[ True, False, False]")
le = _comparison("le", operator.le, "<=", "[ True,  True, False]")
gt = _comparison("gt", operator.gt, ">", "[False, False,  True]")
ge = _comparison("ge", operator.ge, ">=", "[False,  True,  True]")


@operation("equal")
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and elements.

    >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
    True
    """
    x, y = input._array, other._array
    return x.shape == y.shape and bool(np.all(x == y))


@operation("allclose")
def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> bool:
    """Whether ``|input - other| <= atol + rtol * |other|`` for all elements.

    Raises:
        RuntimeError: the dtypes differ.

    >>> torch.allclose(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    True
    """
    if input._aval.dtype != other._aval.dtype:
        raise RuntimeError(f"{input.dtype.kind} did not match {other.dtype.kind}")
    return bool(np.allclose(input._array, other._array, rtol, atol, equal_nan))


@operation("logical_not")
def logical_not(input: Tensor) -> Tensor:
    """Whether elements are zero.

    >>> torch.logical_not(torch.tensor([0, 1, 2]))
    tensor([ True, False, False])
    """
    return cut_off(make(np.logical_not(input._array)), "logical_not()", input)


def _invert(self: Tensor) -> Tensor:
    if self._aval.dtype.kind in "fc":
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type "
            "tensors"
        )
    return make(~self._array)


METHODS["__invert__"] = _invert


def _bitwise(
    name: str, function: Callable[[Any, Any], Any]
) -> Callable[[Tensor, Any], Any]:
    def apply_bitwise(self: Tensor, other: Operand) -> Tensor:
        target = result_type(self, other)
        if target.category > 1:
            raise NotImplementedError(
                f"\"bitwise_{name}_cpu\" not implemented for '{target.kind}'"
            )
        return binary("", function, self, other, target)

    return operator_of(apply_bitwise)


for _name, _function in (
    ("and", operator.and_),
    ("or", operator.or_),
    ("xor", operator.xor),
):
    METHODS[f"__{_name}__"] = METHODS[f"__r{_name}__"] = _bitwise(_name, _function)
