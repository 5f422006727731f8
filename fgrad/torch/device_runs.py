"""Runs on a device of jax: one program of XLA for all that was recorded.

There operations that require no gradient are recorded, too. The first time that a
structure is met it runs on NumPy, as all structures do; from the second time on it is
compiled.
"""

from __future__ import annotations

from typing import Any

from fgrad.torch.devices import CPU, device
from fgrad.torch.modes import INFERENCE, STATE
from fgrad.torch.placement import flat
from fgrad.torch.remote import fill, remote_of, remote_tensor
from fgrad.torch.runs import Run
from fgrad.torch.steps import STEPS, Step
from fgrad.torch.tensor import Tensor, make, new_storage


class DeviceRun(Run):
    """Operations whose results live on a device.

    Attributes:
        where: the device.
    """

    __slots__ = ("where",)

    def __init__(self, where: device) -> None:
        super().__init__()
        self.step = STEPS.on_xla
        self.where = where

    def enter(self, x: Any, parts: list[Any], view: bool) -> bool:
        """As `Run.enter`: what enters is the value on the device."""
        if not isinstance(x, Tensor):
            return super().enter(x, parts, view)
        remote = remote_of(x, self.where)
        if remote is None or (x._storage.is_inference and STATE.enabled):
            return False
        x._node  # noqa: B018  # of the run that it came from
        x._storage.remember().add_reader(self)
        x._place = (self, self.count, None)
        parts.append((x._aval, x._requires, None))
        self.inputs.append(x)
        self.values.append(remote)
        self.count += 1
        return True

    def add(self, step: Step) -> Any:
        """The pending results of a known step."""
        results = super().add(step)
        if INFERENCE.threads:
            for result in flat([results]):
                result._storage = new_storage()
        return results

    def hold(self, tensor: Tensor, array: Any) -> None:
        """Give a pending tensor what the program of the run computed."""
        tensor._device = self.where
        fill(tensor, array)

    def gradient(self, array: Any, leaf: Tensor) -> Tensor:
        """A gradient of the run, where its leaf lives."""
        if leaf._device is CPU:
            return make(array)
        return remote_tensor(array, leaf._device)
