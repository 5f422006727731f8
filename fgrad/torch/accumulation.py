"""Adding gradients to ``.grad`` of leaves."""

from __future__ import annotations

import threading

import numpy as np

from fgrad.torch import remote
from fgrad.torch.devices import CPU
from fgrad.torch.storage import writing
from fgrad.torch.tensor import Tensor

_ACCUMULATION = threading.Lock()


def accumulate(tensor: Tensor, gradient: Tensor) -> None:
    """Add a gradient to ``tensor.grad``: in place, into the same object.

    A gradient that is itself recorded (``create_graph``) is added out of place. A view
    that was made in ``no_grad`` gets none.
    """
    if tensor._base is not None and tensor._base._requires:
        return
    with _ACCUMULATION:
        known = tensor._grad
        gradient = remote.seen_from(tensor, gradient)
        if known is None:
            tensor._grad = gradient
        elif known._requires or gradient._requires:
            tensor._grad = known + gradient  # type: ignore[operator]
        elif known._device is CPU or not remote.add(known, gradient):
            writing(known)
            np.add(known._array, gradient._array, out=known._array)
            known._storage.changed()
