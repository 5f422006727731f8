"""What of a tensor's array Python may look at: inside transforms it is a tracer."""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad.numpy
from fgrad.tracer import Tracer, is_traced, refresh

__all__ = ["entered", "examined", "integers", "is_traced", "share_memory"]


def examined(array: Any) -> Any:
    """The values that a check looks at: of a mapped tracer those of the whole batch.

    Not for results: what a transform computes does not come this way. Where only the
    type is known there is nothing to check, and the array given back is empty.
    """
    found = array
    while type(found) is Tracer:
        if found.origin is not None:
            refresh(found)
        found = found.value
    return np.empty(0, array.dtype) if found is None else found


def entered(array: Any, indices: tuple[Any, ...]) -> Any:
    """An array that takes these indices: one of NumPy takes no traced ones."""
    if not is_traced(array) and any(map(is_traced, indices)):
        return fgrad.numpy.array(array)
    return array


def integers(array: Any) -> Any:
    """An array of indices as PyTorch's: of int64."""
    if type(array) is Tracer:
        return array.astype(np.int64)  # type: ignore[attr-defined] # given by functions
    return np.asarray(array, np.int64)


def share_memory(x: Any, y: Any) -> bool:
    """Whether a change of one array would be one of the other."""
    if type(x) is not Tracer and type(y) is not Tracer:
        return bool(np.may_share_memory(x, y))
    return _owner(x) is _owner(y)


def _owner(x: Any) -> Any:
    return x.origin[0] if type(x) is Tracer and x.origin is not None else x
