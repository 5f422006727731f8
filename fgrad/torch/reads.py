"""What the traces of a fragment save, and whose memory that may be."""

from __future__ import annotations

from typing import NamedTuple

from fgrad.ir import Aval
from fgrad.ops.structure import transpose
from fgrad.path import Path
from fgrad.record import nodes_to


class Reads(NamedTuple):
    """What the traces of a structure save.

    Attributes:
        numbers: for each saved value its variable, None for a constant.
        owners: the variables whose memory saved values may share.
        constants: whether a constant is among them.
        turned: the types of inputs that are saved transposed, by variable.
    """

    numbers: tuple[int | None, ...]
    owners: frozenset[int]
    constants: bool
    turned: dict[int, Aval]


def reads_of(path: Path) -> Reads:
    """What a structure saves; derived once, and kept with the structure."""
    found: Reads | None = path.ends.get(reads_of)
    if found is None:
        found = path.ends[reads_of] = _derive_reads(path)
    return found


def _derive_reads(path: Path) -> Reads:
    root, *steps = nodes_to(path)
    owner = list(range(root.count))
    numbers: list[int | None] = []
    has_constants = False
    for step in steps:
        first = step.codes[0] if step.codes else None
        is_view = step.prim is not None and step.prim.view_step is not None
        for number in range(step.index, step.count):
            owner.append(owner[first] if is_view and type(first) is int else number)
        atoms = (*step.codes, *range(step.index, step.count))
        for code in (atoms[position] for position in step.keep):
            numbers.append(code if type(code) is int else None)
            has_constants |= isinstance(code, Aval) and not code.is_python
    owners = frozenset(owner[number] for number in numbers if number is not None)
    turned = {
        step.codes[0]: step.avals[0]
        for step in steps
        if step.prim is transpose and step.index in numbers
    }
    return Reads(tuple(numbers), owners, has_constants, turned)
