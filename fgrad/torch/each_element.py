"""Python functions of single elements: ``apply_`` and ``map_``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch.inplace import copy_
from fgrad.torch.registry import method
from fgrad.torch.tensor import Tensor, make

REQUIRES = (
    "Can't call {0}() on Variable that requires grad. Use var.detach().{0}() instead."
)


def _mapped(
    name: str, self: Tensor, others: tuple[Tensor, ...], callable: Callable[..., Any]
) -> Tensor:
    """Have a function of the elements of tensors replace those of the first one."""
    if any(x._requires for x in (self, *others)):
        raise RuntimeError(REQUIRES.format(name))
    arrays = [self._array]
    for place, other in enumerate(others):
        label = "other" if len(others) == 1 else ("x", "y")[place]
        if other.dtype is not self.dtype:
            raise TypeError(
                f"{name}: expected {self.type()} for '{label}' (got {other.type()})"
            )
        arrays.append(other.expand(self._aval.shape)._array)
    elements = zip(*(array.ravel().tolist() for array in arrays), strict=True)
    found = [callable(*each) for each in elements]
    values = np.asarray(found).reshape(self._aval.shape) if found else self._array
    return copy_(self, make(values))


@method("apply_")
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by what a Python function makes of it.

    Raises:
        RuntimeError: the tensor requires a gradient.

    >>> torch.tensor([1.0, 2.0]).apply_(lambda x: x + 5)
    tensor([6., 7.])
    """
    return _mapped("apply_", self, (), callable)


@method("map_")
def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element by what a function makes of it and that of another tensor.

    Raises:
        RuntimeError: a tensor requires a gradient, or the shapes do not broadcast.
        TypeError: the dtypes differ.

    >>> torch.tensor([1.0, 2.0]).map_(torch.tensor([3.0, 4.0]), lambda x, y: x * y)
    tensor([3., 8.])
    """
    return _mapped("map_", self, (tensor,), callable)


@method("map2_")
def map2_(
    self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]
) -> Tensor:
    """As `map_`, with two other tensors.

    >>> ones = torch.ones(2)
    >>> torch.tensor([1.0, 2.0]).map2_(ones, ones, lambda x, y, z: x + y + z)
    tensor([3., 4.])
    """
    return _mapped("map2_", self, (x, y), callable)
