"""Passes: program -> program, each one loop over equations."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.identities import rewritten, same_mask
from fgrad.ir import PYTHON_NUMBERS, Atom, Aval, Eqn, Lit, Program, Var
from fgrad.primitive import Primitive
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
    live = {atom for atom in program.outs if type(atom) is Var}
    kept: list[Eqn] = []
    for eqn in reversed(program.eqns):
        is_live = tuple(var in live for var in eqn.outs)
        if any(is_live) or eqn.has_effect:
            if eqn.prim.prune is not None and not all(is_live):
                eqn = _pruned(eqn, is_live)
            kept.append(eqn)
            live.update(atom for atom in eqn.ins if type(atom) is Var)
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


SMALL_SUM = 8192  # elements up to which adding arrays costs less than reducing both


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
        eqn = Eqn(prim, ins, params, tuple(Var(aval) for aval in avals), site)
        self.eqns.append(eqn)
        self._sources.update((var, eqn) for var in eqn.outs)
        return eqn.outs

    def source(self, atom: Atom) -> Eqn | None:
        """The equation that binds a variable, if it is one of these."""
        return self._sources.get(atom) if type(atom) is Var else None

    def stamp(
        self, template: Program, atoms: Sequence[Atom], site: Site | None
    ) -> list[Atom]:
        """Append a copy of a program with ``atoms`` as inputs; its outputs."""
        table: dict[Atom, Atom] = dict(zip(template.ins, atoms, strict=True))
        table.update((var, var) for var in template.consts)
        self._consts.update(zip(template.consts, template.values, strict=True))
        for eqn in template.eqns:
            ins = tuple(table.get(atom, atom) for atom in eqn.ins)
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
    subst = Substitution()
    seen: dict[Any, Eqn] = {}
    kept: list[Eqn] = []
    for eqn in program.eqns:
        eqn = subst.eqn(eqn)
        if eqn.has_effect:
            kept.append(eqn)
            continue
        ins: Any = tuple(map(_atom_key, eqn.ins))
        if eqn.prim.commutes:
            ins = frozenset(ins)
        key = (eqn.prim, eqn.params, ins)
        first = seen.setdefault(key, eqn)
        if first is eqn:
            kept.append(eqn)
            continue
        for var, original in zip(eqn.outs, first.outs, strict=True):
            subst.replace(var, original)
    return with_eqns(program, kept, [subst(atom) for atom in program.outs])


def _atom_key(atom: Atom) -> Any:
    return (type(atom.value), repr(atom.value)) if type(atom) is Lit else atom


def simplify(program: Program, is_exact: bool = False) -> Program:
    """Apply local identities, fold constants that fill arrays, elide broadcasts.

    With ``is_exact`` without the rules by which results agree to rounding only.
    """
    subst = Substitution()
    source: dict[Atom, Eqn] = {}
    kept: list[Eqn] = []
    uses = Counter(atom for eqn in program.eqns for atom in eqn.ins)
    uses.update(program.outs)
    for original in program.eqns:
        if original.has_effect:
            kept.append(subst.eqn(original))
            continue
        plain = subst.eqn(original)
        parts = None
        if _reads_spread(plain, source):
            plain = _elide_broadcasts(plain, source)
            parts = _shrink(plain, source)
        parts = parts or rewritten(plain, source, uses)
        if parts is None and not is_exact:
            parts = _join_sums(plain, source, uses)
        for part in parts or [plain]:
            eqn = subst.eqn(part)
            if _reads_spread(eqn, source):
                eqn = _fold_full(eqn, source)
            same = _identity(eqn, source)
            if same is not None:
                subst.replace(eqn.outs[0], same)
                continue
            kept.append(eqn)
            source.update((var, eqn) for var in eqn.outs)
    return with_eqns(program, kept, [subst(atom) for atom in program.outs])


def _reads_spread(eqn: Eqn, source: dict[Atom, Eqn]) -> bool:
    """Whether an operand may be a small array that is spread over a larger one."""
    for atom in eqn.ins:
        before = source.get(atom)
        if before is not None and before.prim.name in _SPREADS:
            return True
    return False


_SPREADS = {"full", "broadcast_to", "reshape"}


def simpler(
    eqn: Eqn, source: dict[Atom, Eqn], uses: Counter[Atom]
) -> list[Eqn] | Atom | None:
    """What local identities, of those that keep results the same, make of one equation:
    others, or what it equals. None where they leave it as it is.
    """
    plain = _elide_broadcasts(eqn, source)
    parts = _shrink(plain, source) or rewritten(plain, source, uses)
    if parts is not None:
        return parts
    folded = _fold_full(plain, source)
    same = _identity(folded, source)
    if same is not None:
        return same
    return None if folded is eqn else [folded]


def _join_sums(
    eqn: Eqn, source: dict[Atom, Eqn], uses: Counter[Atom]
) -> list[Eqn] | None:
    """``sum(a) + sum(b)`` as ``sum(a + b)``, for small arrays: one reduction less.

    The gradient of a bias in an unrolled loop is such a sum. Terms are added in another
    order, so the result agrees to rounding.
    """
    if eqn.prim.name != "add" or eqn.ins[0] is eqn.ins[1]:
        return None
    sums = [source.get(atom) for atom in eqn.ins]
    first, second = sums
    if first is None or second is None or first.prim.name != "sum":
        return None
    is_alike = first.prim is second.prim and first.params == second.params
    aval = first.ins[0].aval
    if not is_alike or second.ins[0].aval is not aval or aval.size > SMALL_SUM:
        return None
    if any(uses[atom] > 1 for atom in eqn.ins):
        return None
    total = Var(aval)
    return [
        Eqn(eqn.prim, (first.ins[0], second.ins[0]), (), (total,), eqn.site),
        Eqn(first.prim, (total,), first.params, eqn.outs, first.site),
    ]


def _shrink(eqn: Eqn, source: dict[Atom, Eqn]) -> list[Eqn] | None:
    """Compute on the sources of broadcasts, and broadcast the result."""
    if not eqn.prim.elementwise or len(eqn.ins) < 2:
        return None
    new: list[Eqn] = []
    cores = [_core(atom, source, new) for atom in eqn.ins]
    out = eqn.outs[0].aval
    shape = np.broadcast_shapes(*(atom.aval.shape for atom in cores))
    spreads = [e for e in map(source.get, eqn.ins) if e is not None and _is_spread(e)]
    if shape == out.shape or not spreads:
        return None
    small = Var(Aval(shape, out.dtype))
    params = (("shape", out.shape),)
    broadcast_to = Primitive.registry["broadcast_to"]
    return [
        *new,
        Eqn(eqn.prim, tuple(cores), eqn.params, (small,), eqn.site),
        Eqn(broadcast_to, (small,), params, eqn.outs, eqn.site),
    ]


def _is_spread(eqn: Eqn) -> bool:
    shape = eqn.outs[0].aval.shape
    return eqn.prim.name == "broadcast_to" or (eqn.prim.name == "full" and shape != ())


def _core(atom: Atom, source: dict[Atom, Eqn], new: list[Eqn]) -> Atom:
    """What a broadcast or a ``full`` array is made from; the atom itself otherwise."""
    eqn = source.get(atom)
    if eqn is None or not _is_spread(eqn):
        return atom
    if eqn.ins:
        return eqn.ins[0]
    scalar = Var(Aval((), atom.aval.dtype))
    params = tuple((dict(eqn.params) | {"shape": ()}).items())
    new.append(Eqn(eqn.prim, (), params, (scalar,), eqn.site))
    return scalar


def _value(atom: Atom, source: dict[Atom, Eqn]) -> Any:
    """The number that a literal or a ``full`` array consists of, or None."""
    if type(atom) is Lit:
        return None if type(atom.value) is bool else atom.value
    eqn = source.get(atom)
    return dict(eqn.params)["value"] if eqn and eqn.prim.name == "full" else None


def _fold_full(eqn: Eqn, source: dict[Atom, Eqn]) -> Eqn:
    """Elementwise and moving equations of ``full`` arrays are ``full`` arrays."""
    prim, aval = eqn.prim, eqn.outs[0].aval
    before = [source.get(a) for a in eqn.ins if type(a) is Var]
    if not before or any(e is None or e.prim.name != "full" for e in before):
        return eqn
    if prim.name in ("reshape", "broadcast_to", "transpose"):
        value = _value(eqn.ins[0], source)
    elif prim.elementwise and aval.is_inexact and not eqn.params:
        scalars = [_scalar(atom, source) for atom in eqn.ins]
        with np.errstate(all="ignore"):
            value = prim.numpy(*scalars).item()
        if type(value) not in PYTHON_NUMBERS:  # a longdouble
            return eqn
    else:
        return eqn
    params = {"shape": aval.shape, "dtype": aval.dtype.name, "value": value}
    assert before[0] is not None
    return Eqn(before[0].prim, (), tuple(params.items()), eqn.outs, eqn.site)


def _scalar(atom: Atom, source: dict[Atom, Eqn]) -> Any:
    value = _value(atom, source)
    return value if type(atom) is Lit else np.asarray(value, atom.aval.dtype)[()]


def _identity(eqn: Eqn, source: dict[Atom, Eqn]) -> Atom | None:
    """An operand or an earlier variable that this equation equals, if there is one."""
    out = eqn.outs[0].aval
    name = eqn.prim.name
    if name in ("multiply", "divide") and _value(eqn.ins[1], source) == 1:
        return eqn.ins[0] if eqn.ins[0].aval is out else None
    if name == "multiply" and _value(eqn.ins[0], source) == 1:
        return eqn.ins[1] if eqn.ins[1].aval is out else None
    if name in ("reshape", "broadcast_to") and eqn.ins[0].aval is out:
        return eqn.ins[0]
    if eqn.prim.elementwise and out.dtype == bool:
        return same_mask(eqn)
    before = source.get(eqn.ins[0]) if eqn.ins else None
    if before is None or before.prim is not eqn.prim:
        return None
    if name not in ("negative", "transpose", "reshape"):
        return None
    undone = before.ins[0]
    if undone.aval is not out or (name == "transpose" and not _cancel(before, eqn)):
        return None
    return undone


def _cancel(first: Eqn, second: Eqn) -> bool:
    inner, outer = dict(first.params)["axes"], dict(second.params)["axes"]
    return tuple(inner[axis] for axis in outer) == tuple(range(len(outer)))


def _elide_broadcasts(eqn: Eqn, source: dict[Atom, Eqn]) -> Eqn:
    """Use the source of a broadcast where an elementwise equation broadcasts anyway."""
    if not eqn.prim.elementwise or len(eqn.ins) < 2:
        return eqn
    ins = list(eqn.ins)
    for position in range(len(ins)):
        others = [atom.aval for k, atom in enumerate(ins) if k != position]
        while (inner := _narrower(ins[position], others, eqn, source)) is not None:
            ins[position] = inner
    if all(new is old for new, old in zip(ins, eqn.ins, strict=True)):
        return eqn
    return Eqn(eqn.prim, tuple(ins), eqn.params, eqn.outs, eqn.site)


def _narrower(
    atom: Atom, others: Sequence[Aval], eqn: Eqn, source: dict[Atom, Eqn]
) -> Atom | None:
    """What broadcasts to an operand where the others have the output's shape."""
    out, before = eqn.outs[0].aval, source.get(atom)
    if before is None:
        return None
    if before.prim.name == "full":
        return Lit(_value(atom, source)) if out in others else None
    if before.prim.name == "broadcast_to" or _adds_leading_axes(before):
        return before.ins[0] if out.shape in [aval.shape for aval in others] else None
    return None


def _adds_leading_axes(eqn: Eqn) -> bool:
    """Whether it is a reshape that broadcasting would do."""
    if eqn.prim.name != "reshape":
        return False
    shape, inner = eqn.outs[0].aval.shape, eqn.ins[0].aval.shape
    return shape == (1,) * (len(shape) - len(inner)) + inner
