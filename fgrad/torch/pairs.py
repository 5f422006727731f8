"""Elementwise functions of two or three tensors, beside the operators."""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad
from fgrad.torch import dtypes
from fgrad.torch.arithmetic import (
    Operand,
    as_number_or_tensor,
    binary,
    result_type,
)
from fgrad.torch.conversion import convert
from fgrad.torch.fitting import check_shapes
from fgrad.torch.recording import one
from fgrad.torch.registry import FUNCTIONS, METHODS, function, method, operation
from fgrad.torch.rounding import flat
from fgrad.torch.statistics import vector_norm
from fgrad.torch.tensor import Tensor, make, require_tensor


def _smooth(name: str, node: str, compute: Any, doc: str, floating: bool = True) -> Any:
    """A function of two tensors; with ``floating`` integers give the default dtype."""

    def apply_pair(input: Tensor, other: Tensor) -> Tensor:
        x = require_tensor(name, input)
        y = require_tensor(name, other, 2)
        target = result_type(x, y)
        if floating and not target.is_floating_point:
            target = dtypes.get_default_dtype()
        return binary(node, compute, x, y, target)

    apply_pair.__name__ = apply_pair.__qualname__ = name
    apply_pair.__doc__ = doc
    METHODS[name] = FUNCTIONS[name] = apply_pair
    return apply_pair


def _logaddexp2(x: Any, y: Any) -> Any:
    return np.logaddexp2(x, y)


def _fmax(x: Any, y: Any) -> Any:
    return np.where((x >= y) | (y != y), x, y)


def _fmin(x: Any, y: Any) -> Any:
    return np.where((x <= y) | (y != y), x, y)


def _angle(y: Any, x: Any) -> Any:
    is_origin = (x == 0) & (y == 0)
    angle = np.arctan2(y, np.where(is_origin, 1.0, x))
    return np.where(is_origin, fgrad.stop_gradient(np.arctan2(y, x)), angle)


maximum = _smooth(
    "maximum",
    "MaximumBackward0",
    np.maximum,
    """The larger of two elements, NaN where one is.

    The gradient is shared where they tie.

    >>> torch.maximum(torch.tensor([1.0, 5.0]), torch.tensor([3.0, float("nan")]))
    tensor([3., nan])
    """,
    False,
)
minimum = _smooth(
    "minimum",
    "MinimumBackward0",
    np.minimum,
    """The smaller of two elements, NaN where one is.

    The gradient is shared where they tie.

    >>> torch.minimum(torch.tensor([1.0, 5.0]), torch.tensor([3.0, float("nan")]))
    tensor([1., nan])
    """,
    False,
)
fmax = _smooth(
    "fmax",
    "FmaxBackward0",
    _fmax,
    """The larger of two elements; the other one where one is NaN.

    Where they tie the first has the gradient.

    >>> torch.fmax(torch.tensor([1.0, 5.0]), torch.tensor([3.0, float("nan")]))
    tensor([3., 5.])
    """,
    False,
)
fmin = _smooth(
    "fmin",
    "FminBackward0",
    _fmin,
    """The smaller of two elements; the other one where one is NaN.

    Where they tie the first has the gradient.

    >>> torch.fmin(torch.tensor([1.0, 5.0]), torch.tensor([3.0, float("nan")]))
    tensor([1., 5.])
    """,
    False,
)
atan2 = _smooth(
    "atan2",
    "Atan2Backward0",
    _angle,
    """The angle in radians of the point ``(other, input)``: that is ``(x, y)``.

    Its slopes at the origin are 0.

    >>> torch.atan2(torch.tensor([1.0, 0.0]), torch.tensor([0.0, -1.0]))
    tensor([1.5708, 3.1416])
    """,
)
METHODS["arctan2"] = FUNCTIONS["arctan2"] = atan2
hypot = _smooth(
    "hypot",
    "HypotBackward0",
    np.hypot,
    """``sqrt(input**2 + other**2)``, which does not overflow.

    >>> torch.hypot(torch.tensor([3.0]), torch.tensor([4.0]))
    tensor([5.])
    """,
    False,
)
logaddexp = _smooth(
    "logaddexp",
    "LogaddexpBackward0",
    np.logaddexp,
    """``log(exp(input) + exp(other))``, which does not overflow.

    >>> torch.logaddexp(torch.tensor([1000.0]), torch.tensor([1000.0]))
    tensor([1000.6932])
    """,
)
logaddexp2 = _smooth(
    "logaddexp2",
    "Logaddexp2Backward0",
    _logaddexp2,
    """``log2(2**input + 2**other)``, which does not overflow.

    >>> torch.logaddexp2(torch.tensor([1000.0]), torch.tensor([1000.0]))
    tensor([1001.])
    """,
)


