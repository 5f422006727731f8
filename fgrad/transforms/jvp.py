"""Forward mode: one loop over equations.

The tangents of one equation come from its primitive's record as a small program, cached
for each primitive, params and types, and stamped out wherever that equation occurs.
"""

from collections.abc import Sequence
from typing import Any

from fgrad.caches import remembered
from fgrad.errors import DerivativeError
from fgrad.ir import Atom, Aval, Eqn, Program, Var
from fgrad.ops.structure import astype, broadcast_to, zeros_in
from fgrad.passes import Emitter, cse, dce
from fgrad.primitive import Primitive
from fgrad.record import trace_program
from fgrad.simplification import simplify
from fgrad.trace import Params, type_of

Flags = tuple[bool, ...]
Avals = tuple[Aval, ...]


def _fit(t: Any, aval: Aval) -> Any:
    """A tangent broadcast and cast to the type of its output."""
    found = type_of(t)
    if found.dtype != aval.dtype:
        t = astype(t, dtype=aval.numpy_dtype.name)
    return t if found.shape == aval.shape else broadcast_to(t, shape=aval.shape)


def _add(terms: Sequence[Any]) -> Any:
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def push_forward(
    prim: Primitive,
    params: dict[str, Any],
    operands: Sequence[Any],
    outs: Sequence[Any],
    tangents: Sequence[Any],
) -> Sequence[Any]:
    """Tangents of the outputs; None is zero, among the arguments and the results."""
    if prim.derivs is not None:
        terms = [
            deriv(t, outs[0], *operands, **params)
            for deriv, t in zip(prim.derivs, tangents, strict=True)
            if deriv is not None and t is not None
        ]
        return [_add(terms)]
    if prim.linear is not None:
        return [_add(_linear_terms(prim, params, operands, tangents))]
    if prim.jvp is not None:
        result = prim.jvp(tangents, outs, *operands, **params)
        return result if prim.multiple else [result]
    if prim.is_constant:
        return [None] * len(outs)
    raise DerivativeError(f"{prim.name} has no derivative")


def _linear_terms(
    prim: Primitive,
    params: dict[str, Any],
    operands: Sequence[Any],
    tangents: Sequence[Any],
) -> list[Any]:
    terms = []
    for group in prim.linear_groups(len(operands)):
        if all(tangents[position] is None for position in group):
            continue
        anchor = next(t for t in tangents if t is not None)
        replaced = list(operands)
        for position in group:
            t, aval = tangents[position], type_of(operands[position])
            replaced[position] = zeros_in(anchor, aval) if t is None else t
        terms.append(prim(*replaced, **params))
    return terms


@remembered(8192)
def tangent_program(
    prim: Primitive, params: Params, avals: Avals, out_avals: Avals, active: Flags
) -> tuple[Program, Flags]:
    """Operands, outputs and the active tangents -> the output tangents that vary.

    The flags say which output tangents those are; the others are zero.
    """
    count = len(avals)
    tangent_avals = [a for a, is_active in zip(avals, active, strict=True) if is_active]
    varying: list[bool] = []

    def rule(*tracers: Any) -> Any:
        operands = tracers[:count]
        outs = tracers[count : count + len(out_avals)]
        given = iter(tracers[count + len(out_avals) :])
        tangents = [next(given) if is_active else None for is_active in active]
        results = push_forward(prim, dict(params), operands, outs, tangents)
        varying.extend(
            t is not None and aval.is_inexact
            for t, aval in zip(results, out_avals, strict=True)
        )
        pairs = zip(results, out_avals, varying, strict=True)
        return [_fit(t, aval) for t, aval, varies in pairs if varies]

    types = (*avals, *out_avals, *tangent_avals)
    program = trace_program(rule, types, opaque=True)
    return cse(simplify(program)), tuple(varying)


def forward(program: Program, wrt: Sequence[Var]) -> tuple[Program, Flags]:
    """The tangents of the outputs as a program that is linear in the tangents of
    ``wrt``.

    Its inputs are the inputs and constants of ``program``, the variables of all its
    equations, and the tangents, in this order; its equations are the linear ones only.
    The flags say which outputs have a tangent that is not zero.
    """
    seeds = [Var(var.aval) for var in wrt]
    tangents: dict[Var, Atom] = dict(zip(wrt, seeds, strict=True))
    emitter = Emitter()
    for eqn in program.eqns:
        active = tuple(type(a) is Var and a in tangents for a in eqn.ins)
        if not any(active):
            continue
        avals, out_avals = types_of(eqn)
        template, varying = tangent_program(
            eqn.prim, eqn.params, avals, out_avals, active
        )
        given = [tangents[a] for a in eqn.ins if type(a) is Var and a in tangents]
        results = emitter.stamp(template, [*eqn.ins, *eqn.outs, *given], eqn.site)
        moving = [var for var, varies in zip(eqn.outs, varying, strict=True) if varies]
        tangents.update(zip(moving, results, strict=True))
    varies = tuple(type(a) is Var and a in tangents for a in program.outs)
    outs = [tangents[a] for a in program.outs if type(a) is Var and a in tangents]
    primals = [*program.consts, *program.ins, *bound_variables(program)]
    return finished(emitter.program([*primals, *seeds], outs)), varies


def types_of(eqn: Eqn) -> tuple[Avals, Avals]:
    """Types of the operands and of the outputs of an equation."""
    return tuple([a.aval for a in eqn.ins]), tuple([var.aval for var in eqn.outs])


def bound_variables(program: Program) -> list[Var]:
    """The variables that the equations bind, in order."""
    return [var for eqn in program.eqns for var in eqn.outs]


def finished(program: Program) -> Program:
    """A derived program, cleaned up."""
    return dce(cse(simplify(program)))
