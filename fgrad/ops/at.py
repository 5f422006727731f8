"""Index expressions as static params, and what follows from them alone.

An index is written as the static param ``at``, a tuple with one entry for each
component: ``None``, ``...``, ``(start, stop, step)`` for a slice, an int, or ``'$'``
for the next operand (a Python int or an integer array; ``'$u'`` for an array known to
have no repeats). ``path`` leads from an array to the view of it that is indexed, so
that a write through a view touches its slot only: a tuple of ``(primitive name,
params)``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.caches import remembered
from fgrad.ir import Aval
from fgrad.primitive import Primitive
from fgrad.trace import type_of

At = tuple[Any, ...]
Steps = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]


def build_index(at: At, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """The NumPy index that ``at`` and its operands stand for."""
    operands = iter(arrays)
    index = []
    for entry in at:
        if type(entry) is tuple:
            index.append(slice(*entry))
        elif type(entry) is str:
            index.append(next(operands))
        else:
            index.append(entry)
    return tuple(index)


def follow(x: Any, path: Steps) -> Any:
    """The view of array ``x`` at the end of ``path``, sharing its memory."""
    for name, params in path:
        x = Primitive.registry[name].numpy(x, **dict(params))
    return x


def dummy(aval: Aval) -> Any:
    return np.broadcast_to(np.zeros((), np.int8), aval.shape)


@remembered(4096)
def slot_shape(
    x: Aval, at: At, path: Steps, arrays: tuple[Aval, ...]
) -> tuple[int, ...]:
    """Shape of ``x[at]``, by NumPy's own rule, on an array without memory."""
    indices = tuple(0 if a.is_python else np.zeros(a.shape, np.intp) for a in arrays)
    slot = follow(dummy(x), path)[build_index(at, indices)]
    return tuple(slot.shape)


def may_overlap(path: Steps) -> bool:
    """Whether an element of the array may appear more than once in the view."""
    return any(
        name == "strided" or may_overlap(dict(params).get("path", ()))
        for name, params in path
    )


def has_repeats(at: At, arrays: Sequence[Any], path: Steps = ()) -> bool:
    """Whether the index may name an element more than once."""
    if path and may_overlap(path):
        return True
    marks = [entry for entry in at if type(entry) is str]
    return any(
        mark == "$" and (array if type(array) is Aval else type_of(array)).ndim > 0
        for mark, array in zip(marks, arrays, strict=True)
    )


def index_axes(at: At, ndim: int) -> list[int | None]:
    """For each entry of ``at`` the axis that it indexes (None for newaxis and ...)."""
    used = sum(entry is not None and entry is not Ellipsis for entry in at)
    axes: list[int | None] = []
    axis = 0
    for entry in at:
        if entry is Ellipsis:
            axes.append(None)
            axis += ndim - used
        else:
            axes.append(None if entry is None else axis)
            axis += entry is not None
    return axes


def advanced_position(at: At, ndim: int) -> int:
    """The axis of the result at which NumPy puts the axes of the index arrays."""
    advanced = [k for k, entry in enumerate(at) if type(entry) in (str, int)]
    if advanced[-1] - advanced[0] + 1 != len(advanced):
        return 0
    before = at[: advanced[0]]
    if Ellipsis not in before:
        return len(before)
    used = sum(entry is not None and entry is not Ellipsis for entry in at)
    return len(before) - 1 + ndim - used
