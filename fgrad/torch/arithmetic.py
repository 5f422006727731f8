"""Operators between tensors and numbers: arithmetic, comparison, in-place variants."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.conversion import convert
from fgrad.torch.dtypes import dtype, of_number, promoted
from fgrad.torch.fitting import shape_error
from fgrad.torch.inplace import in_place, variant_of
from fgrad.torch.recording import apply
from fgrad.torch.registry import METHODS, function, operation
from fgrad.torch.repeating import repeated_operator
from fgrad.torch.tensor import Tensor, make, require_tensor

NUMBERS = (bool, int, float, complex)
Operand = Any  # a tensor or a Python number


def as_number_or_tensor(value: Any) -> Any:
    """An operand of an operator; a NumPy scalar becomes a Python number.

    Returns:
        NotImplemented where the value is neither tensor nor number.
    """
    if isinstance(value, Tensor) or type(value) in NUMBERS:
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biufc":
        return value.item()
    if isinstance(value, NUMBERS):
        kinds: tuple[Any, ...] = (int, float, complex)
        return next(kind(value) for kind in kinds if isinstance(value, kind))
    return NotImplemented


@function("result_type")
def result_type(tensor1: Operand, tensor2: Operand) -> dtype:
    """The dtype of an operation between tensors and numbers.

    A number counts only where it is of a higher category: boolean, integer,
    floating-point, complex.

    >>> torch.result_type(torch.tensor([1]), 2.5)
    torch.float32
    """
    return promoted(
        (x.dtype, 0 if x._aval.ndim else 1)
        if isinstance(x, Tensor)
        else (of_number(x), 2)
        for x in (tensor1, tensor2)
    )


def _fitting(x: Operand, target: dtype) -> Any:
    """An operand for an operation in a dtype: converted now if it is a constant."""
    if isinstance(x, Tensor):
        if x._requires or x._aval.dtype == target.numpy:
            return x
        return x._array.astype(target.numpy)
    if target.category == 1:
        return np.asarray(x).astype(target.numpy)[()]  # wraps around, as PyTorch's
    return x


def binary(
    name: str,
    function: Callable[..., Any],
    x: Operand,
    y: Operand,
    target: dtype | None = None,
    constants: Sequence[Any] = (),
) -> Tensor:
    """An elementwise operation in the promoted dtype, with PyTorch's shape error.

    ``constants`` are masks that the function gets after the operands.
    """
    if target is None and not _fit_as_they_are(x, y):
        target = result_type(x, y)
    if target is not None:
        x, y = _fitting(x, target), _fitting(y, target)
        function = _casting(function, x, y, target)
    try:
        return apply(name, function, x, y, constants=constants)  # type: ignore[no-any-return]
    except ValueError as error:
        raise shape_error(x, y) or RuntimeError(str(error)) from error


def _fit_as_they_are(x: Operand, y: Operand) -> bool:
    """Whether NumPy promotes as PyTorch: equal dtypes, or floats and a number."""
    if not isinstance(x, Tensor):
        return isinstance(y, Tensor) and y.dtype.is_floating_point
    if not isinstance(y, Tensor):
        return x.dtype.is_floating_point
    return bool(x._aval.dtype == y._aval.dtype)


def _casting(
    function: Callable[..., Any], x: Any, y: Any, target: dtype
) -> Callable[..., Any]:
    """The function with a conversion of the tensors of another dtype."""
    wanted = target.numpy
    casts = [isinstance(z, Tensor) and z._aval.dtype != wanted for z in (x, y)]
    if not any(casts):
        return function

    def cast(z: Any, is_other: bool) -> Any:
        return z.astype(wanted) if is_other else z

    return lambda u, v, *masks: function(cast(u, casts[0]), cast(v, casts[1]), *masks)


@operation("add")
def add(input: Operand, other: Operand, *, alpha: Any = 1) -> Tensor:
    """``input + alpha * other``; shapes are broadcast, dtypes promoted.

    >>> torch.add(torch.tensor([1, 2]), torch.tensor([[0.5], [1.0]]), alpha=2)
    tensor([[2., 3.],
            [3., 4.]])
    """
    scaled = operator.add if alpha == 1 else lambda x, y: x + alpha * y
    return binary("AddBackward0", scaled, input, other)


@operation("sub", "subtract")
def sub(input: Operand, other: Operand, *, alpha: Any = 1) -> Tensor:
    """``input - alpha * other``; shapes are broadcast, dtypes promoted.

    Raises:
        RuntimeError: the tensors are of booleans.

    >>> torch.sub(torch.tensor([5, 7]), 2)
    tensor([3, 5])
    """
    _refuse_bool_difference(input, other)
    scaled = operator.sub if alpha == 1 else lambda x, y: x - alpha * y
    return binary("SubBackward0", scaled, input, other)


@function("rsub")
def rsub(input: Tensor, other: Operand, *, alpha: Any = 1) -> Tensor:
    """``other - alpha * input``.

    >>> torch.rsub(torch.tensor([1, 2]), 10)
    tensor([9, 8])
    """
    _refuse_bool_difference(input, other)
    node = "RsubBackward0" if isinstance(other, Tensor) else "RsubBackward1"
    scaled = operator.sub if alpha == 1 else lambda x, y: x - alpha * y
    return binary(node, scaled, other, input)


def _refuse_bool_difference(x: Operand, y: Operand) -> None:
    kinds = [
        type(z) is bool or getattr(z, "dtype", None) is dtypes.bool_ for z in (x, y)
    ]
    if all(kinds):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. "
            "Use the `^` or `logical_xor()` operator instead."
        )
    if any(kinds):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If "
            "you are trying to invert a mask, use the `~` or `logical_not()` operator "
            "instead."
        )


@operation("mul", "multiply")
def mul(input: Operand, other: Operand) -> Tensor:
    """``input * other``; shapes are broadcast, dtypes promoted.

    >>> torch.mul(torch.tensor([1, 2]), torch.tensor([[10], [100]]))
    tensor([[ 10,  20],
            [100, 200]])
    """
    return binary("MulBackward0", operator.mul, input, other)


@operation("div", "divide", "true_divide")
def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """``input / other``; integers give the default dtype.

    Args:
        input: a tensor or a number.
        other: a tensor or a number.
        rounding_mode: ``"trunc"`` rounds towards zero, ``"floor"`` down; the dtype of
            integers is kept then, and the gradient is zero.

    Raises:
        RuntimeError: another mode.

    >>> x = torch.tensor([7, -7])
    >>> torch.div(x, 2), torch.div(x, 2, rounding_mode="floor")
    (tensor([ 3.5000, -3.5000]), tensor([ 3, -4]))
    """
    if rounding_mode is not None:
        return _rounded_div(input, other, rounding_mode)
    is_float = any(
        isinstance(x, Tensor) and x._aval.dtype.kind in "fc" for x in (input, other)
    )
    if is_float or any(type(x) is complex for x in (input, other)):
        target = None
    else:
        target = dtypes.get_default_dtype()
    return binary("DivBackward0", operator.truediv, input, other, target)


def _rounded_div(x: Operand, y: Operand, mode: str) -> Tensor:
    if mode not in ("trunc", "floor"):
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but "
            f"found '{mode}'"
        )
    target = result_type(x, y)
    _refuse_integer_zero(x, y, target)
    compute = np.floor_divide if mode == "floor" else _truncated_quotient

    def divide(u: Any, v: Any) -> Any:
        # PyTorch's result has a gradient, of zero
        return np.where(np.True_, compute(u, v), u).astype(target.numpy, copy=False)

    return binary("DivBackward2", divide, x, y, target)


def _truncated_quotient(x: Any, y: Any) -> Any:
    return np.trunc(np.true_divide(x, y))


@operation("reciprocal")
def reciprocal(input: Tensor) -> Tensor:
    """``1 / input``; integers give the default dtype.

    >>> torch.reciprocal(torch.tensor([2, 4]))
    tensor([0.5000, 0.2500])
    """
    x = require_tensor("reciprocal", input)
    if x._aval.dtype.kind not in "fc":
        x = convert(x, dtypes.get_default_dtype())
    return apply("ReciprocalBackward0", np.reciprocal, x)  # type: ignore[no-any-return]


def _refuse_bool(kernel: str, target: dtype) -> None:
    if target is dtypes.bool_:
        raise NotImplementedError(f"\"{kernel}\" not implemented for 'Bool'")


def _refuse_integer_zero(x: Operand, y: Operand, target: dtype) -> None:
    divisor = y._array if isinstance(y, Tensor) else y
    if target.category < 2 and not np.all(divisor):
        raise RuntimeError("ZeroDivisionError")


@operation("floor_divide")
def floor_divide(input: Operand, other: Operand) -> Tensor:
    """``input // other``; it has no gradient, and `backward` through it raises.

    >>> torch.floor_divide(torch.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    target = result_type(input, other)
    _refuse_bool("div_floor_cpu", target)
    _refuse_integer_zero(input, other, target)
    name = "NotImplemented:derivative for aten::floor_divide is not implemented"
    return binary(name, operator.floordiv, input, other, target)


@operation("remainder")
def remainder(input: Operand, other: Operand) -> Tensor:
    """``input % other``, with the sign of ``other``.

    >>> torch.remainder(torch.tensor([7, -7]), 3)
    tensor([1, 2])
    """
    target = result_type(input, other)
    _refuse_bool("remainder_cpu", target)
    _refuse_integer_zero(input, other, target)
    name = "RemainderBackward1" if isinstance(other, Tensor) else "RemainderBackward0"
    return binary(name, operator.mod, input, other, target)


@operation("pow")
def pow(input: Operand, exponent: Operand) -> Tensor:
    """``input ** exponent``; shapes are broadcast, dtypes promoted.

    Raises:
        RuntimeError: integers to a negative integer power.

    >>> torch.pow(torch.tensor([2.0, 3.0]), 2), torch.pow(2, torch.tensor([1, 3]))
    (tensor([4., 9.]), tensor([2, 8]))
    """
    target = result_type(input, exponent)
    if target is dtypes.bool_:
        return _power_of_bools(input, exponent)
    if isinstance(exponent, Tensor):
        name = "PowBackward1" if isinstance(input, Tensor) else "PowBackward2"
        return binary(name, _power, input, exponent, target)
    if target.category < 2 and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return _power_of(convert_if_constant(input, target), exponent, target)


def _power_of_bools(x: Operand, y: Operand) -> Tensor:
    if isinstance(y, Tensor):
        _refuse_bool("pow", dtypes.bool_)
    return make(np.logical_or(x._array, not y))


def convert_if_constant(x: Tensor, target: dtype) -> Tensor:
    """A tensor in a dtype, where that does not cost it its gradient."""
    return x if x._requires else convert(x, target)


def _power_of(x: Tensor, exponent: Any, target: dtype) -> Tensor:
    return binary("PowBackward0", lambda u, _: u**exponent, x, exponent, target)


def _power(x: Any, y: Any) -> Any:
    return x**y if not isinstance(x, int | float | complex) else np.power(x, y)


@operation("neg", "negative", "__neg__")
def neg(input: Tensor) -> Tensor:
    """``-input``

    Raises:
        RuntimeError: the elements are booleans.

    >>> torch.neg(torch.tensor([1, -2]))
    tensor([-1,  2])
    """
    x = require_tensor("neg", input)
    if x._aval.dtype == bool:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are "
            "trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return apply("NegBackward0", operator.neg, x)  # type: ignore[no-any-return]


def _reflected_div(self: Tensor, other: Operand) -> Tensor:
    return mul(reciprocal(self), other)


def _reflected_sub(self: Tensor, other: Operand) -> Tensor:
    return sub(other, self) if isinstance(other, Tensor) else rsub(self, other)


def operator_of(function: Callable[..., Tensor]) -> Callable[[Tensor, Any], Any]:
    """An operator: other types than tensors and numbers are left to their own."""

    def apply_operator(self: Tensor, other: Any) -> Any:
        operand = as_number_or_tensor(other)
        return operand if operand is NotImplemented else function(self, operand)

    return apply_operator


def _swapped(function: Callable[..., Tensor]) -> Callable[[Tensor, Any], Tensor]:
    return lambda self, other: function(other, self)


_OPERATORS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "add": (add, add),
    "sub": (sub, _reflected_sub),
    "mul": (mul, mul),
    "truediv": (div, _reflected_div),
    "floordiv": (floor_divide, _swapped(floor_divide)),
    "mod": (remainder, _swapped(remainder)),
    "pow": (pow, _swapped(pow)),
}
for _name, (_forward, _backward) in _OPERATORS.items():
    METHODS[f"__{_name}__"] = repeated_operator(operator_of(_forward))
    METHODS[f"__r{_name}__"] = repeated_operator(operator_of(_backward))
    METHODS[f"__i{_name}__"] = operator_of(in_place(_forward))
for _name in ("add", "sub", "mul", "div", "pow", "floor_divide", "remainder"):
    METHODS[f"{_name}_"] = variant_of(METHODS[_name], _name)
METHODS["__pos__"] = lambda self: self
