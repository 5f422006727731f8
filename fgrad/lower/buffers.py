"""Which results of a compiled function go into arrays that it keeps between calls.

A large array that is made anew costs more than the arithmetic on it: its pages must be
mapped. So what a function computes on the way, and does not return, is written into
arrays that it keeps. What nothing reads any more is written over.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fgrad.form import programs_in
from fgrad.ir import Aval, Eqn, Program, Var
from fgrad.lower.blocks import Run
from fgrad.lower.plan import Plan
from fgrad.lower.statements import fills

KEPT = 1 << 13  # elements from which a buffer pays: small arrays are quickly made
KEPT_PRODUCT = 1 << 8  # the same for the result of a product
LIMIT = 1 << 28  # bytes that a function keeps at most


@dataclass
class Buffers:
    """The arrays that a function keeps.

    Attributes:
        avals: their types.
        of: for each variable whose value goes into one, its number.
        results: the large variables that are returned, and for each its number.
    """

    avals: list[Aval] = field(default_factory=list)
    of: dict[Var, int] = field(default_factory=dict)
    results: dict[Var, int] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """What they take together."""
        return sum(_nbytes(aval) for aval in self.avals)


def _nbytes(aval: Aval) -> int:
    return int(aval.size * aval.numpy_dtype.itemsize)


def assign_buffers(program: Program, plan: Plan, runs: Sequence[Run]) -> Buffers:
    """Find a buffer for each large result that is not returned."""
    return _Assignment(program, plan).over(runs)


class _Assignment:
    def __init__(self, program: Program, plan: Plan) -> None:
        self.program, self.plan = program, plan
        self.found = Buffers()
        self.free: dict[Aval, list[int]] = {}
        self.held: dict[Var, int] = {}  # what is in use, by the owner of the memory
        self.returned = _returned(program, plan)
        self.shown = _shown(program, plan)

    def over(self, runs: Sequence[Run]) -> Buffers:
        starts = {run.start: run for run in runs}
        number = 0
        while number < len(self.program.eqns):
            run = starts.get(number)
            if run is None:
                self.equation(number, self.program.eqns[number])
                self.release(number)
                number += 1
                continue
            for eqn in self.program.eqns[run.start : run.stop]:
                var = eqn.outs[0]
                if self.plan.last.get(var, -1) >= run.end:
                    self.take(var)
            for inside in range(run.start, run.end):
                self.release(inside)
            number = run.end
        return self.found

    def equation(self, number: int, eqn: Eqn) -> None:
        position = self.plan.in_place.get(number)
        if position is not None:
            overwritten = eqn.ins[position]
            if overwritten in self.held:
                assert type(overwritten) is Var
                self.hold(eqn.outs[0], self.held.pop(overwritten))
        elif fills(eqn):
            self.take(eqn.outs[0], KEPT if eqn.prim.elementwise else KEPT_PRODUCT)

    def take(self, var: Var, least: int = KEPT) -> None:
        """Give a variable a buffer, if that pays."""
        if var.aval.size < least or var in self.shown:
            return
        if var in self.returned:
            if var.aval.size >= KEPT:
                self.found.results[var] = len(self.found.results)
            return
        free = self.free.get(var.aval)
        if free:
            self.hold(var, free.pop())
        elif self.found.nbytes + _nbytes(var.aval) <= LIMIT:
            self.found.avals.append(var.aval)
            self.hold(var, len(self.found.avals) - 1)

    def hold(self, var: Var, buffer: int) -> None:
        self.held[var] = self.found.of[var] = buffer

    def release(self, number: int) -> None:
        """Free the buffers of what is used for the last time."""
        eqn = self.program.eqns[number]
        for atom in dict.fromkeys((*eqn.ins, *eqn.outs)):
            if type(atom) is not Var:
                continue
            owner = self.plan.owner[atom]
            if owner in self.held and self.plan.last.get(owner, number) <= number:
                self.free.setdefault(owner.aval, []).append(self.held.pop(owner))


def calls_user(eqn: Eqn) -> bool:
    """Whether an equation, or one of a body of it, calls a function of the user's."""
    return eqn.prim.calls_user or any(
        calls_user(inner)
        for _, value in eqn.params
        for program in programs_in(value)
        for inner in program.eqns
    )


def _shown(program: Program, plan: Plan) -> set[Var]:
    """The variables whose memory is shown to functions of the user's."""
    return _with_overwritten(
        program,
        plan,
        {
            plan.owner[atom]
            for eqn in program.eqns
            if calls_user(eqn)
            for atom in eqn.ins
            if type(atom) is Var
        },
    )


def _returned(program: Program, plan: Plan) -> set[Var]:
    """The variables whose memory leaves the function."""
    found = {
        plan.owner[atom]
        for position, atom in enumerate(program.outs)
        if type(atom) is Var and position not in plan.copies
    }
    return _with_overwritten(program, plan, found)


def _with_overwritten(program: Program, plan: Plan, found: set[Var]) -> set[Var]:
    """With the variables whose memory they take over."""
    for number in reversed(range(len(program.eqns))):
        position = plan.in_place.get(number)
        if position is not None and program.eqns[number].outs[0] in found:
            overwritten = program.eqns[number].ins[position]
            assert type(overwritten) is Var
            found.add(overwritten)
    return found
