"""Stack the products that an unrolled loop adds up: many small ones become one.

The gradient of a weight that is used in each of n steps is ``a1.T @ b1 + ... + an.T @
bn``. It equals ``concatenate(a).T @ concatenate(b)``, one matrix product in place of n
products and n - 1 additions; a sum over rows (the gradient of a bias) likewise. The
order in which terms are added changes, so results agree to rounding.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from fgrad.ir import Atom, Eqn, Program, Var
from fgrad.ops.contract import matmul
from fgrad.ops.elementwise import add
from fgrad.ops.reduce import sum_
from fgrad.ops.structure import concatenate, transpose
from fgrad.passes import Emitter, with_eqns

MIN_TERMS = 4
MAX_ELEMENTS = 1 << 20  # of one stacked operand: beyond it the copies cost memory


@dataclass(frozen=True)
class _Term:
    """A term of a sum: ``left.T @ right``, or the sum of the rows of ``right``."""

    left: Atom | None
    right: Atom

    def kind(self) -> Any:
        return (None if self.left is None else self.left.aval, self.right.aval)


def stack_products(program: Program) -> Program:
    """The program with sums of at least `MIN_TERMS` alike products stacked.

    The same object where there is no such sum.
    """
    sums = _Sums(program)
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        stacked = sums.stack(eqn) if sums.is_root(eqn) else None
        eqns += [eqn] if stacked is None else stacked
    if len(eqns) == len(program.eqns):
        return program
    return with_eqns(program, eqns, program.outs)


class _Sums:
    """The additions of a program, flattened to their terms."""

    def __init__(self, program: Program) -> None:
        self.source = {var: eqn for eqn in program.eqns for var in eqn.outs}
        self.uses = Counter(atom for eqn in program.eqns for atom in eqn.ins)
        self.uses.update(program.outs)
        self.inner = {
            atom
            for eqn in program.eqns
            if eqn.prim is add
            for atom in eqn.ins
            if self.uses[atom] == 1 and atom.aval is eqn.outs[0].aval
        }

    def is_root(self, eqn: Eqn) -> bool:
        """Whether an equation is an addition whose result is no term of another."""
        return eqn.prim is add and eqn.outs[0] not in self.inner

    def stack(self, root: Eqn) -> list[Eqn] | None:
        """Equations that compute the sum with its alike products stacked, or None."""
        groups: dict[Any, list[_Term]] = {}
        rest: list[Atom] = []
        for atom in self._terms(root):
            term = self._term(atom)
            if term is None:
                rest.append(atom)
            else:
                groups.setdefault(term.kind(), []).append(term)
        emitter = Emitter()
        for terms in groups.values():
            rows = sum(term.right.aval.shape[0] for term in terms)
            size = rows * max(term.right.aval.shape[1] for term in terms)
            if len(terms) < MIN_TERMS or size > MAX_ELEMENTS:
                return None
            rest.append(_product(emitter, terms, root))
        if not groups:
            return None
        total = rest[0]
        for atom in rest[1:-1]:
            total = emitter.emit(add, (total, atom), (), (root.outs[0].aval,), None)[0]
        if len(rest) == 1:
            last = emitter.eqns.pop()
            final = Eqn(last.prim, last.ins, last.params, root.outs, root.site)
        else:
            final = Eqn(add, (total, rest[-1]), (), root.outs, root.site)
        return [*emitter.eqns, final]

    def _terms(self, root: Eqn) -> list[Atom]:
        terms: list[Atom] = []
        pending = list(reversed(root.ins))
        while pending:
            atom = pending.pop()
            eqn = self.source.get(atom) if type(atom) is Var else None
            if eqn is not None and eqn.prim is add and atom in self.inner:
                pending += reversed(eqn.ins)
            else:
                terms.append(atom)
        return terms

    def _term(self, atom: Atom) -> _Term | None:
        eqn = self.source.get(atom) if type(atom) is Var else None
        if eqn is None or self.uses[atom] != 1 or not eqn.ins:
            return None
        if eqn.ins[0].aval.ndim != 2:
            return None
        if eqn.prim is sum_ and dict(eqn.params)["axis"] == (0,):
            return _Term(None, eqn.ins[0])
        if eqn.prim is not matmul or eqn.ins[1].aval.ndim != 2:
            return None
        turned = self.source.get(eqn.ins[0]) if type(eqn.ins[0]) is Var else None
        if turned is None or turned.prim is not transpose:
            return None
        return _Term(turned.ins[0], eqn.ins[1])


def _product(emitter: Emitter, terms: list[_Term], root: Eqn) -> Atom:
    right = _call(emitter, concatenate, *(term.right for term in terms), axis=0)
    if terms[0].left is None:
        return _call(emitter, sum_, right, axis=(0,))
    parts = [term.left for term in terms if term.left is not None]
    left = _call(emitter, concatenate, *parts, axis=0)
    return _call(emitter, matmul, _call(emitter, transpose, left, axes=(1, 0)), right)


def _call(emitter: Emitter, prim: Any, *atoms: Atom, **params: Any) -> Atom:
    avals = prim.infer([atom.aval for atom in atoms], params)
    return emitter.emit(prim, atoms, tuple(params.items()), avals, None)[0]
