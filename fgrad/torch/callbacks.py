"""Functions of Python numbers applied to the elements of tensors, in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch.history import check_writable
from fgrad.torch.inplace import copy_
from fgrad.torch.registry import method
from fgrad.torch.tensor import Tensor, make

REFUSED = (
    "Can't call {0}() on Variable that requires grad. Use var.detach().{0}() instead."
)


def _check(name: str, *tensors: Tensor) -> None:
    """Refuse what has a gradient, which Python's functions would lose.

    Raises:
        RuntimeError: one of the tensors does.
    """
    if any(x._requires for x in tensors):
        raise RuntimeError(REFUSED.format(name))


def _filled(self: Tensor, values: list[Any]) -> Tensor:
    check_writable(self)
    found = np.array(values).astype(self._aval.dtype)
    return copy_(self, make(found.reshape(self._aval.shape)))


@method("apply_")
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by what a function makes of it as a Python number.

    Raises:
        RuntimeError: the tensor requires a gradient.

    >>> torch.tensor([1.0, 4.0]).apply_(lambda v: v**0.5)
    tensor([1., 2.])
    """
    _check("apply_", self)
    return _filled(self, [callable(v) for v in self._array.ravel().tolist()])


@method("map_")
def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """As `apply_`, with a function of two elements; the other tensor is broadcast.

    Raises:
        RuntimeError: one of the tensors requires a gradient.

    >>> torch.tensor([1.0, 4.0]).map_(torch.tensor([3.0, 2.0]), max)
    tensor([3., 4.])
    """
    _check("map_", self, tensor)
    other = np.broadcast_to(tensor._array, self._aval.shape)
    pairs = zip(self._array.ravel().tolist(), other.ravel().tolist(), strict=True)
    return _filled(self, [callable(a, b) for a, b in pairs])
