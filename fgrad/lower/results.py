"""Arrays that are used again: results that nobody holds any more, and blocks.

The pages of a large new array are mapped when they are first touched, which takes
longer than the arithmetic. So a compiled function remembers the arrays that it returned
last, and writes into one of them when it is the only one that refers to it: views,
memory views and other libraries' arrays of the same memory hold a reference, too.
"""

import sys
from typing import Any
from weakref import getweakrefcount

import numpy as np

REMEMBERED = 2  # a loop holds the last result while the next one is computed


def unshared(known: list[Any], shape: tuple[int, ...], dtype: str) -> Any:
    """An array that nobody else refers to, from those known or a new one.

    Two threads cannot get the same: each refers to the array while it looks. One that
    its user reshaped or made read-only, or watches by a weak reference, is left alone.
    """
    for array in known:
        is_alone = sys.getrefcount(array) == _ALONE and not getweakrefcount(array)
        is_alike = array.shape == shape and array.dtype == dtype
        if is_alone and is_alike and array.flags.carray:
            return array
    array = np.empty(shape, dtype)
    if _ALONE:
        known.append(array)
        del known[:-REMEMBERED]
    return array


def take_blocks(spare: list[Any], shape: tuple[int, ...], dtype: str) -> list[Any]:
    """The arrays of one block, from those that no call uses or new ones."""
    try:
        return spare.pop()  # type: ignore[no-any-return]
    except IndexError:
        return list(np.empty(shape, dtype))


def _references_of_unshared() -> int:
    """What ``sys.getrefcount`` says above of an array that only the list refers to.

    0 where threads run without the interpreter's lock: there it says nothing.
    """
    is_locked = getattr(sys, "_is_gil_enabled", lambda: True)
    if not is_locked():
        return 0
    known = [np.empty(1)]
    for array in known:
        return sys.getrefcount(array)
    return 0


_ALONE = _references_of_unshared()
