"""Passes: program -> program, each one loop over equations."""

from collections.abc import Sequence
from typing import Any

from fgrad.ir import Atom, Aval, Eqn, Lit, Program, Var
from fgrad.sites import Site


def with_eqns(program: Program, eqns: Sequence[Eqn], outs: Sequence[Atom]) -> Program:
    """The same inputs and constants with other equations and outputs."""
    return Program(program.ins, eqns, outs, program.consts, program.values)


def reads_of(program: Program) -> set[Any]:
    """What the equations and the outputs read."""
    return {atom for eqn in program.eqns for atom in eqn.ins} | set(program.outs)


def dce(program: Program) -> Program:
    """Drop the equations and the constants that no output depends on.

    What has an effect stays.
    """
    live: set[Atom] = set(program.outs)
    kept: list[Eqn] = []
    for eqn in reversed(program.eqns):
        if live.isdisjoint(eqn.outs) and not eqn.has_effect:
            continue
        if eqn.prim.prune is not None and not live.issuperset(eqn.outs):
            eqn = _pruned(eqn, tuple(var in live for var in eqn.outs))
        kept.append(eqn)
        live.update(eqn.ins)
    kept.reverse()
    consts = [var for var in program.consts if var in live]
    known = dict(zip(program.consts, program.values, strict=False))
    values = [known[var] for var in consts if var in known]
    return Program(program.ins, kept, program.outs, consts, values)


def _pruned(eqn: Eqn, used: tuple[bool, ...]) -> Eqn:
    """The equation without outputs that nothing uses, and what only they need."""
    assert eqn.prim.prune is not None
    avals = [atom.aval for atom in eqn.ins]
    kept_ins, kept_outs, params = eqn.prim.prune(used, avals, **dict(eqn.params))
    ins = tuple(eqn.ins[k] for k in kept_ins)
    outs = tuple(eqn.outs[k] for k in kept_outs)
    return Eqn(eqn.prim, ins, tuple(params.items()), outs, eqn.site)


class Emitter:
    """Collects the equations of a program that a transform writes."""

    def __init__(self) -> None:
        self.eqns: list[Eqn] = []
        self._sources: dict[Var, Eqn] = {}
        self._consts: dict[Var, Any] = {}

    def emit(
        self,
        prim: Any,
        ins: tuple[Atom, ...],
        params: tuple[tuple[str, Any], ...],
        avals: Sequence[Aval],
        site: Site | None,
    ) -> tuple[Var, ...]:
        """Append an equation; its outputs are new variables."""
        outs = tuple(map(Var, avals))
        eqn = Eqn(prim, ins, params, outs, site)
        self.eqns.append(eqn)
        for var in outs:
            self._sources[var] = eqn
        return outs

    def source(self, atom: Atom) -> Eqn | None:
        """The equation that binds a variable, if it is one of these."""
        return self._sources.get(atom) if type(atom) is Var else None

    def stamp(
        self, template: Program, atoms: Sequence[Atom], site: Site | None
    ) -> list[Atom]:
        """Append a copy of a program with ``atoms`` as inputs; its outputs."""
        table: dict[Atom, Atom] = dict(zip(template.ins, atoms, strict=True))
        if template.consts:
            self._consts.update(zip(template.consts, template.values, strict=True))
        for eqn in template.eqns:
            ins = tuple([table.get(atom, atom) for atom in eqn.ins])
            avals = [var.aval for var in eqn.outs]
            outs = self.emit(eqn.prim, ins, eqn.params, avals, site)
            table.update(zip(eqn.outs, outs, strict=True))
        return [table.get(atom, atom) for atom in template.outs]

    def program(self, ins: Sequence[Var], outs: Sequence[Atom]) -> Program:
        """The equations so far as a program."""
        consts = self._consts
        return Program(ins, self.eqns, outs, list(consts), list(consts.values()))


class Substitution:
    """Replacements of variables, followed while a pass rewrites equations."""

    def __init__(self) -> None:
        self._table: dict[Var, Atom] = {}

    def replace(self, var: Var, atom: Atom) -> None:
        self._table[var] = atom

    def __call__(self, atom: Atom) -> Atom:
        return self._table.get(atom, atom) if type(atom) is Var else atom

    def eqn(self, eqn: Eqn) -> Eqn:
        """The equation with its operands replaced; itself where none is."""
        table = self._table
        if not table or table.keys().isdisjoint(eqn.ins):
            return eqn
        ins = tuple(map(self, eqn.ins))
        return Eqn(eqn.prim, ins, eqn.params, eqn.outs, eqn.site)


def cse(program: Program) -> Program:
    """Compute equal expressions once."""
    if len(program.eqns) < 2:
        return program
    subst = Substitution()
    seen: dict[Any, Eqn] = {}
    kept: list[Eqn] = []
    for eqn in program.eqns:
        eqn = subst.eqn(eqn)
        if eqn.has_effect:
            kept.append(eqn)
            continue
        ins: Any = eqn.ins
        if Lit in map(type, ins):
            ins = tuple(map(_atom_key, ins))
        if eqn.prim.commutes:
            ins = frozenset(ins)
        first = seen.setdefault((eqn.prim, eqn.params, ins), eqn)
        if first is eqn:
            kept.append(eqn)
            continue
        for var, original in zip(eqn.outs, first.outs, strict=True):
            subst.replace(var, original)
    return with_eqns(program, kept, [subst(atom) for atom in program.outs])


def uncut(program: Program) -> Program:
    """The program without ``stop_gradient``: to run it, not to derive from it."""
    if all(eqn.prim.name != "stop_gradient" for eqn in program.eqns):
        return program
    subst = Substitution()
    kept: list[Eqn] = []
    for eqn in map(subst.eqn, program.eqns):
        if eqn.prim.name == "stop_gradient" and eqn.ins[0].aval is eqn.outs[0].aval:
            subst.replace(eqn.outs[0], eqn.ins[0])
        else:
            kept.append(eqn)
    return with_eqns(program, kept, [subst(atom) for atom in program.outs])


def _atom_key(atom: Atom) -> Any:
    return (type(atom.value), repr(atom.value)) if type(atom) is Lit else atom
