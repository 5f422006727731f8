"""Storages: the memory of tensors, as PyTorch shows it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from fgrad.torch.dtypes import dtype, of_numpy
from fgrad.torch.memory import line_of
from fgrad.torch.registry import FUNCTIONS, METHODS, function, method
from fgrad.torch.storage import exposed, writing
from fgrad.torch.tensor import Array, Tensor

TYPED = (
    "TypedStorage is deprecated. It will be removed in the future and UntypedStorage "
    "will be the only storage class. This should only matter to you if you are using "
    "storages directly.  To access UntypedStorage directly, use "
    "tensor.untyped_storage() instead of tensor.storage()"
)

_WARNED: list[bool] = []  # once in a process, as PyTorch


class UntypedStorage:
    """The memory of a tensor, as bytes.

    >>> torch.arange(3.0).untyped_storage().nbytes()
    12
    """

    __module__ = "torch.storage"

    def __init__(self, owner: Tensor) -> None:
        self._owner = owner
        self._line = _line_in_view(owner).view(np.uint8)

    @property
    def device(self) -> Any:
        """Where the tensor lives."""
        return self._owner.device

    def nbytes(self) -> int:
        """How many bytes there are."""
        return len(self._line)

    size = nbytes
    __len__ = nbytes

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return int(self._line.__array_interface__["data"][0])

    def element_size(self) -> int:
        """How many bytes an element has: one."""
        return 1

    def is_shared(self) -> bool:
        """Whether processes share it: False."""
        return False

    def tolist(self) -> list[int]:
        """The bytes."""
        return self._line.tolist()  # type: ignore[no-any-return]

    def __getitem__(self, place: Any) -> Any:
        found = self._line[place]
        return found if isinstance(place, slice) else int(found)

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __repr__(self) -> str:
        lines = "".join(f" {byte}\n" for byte in self.tolist())
        return (
            f"{lines}[torch.storage.UntypedStorage(device={self.device}) of size "
            f"{len(self)}]"
        )


class TypedStorage:
    """The memory of a tensor, as elements.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # it is deprecated
    ...     torch.arange(4)[2:].storage().tolist()
    [0, 1, 2, 3]
    """

    __module__ = "torch.storage"

    def __init__(self, owner: Tensor) -> None:
        self._owner = owner
        self._line = _line_in_view(owner)

    @property
    def dtype(self) -> dtype:
        """The type of the elements."""
        return of_numpy(self._line.dtype)

    @property
    def device(self) -> Any:
        """Where the tensor lives."""
        return self._owner.device

    def untyped(self) -> UntypedStorage:
        """The same as bytes."""
        return UntypedStorage(self._owner)

    def nbytes(self) -> int:
        """How many bytes there are."""
        return self._line.nbytes

    def size(self) -> int:
        """How many elements there are."""
        return len(self._line)

    __len__ = size

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(self._line.__array_interface__["data"][0])

    def element_size(self) -> int:
        """How many bytes an element has."""
        return self._line.itemsize

    def tolist(self) -> list[Any]:
        """The elements."""
        return self._line.tolist()  # type: ignore[no-any-return]

    def fill_(self, value: Any) -> TypedStorage:
        """Set all elements."""
        self[:] = value
        return self

    def __getitem__(self, place: Any) -> Any:
        found = self._line[place]
        return found if isinstance(place, slice) else found.item()

    def __setitem__(self, place: Any, value: Any) -> None:
        writing(self._owner)
        self._line[place] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __repr__(self) -> str:
        lines = "".join(f" {value}\n" for value in self.tolist())
        return (
            f"{lines}[torch.storage.TypedStorage(dtype={self.dtype}, device="
            f"{self.device}) of size {len(self)}]"
        )


def _line_in_view(owner: Tensor) -> Array:
    """All the memory of a tensor, through which a user sees it."""
    exposed(owner)
    line: Array = line_of(owner._array)
    return line


@method("untyped_storage")
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory of the tensor, as bytes.

    >>> torch.arange(4.0)[2:].untyped_storage().nbytes()
    16
    """
    return UntypedStorage(self)


@method("storage")
def storage(self: Tensor) -> TypedStorage:
    """The memory of the tensor, as elements.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # it is deprecated
    ...     torch.arange(4)[2:].storage().size()
    4
    """
    if not _WARNED:
        _WARNED.append(True)
        warnings.warn(TYPED, UserWarning, stacklevel=2)
    return TypedStorage(self)


@function("is_storage")
def is_storage(obj: Any) -> bool:
    """Whether an object is a storage.

    >>> torch.is_storage(torch.ones(1).untyped_storage()), torch.is_storage(1)
    (True, False)
    """
    return isinstance(obj, TypedStorage | UntypedStorage)


FUNCTIONS["UntypedStorage"] = UntypedStorage
FUNCTIONS["TypedStorage"] = TypedStorage
METHODS["const_data_ptr"] = METHODS["data_ptr"]
