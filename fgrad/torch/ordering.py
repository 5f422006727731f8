"""The order of recorded operations: a serial for each, higher ones later.

Operations of a run get theirs when their nodes are made: after the *mark* that comes
before them. A run begins with one; there is another wherever an operation was recorded
at once while the run went on, such as a `Function` of the user.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect
from typing import TYPE_CHECKING

from fgrad.torch.modes import STATE
from fgrad.torch.tensor import Tensor

if TYPE_CHECKING:
    from fgrad.torch.graph import Node

NEXT = 2.0**-13  # between the serials of operations of one run

Mark = tuple[int, int]  # the operations of the run before it, and a serial

_serials = itertools.count()


def first_mark() -> Mark:
    """That of a run which begins now."""
    return 0, next(_serials)


def serial_now() -> int:
    """A number above those of all operations so far; those of the run go on from it."""
    serial = next(_serials)
    run = STATE.run
    if run is not None and run.is_lazy:
        depth = run.step.depth
        if run.marks[-1][0] == depth:
            run.marks.pop()
        run.marks.append((depth, serial))
    return serial


def give_serial(node: Node, marks: list[Mark], k: int) -> None:
    """Put a node where its operation was recorded: step ``k`` of a run.

    It comes after the operations that it follows from, and before all that were
    recorded after the run.
    """
    start = marks[bisect(marks, (k, math.inf)) - 1][1]
    serial = start + (k + 1) * NEXT
    for parent, _ in node.edges:
        if not isinstance(parent, Tensor) and parent.serial + NEXT > serial:
            serial = parent.serial + NEXT
    node.serial = serial
