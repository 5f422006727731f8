"""Results whose elements lie in memory in order, whatever the order of the operands'.

An elementwise operation on a transposed tensor gives one whose axes lie in memory as
the operand's, in PyTorch as in NumPy. PyTorch's other operations make a new tensor in C
order, which `view` then takes in any shape; NumPy's often keep the operand's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_REDUCTIONS = """
    Amax Amin Logsumexp LinalgVectorNorm Mean Nansum Norm Prod Std StdMean Sum Var
    VarMean
"""
_MOVES = """
    Cat ConstantPadNd IndexSelect MaskedFill ReflectionPad1D ReflectionPad2D
    ReflectionPad3D Renorm ReplicationPad1D ReplicationPad2D ReplicationPad3D Roll Rot90
    Stack Tril Triu UpsampleBicubic2D UpsampleBilinear2D UpsampleLinear1D
    UpsampleNearest1D UpsampleNearest2D UpsampleNearest3D UpsampleTrilinear3D
"""
_OTHERS = """
    Cdist Cummax Cummin Cumprod Cumsum LogSoftmax Logcumsumexp NativeBatchNorm
    NativeGroupNorm NativeLayerNorm Softmax
"""
NAMES = frozenset(
    f"{name}Backward{number}"
    for name in (_REDUCTIONS + _MOVES + _OTHERS).split()
    for number in range(3)
)


# Those whose results have the order of the first operand
_LIKE = frozenset(("FlipBackward0", "IndexFillBackward0", "SortBackward0"))
_LIKE_MASK = "WhereBackward0"  # whose mask comes first


def models_of(
    name: str, operands: Sequence[Any], constants: Sequence[Any]
) -> Sequence[Any]:
    """What may say in which order the axes of a result lie, for `in_order`."""
    if name == _LIKE_MASK:
        return (*constants, *operands)
    return operands if name in _LIKE else ()


def in_order(name: str, array: Any, models: Sequence[Any]) -> Any:
    """The result of an operation, by the name of its node, as PyTorch lays it out.

    ``models`` are the arrays of which the first one of its shape says how.
    """
    if type(array) is not np.ndarray:
        return array
    if models:
        return _like(array, models)
    if name not in NAMES or array.flags.c_contiguous:
        return array
    return np.ascontiguousarray(array)


def _like(array: Any, models: Sequence[Any]) -> Any:
    """An array in the order of the first of its shape, or in C order."""
    for model in models:
        if type(model) is np.ndarray and model.shape == array.shape:
            return reordered(array, order_of(model))
    return array


def order_of(array: Any) -> tuple[int, ...] | None:
    """The order of the axes of an array in memory; None for C order."""
    return None if array.flags.c_contiguous else order_in_memory(array)


def reordered(array: Any, order: tuple[int, ...] | None) -> Any:
    """An array with its axes in an order in memory: itself, or a copy."""
    if order is None:
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)
    is_there = np.transpose(array, order).flags.c_contiguous
    return array if is_there else ordered(array, order)


def ordered(array: Any, order: tuple[int, ...]) -> Any:
    """A copy whose axes lie in memory in an order."""
    back = tuple(sorted(order, key=order.__getitem__))
    return np.transpose(np.transpose(array, order).copy(), back)


def order_in_memory(array: Any) -> tuple[int, ...]:
    """The axes of an array, from the one with the longest steps to that with the least.

    As PyTorch's ``infer_dense_strides``: an axis without steps stays where it is.
    """
    order = list(range(array.ndim))[::-1]
    for end in range(1, array.ndim):
        place = end
        for k in reversed(range(end)):
            how = _is_longer(array, order[k], order[place])
            if how > 0:
                order[k], order[place] = order[place], order[k]
                place = k
            elif how < 0:
                break
    return tuple(reversed(order))


def _is_longer(array: Any, first: int, second: int) -> int:
    """Whether the steps of one axis are longer (1) than another's, or shorter (-1)."""
    steps = array.strides[first], array.strides[second]
    if 0 in steps:
        return 0
    if steps[0] != steps[1]:
        return 1 if steps[0] > steps[1] else -1
    return int(array.shape[first] > array.shape[second])
