"""Writes to places that are given twice, with PyTorch's gradients.

The last value stays there, or any. But PyTorch's gradient of the values is what is read
back from the places: each of the values gets it, also those that were overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import fgrad
from fgrad.torch.known import examined
from fgrad.torch.tensor import Tensor


@fgrad.custom_jvp
def _nothing(x: Any) -> Any:
    """Zeros that vary as what they are made of."""
    return np.zeros_like(x)


@_nothing.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return _nothing(*primals), tangents[0]


def repeats(where: Sequence[Any], shape: tuple[int, ...], values: Any) -> bool:
    """Whether gradients of values need care: a place is given twice.

    Args:
        where: for each axis an index array, or a slice of all.
        shape: the lengths of the axes.
        values: what is written; only tensors with gradients matter.
    """
    if not isinstance(values, Tensor) or not values._requires:
        return False
    pairs = [
        (examined(index) % length, length)
        for index, length in zip(where, shape, strict=False)
        if isinstance(index, np.ndarray | np.generic) and length
    ]
    if not pairs:
        return False
    arrays = np.broadcast_arrays(*(index for index, _ in pairs))
    places = np.ravel_multi_index(arrays, tuple(n for _, n in pairs)).ravel()
    return len(places) > 1 and len(np.unique(places)) < len(places)


def write_at(array: Any, where: Any, values: Any, has_repeats: bool) -> None:
    """Write values to places; ``has_repeats``: each of them has the place's slope."""
    if not has_repeats:
        array[where] = values
        return
    array[where] = fgrad.stop_gradient(values)
    np.add.at(array, where, _nothing(values))
