"""Which device the results of a function live on: that of its operands.

Functions know nothing of devices: what NumPy computes lives on the CPU until the
outermost call puts it where the operands are. Before anybody asks for a device this is
one test for each call.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from inspect import unwrap
from types import FunctionType
from typing import Any

from fgrad.torch.devices import CPU, DEVICES, device
from fgrad.torch.outputs import call_into
from fgrad.torch.tensor import Tensor

Function = Callable[..., Any]
_MAKING = {  # functions without operands
    "arange", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn",
    "randperm", "zeros",
}  # fmt: skip
_MIXING = {  # functions that take operands on other devices
    "__getitem__", "__setitem__", "copy_", "cpu", "cuda", "index_put", "index_put_",
    "load_state_dict", "to",
}  # fmt: skip


_CALLING_USERS = {
    "backward",
    "tensor_backward",
}  # functions that call hooks, which see what is placed


class _State(threading.local):
    """What the calls of a thread do.

    Attributes:
        is_inside: a call is under way whose results are going to be placed.
        on_host: NumPy computes, wherever the operands are.
    """

    is_inside = False
    on_host = False


_STATE = _State()


def placed(function: Any) -> Any:
    """A function whose results live where its operands do, or go to ``out``."""
    if isinstance(function, property):
        return property(placed(function.fget), function.fset, function.fdel)
    if type(function) is not FunctionType or hasattr(function, "places"):
        return function
    if function.__name__ in _CALLING_USERS or _takes_out(function):
        return function
    if function.__name__ in _MAKING:
        return _filling(function)

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if named and "out" in named:
            return call_into(call, args, named)
        if DEVICES.is_on and not _STATE.is_inside:
            return call_on_device(function, args, named)
        return function(*args, **named)

    call.places = True  # type: ignore[attr-defined]
    return call


def _takes_out(function: FunctionType) -> bool:
    """Whether a function has a parameter ``out``; `signature` would take 10 times as
    long, for a thousand functions on import.
    """
    code = unwrap(function).__code__
    return "out" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _filling(function: Function) -> Function:
    """A function without operands, whose result may go to ``out``."""

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if named and "out" in named:
            return call_into(function, args, named)
        return function(*args, **named)

    call.places = True  # type: ignore[attr-defined]
    return call


def place_functions(namespace: dict[str, Any]) -> None:
    """Have the public functions of a module placed."""
    for name in namespace["__all__"]:
        namespace[name] = placed(namespace[name])


@contextmanager
def on_host() -> Iterator[None]:
    """Operations run on NumPy in the block: to get its errors."""
    before, _STATE.on_host = _STATE.on_host, True
    try:
        yield
    finally:
        _STATE.on_host = before


def is_elsewhere(args: Iterable[Any]) -> bool:
    """Whether one of the arguments does not live on the CPU."""
    return any(isinstance(x, Tensor) and x._device is not CPU for x in args)


def call_on_device(
    function: Function, args: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    """The results of a function, where its operands are.

    Raises:
        RuntimeError: the operands are on several devices.
    """
    if _STATE.is_inside:
        return function(*args, **named)
    operands = [x for x in flat([*args, *named.values()]) if isinstance(x, Tensor)]
    is_mixing = function.__name__ in _MIXING
    where = common_device(operands[:1] if is_mixing else operands)
    if where is CPU:
        return function(*args, **named)
    _STATE.is_inside = True
    try:
        result = function(*args, **named)
    finally:
        _STATE.is_inside = False
    for x in flat([result]):
        if isinstance(x, Tensor) and "_device" not in x.__dict__:
            x._device = where
    return result


def place(tensor: Tensor, where: device) -> Tensor:
    """Have a new tensor live on a device."""
    if where is not CPU:
        tensor._device = where
    return tensor


def place_all(results: Any, where: device) -> Any:
    """Have new tensors live on a device: a tensor, or a list or tuple of them."""
    if where is not CPU:
        for result in flat([results]):
            result._device = where
    return results


def flat(values: Iterable[Any]) -> Iterable[Any]:
    """The values in lists and tuples of any depth."""
    for x in values:
        if isinstance(x, tuple | list):
            yield from flat(x)
        else:
            yield x


def common_device(operands: Iterable[Any]) -> device:
    """The device of operands; a number on the CPU goes with any.

    Raises:
        RuntimeError: they are on several.
    """
    where: device | None = None
    for x in operands:
        if isinstance(x, Tensor):
            own = x._device
            if own is where or (own is CPU and not x._aval.ndim):
                continue
            if where is not None:
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least "
                    f"two devices, {where} and {own}! Move them with x.to(device)"
                )
            where = own
    if where is not None:
        return where
    return next((x._device for x in operands if isinstance(x, Tensor)), CPU)


def device_within(operands: Iterable[Any]) -> device:
    """The device on which an operation runs; it was checked that there is one."""
    if _STATE.on_host:
        return CPU
    for x in operands:
        if isinstance(x, Tensor) and x._device is not CPU:
            return x._device
    return CPU
