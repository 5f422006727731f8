"""Runs of elementwise equations on large arrays, to be executed block by block.

A block of all arrays of a run fits into the cache, so that only what enters and leaves
the run moves through memory. Equations are put in an order in which runs are long: what
a run does not need and what needs it are moved out of its way.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fgrad.ir import Atom, Eqn, Program, Var

LARGE = 1 << 16  # elements from which a run is executed in blocks
BLOCK = 1 << 14  # elements of a block: measured, 8k to 32k do best
SHORTEST = 3  # equations of a run
WORK_FOR_THREADS = 1 << 22  # the same from which a second thread pays
WORK = 1 << 21  # equations times elements from which blocks pay: less fits a cache


@dataclass(frozen=True)
class Run:
    """Equations ``start`` to ``stop`` of a program: elementwise, with one shape.

    The next ones, ``ends`` of them, are sums of their results, which are taken block by
    block, so that these results need not be kept.
    """

    start: int
    stop: int
    shape: tuple[int, ...]
    ends: int = 0

    @property
    def end(self) -> int:
        """The first equation behind the sums."""
        return self.stop + self.ends

    @property
    def is_shared(self) -> bool:
        """Whether the run is worth the handing over to other threads."""
        work = (self.stop - self.start) * math.prod(self.shape)
        return work >= WORK_FOR_THREADS and self.shape[0] >= 2 * self.rows

    @property
    def rows(self) -> int:
        """How many rows (slices along the first axis) make a block."""
        return max(1, BLOCK // max(1, math.prod(self.shape[1:])))


def find_runs(program: Program, sums: bool = False) -> tuple[Program, list[Run]]:
    """The program with its equations in an order that has long runs, and these.

    With ``sums`` runs end with sums, which then add in another order.
    """
    if not any(_shape_of(eqn) for eqn in program.eqns):
        return program, []
    eqns: list[Eqn] = []
    runs: list[Run] = []
    _order(list(program.eqns), eqns, runs, sums)
    ordered = Program(program.ins, eqns, program.outs, program.consts, program.values)
    return ordered, runs


def _shape_of(eqn: Eqn) -> tuple[int, ...] | None:
    """The shape of a run that the equation can be part of."""
    prim = eqn.prim
    if not prim.elementwise or prim.view_step is not None or len(eqn.outs) != 1:
        return None
    aval = eqn.outs[0].aval
    return aval.shape if aval.size >= LARGE and aval.shape[0] > 1 else None


def _order(rest: list[Eqn], eqns: list[Eqn], runs: list[Run], sums: bool) -> None:
    """Append equations in their new order, and the runs among them."""
    while rest:
        first = next((k for k, e in enumerate(rest) if _shape_of(e)), len(rest))
        eqns += rest[:first]
        rest = rest[first:]
        if not rest:
            return
        shape = _shape_of(rest[0])
        assert shape is not None
        before, members, after = _split(rest, shape)
        work = len(members) * math.prod(shape)
        if len(members) < SHORTEST or work < WORK:
            eqns.append(rest[0])
            rest = rest[1:]
            continue
        _order(before, eqns, runs, sums)
        ends, rest = _ends(members, after, shape) if sums else ([], after)
        runs.append(Run(len(eqns), len(eqns) + len(members), shape, len(ends)))
        eqns += [*members, *ends]


def _split(
    rest: Sequence[Eqn], shape: tuple[int, ...]
) -> tuple[list[Eqn], list[Eqn], list[Eqn]]:
    """What comes before a run, the run, and what comes after it."""
    before: list[Eqn] = []
    members: list[Eqn] = []
    after: list[Eqn] = []
    produced: set[Atom] = set()
    later: set[Atom] = set()
    for number, eqn in enumerate(rest):
        if eqn.has_effect:
            return before, members, [*after, *rest[number:]]
        needs_later = any(atom in later for atom in eqn.ins)
        if _shape_of(eqn) == shape and not needs_later:
            members.append(eqn)
            produced.update(eqn.outs)
        elif needs_later or any(atom in produced for atom in eqn.ins):
            after.append(eqn)
            later.update(eqn.outs)
        else:
            before.append(eqn)
    return before, members, after


def _ends(
    members: Sequence[Eqn], after: Sequence[Eqn], shape: tuple[int, ...]
) -> tuple[list[Eqn], list[Eqn]]:
    """The sums that can end a run, and what comes after them."""
    produced = {var for eqn in members for var in eqn.outs}
    later = {var for eqn in after for var in eqn.outs}
    ends: list[Eqn] = []
    rest: list[Eqn] = []
    for number, eqn in enumerate(after):
        if eqn.has_effect:
            return ends, [*rest, *after[number:]]
        is_ready = later.isdisjoint(eqn.ins) and not produced.isdisjoint(eqn.ins)
        (ends if is_ready and _sums_rows(eqn, shape) else rest).append(eqn)
    return ends, rest


def _sums_rows(eqn: Eqn, shape: tuple[int, ...]) -> bool:
    """Whether an equation sums over the first axis of arrays of this shape."""
    if not all(atom.aval.shape == shape and type(atom) is Var for atom in eqn.ins):
        return False
    if eqn.prim.name == "sum":
        return 0 in dict(eqn.params)["axis"]
    return eqn.prim.name == "matmul" and len(shape) == 1


def is_sliced(atom: Atom, shape: tuple[int, ...]) -> bool:
    """Whether a block of the operand is a slice of it; otherwise it is the whole."""
    own = atom.aval.shape
    return type(atom) is Var and len(own) == len(shape) and own[0] == shape[0]
