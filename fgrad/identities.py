"""Local rules that shorten programs: one equation, and those before it, as others.

Each rule takes an equation of the primitives it is for, the equations that bind the
operands and how often variables are used, and gives the equations that replace it, or
None. What becomes unused is dropped later. A rule that takes the place of several
equations applies only where nothing else uses the ones between. Results are the same to
the last bit, but for the sign of a zero and numbers at the ends of their type's range.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from fgrad.ir import Atom, Eqn, Lit, Var
from fgrad.primitive import Primitive

Source = dict[Atom, Eqn]
Uses = Counter[Atom]
Rule = Callable[[Eqn, Source, Uses], list[Eqn] | None]

_LARGEST_FACTOR = 256


def _is(eqn: Eqn | None, *names: str) -> bool:
    return eqn is not None and eqn.prim.name in names


def _renamed(name: str, ins: tuple[Atom, ...], eqn: Eqn) -> Eqn:
    """The equation with another primitive, without params, and other operands."""
    return Eqn(Primitive.registry[name], ins, (), eqn.outs, eqn.site)


def _keeps_type(eqn: Eqn) -> bool:
    """Whether an equation's output has the type that its operands give."""
    found = eqn.prim.infer([atom.aval for atom in eqn.ins], dict(eqn.params))
    return bool(found == tuple(var.aval for var in eqn.outs))


# --- signs


def _opposite(
    atom: Atom, source: Source, uses: Uses, depth: int = 6
) -> tuple[Atom, list[Eqn]] | None:
    """The negative of an atom, where dropping signs before it gives that.

    Signs are dropped from products, quotients, sums and moved elements, looking through
    up to ``depth`` equations.
    """
    if type(atom) is Lit:
        is_negative = type(atom.value) is not bool and _sign(atom.value) < 0
        return (Lit(-atom.value), []) if is_negative else None
    eqn = source.get(atom)
    if eqn is None or not atom.aval.is_inexact:
        return None
    if eqn.prim.name == "negative":
        return eqn.ins[0], []
    positions = _CARRY_SIGNS.get(eqn.prim.name)
    if positions is None or uses[atom] > 1 or not depth:
        return None
    for position in positions:
        found = _opposite(eqn.ins[position], source, uses, depth - 1)
        if found is not None:
            ins = list(eqn.ins)
            ins[position] = found[0]
            out = Var(eqn.outs[0].aval)
            plain = Eqn(eqn.prim, tuple(ins), eqn.params, (out,), eqn.site)
            is_same = found[0].aval is eqn.ins[position].aval or _keeps_type(plain)
            return (out, [*found[1], plain]) if is_same else None
    return None


_CARRY_SIGNS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("multiply", "divide"), (0, 1)),
    **dict.fromkeys(("sum", "reshape", "broadcast_to", "transpose"), (0,)),
}


def _sign(number: Any) -> float:
    return 0.0 if type(number) is complex else math.copysign(1.0, number)


def add_of_negative(eqn: Eqn, source: Source, uses: Uses) -> list[Eqn] | None:
    """``a + (-b)`` as ``a - b``, and ``a - (-b)`` as ``a + b``; a sign in a product or
    a sum counts.
    """
    if not eqn.outs[0].aval.is_inexact:
        return None
    first, second = eqn.ins
    is_sum = eqn.prim.name == "add"
    if type(second) is Var and (found := _opposite(second, source, uses)):
        ins = (first, found[0])
        return [*found[1], _renamed("subtract" if is_sum else "add", ins, eqn)]
    if is_sum and type(first) is Var and (found := _opposite(first, source, uses)):
        return [*found[1], _renamed("subtract", (second, found[0]), eqn)]
    return None


def negative_of_negative(eqn: Eqn, source: Source, uses: Uses) -> list[Eqn] | None:
    """``-(-a * b)`` as ``a * b``, and ``-(2 * a)`` as ``-2 * a``."""
    if _is(source.get(eqn.ins[0]), "negative"):
        return None
    found = _opposite(eqn.ins[0], source, uses)
    if found is not None and found[1]:
        *before, last = found[1]
        return [*before, Eqn(last.prim, last.ins, last.params, eqn.outs, last.site)]
    product = _factor(source.get(eqn.ins[0]))
    if product is None or uses[eqn.ins[0]] > 1:
        return None
    flipped = _renamed("multiply", (Lit(-product[0]), product[1]), eqn)
    return [flipped] if _keeps_type(flipped) else None


def product_of_negatives(eqn: Eqn, source: Source, uses: Uses) -> list[Eqn] | None:
    """``-a * -b`` as ``a * b``, and ``-a * 2`` as ``a * -2``."""
    if not eqn.outs[0].aval.is_inexact:
        return None
    first = _flipped(eqn.ins[0], source, uses)
    second = None if first is None else _flipped(eqn.ins[1], source, uses)
    if first is None or second is None:
        return None
    new = Eqn(eqn.prim, (first[0], second[0]), eqn.params, eqn.outs, eqn.site)
    return [*first[1], *second[1], new] if _keeps_type(new) else None


def _flipped(atom: Atom, source: Source, uses: Uses) -> tuple[Atom, list[Eqn]] | None:
    """The same as `_opposite`, and for any number its negative."""
    found = _opposite(atom, source, uses)
    if found is None and type(atom) is Lit and type(atom.value) in (int, float):
        return Lit(-atom.value), []
    return found


def times_minus_one(eqn: Eqn, source: Source, uses: Uses) -> list[Eqn] | None:
    """``-1 * a`` as ``-a``."""
    for number, other in (eqn.ins, eqn.ins[::-1]):
        if type(number) is Lit and number.value == -1 and type(other) is Var:
            is_same = other.aval is eqn.outs[0].aval and other.aval.is_inexact
            return [_renamed("negative", (other,), eqn)] if is_same else None
    return None


