"""Tensors on other devices, and of other dtypes: ``to``, ``cpu``, ``cuda``."""

from __future__ import annotations

from typing import Any

from fgrad.torch.conversion import convert
from fgrad.torch.devices import CPU, device, found
from fgrad.torch.dtypes import as_dtype
from fgrad.torch.graph import record
from fgrad.torch.layouts import clone, copied, in_format
from fgrad.torch.modes import STATE
from fgrad.torch.performing import perform
from fgrad.torch.registry import method
from fgrad.torch.tensor import Tensor


@method("to")
def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``to(dtype)``, ``to(device)``, ``to(other)``, ``to(device, dtype)``.

    Returns:
        The tensor itself where it is of that dtype and on that device, and
        ``copy=True`` is not given; else a copy.

    Raises:
        RuntimeError: the device is not there.

    >>> torch.tensor([1, 2]).to(torch.float64)
    tensor([1., 2.], dtype=torch.float64)
    """
    target, where = kwargs.get("dtype"), kwargs.get("device")
    for given in args:
        if isinstance(given, Tensor):
            target, where = given.dtype, given._device
        elif isinstance(given, str | device | int) and not isinstance(given, bool):
            where = given
        elif not isinstance(given, bool):
            target = given
    result = self if target is None else convert(self, as_dtype(target))
    result = result if where is None else moved(result, found(where))
    result = clone(self) if kwargs.get("copy") and result is self else result
    return in_format(result, kwargs.get("memory_format"))


def moved(tensor: Tensor, where: device) -> Tensor:
    """A tensor on a device; itself where it is there."""
    if tensor._device is where:
        return tensor
    operands: Any = "ToCopyBackward0", copied, (tensor,)
    is_recorded = tensor._requires and STATE.enabled
    result: Tensor = record(*operands) if is_recorded else perform(*operands)
    result._device = where
    return result


@method("cpu")
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor in the memory of the CPU; a copy if it is elsewhere.

    >>> torch.ones(2).cpu()
    tensor([1., 1.])
    """
    return in_format(moved(self, CPU), memory_format)


@method("cuda")
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """The tensor on a GPU that jax sees.

    Raises:
        RuntimeError: there is none.

    >>> x = torch.ones(2)
    >>> y = x.cuda() if torch.cuda.is_available() else x
    """
    return moved(self, found("cuda" if device is None else device))
