"""Conversions of the parameters and buffers of modules, in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from fgrad.torch.devices import CPU, found
from fgrad.torch.devices import device as device_of
from fgrad.torch.dtypes import as_dtype, bfloat16, float16, float32, float64
from fgrad.torch.dtypes import dtype as dtype_of
from fgrad.torch.modes import no_grad
from fgrad.torch.nn.parameter import is_lazy
from fgrad.torch.remote import move
from fgrad.torch.tensor import Tensor, set_array


def _held(module: Any) -> list[Any]:
    values = [*module._parameters.values(), *module._buffers.values()]
    return [value for value in values if value is not None]


class WithConversions:
    """The part of a module that converts what it holds."""

    def modules(self, remove_duplicate: bool = True) -> Iterator[Any]:
        """The module itself and all modules in it; `Module` defines it."""
        raise NotImplementedError

    def _convert(self, target: dtype_of) -> Self:
        """Convert floating-point parameters and buffers, in place."""
        with no_grad():
            for module in self.modules():
                for value in _held(module):
                    if is_lazy(value):
                        value.convert(target)
                    elif value.dtype.is_floating_point:
                        set_array(value, value._array.astype(target.numpy, copy=False))
                        if value._grad is not None:
                            value._grad = value._grad.to(target)
        return self

    def type(self, dst_type: Any) -> Self:
        """Convert all parameters and buffers, in place."""
        target = as_dtype(dst_type)
        with no_grad():
            for module in self.modules():
                for value in _held(module):
                    set_array(value, value._array.astype(target.numpy, copy=False))
        return self

    def share_memory(self) -> Self:
        """The module itself: threads share memory anyway."""
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert to a dtype (floating-point parameters and buffers), or device.

        ``memory_format`` orders the elements of what has its number of axes.
        """
        target, where = kwargs.get("dtype"), kwargs.get("device")
        for given in args:
            if isinstance(given, Tensor):
                target, where = given.dtype, given.device
            elif isinstance(given, dtype_of):
                target = given
            elif not isinstance(given, bool):
                where = given
        if target is not None:
            self._convert(target)
        if kwargs.get("memory_format") is not None:
            self._order(kwargs["memory_format"])
        return self if where is None else self._move(found(where))

    def _order(self, layout: Any) -> None:
        """Have what has the number of axes of a memory format lie in that."""
        with no_grad():
            for module in self.modules():
                for value in _held(module):
                    if not is_lazy(value) and value.ndim in (4, 5):
                        ordered = value.contiguous(memory_format=layout)
                        set_array(value, ordered._array)

    def _move(self, where: device_of) -> Self:
        """Move parameters and buffers, which stay the same objects."""
        for module in self.modules():
            for value in _held(module):
                if not is_lazy(value):
                    move(value, where)
                    if value._grad is not None:
                        move(value._grad, where)
        return self

    def float(self) -> Self:
        """Convert to float32."""
        return self._convert(float32)

    def double(self) -> Self:
        """Convert to float64."""
        return self._convert(float64)

    def half(self) -> Self:
        """Convert to float16."""
        return self._convert(float16)

    def bfloat16(self) -> Self:
        """Not there: NumPy has no such dtype.

        Raises:
            NotImplementedError: always; it says what to use.
        """
        return self._convert(bfloat16)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """The module with parameters and buffers whose values are not set."""
        where = found(device)
        for module in self.modules() if recurse else [self]:
            for value in _held(module):
                set_array(value, np.empty_like(value._array))
                value._device = where
        return self

    def cpu(self) -> Self:
        """Move the module to the memory of the CPU."""
        return self._move(CPU)

    def cuda(self, device: Any = None) -> Self:
        """Move the module to a GPU that jax sees.

        Raises:
            RuntimeError: there is none.
        """
        return self._move(found("cuda" if device is None else device))
