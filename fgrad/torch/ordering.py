"""The order of recorded operations: a serial for each, higher ones later."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from fgrad.torch.tensor import Tensor

if TYPE_CHECKING:
    from fgrad.torch.graph import Node

NEXT = 2.0**-13  # between the serials of operations of one run

_serials = itertools.count()


def next_serial() -> int:
    """A number above those of all operations so far."""
    return next(_serials)


def give_serial(node: Node, start: int, k: int) -> None:
    """Put a node where its operation was recorded: step ``k`` of a run.

    It comes after the operations that it follows from, and before all that were
    recorded after the run.
    """
    serial = start + (k + 1) * NEXT
    for parent, _ in node.edges:
        if not isinstance(parent, Tensor) and parent.serial + NEXT > serial:
            serial = parent.serial + NEXT
    node.serial = serial
