"""What the back ends need to know of a program's memory: last uses and aliases."""

from dataclasses import dataclass

from fgrad.ir import Atom, Eqn, Program, Var


@dataclass
class Plan:
    """Memory facts of a program.

    Attributes:
        in_place: the equations that may overwrite their first operand.
        copies: the output positions whose value must be copied before it is returned,
            since it shares memory with an input or with another output.
        frees: for each equation, the variables that nothing uses after it.
    """

    in_place: set[int]
    copies: set[int]
    frees: list[list[Var]]


def make_plan(program: Program) -> Plan:
    """Find last uses, and which buffers no one else can see."""
    owner = _owners(program)
    last: dict[Var, int] = {}
    for number, eqn in enumerate(program.eqns):
        for atom in eqn.ins:
            if type(atom) is Var:
                last[atom] = last[owner[atom]] = number
    end = len(program.eqns)
    for atom in program.outs:
        if type(atom) is Var:
            last[atom] = last[owner[atom]] = end
    inputs = {*program.ins, *program.consts}
    in_place = {
        number
        for number, eqn in enumerate(program.eqns)
        if eqn.prim.in_place is not None
        and _may_overwrite(eqn, number, owner, last, inputs)
    }
    frees: list[list[Var]] = [[] for _ in program.eqns]
    for number, eqn in enumerate(program.eqns):
        used = dict.fromkeys(a for a in (*eqn.ins, *eqn.outs) if type(a) is Var)
        if number in in_place:
            used.pop(eqn.ins[0], None)  # type: ignore[arg-type] # its buffer lives on under the name of the output
        frees[number] = [v for v in used if last.get(v, number) == number]
    return Plan(in_place, _copies(program, owner, inputs), frees)


def _owners(program: Program) -> dict[Atom, Var]:
    """For each variable the one whose memory it may share; itself where it is fresh."""
    owner: dict[Atom, Var] = {v: v for v in (*program.consts, *program.ins)}
    for eqn in program.eqns:
        first = eqn.ins[0] if eqn.ins else None
        is_view = eqn.prim.view_step is not None and type(first) is Var
        for var in eqn.outs:
            owner[var] = owner[first] if is_view and first is not None else var
    return owner


def _may_overwrite(
    eqn: Eqn,
    number: int,
    owner: dict[Atom, Var],
    last: dict[Var, int],
    inputs: set[Var],
) -> bool:
    first = eqn.ins[0]
    if type(first) is not Var or owner[first] is not first or first in inputs:
        return False
    if eqn.outs[0].aval is not first.aval:
        return False
    is_operand_twice = any(type(a) is Var and owner[a] is first for a in eqn.ins[1:])
    return last[first] == number and not is_operand_twice


def _copies(program: Program, owner: dict[Atom, Var], inputs: set[Var]) -> set[int]:
    copies: set[int] = set()
    returned: set[Var] = set()
    for position, atom in enumerate(program.outs):
        if type(atom) is not Var or not atom.aval.shape:
            continue
        is_fresh = owner[atom] is atom and atom not in inputs
        if not is_fresh or atom in returned:
            copies.add(position)
        returned.add(owner[atom])
    return copies
