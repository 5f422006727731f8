"""What a rule may know of a program, and small functions that rules share."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.ir import PYTHON_NUMBERS, Atom, Aval, Eqn, Lit, Program, Var, aval_of
from fgrad.primitive import Primitive
from fgrad.sites import Site

BLAS_TYPES = "fdFD"
Outcome = list[Eqn] | Atom | None
Rule = Callable[[Eqn, "Facts"], Outcome]
Rules = dict[str, tuple[Rule, ...]]
WHOLE = (None, None, None)


class Facts:
    """What is known of the variables of a program while it is rewritten.

    Attributes:
        source: the equation that binds a variable.
        eqns: those of the program, as they were at the beginning of a round.
        uses: how often a variable is read. It may be out of date, so that it tells what
            pays, but never what is right.
        outs: what the program returns.
        values: the arrays and NumPy scalars that constants are.
        sums: the arrays and axes whose sums are known.
    """

    def __init__(self, program: Program) -> None:
        self.source: dict[Atom, Eqn] = {}
        self.values: dict[Atom, Any] = {}
        self.sums: set[tuple[Atom, tuple[int, ...]]] = set()
        self._made: dict[Any, Var] = {}
        self._numbers: dict[Atom, Any] = {}
        for var, value in zip(program.consts, program.values, strict=False):
            if type(value) is np.ndarray or isinstance(value, np.generic):
                self.values[var] = value
        self.look_at(program)

    def look_at(self, program: Program) -> None:
        """Count uses anew."""
        self.eqns = program.eqns
        self.uses = Counter(a for eqn in program.eqns for a in eqn.ins)
        self.uses.update(program.outs)
        self.outs = set(program.outs)

    def before(self, atom: Atom, *names: str) -> Eqn | None:
        """The equation that binds an atom, if it is of these and used once."""
        eqn = self.source.get(atom)
        if eqn is None or eqn.prim.name not in names or self.uses[atom] > 1:
            return None
        return eqn

    def is_fresh(self, atom: Atom) -> bool:
        """Whether an array was just computed, so that a reshape is likely a view."""
        eqn = self.source.get(atom)
        while eqn is not None and eqn.prim.name == "reshape":
            eqn = self.source.get(eqn.ins[0])
        return eqn is not None and eqn.prim.view_step is None

    def constant(self, value: Any, key: Any = None) -> Var:
        """A new constant; the same one for the same key."""
        known = None if key is None else self._made.get(key)
        if known is not None:
            return known
        var = Var(aval_of(value))
        self.values[var] = value
        self._made[len(self._made) if key is None else key] = var
        return var

    def ones(self, length: int, dtype: Any) -> Var:
        """The constant vector of ones."""
        key = "ones", length, dtype
        return self._made.get(key) or self.constant(np.ones(length, dtype), key)

    def number(self, atom: Atom) -> Any:
        """The one finite number of which an atom consists, or None."""
        if type(atom) is Lit:
            return atom.value
        if atom in self.values:
            if atom not in self._numbers:
                self._numbers[atom] = _repeated(self.values[atom])
            return self._numbers[atom]
        eqn = self.source.get(atom)
        if eqn is None or eqn.prim.name != "full":
            return None
        return dict(eqn.params)["value"]

    def program(self, program: Program, eqns: Sequence[Eqn], outs: Any) -> Program:
        """The program with other equations, and the constants that rules added."""
        made = list(self._made.values())
        known = set(program.consts)
        new = [var for var in made if var not in known]
        values = [*program.values, *(self.values[var] for var in new)]
        return Program(program.ins, eqns, outs, [*program.consts, *new], values)


def _repeated(value: Any) -> Any:
    """The number of which an array consists, with its sign if it is zero."""
    array = np.asarray(value)
    if not array.size or array.dtype.kind not in "fiub":
        return None
    first, last = array.flat[0], array.flat[-1]
    if first != last or not np.isfinite(first):
        return None
    if not (array == first).all() or np.signbit(array).any() != np.signbit(first):
        return None
    number = first.item()
    return number if type(number) in PYTHON_NUMBERS else None


def apply(
    name: str, ins: tuple[Atom, ...], site: Site | None, **params: Any
) -> tuple[Var, Eqn]:
    """A new equation, and its output."""
    prim = Primitive.registry[name]
    (aval,) = prim.infer([atom.aval for atom in ins], params)
    out = Var(aval)
    return out, Eqn(prim, ins, tuple(params.items()), (out,), site)


def renamed(eqn: Eqn, outs: tuple[Var, ...]) -> Eqn:
    """The equation with other outputs of the same types."""
    return Eqn(eqn.prim, eqn.ins, eqn.params, outs, eqn.site)


def finish(eqns: list[Eqn], eqn: Eqn) -> list[Eqn] | None:
    """Equations that take the place of one, if the last has its type."""
    if eqns[-1].outs[0].aval is not eqn.outs[0].aval:
        return None
    return [*eqns[:-1], renamed(eqns[-1], eqn.outs)]


def reshaped(x: Atom, shape: tuple[int, ...], eqns: list[Eqn], site: Any) -> Atom:
    """``x`` in another shape; adds the equation that this takes to ``eqns``."""
    if x.aval.shape == shape:
        return x
    out, eqn = apply("reshape", (x,), site, shape=shape)
    eqns.append(eqn)
    return out


def is_blas(*avals: Aval) -> bool:
    """Whether BLAS multiplies arrays of these types: inexact, of one dtype."""
    dtype = avals[0].numpy_dtype
    return dtype.char in BLAS_TYPES and all(a.numpy_dtype == dtype for a in avals)


def keeps_type(prim: Any, ins: Sequence[Atom], params: Any, aval: Aval) -> bool:
    """Whether an equation with these operands has this type."""
    return bool(prim.infer([atom.aval for atom in ins], dict(params)) == (aval,))


def is_scale(atom: Atom) -> bool:
    """Whether it is a number that may change places with a sum: not zero, not far
    from one, so that sums stay in the range of their type.
    """
    if type(atom) is not Lit or type(atom.value) not in (int, float):
        return False
    return bool(1e-9 < abs(atom.value) < 1e9)
