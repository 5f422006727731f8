"""The order in which the axes of a tensor lie in memory, and copies that keep it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.in_order import ordered
from fgrad.torch.known import is_traced
from fgrad.torch.pending import lies_in_order, order_of_axes
from fgrad.torch.recording import apply
from fgrad.torch.registry import method, operation
from fgrad.torch.tensor import Array, Tensor, require_tensor

_ORDERS = {  # the axes in memory of the formats that have names
    "torch.channels_last": (0, 2, 3, 1),
    "torch.channels_last_3d": (0, 2, 3, 4, 1),
}


@operation("clone")
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy; gradients flow through it.

    Its axes lie in memory in the order of the input's, or in that of
    ``memory_format``: ``torch.contiguous_format``, ``torch.channels_last``.

    >>> x = torch.ones(2)
    >>> y = x.clone().fill_(7)
    >>> x
    tensor([1., 1.])
    >>> torch.ones(2, 3).t().clone().stride()
    (1, 3)
    """
    x = require_tensor("clone", input)
    order = order_for(x, memory_format)
    if order is None and lies_in_order(x):
        return apply("CloneBackward0", copied, x)  # type: ignore[no-any-return]
    return _laid_out(x, "CloneBackward0", order or tuple(range(x._aval.ndim)))


@method("contiguous")
def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The elements in C order in memory, or in that of a format; itself where they are.

    >>> torch.ones(2, 3).t().contiguous().stride()
    (2, 1)
    """
    if is_in_format(self, memory_format):
        return self
    order = _ORDERS.get(str(memory_format))
    if order is None:
        return apply("CloneBackward0", lambda x: x.copy(order="C"), self)  # type: ignore[no-any-return]
    return _laid_out(self, "CloneBackward0", order)


def in_format(x: Tensor, memory_format: Any) -> Tensor:
    """The result of a conversion with its axes in the order of a format."""
    return contiguous(x, memory_format) if str(memory_format) in _ORDERS else x


def is_in_format(x: Tensor, memory_format: Any) -> bool:
    """Whether the axes lie in memory in C order, or in that of a format.

    Raises:
        RuntimeError: the format is one of tensors with another number of axes.
    """
    order = _order_of_format(x, memory_format)
    if order is None or is_traced(x._array):
        return lies_in_order(x)
    array: Array = np.transpose(x._array, order)
    return bool(array.flags.c_contiguous)


def _order_of_format(x: Tensor, memory_format: Any) -> tuple[int, ...] | None:
    order = _ORDERS.get(str(memory_format)) if memory_format is not None else None
    if order is not None and len(order) != x._aval.ndim:
        raise RuntimeError(
            f"required rank {len(order)} tensor to use {memory_format.name} format"
        )
    return order


def order_for(x: Tensor, memory_format: Any) -> tuple[int, ...] | None:
    """The axes as a copy of a tensor has them in memory; None is C order."""
    order = _order_of_format(x, memory_format)
    if order is not None or str(memory_format) == "torch.contiguous_format":
        return order
    return order_of_axes(x)


def _laid_out(x: Tensor, name: str, order: tuple[int, ...]) -> Tensor:
    """A recorded copy whose axes lie in memory in an order."""

    def compute(u: Any) -> Any:
        return ordered(u, order)

    return apply(name, compute, x)  # type: ignore[no-any-return]


def copied(x: Any) -> Any:
    """A copy whose axes lie in memory in the order of the array's."""
    return x.copy(order="K")
