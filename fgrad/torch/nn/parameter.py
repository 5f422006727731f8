"""Parameters: tensors that modules list, and optimisers change."""

from __future__ import annotations

from typing import Any

from fgrad.torch.printing import format_as
from fgrad.torch.tensor import Tensor, adopt, make


class Parameter(Tensor):
    """A tensor that becomes a parameter of the module that it is assigned to.

    Args:
        data: the values; their memory is shared.
        requires_grad: whether operations on it are recorded.
    """

    __module__ = "torch.nn.parameter"

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        """A parameter of a tensor."""
        self = object.__new__(cls)
        data = Tensor() if data is None else data
        if requires_grad and data.dtype.category < 2:
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        adopt(self, data.detach())
        self._requires = requires_grad
        return self

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        pass

    def __repr__(self) -> str:
        return "Parameter containing:\n" + format_as("tensor(", self)

    __str__ = __repr__

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied = type(self)(make(self._array.copy()), self._requires)
        memo[id(self)] = copied
        return copied


class Buffer:
    """A tensor to be registered as a buffer of the module that it is assigned to."""

    def __init__(self, data: Tensor, *, persistent: bool = True) -> None:
        self.data = data
        self.persistent = persistent
