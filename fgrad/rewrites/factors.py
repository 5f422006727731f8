"""Rules for factors of the terms of sums, of arrays: programs of numbers are exact."""

from collections import Counter

from fgrad.ir import Atom, Eqn, Lit
from fgrad.rewrites.facts import Facts, Outcome, Rules, apply, finish, is_scale

DEPTH = 3  # nested products in which a number is looked for
MOST = 12  # factors of a product that is taken apart


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


def like_terms(eqn: Eqn, facts: Facts) -> Outcome:
    """``a * (c * x) + (a * x) * c`` as ``2 * (a * (c * x))``: the same factors twice.

    The derivative of ``c * x * x`` is such a sum.
    """
    first, second = eqn.ins
    aval = eqn.outs[0].aval
    if first.aval is not aval or second.aval is not aval or not aval.ndim:
        return None
    if facts.before(second, "multiply") is None or not aval.is_inexact:
        return None
    number, factors = _factors(first, facts)
    other, others = _factors(second, facts)
    if factors != others or len(factors) < 2 or not is_scale(Lit(number)):
        return None
    share = other / number if eqn.prim.name == "add" else -other / number
    _, new = apply("multiply", (Lit(1.0 + share), first), eqn.site)
    return finish([new], eqn)


def _factors(atom: Atom, facts: Facts) -> tuple[float, Counter[Atom]]:
    """The number and the other factors of a product of products."""
    number, found, pending = 1.0, Counter[Atom](), [atom]
    while pending:
        part = pending.pop()
        source = facts.source.get(part)
        if type(part) is Lit and type(part.value) in (int, float):
            number *= part.value
        elif source is None or len(found) + len(pending) > MOST:
            found[part] += 1
        elif source.prim.name == "multiply":
            pending += source.ins
        elif source.prim.name == "square":
            pending += source.ins * 2
        else:
            found[part] += 1
    return number, found


ROUNDING: Rules = {
    "add": (like_terms, common_factor),
    "subtract": (like_terms, common_factor),
}
