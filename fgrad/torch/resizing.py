"""Tensors that get another shape or other memory: ``resize_``, ``set_``.

Elements are places of memory here, as of ``as_strided``; nothing of it is recorded.
"""

from __future__ import annotations

import math
import operator
import warnings
from typing import Any

import numpy as np

from fgrad.torch.history import check_changeable
from fgrad.torch.memory import Places, Vector, length_of, line_of, places_of
from fgrad.torch.modes import STATE
from fgrad.torch.registry import method, operation
from fgrad.torch.size import size_arguments
from fgrad.torch.storage import Storage, writing
from fgrad.torch.tensor import Tensor, new_storage, set_array


def _steps(shape: Vector) -> Vector:
    """How many elements lie between neighbours in C order."""
    return tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))


def _is_alone(x: Tensor) -> bool:
    """Whether no other tensor, and no array of the user's, shares the memory."""
    storage = x._storage
    memory = storage.memory
    is_seen = x._base is not None or bool(storage.views)
    return not is_seen and (memory is None or not memory.is_exposed)


def _place(x: Tensor, places: Places) -> None:
    """Have a tensor hold other places of its memory, which grows where it must.

    Raises:
        RuntimeError: it must, and others share it.
    """
    array = x._array
    if 0 in places.shape:
        set_array(x, np.empty(places.shape, array.dtype))
    elif places.end <= length_of(array):
        set_array(x, places.of(line_of(array)))
    elif not _is_alone(x):
        raise RuntimeError("Trying to resize storage that is not resizable")
    else:
        line = np.zeros(places.end, array.dtype)
        line[: length_of(array)] = line_of(array)
        set_array(x, places.of(line))
    x._storage.changed()


@method("resize_")
def resize_(self: Tensor, *size: Any, memory_format: Any = None) -> Tensor:
    """Another shape, in place, for the memory of a tensor, which grows if needed.

    What is new has the value zero here. Elements are taken in the order of memory.

    Args:
        self: a tensor that does not require gradients.
        size: the lengths of the axes.
        memory_format: ``torch.contiguous_format``.

    Raises:
        RuntimeError: the tensor requires a gradient, or others share memory that should
            grow.

    >>> x = torch.arange(6)
    >>> x.resize_(2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    if self._requires:
        raise RuntimeError("cannot resize variables that require grad")
    shape = tuple(size_arguments("resize_", size))
    if shape == self._aval.shape:
        return self
    writing(self)
    _place(self, Places(places_of(self._array).first, shape, _steps(shape)))
    return self


@operation("resize_as_")
def resize_as_(
    input: Tensor, the_template: Tensor, *, memory_format: Any = None
) -> Tensor:
    """`resize_` to the shape of another tensor.

    >>> torch.arange(6).resize_as_(torch.ones(2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return resize_(input, tuple(the_template._aval.shape))


@method("resize")
def resize(self: Tensor, *sizes: Any) -> Tensor:
    """The old name of `reshape`: another shape for as many elements.

    Raises:
        RuntimeError: there would be more elements, or fewer.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # it is deprecated
    ...     torch.arange(4).resize(2, 2).shape
    torch.Size([2, 2])
    """
    warnings.warn("non-inplace resize is deprecated", UserWarning, stacklevel=2)
    return _resized(self, tuple(size_arguments("resize", sizes)))


@method("resize_as")
def resize_as(self: Tensor, tensor: Tensor) -> Tensor:
    """The old name of `reshape_as`.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # it is deprecated
    ...     torch.arange(4).resize_as(torch.ones(2, 2)).shape
    torch.Size([2, 2])
    """
    warnings.warn("non-inplace resize_as is deprecated", UserWarning, stacklevel=2)
    return _resized(self, tuple(tensor._aval.shape))


def _resized(x: Any, shape: Vector) -> Tensor:
    if math.prod(shape) != x._aval.size:
        wanted, own = ("x".join(map(str, each)) for each in (shape, x._aval.shape))
        raise RuntimeError(
            f"requested resize to {wanted} ({math.prod(shape)} elements in total), but "
            f"the given tensor has a size of {own} ({x._aval.size} elements). "
            "autograd's resize can only change the shape of a given tensor, while "
            "preserving the number of elements. "
        )
    return x.contiguous().view(shape)  # type: ignore[no-any-return]


@method("set_")
def set_(
    self: Tensor,
    source: Any = None,
    storage_offset: int = 0,
    size: Any = None,
    stride: Any = None,
) -> Tensor:
    """Have a tensor share the memory of another one, or of a storage.

    Args:
        self: a tensor of the same dtype.
        source: a tensor or a storage; None for no elements.
        storage_offset: how many elements of memory come before the first one.
        size: the shape; by default that of the source.
        stride: for each axis how many elements one step passes; C order by default.

    Raises:
        RuntimeError: the dtypes differ, the tensor requires a gradient, or places lie
            outside of the memory of a storage.
        NotImplementedError: the source requires a gradient that would be recorded.

    >>> x, y = torch.ones(2), torch.arange(3.0)
    >>> x.set_(y)[0] = 5.0
    >>> y
    tensor([5., 1., 2.])
    """
    check_changeable(self)
    if source is None:
        set_array(self, np.empty(0, self._aval.dtype))
        return _belongs(self, new_storage())
    owner = source if isinstance(source, Tensor) else source._owner
    if owner.dtype is not self.dtype:
        raise RuntimeError(
            f"Could not set tensor of type {owner.dtype.cpp} to a tensor of type "
            f"{self.dtype.cpp}"
        )
    if isinstance(source, Tensor) and source._requires and STATE.enabled:
        raise NotImplementedError(
            "fgrad.torch does not record set_() to a tensor that requires a gradient; "
            "pass source.detach()"
        )
    if isinstance(source, Tensor) and size is None:
        set_array(self, source._array)
        return _belongs(self, source._storage)
    writing(owner)
    line = line_of(owner._array)
    shape = (len(line),) if size is None else tuple(map(operator.index, size))
    steps = _steps(shape) if stride is None else tuple(map(operator.index, stride))
    places = Places(storage_offset, shape, steps)
    if 0 not in shape and places.end > len(line):
        bytes_each = line.itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(steps)}, storage offset "
            f"{storage_offset}, and itemsize {bytes_each} requiring a storage size of "
            f"{places.end * bytes_each} are out of bounds for storage of size "
            f"{line.nbytes}"
        )
    set_array(self, places.of(line))
    return _belongs(self, owner._storage)


def _belongs(x: Tensor, storage: Storage) -> Tensor:
    x._storage = storage
    storage.changed()
    return x


@method("is_set_to")
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether two tensors have the same places of the same memory.

    >>> x = torch.ones(2, 3)
    >>> x.is_set_to(x.view(2, 3)), x.is_set_to(x.view(3, 2))
    (True, False)
    """
    mine, other = (x._array.__array_interface__["data"][0] for x in (self, tensor))
    same = places_of(self._array)[1:] == places_of(tensor._array)[1:]
    return bool(mine == other and same and self.dtype is tensor.dtype)
