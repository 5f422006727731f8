"""Programs that ``while_loop`` derives from its condition and its body."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.caches import remembered
from fgrad.control.derivatives import active_inputs
from fgrad.control.scan_derivatives import varying_carry, zeros_like
from fgrad.ir import Atom, Aval, Eqn, Lit, Program, Var
from fgrad.ops.elementwise import add
from fgrad.ops.reduce import any_
from fgrad.ops.select import where
from fgrad.transforms.jvp import Flags, forward
from fgrad.transforms.vjp import with_residuals

Parts = tuple[Any, Any, Any]


def parts(items: Sequence[Any], cond_consts: int, body_consts: int) -> Parts:
    """What belongs to the condition, to the body, and the carry."""
    end = cond_consts + body_consts
    return items[:cond_consts], items[cond_consts:end], items[end:]


@remembered(1024)
def moving_body(
    body: Program, consts: int, active: Flags
) -> tuple[Program, tuple[Any, ...], tuple[int, ...]]:
    """The body that carries tangents, its constants, and the carries that have them."""
    count = len(body.outs)
    flags, _ = varying_carry(body, consts, count, active)
    wrt = active_inputs(body, flags)
    inner = with_residuals(body, wrt)
    linear, varying = forward(inner, wrt)
    seeds = dict(zip(wrt, linear.ins[len(linear.ins) - len(wrt) :], strict=True))
    results = iter(linear.outs)
    outs = [next(results) if varies else None for varies in varying]
    closed, carry = inner.ins[:consts], inner.ins[consts:]
    moving = tuple(k for k, var in enumerate(carry) if var in seeds)
    again = [eqn for eqn in inner.eqns if eqn.outs]
    eqns = [*again, *linear.eqns]
    tangents: list[Atom] = []
    for k in moving:
        tangent = outs[k]
        if tangent is None:
            eqns.append(zeros_like(carry[k].aval))
            tangent = eqns[-1].outs[0]
        tangents.append(tangent)
    ins = [
        *linear.consts,
        *closed,
        *(seeds[var] for var in closed if var in seeds),
        *carry,
        *(seeds[carry[k]] for k in moving),
    ]
    return Program(ins, eqns, [*inner.outs, *tangents]), linear.values, moving


@remembered(1024)
def with_more_carry(cond: Program, avals: tuple[Aval, ...]) -> Program:
    """The condition on a carry with further leaves, which it does not read."""
    return Program([*cond.ins, *map(Var, avals)], cond.eqns, cond.outs)


@remembered(1024)
def masked_body(cond: Program, body: Program, cond_consts: int) -> Program:
    """A step that keeps the carry where the condition does not hold."""
    count = len(body.outs)
    carry = body.ins[len(body.ins) - count :]
    shared: dict[Atom, Atom] = dict(zip(cond.ins[cond_consts:], carry, strict=True))
    tests = [
        Eqn(e.prim, tuple(shared.get(a, a) for a in e.ins), e.params, e.outs, e.site)
        for e in cond.eqns
    ]
    holds = shared.get(cond.outs[0], cond.outs[0])
    outs = [Var(var.aval) for var in carry]
    selects = [
        Eqn(where, (holds, new, old), (), (out,))
        for new, old, out in zip(body.outs, carry, outs, strict=True)
    ]
    ins = [*cond.ins[:cond_consts], *body.ins]
    return Program(ins, [*tests, *body.eqns, *selects], outs)


@remembered(1024)
def counting(cond: Program, body: Program) -> dict[str, Program]:
    """A loop that carries the number of its steps, too, as the last leaf."""
    before, after = Var(Aval((), np.int64)), Var(Aval((), np.int64))
    eqn = Eqn(add, (before, Lit(1)), (), (after,))
    silent = [eqn for eqn in body.eqns if eqn.outs]
    counted = Program([*body.ins, before], [*silent, eqn], [*body.outs, after])
    return {"cond": with_more_carry(cond, (before.aval,)), "body": counted}


def any_of(test: Program, size: int) -> Program:
    """The condition of a batch: it holds for an element."""
    holds = Var(Aval((), bool))
    eqn = Eqn(any_, (test.outs[0],), (("axis", (0,)),), (holds,))
    return Program(test.ins, [*test.eqns, eqn], [holds], test.consts, test.values)
