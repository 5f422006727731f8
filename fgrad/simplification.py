"""Simplification: local identities, constants that fill arrays, elided broadcasts."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.identities import rewritten, same_mask
from fgrad.ir import PYTHON_NUMBERS, Atom, Aval, Eqn, Lit, Program, Var
from fgrad.passes import Substitution, with_eqns
from fgrad.primitive import Primitive

SMALL_SUM = 8192  # elements up to which adding arrays costs less than reducing both


def simplify(program: Program, is_exact: bool = False) -> Program:
    """Apply local identities, fold constants that fill arrays, elide broadcasts.

    With ``is_exact`` without the rules by which results agree to rounding only.
    """
    subst = Substitution()
    source: dict[Atom, Eqn] = {}
    spread: set[Atom] = set()  # of `source` what is a small array over a larger one
    kept: list[Eqn] = []
    uses = Counter(atom for eqn in program.eqns for atom in eqn.ins)
    uses.update(program.outs)
    for original in program.eqns:
        plain = subst.eqn(original)
        if original.has_effect:
            kept.append(plain)
            continue
        parts = None
        if not spread.isdisjoint(plain.ins):
            plain = _elide_broadcasts(plain, source)
            parts = _shrink(plain, source)
        parts = parts or rewritten(plain, source, uses)
        if parts is None and not is_exact:
            parts = _join_sums(plain, source, uses)
        for part in parts or (plain,):
            eqn = part if parts is None else subst.eqn(part)
            if not spread.isdisjoint(eqn.ins):
                eqn = _fold_full(eqn, source)
            same = _identity(eqn, source)
            if same is not None:
                subst.replace(eqn.outs[0], same)
                continue
            kept.append(eqn)
            for var in eqn.outs:
                source[var] = eqn
            if eqn.prim.name in _SPREADS:
                spread.update(eqn.outs)
    return with_eqns(program, kept, [subst(atom) for atom in program.outs])


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
    find = _SAME.get(eqn.prim.name)
    found = None if find is None else find(eqn, source)
    return found if found is not None and found.aval is eqn.outs[0].aval else None


def _times_one(eqn: Eqn, source: dict[Atom, Eqn]) -> Atom | None:
    """``x`` for ``x * 1`` and ``1 * x``."""
    if _value(eqn.ins[1], source) == 1:
        return eqn.ins[0]
    return eqn.ins[1] if _value(eqn.ins[0], source) == 1 else None


def _by_one(eqn: Eqn, source: dict[Atom, Eqn]) -> Atom | None:
    """``x`` for ``x / 1``."""
    return eqn.ins[0] if _value(eqn.ins[1], source) == 1 else None


def _undone(eqn: Eqn, source: dict[Atom, Eqn]) -> Atom | None:
    """What an equation before has turned, for one that turns it back."""
    before = source.get(eqn.ins[0])
    if before is None or before.prim is not eqn.prim:
        return None
    is_back = eqn.prim.name != "transpose" or _cancel(before, eqn)
    return before.ins[0] if is_back else None


def _shaped(eqn: Eqn, source: dict[Atom, Eqn]) -> Atom | None:
    """What has the shape already, or is given back its shape."""
    if eqn.ins[0].aval is eqn.outs[0].aval:
        return eqn.ins[0]
    return _undone(eqn, source) if eqn.prim.name == "reshape" else None


_SAME: dict[str, Callable[[Eqn, dict[Atom, Eqn]], Atom | None]] = {
    "multiply": _times_one,
    "divide": _by_one,
    "negative": _undone,
    "transpose": _undone,
    "reshape": _shaped,
    "broadcast_to": _shaped,
    **dict.fromkeys(("logical_and", "logical_or", "not_equal"), same_mask),
}


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
