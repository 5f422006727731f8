"""What the back ends need to know of a program's memory: last uses and aliases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fgrad.form import programs_in
from fgrad.ir import Atom, Aval, Eqn, Program, Var

READ_FRACTION = 8  # a part that many times smaller than its buffer is copied


@dataclass
class Plan:
    """Memory facts of a program.

    Attributes:
        in_place: for equations that may overwrite an operand, its position.
        reads: the equations that read a small part of a buffer, and copy it, so that
            the buffer may be overwritten while the part is in use.
        copies: the output positions whose value must be copied before it is returned,
            since it shares memory with an input or with another output.
        frees: for each equation, the variables that nothing uses after it.
        reuses: for equations that compute into a buffer that is free, the variable
            whose buffer that was.
        owner: for each variable the one whose memory it may share; itself where it is
            fresh.
        last: for each variable the last equation that uses it, or what shares its
            memory; the number of equations where it is returned.
    """

    in_place: dict[int, int]
    reads: set[int]
    copies: set[int]
    frees: list[list[Var]]
    reuses: dict[int, Var]
    owner: dict[Atom, Var]
    last: dict[Var, int]


def make_plan(program: Program, donated: Sequence[int] = ()) -> Plan:
    """Find last uses, and which buffers no one else can see.

    Inputs at the positions ``donated`` may be overwritten and returned.
    """
    return _plan(program, donated, lambda number: True)


def make_lasting_plan(program: Program, donated: Sequence[int] = ()) -> Plan:
    """The same for a function that keeps its buffers, which need not be freed early.

    Parts of a buffer are copied only where it is overwritten while they are in use.
    """
    plan = make_plan(program, donated)
    if not plan.reads:
        return plan
    buffer: dict[Atom, Atom] = {}  # the first variable that had the memory of another
    written: dict[Atom, list[int]] = {}
    for number, position in sorted(plan.in_place.items()):
        eqn = program.eqns[number]
        overwritten = eqn.ins[position]
        first = buffer[eqn.outs[0]] = buffer.get(overwritten, overwritten)
        written.setdefault(first, []).append(number)

    def is_needed(number: int) -> bool:
        eqn = program.eqns[number]
        owner = plan.owner[eqn.ins[0]]
        writes = written.get(buffer.get(owner, owner), [])
        last = plan.last.get(eqn.outs[0], number)
        return any(number < write <= last for write in writes)

    needed = set(filter(is_needed, plan.reads))
    return _plan(program, donated, needed.__contains__)


def _plan(
    program: Program, donated: Sequence[int], may_copy: Callable[[int], bool]
) -> Plan:
    given = {atom for eqn in program.eqns if calls_user(eqn) for atom in eqn.ins}
    # what was shown in one step of a loop may be donated to the next one
    own = {program.ins[position] for position in (() if given else donated)}
    inputs = {*program.ins, *program.consts} - own
    reads: set[int] = set()
    owner = _owners(program, inputs | own, inputs, reads, may_copy)
    shown = {owner[atom] for atom in given if type(atom) is Var}
    last: dict[Var, int] = {}
    for number, eqn in enumerate(program.eqns):
        for atom in eqn.ins:
            if type(atom) is Var:
                last[atom] = last[owner[atom]] = number
    end = len(program.eqns)
    for atom in program.outs:
        if type(atom) is Var:
            last[atom] = last[owner[atom]] = end
    fixed = inputs | shown
    in_place: dict[int, int] = {}
    for number, eqn in enumerate(program.eqns):
        for position in _overwritable(eqn):
            if _may_overwrite(eqn, position, number, owner, last, fixed):
                in_place[number] = position
                break
    frees: list[list[Var]] = [[] for _ in program.eqns]
    for number, eqn in enumerate(program.eqns):
        used = dict.fromkeys(a for a in (*eqn.ins, *eqn.outs) if type(a) is Var)
        if number in in_place:
            used.pop(eqn.ins[in_place[number]], None)  # type: ignore[arg-type] # its buffer lives on under the name of the output
        frees[number] = [v for v in used if last.get(v, number) == number]
    copies = _copies(program, owner, inputs)
    reuses = _reuses(program, owner, in_place, frees, shown)
    return Plan(in_place, reads, copies, frees, reuses, owner, last)


def calls_user(eqn: Eqn) -> bool:
    """Whether an equation, or one of a body of it, calls a function of the user's.

    Such a function may keep the arrays that it is shown, so nothing overwrites them.
    """
    return eqn.prim.calls_user or any(
        calls_user(inner)
        for _, value in eqn.params
        for program in programs_in(value)
        for inner in program.eqns
    )


def _reuses(
    program: Program,
    owner: dict[Atom, Var],
    in_place: dict[int, int],
    frees: list[list[Var]],
    shown: set[Var],
) -> dict[int, Var]:
    """Buffers that one equation fills, and that another may fill again."""
    reuses: dict[int, Var] = {}
    filled: set[Atom] = set()
    free: dict[Aval, list[Var]] = {}
    for number, eqn in enumerate(program.eqns):
        if number in in_place and eqn.ins[in_place[number]] in filled:
            filled.add(eqn.outs[0])
        elif eqn.prim.into is not None and eqn.prim.into(*(a.aval for a in eqn.ins)):
            known = free.get(eqn.outs[0].aval)
            if known:
                reuses[number] = known.pop()
            filled.add(eqn.outs[0])
        for var in frees[number]:
            if var in filled and owner[var] is var and var not in shown:
                free.setdefault(var.aval, []).append(var)
    return reuses


def _owners(
    program: Program,
    known: set[Var],
    inputs: set[Var],
    reads: set[int],
    may_copy: Callable[[int], bool],
) -> dict[Atom, Var]:
    """For each variable the one whose memory it may share; itself where it is fresh.

    Adds to ``reads`` the equations whose result is copied for that.
    """
    owner: dict[Atom, Var] = {var: var for var in known}
    for number, eqn in enumerate(program.eqns):
        first = eqn.ins[0] if eqn.ins else None
        for var in eqn.outs:
            owner[var] = var
        if eqn.prim.view_step is None or type(first) is not Var:
            continue
        out = eqn.outs[0].aval
        if _is_scalar_read(eqn):
            continue
        is_small = out.size * READ_FRACTION <= first.aval.size
        if is_small and owner[first] not in inputs and may_copy(number):
            reads.add(number)
        else:
            owner[eqn.outs[0]] = owner[first]
    return owner


def _is_scalar_read(eqn: Eqn) -> bool:
    """Whether NumPy's result is a scalar: ``x[0]``, but not ``x[0, ...]``."""
    at = dict(eqn.params).get("at", (...,))
    return not eqn.outs[0].aval.ndim and Ellipsis not in at


