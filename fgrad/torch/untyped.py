"""The memory of a tensor as bytes: ``x.untyped_storage()``."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.memory import memory_of
from fgrad.torch.registry import method
from fgrad.torch.tensor import Tensor


class UntypedStorage:
    """The bytes that a tensor, and those that share its memory, lie in.

    >>> x = torch.arange(4)
    >>> x[1:].untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    True
    """

    __module__ = "torch.storage"

    def __init__(self, tensor: Tensor) -> None:
        self._memory = memory_of(tensor._array)
        self.device = tensor._device

    def data_ptr(self) -> int:
        """The address of the first byte."""
        address: int = self._memory.__array_interface__["data"][0]
        return address

    def nbytes(self) -> int:
        """How many bytes there are."""
        count: int = self._memory.nbytes
        return count

    size = __len__ = nbytes

    def element_size(self) -> int:
        """One: the elements are bytes."""
        return 1

    def tolist(self) -> list[int]:
        """The bytes as numbers."""
        found: list[int] = self._memory.ravel(order="K").view(np.uint8).tolist()
        return found

    def __getitem__(self, place: Any) -> Any:
        return self.tolist()[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and self._place() == other._place()

    def __hash__(self) -> int:
        return hash(self._place())

    def _place(self) -> tuple[int, int]:
        return self.data_ptr(), self.nbytes()

    def __repr__(self) -> str:
        lines = "".join(f" {number}\n" for number in self.tolist())
        name = f"torch.storage.UntypedStorage(device={self.device})"
        return f"{lines}[{name} of size {self.nbytes()}]"


@method("untyped_storage")
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory of the tensor.

    >>> torch.ones(3).untyped_storage().nbytes()
    12
    """
    return UntypedStorage(self)
