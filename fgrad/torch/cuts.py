"""Where the path of gradients was cut: notes for the error of a later `backward`.

A tensor that does not require a gradient, though it comes from one that does, keeps a
note of the operation and of the user's line; so do tensors that are computed from it.
"""

from __future__ import annotations

import re
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrad.sites import Site, at_site, user_site

if TYPE_CHECKING:
    from fgrad.torch.tensor import Tensor

UNKNOWN = (
    "Nothing that it was computed from requires a gradient, as far as is known: what "
    "Python or NumPy computed from item() or numpy() has no history."
)
FOLLOWED = 64  # numbers and arrays that left the graph

Cut = tuple[str, Site | None]  # what cut the path, and where


class _Left(threading.local):
    """What was read from tensors of the graph last.

    Attributes:
        found: by identity, numbers and weak references to arrays, each with its cut.
    """

    def __init__(self) -> None:
        self.found: dict[int, tuple[Any, Cut]] = {}


_LEFT = _Left()


def leaving(value: Any, what: str, tensor: Tensor) -> Any:
    """A value that is read from a tensor, whose path of gradients ends there.

    Args:
        value: a number, nested lists of them, or an array.
        what: the method that reads it.
        tensor: has it.
    """
    cut = (what, user_site()) if tensor._requires else tensor._cut
    leaf = _first_leaf(value)
    if cut is None or type(leaf) not in (float, np.ndarray):
        return value
    found = _LEFT.found
    if len(found) >= FOLLOWED:
        del found[next(iter(found))]
    is_array = type(leaf) is np.ndarray
    found[id(leaf)] = weakref.ref(leaf) if is_array else leaf, cut
    return value


def _first_leaf(value: Any) -> Any:
    while type(value) in (list, tuple) and value:
        value = value[0]
    return value


def cut_of(value: Any) -> Cut | None:
    """What cut the path of a number, a nested list of them or an array, if it is known.

    A view of an array is known by its base.
    """
    found = _LEFT.found
    if not found:
        return None
    leaf = _first_leaf(value)
    while True:
        kept, cut = found.get(id(leaf), (None, None))
        if kept is not None and leaf is (kept() if type(kept) is weakref.ref else kept):
            return cut
        leaf = getattr(leaf, "base", None)
        if type(leaf) is not np.ndarray:
            return None


def entering(tensor: Tensor, value: Any) -> Tensor:
    """A tensor that is made of a value, which may have left the graph before."""
    tensor._cut = cut_of(value)
    return tensor


def cut_off(result: Tensor, what: str, *operands: Any) -> Tensor:
    """The result, which notes whether an operation on these operands cut the path.

    Args:
        result: does not require a gradient.
        what: the operation, as the user calls it; or its node, ``ArgmaxBackward0``.
        operands: tensors, and others, which have no path.
    """
    for x in operands:
        if getattr(x, "_requires", False):
            result._cut = what, user_site()
        elif getattr(x, "_cut", None) is not None:
            result._cut = x._cut
    return result


def explain_cut(tensor: Tensor) -> str:
    """Why a tensor does not require a gradient, as a sentence."""
    cut = tensor._cut
    if cut is None:
        return UNKNOWN
    what, site = cut
    what = re.sub(r"Backward\d*$", "()", what)
    return f"The path of gradients was cut by {what}{at_site(site)}."
