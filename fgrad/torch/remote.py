"""Values on a device of jax: beside, or in place of, a tensor's NumPy array.

A tensor that lives on a device has its memory on the host, as any other, so that views
and in-place writes are those of NumPy. What XLA computed is a *remote* value: an array
of jax, from which the memory is filled when somebody reads it there. What NumPy
computed gets a remote value when XLA first reads it, and loses it with the next write.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.lower.jax import import_jax, jax_function
from fgrad.lower.numpy import Executable
from fgrad.torch.devices import CPU, device, found, of_jax
from fgrad.torch.modes import INFERENCE
from fgrad.torch.storage import Memory, writing
from fgrad.torch.tensor import Tensor, make, new_storage, set_array
from fgrad.xla.arrays import constants_of, is_jax_array, run_wide

_new = Tensor.__new__
_COMPILED: weakref.WeakKeyDictionary[Executable, Any] = weakref.WeakKeyDictionary()


def uploaded(array: Any, where: device) -> Any:
    """An array as one of jax, on a device; a copy."""
    jax = import_jax()
    with jax.enable_x64(True):
        return jax.device_put(np.array(array), of_jax(where))


def remote_of(tensor: Tensor, where: device) -> Any:
    """The value of a tensor on a device; None inside a transform of fgrad."""
    known = tensor.__dict__.get("_remote")
    if known is not None:
        return known
    array = tensor._array
    if type(array) is not np.ndarray:
        return None
    remote = uploaded(array, where)
    if tensor._device is not CPU:
        _keep(tensor, remote)
    return remote


def _keep(tensor: Tensor, remote: Any) -> None:
    """Remember a remote value until the memory is written to."""
    tensor._remote = remote
    tensor._storage.remember().mirrors.append(weakref.ref(tensor))


def fill(tensor: Tensor, remote: Any) -> None:
    """Give a tensor that has no values yet a remote one."""
    tensor._pending = False
    _keep(tensor, remote)


def remote_tensor(remote: Any, where: device) -> Tensor:
    """A tensor of a remote value; it does not require a gradient."""
    tensor = _new(Tensor)
    tensor._aval = Aval(remote.shape, remote.dtype)
    tensor._base = tensor._node = tensor._grad = tensor._place = tensor._cut = None
    tensor._requires, tensor._number = False, 0
    if INFERENCE.threads:
        tensor._storage = new_storage()
    tensor._device = where
    fill(tensor, remote)
    return tensor


def seen_from(tensor: Tensor, gradient: Tensor) -> Tensor:
    """A gradient where its tensor lives, if the graph led over several devices."""
    where = tensor._device
    if gradient._device is where:
        return gradient
    if where is CPU and not gradient._requires:
        return make(gradient._array)
    gradient._device = where
    return gradient


def on_host(value: Any) -> Any:
    """A saved value as NumPy's."""
    return np.asarray(value) if is_jax_array(value) else value


def run_remote(executable: Executable, values: list[Any]) -> list[Tensor]:
    """The results of a program of which some operands are arrays of jax."""
    known = _COMPILED.get(executable)
    if known is None:
        program = executable.program
        run = import_jax().jit(jax_function(program))
        known = _COMPILED[executable] = run, constants_of(program)
    run, constants = known
    where = _device_of(next(filter(is_jax_array, values)))
    return [remote_tensor(x, where) for x in run_wide(run, *constants, *values)]


def _device_of(array: Any) -> device:
    (own,) = array.devices()
    return found(f"{'cuda' if own.platform == 'gpu' else 'xla'}:{own.id}")


def is_remote(tensor: Tensor) -> bool:
    """Whether XLA may give a tensor a new value: nobody else sees its memory."""
    if tensor._device is CPU or tensor._pending or tensor._base is not None:
        return False
    if not _is_filled(tensor):
        return True
    array = tensor._array
    return array.base is None and sys.getrefcount(array) <= _ALONE


def _is_filled(tensor: Tensor) -> bool:
    """Whether the values are in memory, too."""
    try:
        object.__getattribute__(tensor, "_array")
    except AttributeError:
        return False
    return True


def replace(tensor: Tensor, remote: Any) -> None:
    """Give a tensor another remote value: an in-place operation of XLA.

    Nobody else sees its memory: see `is_remote`.
    """
    memory = tensor._storage.remember()
    memory.settle()
    memory.mirrors.clear()
    if _is_filled(tensor):
        del tensor._array
    _keep(tensor, remote)
    tensor._storage.changed()


def move(tensor: Tensor, where: device) -> None:
    """Have a tensor live on another device: in memory of its own, as its ``data``."""
    if tensor._device is where:
        return
    writing(tensor)
    set_array(tensor, tensor._array.copy())
    tensor._device = where
    tensor._storage.memory = Memory()


def add(total: Tensor, more: Tensor) -> bool:
    """Add to a tensor in place, on its device; false if that cannot be."""
    if not is_remote(total) or more._device is not total._device:
        return False
    replace(total, remote_of(total, total._device) + remote_of(more, more._device))
    return True


def _references_of_one() -> int:
    """The references to an array that only its tensor knows, as seen above.

    0 where threads run without the interpreter's lock: there they say nothing.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return 0
    tensor = Tensor()
    array = tensor._array
    return sys.getrefcount(array)


_ALONE = _references_of_one()