def _overwritable(eqn: Eqn) -> tuple[int, ...]:
    """The operands that the primitive can write its result into."""
    if isinstance(eqn.prim.numpy, np.ufunc) and eqn.prim.elementwise:
        return tuple(range(len(eqn.ins)))
    return () if eqn.prim.in_place is None else (0,)


def _may_overwrite(
    eqn: Eqn,
    position: int,
    number: int,
    owner: dict[Atom, Var],
    last: dict[Var, int],
    inputs: set[Var],
) -> bool:
    first = eqn.ins[position]
    if type(first) is not Var or owner[first] is not first or first in inputs:
        return False
    if eqn.outs[0].aval is not first.aval or not first.aval.ndim:
        return False
    others = [a for k, a in enumerate(eqn.ins) if k != position]
    is_operand_twice = any(type(a) is Var and owner[a] is first for a in others)
    return last[first] == number and not is_operand_twice


def _copies(program: Program, owner: dict[Atom, Var], inputs: set[Var]) -> set[int]:
    copies: set[int] = set()
    returned: set[Var] = set()
    for position, atom in enumerate(program.outs):
        if type(atom) is not Var or atom.aval.is_python:
            continue
        is_fresh = owner[atom] is atom and atom not in inputs
        if not is_fresh or atom in returned:
            copies.add(position)
        returned.add(owner[atom])
    return copies
