"""Adding gradients to ``.grad`` of leaves."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrad.torch import remote
from fgrad.torch.devices import CPU
from fgrad.torch.storage import writing
from fgrad.torch.tensor import Tensor

if TYPE_CHECKING:
    from fgrad.torch.runs import Run

_ACCUMULATION = threading.Lock()


def accumulate(tensor: Tensor, gradient: Tensor) -> None:
    """Add a gradient to ``tensor.grad``: in place, into the same object.

    A gradient that is itself recorded (``create_graph``) is added out of place. A view
    that was made in ``no_grad`` gets none.
    """
    with _ACCUMULATION:
        _accumulate(tensor, gradient)


def accumulate_all(run: Run, leaves: Sequence[Tensor], arrays: Sequence[Any]) -> None:
    """As `accumulate`, with the gradients that a program of a run computed."""
    with _ACCUMULATION:
        for leaf, array in zip(leaves, arrays, strict=True):
            if not leaf._requires:
                continue
            gradient = run.gradient(array, leaf)
            is_first = leaf._grad is None and leaf._base is None
            if is_first and leaf._device is gradient._device:
                leaf._grad = gradient
            else:
                _accumulate(leaf, gradient)


def _accumulate(tensor: Tensor, gradient: Tensor) -> None:
    if tensor._base is not None and tensor._base._requires:
        return
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
