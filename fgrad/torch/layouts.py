"""The order in which the axes of a tensor lie in memory, and copies that keep it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.graph import record
from fgrad.torch.known import is_traced
from fgrad.torch.modes import STATE
from fgrad.torch.pending import lies_in_order
from fgrad.torch.recording import apply
from fgrad.torch.registry import FUNCTIONS, operation
from fgrad.torch.tensor import Array, Tensor, require_tensor


@operation("clone")
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy; gradients flow through it.

    Its axes lie in memory in the order of the input's, or, if ``memory_format`` is
    ``torch.contiguous_format``, in C order.

    >>> x = torch.ones(2)
    >>> y = x.clone().fill_(7)
    >>> x
    tensor([1., 1.])
    >>> torch.ones(2, 3).t().clone().stride()
    (1, 3)
    """
    x = require_tensor("clone", input)
    if lies_in_order(x) or is_traced(x._array):
        return apply("CloneBackward0", copied, x)  # type: ignore[no-any-return]
    order = tuple(range(x._aval.ndim))
    if memory_format is not FUNCTIONS["contiguous_format"]:
        order = order_in_memory(x._array)
    back = tuple(sorted(order, key=order.__getitem__))

    def compute(u: Any) -> Any:
        return np.transpose(np.transpose(u, order).copy(), back)

    if x._requires and STATE.enabled:
        # at once: a compiled program gives its results in C order
        return record("CloneBackward0", compute, (x,))  # type: ignore[no-any-return]
    return apply("CloneBackward0", compute, x)  # type: ignore[no-any-return]


def copied(x: Any) -> Any:
    """A copy whose axes lie in memory in the order of the array's."""
    return x.copy(order="K")


def order_in_memory(array: Array) -> tuple[int, ...]:
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


def _is_longer(array: Array, first: int, second: int) -> int:
    """Whether the steps of one axis are longer (1) than another's, or shorter (-1)."""
    steps = array.strides[first], array.strides[second]
    if 0 in steps:
        return 0
    if steps[0] != steps[1]:
        return 1 if steps[0] > steps[1] else -1
    return int(array.shape[first] > array.shape[second])
