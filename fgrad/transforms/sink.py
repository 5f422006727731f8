"""NaN-safe selects: move ``where(c, ct, 0)`` behind the linear chain that follows it.

``where(c, ct, 0) * p`` becomes ``where(c, ct * p, 0)``: what a mask has set to zero
stays an exact zero, also where ``p`` is infinite or NaN. It costs nothing: there is one
select at the end of the chain in place of one at its beginning. It is for cotangents
only: in a user's own expression ``0 * inf`` is NaN, as NumPy has it.
"""

from dataclasses import dataclass
from typing import Any

from fgrad.ir import Atom, Eqn, Lit, Program
from fgrad.ops.elementwise import add, subtract
from fgrad.ops.logic import logical_and, logical_not, logical_or
from fgrad.ops.reduce import any_, sum_
from fgrad.ops.select import where
from fgrad.ops.structure import broadcast_to
from fgrad.passes import Emitter

ZERO = Lit(0.0)


@dataclass
class Masked:
    """A variable that is ``value`` where ``mask`` is ``keep``, and zero elsewhere.

    ``is_exact``: the value itself is zero elsewhere, so that no select is needed to
    read it; the mask still tells what must stay zero further on.
    """

    value: Atom
    mask: Atom
    keep: bool
    is_exact: bool = False


def sink_selects(program: Program) -> Program:
    """The program with each select against zero moved behind its linear chain.

    The same object where there is no select.
    """
    if not any(eqn.prim is where for eqn in program.eqns):
        return program
    return _Sink(program).run()


class _Sink:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.emitter = Emitter()
        self.masked: dict[Atom, Masked] = {}
        self.plain: dict[Atom, Atom] = {}
        self.conjuncts: dict[Atom, frozenset[tuple[Atom, bool]]] = {}

    def run(self) -> Program:
        for eqn in self.program.eqns:
            out = self._masked_output(eqn)
            if out is None:
                self._copy(eqn)
            else:
                self.masked[eqn.outs[0]] = out
        program = self.program
        outs = [self._read(atom) for atom in program.outs]
        eqns = self.emitter.eqns
        return Program(program.ins, eqns, outs, program.consts, program.values)

    def _masked_output(self, eqn: Eqn) -> Masked | None:
        """The output as a masked variable, where the equation lets a mask through."""
        if eqn.prim is where:
            return self._select(eqn)
        if eqn.prim is add or eqn.prim is subtract:
            return self._add(eqn)
        for position in eqn.prim.scales:
            found = self.masked.get(eqn.ins[position])
            if found is not None:
                value = self._replace(eqn, position, found.value)
                return Masked(value, found.mask, found.keep)
        found = self.masked.get(eqn.ins[0]) if eqn.ins else None
        if found is None:
            return None
        if eqn.prim.moves:
            mask = self._spread(found.mask, eqn.ins[0])
            moved = self._emit(eqn, (mask, *eqn.ins[1:]), bool)
            value = self._spread(found.value, eqn.ins[0])
            value = self._replace(eqn, 0, value)
            return Masked(value, moved, found.keep, found.is_exact)
        if eqn.prim is sum_:
            mask = self._spread(found.mask, eqn.ins[0])
            any_kept = self._reduce_mask(eqn, mask, found.keep)
            total = self._replace(eqn, 0, self._read(eqn.ins[0]))
            return Masked(total, any_kept, True, is_exact=True)
        return None

    def _select(self, eqn: Eqn) -> Masked | None:
        condition, x, y = eqn.ins
        for kept, other, keep in ((x, y, True), (y, x, False)):
            if not _is_zero(other) or kept.aval.dtype != eqn.outs[0].aval.dtype:
                continue
            inner = self.masked.get(kept)
            condition = self._read(condition)
            if inner is None:
                return Masked(self._read(kept), condition, keep)
            known = self._conjuncts(inner.mask, inner.keep)
            if (condition, keep) in known:
                return inner
            both = self._call(
                logical_and,
                self._positive(condition, keep),
                self._positive(inner.mask, inner.keep),
            )
            self.conjuncts[both] = known | {(condition, keep)}
            return Masked(inner.value, both, True)
        return None

    def _conjuncts(self, mask: Atom, keep: bool) -> frozenset[tuple[Atom, bool]]:
        """The conditions that all hold where a mask keeps."""
        known = self.conjuncts.get(mask) if keep else None
        return frozenset({(mask, keep)}) if known is None else known

    def _add(self, eqn: Eqn) -> Masked | None:
        x, y = (self.masked.get(atom) for atom in eqn.ins)
        if x is None or y is None:
            return None
        if (x.mask, x.keep) == (y.mask, y.keep):
            value = self._emit(eqn, (x.value, y.value))
            return Masked(value, x.mask, x.keep, x.is_exact and y.is_exact)
        either = self._call(
            logical_or, self._positive(x.mask, x.keep), self._positive(y.mask, y.keep)
        )
        total = self._emit(eqn, tuple(map(self._read, eqn.ins)))
        return Masked(total, either, True, is_exact=True)

    def _replace(self, eqn: Eqn, position: int, atom: Atom) -> Atom:
        """Emit the equation with this operand, and the others as they are."""
        ins = [self._read(other) for k, other in enumerate(eqn.ins) if k != position]
        ins.insert(position, atom)
        return self._emit(eqn, tuple(ins))

    def _emit(self, eqn: Eqn, ins: tuple[Atom, ...], dtype: Any = None) -> Atom:
        """The equation on other operands, of which elementwise ones may be smaller."""
        aval = eqn.outs[0].aval
        if dtype is not None:
            aval = type(aval)(aval.shape, dtype)
        elif eqn.prim.elementwise:
            (aval,) = eqn.prim.infer([atom.aval for atom in ins], dict(eqn.params))
        return self.emitter.emit(eqn.prim, ins, eqn.params, (aval,), eqn.site)[0]

    def _call(self, prim: Any, *atoms: Atom, **params: Any) -> Atom:
        avals = prim.infer([atom.aval for atom in atoms], params)
        return self.emitter.emit(prim, atoms, tuple(params.items()), avals, None)[0]

    def _copy(self, eqn: Eqn) -> None:
        ins = tuple(self._read(atom) for atom in eqn.ins)
        avals = [var.aval for var in eqn.outs]
        outs = self.emitter.emit(eqn.prim, ins, eqn.params, avals, eqn.site)
        self.plain.update(zip(eqn.outs, outs, strict=True))

    def _read(self, atom: Atom) -> Atom:
        """The atom in the new program, with its mask applied."""
        found = self.masked.get(atom)
        if found is None:
            return self.plain.get(atom, atom)
        if found.is_exact:
            return found.value
        if atom not in self.plain:
            branches = (found.value, ZERO) if found.keep else (ZERO, found.value)
            self.plain[atom] = self._call(where, found.mask, *branches)
        return self.plain[atom]

    def _positive(self, mask: Atom, keep: bool) -> Atom:
        return mask if keep else self._call(logical_not, mask)

    def _spread(self, atom: Atom, like: Atom) -> Atom:
        shape = like.aval.shape
        if atom.aval.shape == shape:
            return atom
        return self._call(broadcast_to, atom, shape=shape)

    def _reduce_mask(self, eqn: Eqn, mask: Atom, keep: bool) -> Atom:
        return self._call(any_, self._positive(mask, keep), **dict(eqn.params))


def _is_zero(atom: Atom) -> bool:
    return type(atom) is Lit and atom.value == 0
