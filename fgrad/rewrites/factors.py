"""Rules for factors of terms, and for quotients."""

from fgrad.ir import Atom, Eqn, Lit
from fgrad.rewrites.facts import Facts, Outcome, Rules, apply, finish, is_scale

DEPTH = 3  # nested products in which a number is looked for


def common_factor(eqn: Eqn, facts: Facts) -> Outcome:
    """``c * x - c * y * z`` as ``c * (x - y * z)``, also where one has ``-c``."""
    aval = eqn.outs[0].aval
    first, second = eqn.ins
    if not aval.is_inexact or not aval.ndim or first is second:
        return None
    eqns: list[Eqn] = []
    found = _without_number(first, facts, eqns, DEPTH)
    other = found and _without_number(second, facts, eqns, DEPTH)
    if found is None or other is None or abs(found[0]) != abs(other[0]):
        return None
    is_sum = (eqn.prim.name == "add") == (found[0] == other[0])
    name = "add" if is_sum else "subtract"
    total, combined = apply(name, (found[1], other[1]), eqn.site)
    _, last = apply("multiply", (Lit(found[0]), total), eqn.site)
    return finish([*eqns, combined, last], eqn)


def _without_number(
    atom: Atom, facts: Facts, eqns: list[Eqn], depth: int
) -> tuple[float, Atom] | None:
    """A number and what is multiplied by it; adds the equations that this takes.

    The atom is a product that nothing else reads.
    """
    product = facts.before(atom, "multiply")
    if product is None or not depth:
        return None
    x, y = product.ins
    for number, rest in ((x, y), (y, x)):
        if type(number) is Lit and is_scale(number) and rest.aval is atom.aval:
            return number.value, rest
    for position, part in enumerate(product.ins):
        if part.aval is not atom.aval:
            continue
        found = _without_number(part, facts, eqns, depth - 1)
        if found is not None:
            ins = (found[1], y) if position == 0 else (x, found[1])
            rest, new = apply("multiply", ins, product.site)
            eqns.append(new)
            return found[0], rest
    return None


def square_of_reciprocal(eqn: Eqn, facts: Facts) -> Outcome:
    """``(1 / x) / x``, as in the slope of ``1 / x``: the square of ``1 / x``."""
    inverse, x = eqn.ins
    source = facts.source.get(inverse)
    if source is None or source.prim.name != "divide" or source.ins[1] is not x:
        return None
    one = source.ins[0]
    if type(one) is not Lit or one.value != 1 or eqn.outs[0].aval is not inverse.aval:
        return None
    _, new = apply("square", (inverse,), eqn.site)
    return finish([new], eqn)


ROUNDING: Rules = {
    "add": (common_factor,),
    "subtract": (common_factor,),
    "divide": (square_of_reciprocal,),
}
