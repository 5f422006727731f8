"""Rules for what is known when a program is traced: constants and their equations."""

import math

import numpy as np

from fgrad.ir import Atom, Eqn, Lit, Var, aval_of
from fgrad.rewrites.facts import (
    WHOLE,
    Facts,
    Outcome,
    Rule,
    Rules,
    apply,
    finish,
    keeps_type,
)

GROWTH = 4  # a result that many times larger than its operands is computed anew
SMALL = 4096  # elements up to which any result is kept


def folded(eqn: Eqn, facts: Facts) -> Outcome:
    """``sin c`` for a constant c: computed once, unless it is much larger than c, or a
    large view of it.
    """
    values = facts.values
    size = 0
    for atom in eqn.ins:
        if type(atom) is Var:
            if atom not in values:
                return None
            size += atom.aval.size
    prim, out = eqn.prim, eqn.outs
    if not size or prim.multiple or prim.feeds is not None or prim.inlines is not None:
        return None
    if not (prim.elementwise or prim.linear or prim.stacks or prim.batch_params):
        return None
    limit = SMALL if prim.view_step is not None else max(SMALL, GROWTH * size)
    if out[0].aval.size > limit:
        return None
    operands = [a.value if type(a) is Lit else values[a] for a in eqn.ins]
    with np.errstate(all="ignore"):
        value = prim.numpy(*operands, **dict(eqn.params))
    return facts.constant(value) if aval_of(value) is out[0].aval else None


def repeated(eqn: Eqn, facts: Facts) -> Outcome:
    """``x * c`` for a constant array c of one number: ``x * number``."""
    ins = list(eqn.ins)
    out = eqn.outs[0].aval
    if not eqn.prim.elementwise or eqn.prim.name == "power":
        return None  # NumPy has other ways to powers of numbers, which round otherwise
    for position, atom in enumerate(ins):
        number = facts.number(atom) if atom in facts.values else None
        if number is not None:
            numbered = [*ins[:position], Lit(number), *ins[position + 1 :]]
            if keeps_type(eqn.prim, numbered, eqn.params, out):
                ins = numbered
    if ins == list(eqn.ins):
        return None
    return [Eqn(eqn.prim, tuple(ins), eqn.params, eqn.outs, eqn.site)]


def logaddexp_slope_of_number(eqn: Eqn, facts: Facts) -> Outcome:
    """``exp(x) / (exp(x) + exp(c))`` for a finite c: ``1 / (1 + exp(c - x))``."""
    x, y = eqn.ins
    if type(y) is not Lit or type(y.value) not in (int, float):
        return None
    if not math.isfinite(y.value):
        return None
    if y.value:
        apart, first = apply("subtract", (y, x), eqn.site)
    else:
        apart, first = apply("negative", (x,), eqn.site)
    power, second = apply("exp", (apart,), eqn.site)
    total, third = apply("add", (Lit(1.0), power), eqn.site)
    _, last = apply("divide", (Lit(1.0), total), eqn.site)
    return finish([first, second, third, last], eqn)


def add_to_zeros(eqn: Eqn, facts: Facts) -> Outcome:
    """Adding at an index to zeros: ``scatter``; adding zeros: nothing."""
    x, v, *arrays = eqn.ins
    if _is_zero(v, facts):
        return x
    if not _is_zero(x, facts) or v.aval.dtype != x.aval.dtype:
        return None
    return _scattered(eqn, (v, *arrays))


def update_of_zeros(eqn: Eqn, facts: Facts) -> Outcome:
    """Writing to an index of zeros: ``scatter``."""
    x, v, *arrays = eqn.ins
    is_plain = all(type(atom) is Lit for atom in arrays)
    is_same = v.aval.dtype == x.aval.dtype
    if not is_plain or not is_same or not _is_zero(x, facts):
        return None
    return _scattered(eqn, (v, *arrays))


def _is_zero(atom: Atom, facts: Facts) -> bool:
    number = facts.number(atom)
    is_number = type(number) in (int, float)
    return is_number and number == 0 and not np.signbit(number)


def _scattered(eqn: Eqn, ins: tuple[Atom, ...]) -> Outcome:
    aval = eqn.outs[0].aval
    if not aval.ndim or type(ins[0]) is Lit:
        return None
    place = {"shape": aval.shape, "dtype": aval.numpy_dtype.name}
    _, new = apply("scatter", ins, eqn.site, **place, **dict(eqn.params))
    return finish([new], eqn)


def add_to_scatter(eqn: Eqn, facts: Facts) -> Outcome:
    """Adding to the slot that a ``scatter`` has just filled: one ``scatter``."""
    if len(eqn.ins) != 2:
        return None
    x, v = eqn.ins
    first = facts.before(x, "scatter")
    if first is None or len(first.ins) != 1 or first.ins[0].aval is not v.aval:
        return None
    at, params = dict(eqn.params), dict(first.params)
    if at != {name: params[name] for name in params if name in ("at", "path")}:
        return None
    if any(e is not None and type(e) not in (tuple, int) for e in at["at"]):
        return None
    if at["at"] == (WHOLE,):
        return None
    total, add = apply("add", (first.ins[0], v), eqn.site)
    if total.aval is not v.aval:
        return None
    return [add, Eqn(first.prim, (total,), first.params, eqn.outs, first.site)]


ANY: tuple[Rule, ...] = (folded, repeated)  # where a constant is among the operands
EXACT: Rules = {
    "index_add": (add_to_zeros, add_to_scatter),
    "index_update": (update_of_zeros,),
    "logaddexp_slope": (logaddexp_slope_of_number,),
}
