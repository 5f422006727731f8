"""The order in which the axes of a tensor lie in memory, and copies that keep it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.pending import order_of_axes
from fgrad.torch.recording import apply
from fgrad.torch.registry import FUNCTIONS, operation
from fgrad.torch.tensor import Tensor, require_tensor


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
    order = order_of_axes(x)
    if order is None:
        return apply("CloneBackward0", copied, x)  # type: ignore[no-any-return]
    if memory_format is FUNCTIONS["contiguous_format"]:
        order = tuple(range(x._aval.ndim))
    back = tuple(sorted(order, key=order.__getitem__))

    def compute(u: Any) -> Any:
        return np.transpose(np.transpose(u, order).copy(), back)

    return apply("CloneBackward0", compute, x)  # type: ignore[no-any-return]


def copied(x: Any) -> Any:
    """A copy whose axes lie in memory in the order of the array's."""
    return x.copy(order="K")