@operation("fmod")
def fmod(input: Tensor, other: Operand) -> Tensor:
    """The remainder of a division, with the sign of ``input``.

    Raises:
        RuntimeError: integers are divided by zero.

    >>> torch.fmod(torch.tensor([7, -7]), 3)
    tensor([ 1, -1])
    """
    x = require_tensor("fmod", input)
    target = result_type(x, other)
    divisor = other._array if isinstance(other, Tensor) else other
    if not target.is_floating_point and not np.all(divisor):
        raise RuntimeError("ZeroDivisionError")
    node = "FmodBackward1" if isinstance(other, Tensor) else "FmodBackward0"
    return binary(node, np.fmod, x, other, target)


@operation("copysign")
def copysign(input: Tensor, other: Operand) -> Tensor:
    """The magnitude of ``input`` with the sign of ``other``.

    >>> torch.copysign(torch.tensor([1.0, 2.0]), torch.tensor([-0.0, 5.0]))
    tensor([-1.,  2.])
    """
    x = require_tensor("copysign", input)
    node = "CopysignBackward0" if isinstance(other, Tensor) else "CopysignBackward1"
    target = result_type(x, other)
    if not target.is_floating_point:
        target = dtypes.get_default_dtype()
    return binary(node, np.copysign, x, other, target)


