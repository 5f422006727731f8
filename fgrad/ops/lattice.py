"""Which elements of an array a view has that steps through it."""

from typing import Any

import numpy as np

Vector = tuple[int, ...]


def elements(
    shape: Vector, start: Vector, steps: tuple[Vector, ...]
) -> tuple[Any, ...]:
    """For each axis of the array the indices of the elements of the view."""
    lines = np.ogrid[tuple(slice(n) for n in shape)]
    found = []
    for axis, first in enumerate(start):
        moves = [line * step[axis] for line, step in zip(lines, steps, strict=True)]
        found.append(np.broadcast_to(np.asarray(sum(moves, first)), shape))
    return tuple(found)
