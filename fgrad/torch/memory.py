"""Where the elements of an array lie in memory.

A place is counted in elements from where the memory begins.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fgrad.ops.strided import strided
from fgrad.torch.known import is_traced

Vector = tuple[int, ...]


class Places(NamedTuple):
    """Elements of memory: the first one, the lengths of axes, and the step of each."""

    first: int
    shape: Vector
    steps: Vector

    @property
    def end(self) -> int:
        """The number of elements of memory up to the last one."""
        pairs = zip(self.shape, self.steps, strict=True)
        return self.first + 1 + sum([(n - 1) * step for n, step in pairs])

    def of(self, line: Any) -> Any:
        """The view of them in memory that is given as an array with one axis."""
        steps = tuple([(step,) for step in self.steps])
        return strided(line, shape=self.shape, start=(self.first,), steps=steps)


def memory_of(array: Any) -> Any:
    """The array that has the memory of another one."""
    while True:
        base = array.base
        if not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # strided views have a proxy there
        if not isinstance(base, np.ndarray):
            return array
        array = base


def _steps_of(array: Any) -> Vector:
    return tuple([step // array.itemsize for step in array.strides])


def places_of(array: Any) -> Places:
    """Where the elements of an array lie in its memory."""
    if is_traced(array):
        ends = np.cumprod((1, *array.shape[:0:-1]))[::-1].tolist()
        return Places(0, array.shape, tuple(ends[: array.ndim]))
    start = memory_of(array).__array_interface__["data"][0]
    first = (array.__array_interface__["data"][0] - start) // array.itemsize
    return Places(first, array.shape, _steps_of(array))


def length_of(array: Any) -> int:
    """How many elements the memory of an array has."""
    if is_traced(array):
        return int(array.size)
    owner = memory_of(array)
    length = Places(0, owner.shape, _steps_of(owner)).end if owner.size else 0
    return int(length * owner.itemsize // array.itemsize)


def line_of(array: Any) -> Any:
    """All the memory of an array, as an array with one axis."""
    owner = memory_of(array)
    count = length_of(owner)
    line = np.lib.stride_tricks.as_strided(owner, (count,), (owner.itemsize,))
    return line.view(array.dtype)


def unlocked(array: Any, base: Any) -> Any:
    """A view that can be written to as its base: NumPy has expanded ones read-only."""
    if is_traced(array) or is_traced(base):
        return array
    if array.flags.writeable or not base.flags.writeable:
        return array
    if not isinstance(array.base, np.ndarray):
        return places_of(array).of(line_of(base))
    array.flags.writeable = True
    return array