@operation("heaviside")
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below zero, 1 above, and ``values`` at zero.

    >>> torch.heaviside(torch.tensor([-2.0, 0.0, 3.0]), torch.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    x, y = require_tensor("heaviside", input), require_tensor("heaviside", values, 2)
    name = "NotImplemented:derivative for aten::heaviside is not implemented"
    return binary(name, lambda u, v: flat(np.heaviside(u, v), u), x, y)


@operation("xlogy")
def xlogy(input: Operand, other: Operand) -> Tensor:
    """``input * log(other)``, 0 where ``input`` is 0.

    >>> torch.xlogy(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    pair = (isinstance(input, Tensor), isinstance(other, Tensor))
    number = {(True, True): 0, (False, True): 1, (True, False): 2}[pair]
    target = result_type(input, other)
    if not target.is_floating_point:
        target = dtypes.get_default_dtype()
    x, y = (
        z if isinstance(z, Tensor) else make(np.asarray(z, target.numpy))
        for z in (input, other)
    )
    return binary(f"XlogyBackward{number}", _xlogy, x, y, target)


def _xlogy(x: Any, y: Any) -> Any:
    # not where y is positive: the slope is its logarithm there
    is_out = np.logical_or(y <= 0, y == np.inf)
    is_zero = np.logical_and(x == 0, is_out)
    logarithm = np.log(np.where(is_zero, 1.0, y))
    # a sum of both signs, which is never -0
    none = x * np.maximum(logarithm, 0.0) + x * np.minimum(logarithm, 0.0)
    found = np.where(x == 0, none, x * logarithm)
    return np.where(is_zero, 0.0, found)


@operation("float_power")
def float_power(input: Operand, exponent: Operand) -> Tensor:
    """``input ** exponent`` in double precision: float64, or complex128.

    >>> torch.float_power(torch.tensor([2, 3]), -1)
    tensor([0.5000, 0.3333], dtype=torch.float64)
    """
    base, power = (
        convert(z, dtypes.float64) if isinstance(z, Tensor) else float(z)
        for z in (input, exponent)
    )
    return base**power  # type: ignore[no-any-return, operator]


@operation("lerp")
def lerp(input: Tensor, end: Tensor, weight: Operand) -> Tensor:
    """``input + weight * (end - input)``; ``weight`` is a number or a tensor.

    Raises:
        RuntimeError: the dtypes differ.

    >>> torch.lerp(torch.tensor([0.0, 10.0]), torch.tensor([1.0, 20.0]), 0.25)
    tensor([ 0.2500, 12.5000])
    """
    x, y = require_tensor("lerp", input), require_tensor("lerp", end, 2)
    if x._aval.dtype != y._aval.dtype:
        raise RuntimeError(
            f"expected dtype {x.dtype.cpp} for `end` but got dtype {y.dtype.cpp}"
        )
    check_shapes(x, y, weight)
    node = "LerpBackward1" if isinstance(weight, Tensor) else "LerpBackward0"
    return one(node, lambda u, v, t: u + t * (v - u), x, y, weight)


def _with_product(name: str, compute: Any) -> Any:
    def apply_three(
        input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1
    ) -> Tensor:
        operands = [require_tensor(name, z) for z in (input, tensor1, tensor2)]
        check_shapes(*operands)
        target = dtypes.promoted((z.dtype, 0 if z._aval.ndim else 1) for z in operands)
        fitting = [convert(z, target) for z in operands]
        return one(f"{name.capitalize()}Backward0", compute, *fitting, value)

    apply_three.__name__ = apply_three.__qualname__ = name
    METHODS[name] = FUNCTIONS[name] = apply_three
    return apply_three


def _addcmul(x: Any, y: Any, z: Any, value: Any) -> Any:
    return x + value * y * z


def _addcdiv(x: Any, y: Any, z: Any, value: Any) -> Any:
    return x + value * (y / z)


addcmul = _with_product("addcmul", _addcmul)
addcmul.__doc__ = """``input + value * tensor1 * tensor2``; shapes are broadcast.

    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.addcmul(torch.ones(2), x, torch.tensor(3.0), value=10)
    tensor([31., 61.])
    """
addcdiv = _with_product("addcdiv", _addcdiv)
addcdiv.__doc__ = """``input + value * tensor1 / tensor2``; shapes are broadcast.

    >>> torch.addcdiv(torch.ones(2), torch.tensor([1.0, 2.0]), torch.tensor(4.0))
    tensor([1.2500, 1.5000])
    """


@operation("dist")
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The ``p``-norm of ``input - other``, over all elements.

    >>> torch.dist(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x, y = require_tensor("dist", input), require_tensor("dist", other, 2)
    everywhere = tuple(range(np.broadcast(x._array, y._array).ndim))

    def compute(u: Any, v: Any) -> Any:
        return vector_norm(u - v, float(p), everywhere, False)

    return one("DistBackward0", compute, x, y)


@function("where")
def where(condition: Tensor, input: Operand = None, other: Operand = None) -> Any:
    """Elements of ``input`` where the condition holds, of ``other`` elsewhere.

    With the condition alone: the indices where it holds, an axis each.

    Raises:
        RuntimeError: the condition does not consist of booleans.

    >>> x = torch.tensor([-1.0, 2.0])
    >>> torch.where(x > 0, x, 0.0), torch.where(x > 0)
    (tensor([0., 2.]), (tensor([1]),))
    """
    mask = require_tensor("where", condition)
    if input is None and other is None:
        return tuple(make(indices) for indices in np.nonzero(mask._array))
    if mask._aval.dtype == np.uint8:
        mask = make(mask._array.astype(bool))
    if mask._aval.dtype != bool:
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with "
            f"dtype {mask.dtype.kind}"
        )
    x, y = as_number_or_tensor(input), as_number_or_tensor(other)
    target = result_type(x, y)
    wanted = target.numpy

    def choose(u: Any, v: Any, chosen: Any) -> Any:
        return np.where(chosen, u, v).astype(wanted, copy=False)

    return binary("WhereBackward0", choose, x, y, target, (mask,))


@method("where")
def _where_method(self: Tensor, condition: Tensor, other: Operand) -> Any:
    """The tensor's elements where the condition holds, of ``other`` elsewhere.

    >>> x = torch.tensor([-1.0, 2.0])
    >>> x.where(x > 0, 0.0)
    tensor([0., 2.])
    """
    return where(condition, self, other)
