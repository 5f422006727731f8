"""The loop that applies the rules: forwards through the equations, until none applies.

What a rule gives is looked at again, also by the local rules of `identities`. A round
costs one dict look-up for each equation that no rule is for.
"""

from collections.abc import Sequence

from fgrad.ir import Atom, Eqn, Program
from fgrad.passes import Substitution, cse, dce
from fgrad.rewrites import constants, factors, few, products, shapes, slots, sums
from fgrad.rewrites.facts import Facts, Outcome, Rules
from fgrad.rewrites.steps import joined_steps
from fgrad.simplification import simpler

ROUNDS = 8  # more than any program has needed


def _joined(*tables: Rules) -> Rules:
    joined: Rules = {}
    for table in tables:
        for name, rules in table.items():
            joined[name] = joined.get(name, ()) + rules
    return joined


# For each primitive the rules that leave results the same, and those that round
# elsewhere, with those that come first.
EXACT = _joined(constants.EXACT, shapes.EXACT, few.EXACT, slots.EXACT, sums.EXACT)
RULES = _joined(EXACT, products.ROUNDING, sums.ROUNDING, few.ROUNDING, factors.ROUNDING)
TURNING: Rules = {"transpose": (products.transposed_product,)}


def optimise(program: Program, is_exact: bool = False) -> Program:
    """A program that computes the same in less time.

    Results are the same but for rules that round elsewhere (`sums`, `products`,
    `steps`), which ``is_exact`` leaves out. What guards depend on is the same to the
    last bit, so that a call takes the path that its values took when they were traced.
    """
    facts = Facts(program)
    rules = EXACT if is_exact else RULES
    eqns: Sequence[Eqn] = program.eqns
    if not is_exact:
        eqns = joined_steps(program, facts, _read_by_guards(program))
    if eqns is not program.eqns:
        program = dce(facts.program(program, eqns, program.outs))
        facts.look_at(program)
    for _ in range(ROUNDS):
        guarded = _read_by_guards(program)
        eqns, outs, is_changed = _round(program, facts, rules, guarded)
        if not is_changed:
            break
        program = dce(cse(facts.program(program, eqns, outs)))
        facts.look_at(program)
    return program


def turn_products(program: Program) -> Program:
    """The program with products of transposes for transposes of products.

    A pullback has such where a transpose was multiplied by, as ``x @ w.T``: its result
    would have to be copied, across memory, to own it.
    """
    found = {eqn.prim.name for eqn in program.eqns}
    if not found.issuperset(("transpose", "matmul")):
        return program
    facts = Facts(program)
    eqns, outs, is_changed = _round(program, facts, TURNING, set())
    return dce(cse(facts.program(program, eqns, outs))) if is_changed else program


def _round(
    program: Program, facts: Facts, rules: Rules, guarded: set[Atom]
) -> tuple[Sequence[Eqn], Sequence[Atom], bool]:
    """The equations and outputs after one pass of all rules."""
    subst = Substitution()
    kept: list[Eqn] = []
    source, values = facts.source, facts.values
    touched: set[Atom] = set()
    for original in program.eqns:
        eqn = subst.eqn(original)
        is_new = eqn is not original or not touched.isdisjoint(eqn.ins)
        is_known = not values.keys().isdisjoint(eqn.ins)
        if original.has_effect or not (is_new or is_known or eqn.prim.name in rules):
            kept.append(eqn)
            for var in eqn.outs:
                source[var] = eqn
            continue
        table = rules if guarded.isdisjoint(original.outs) else EXACT
        pending = [eqn]
        while pending:
            part = subst.eqn(pending.pop())
            found = _applied(part, facts, table, is_new or part is not original)
            if found is None:
                kept.append(part)
                for var in part.outs:
                    source[var] = part
                if part is not original:
                    touched.update(part.outs)
            elif isinstance(found, list):
                pending.extend(reversed(found))
            else:
                subst.replace(part.outs[0], found)
    is_changed = len(kept) != len(program.eqns) or bool(touched)
    return kept, [subst(atom) for atom in program.outs], is_changed


def _applied(eqn: Eqn, facts: Facts, rules: Rules, is_new: bool) -> Outcome:
    """What the first rule that applies gives."""
    if not facts.values.keys().isdisjoint(eqn.ins):
        for rule in constants.ANY:
            found = rule(eqn, facts)
            if found is not None:
                return found
    for rule in rules.get(eqn.prim.name, ()):
        found = rule(eqn, facts)
        if found is not None:
            return found
    return simpler(eqn, facts.source, facts.uses) if is_new else None


def _read_by_guards(program: Program) -> set[Atom]:
    """What the equations with effects depend on."""
    read: set[Atom] = set()
    if not program.has_effect:
        return read
    for eqn in reversed(program.eqns):
        if eqn.has_effect or not read.isdisjoint(eqn.outs):
            read.update(eqn.ins)
    return read