# --- factors


def _factor(eqn: Eqn | None) -> tuple[Any, Atom] | None:
    """The number and the other operand of a product or quotient of a number."""
    if eqn is None or not _is(eqn, "multiply", "divide"):
        return None
    first, second = eqn.ins
    if _is(eqn, "divide"):
        is_exact = type(second) is Lit and _is_power_of_two(second.value)
        return (1 / second.value, first) if is_exact else None  # type: ignore[union-attr]
    for number, other in ((first, second), (second, first)):
        if type(number) is Lit and type(number.value) in (int, float):
            return number.value, other
    return None


def _is_power_of_two(number: Any) -> bool:
    if type(number) not in (int, float) or not math.isfinite(number):
        return False
    in_range = 1 / _LARGEST_FACTOR <= abs(number) <= _LARGEST_FACTOR
    return bool(in_range and abs(math.frexp(number)[0]) == 0.5)


def factors(eqn: Eqn, source: Source, uses: Uses) -> list[Eqn] | None:
    """``2 * (x * c)`` as ``x * (2 * c)``: one number, where one is a power of two."""
    out = eqn.outs[0].aval
    outer = _factor(eqn)
    if outer is None or type(outer[1]) is Lit or uses[outer[1]] > 1:
        return None
    inner = _factor(source.get(outer[1]))
    if inner is None or type(inner[1]) is Lit:
        return None
    is_exact = _is_power_of_two(outer[0]) or _is_power_of_two(inner[0])
    if not is_exact or not out.is_inexact or inner[1].aval.dtype != out.dtype:
        return None
    product = outer[0] * inner[0]
    if type(product) is float and product.is_integer() and abs(product) < 2**31:
        product = int(product) if type(outer[0]) is type(inner[0]) is int else product
    if not math.isfinite(product):
        return None
    return [_renamed("multiply", (Lit(product), inner[1]), eqn)]


def twice(eqn: Eqn, source: Source, uses: Uses) -> list[Eqn] | None:
    """``c * a + c * a`` as ``(2 * c) * a``."""
    if eqn.ins[0] is not eqn.ins[1] or uses[eqn.ins[0]] > 2:
        return None
    product = _factor(source.get(eqn.ins[0]))
    if product is None or not eqn.outs[0].aval.is_inexact:
        return None
    doubled = _renamed("multiply", (Lit(2 * product[0]), product[1]), eqn)
    return [doubled] if _keeps_type(doubled) else None


# --- shapes and masks


def reshape_of_reshape(eqn: Eqn, source: Source, uses: Uses) -> list[Eqn] | None:
    """Only the last of two reshapes."""
    before = source.get(eqn.ins[0])
    if before is None or before.prim is not eqn.prim:
        return None
    return [Eqn(eqn.prim, before.ins, eqn.params, eqn.outs, eqn.site)]


def reshape_around(eqn: Eqn, source: Source, uses: Uses) -> list[Eqn] | None:
    """A reshape that undoes another, with an elementwise equation between: neither."""
    between = source.get(eqn.ins[0])
    if between is None or not between.prim.elementwise or uses[eqn.ins[0]] > 1:
        return None
    ins: list[Atom] = []
    count = 0
    for atom in between.ins:
        before = source.get(atom)
        if atom.aval.shape == ():
            ins.append(atom)
        elif before is not None and before.prim is eqn.prim:
            ins += before.ins
            count += 1
        else:
            return None
    shapes = {atom.aval.shape for atom in ins if atom.aval.shape != ()}
    if not count or shapes != {eqn.outs[0].aval.shape}:
        return None
    return [Eqn(between.prim, tuple(ins), between.params, eqn.outs, between.site)]


def matrix_times_column(eqn: Eqn, source: Source, uses: Uses) -> list[Eqn] | None:
    """The product of a matrix and a vector that is made a column, as one with the
    vector.
    """
    product = source.get(eqn.ins[0])
    if product is None or not _is(product, "matmul") or uses[eqn.ins[0]] > 1:
        return None
    matrix, column = product.ins
    before = source.get(column)
    if before is None or before.prim is not eqn.prim or matrix.aval.ndim != 2:
        return None
    (vector,) = before.ins
    rows, length = matrix.aval.shape
    if vector.aval.shape != (length,) or eqn.outs[0].aval.shape != (rows,):
        return None
    return [Eqn(product.prim, (matrix, vector), product.params, eqn.outs, product.site)]


RULES: dict[str, tuple[Rule, ...]] = {
    "add": (twice, add_of_negative),
    "subtract": (add_of_negative,),
    "multiply": (times_minus_one, factors, product_of_negatives),
    "divide": (factors, product_of_negatives),
    "negative": (negative_of_negative,),
    "reshape": (matrix_times_column, reshape_around, reshape_of_reshape),
}


def rewritten(eqn: Eqn, source: Source, uses: Uses) -> list[Eqn] | None:
    """The equations that the first rule that applies gives."""
    if eqn.prim.name not in RULES:
        return None
    for rule in RULES[eqn.prim.name]:
        found = rule(eqn, source, uses)
        if found is not None:
            return found
    return None


def same_mask(eqn: Eqn, source: Source) -> Atom | None:
    """The mask that a logical equation leaves as it is."""
    first = eqn.ins[0]
    if first.aval is not eqn.outs[0].aval:
        return None
    if _is(eqn, "logical_and", "logical_or"):
        return first if first is eqn.ins[1] else None
    if _is(eqn, "not_equal") and first.aval.dtype == bool:
        second = eqn.ins[1]
        is_false = type(second) is Lit and type(second.value) in (int, bool)
        return first if is_false and second.value == 0 else None  # type: ignore[union-attr]
    return None
