"""Reverse mode: one loop over equations, backwards.

The pullback of one equation comes from its primitive's record as a small program,
cached for each primitive, params and types, and stamped out wherever that equation
occurs. A cotangent that is absent is zero. The pairing of cotangents and tangents is
``Re(sum(ct * t))``, JAX's convention for complex numbers.
"""

from collections.abc import Sequence
from typing import Any

from fgrad.caches import remembered
from fgrad.errors import DerivativeError
from fgrad.ir import Atom, Aval, Eqn, Program, Var, evaluate
from fgrad.ops.elementwise import add
from fgrad.ops.structure import conform_to, full
from fgrad.passes import Emitter, cse, dce
from fgrad.primitive import Primitive
from fgrad.record import trace_program
from fgrad.simplification import simplify
from fgrad.trace import Params, type_of
from fgrad.transforms.jvp import (
    Avals,
    Flags,
    bound_variables,
    finished,
    tangent_program,
    types_of,
)
from fgrad.transforms.sink import sink_selects


@remembered(8192)
def pullback_program(
    prim: Primitive,
    params: Params,
    avals: Avals,
    out_avals: Avals,
    active: Flags,
    present: Flags,
) -> tuple[Program, Flags]:
    """Operands, outputs and the present cotangents -> cotangents of active operands.

    The flags say which of the active operands have a cotangent that is not zero.
    """
    count = len(avals)
    ct_avals = [a for a, is_there in zip(out_avals, present, strict=True) if is_there]
    given: list[bool] = []

    def rule(*tracers: Any) -> Any:
        operands = tracers[:count]
        outs = tracers[count : count + len(out_avals)]
        cts = tracers[count + len(out_avals) :]
        results = _pull_back(prim, params, operands, outs, cts, active, present)
        wanted = [
            ct if aval.is_inexact else None
            for ct, aval, is_active in zip(results, avals, active, strict=True)
            if is_active
        ]
        given.extend(ct is not None for ct in wanted)
        kept = [a for a, is_active in zip(avals, active, strict=True) if is_active]
        pairs = zip(wanted, kept, strict=True)
        return [conform_to(ct, aval) for ct, aval in pairs if ct is not None]

    program = trace_program(rule, (*avals, *out_avals, *ct_avals), opaque=True)
    return cse(simplify(program)), tuple(given)


def _pull_back(
    prim: Primitive,
    params: Params,
    operands: Sequence[Any],
    outs: Sequence[Any],
    cts: Sequence[Any],
    active: Flags,
    present: Flags,
) -> Sequence[Any]:
    """A cotangent or None for each operand."""
    if prim.vjp is not None:
        flags = {"active": active, "present": present}
        return prim.vjp(cts, outs, *operands, **flags, **dict(params))  # type: ignore[no-any-return]
    if prim.derivs is not None:
        return [
            deriv(cts[0], outs[0], *operands, **dict(params))
            if deriv is not None and is_active
            else None
            for deriv, is_active in zip(prim.derivs, active, strict=True)
        ]
    if prim.transpose is not None:
        return prim.transpose(cts[0], *operands, **dict(params))  # type: ignore[no-any-return]
    return _transpose_tangents(prim, params, operands, outs, cts, active, present)


def _transpose_tangents(
    prim: Primitive,
    params: Params,
    operands: Sequence[Any],
    outs: Sequence[Any],
    cts: Sequence[Any],
    active: Flags,
    present: Flags,
) -> Sequence[Any]:
    """The pullback as the transpose of the tangent program, which is linear."""
    avals = tuple(type_of(x) for x in operands)
    out_avals = tuple(type_of(out) for out in outs)
    tangents, varying = tangent_program(prim, params, avals, out_avals, active)
    both = zip(present, varying, strict=True)
    seeded = [is_there for is_there, varies in both if varies]
    ct_of_out = dict(zip([k for k, p in enumerate(present) if p], cts, strict=True))
    seeds = [ct_of_out[k] for k, varies in enumerate(varying) if varies and present[k]]
    count = len(operands) + len(outs)
    pulled, given = transpose(tangents, count, tuple(seeded))
    results = iter(evaluate(pulled, [*operands, *outs, *seeds]))
    by_tangent = iter([next(results) if is_given else None for is_given in given])
    return [next(by_tangent) if is_active else None for is_active in active]


def transpose(
    program: Program,
    count: int,
    seeded: Flags,
    what: str = "a tangent rule is not linear in its tangents",
) -> tuple[Program, Flags]:
    """Transpose a program that is linear in its inputs after the first ``count``.

    The result maps the first inputs and the cotangents of the outputs that are
    ``seeded`` to the cotangents of the linear inputs that the flags name.

    Raises:
        DerivativeError: the program is not linear in those inputs; it says ``what``.
    """
    primals, wrt = program.ins[:count], program.ins[count:]
    program = with_residuals(program, wrt)
    backward, given = reverse(program, wrt, seeded)
    seeds = backward.ins[len(backward.ins) - sum(seeded) :]
    joined = Program(
        [*primals, *seeds],
        [*program.eqns, *backward.eqns],
        backward.outs,
        [*program.consts, *backward.consts],
        [*program.values, *backward.values],
    )
    joined = dce(joined)
    if any(atom in wrt for eqn in joined.eqns for atom in eqn.ins):
        raise DerivativeError(what)
    return joined, given


def reverse(
    program: Program,
    wrt: Sequence[Var],
    seeded: Flags,
    unit: bool = False,
    initial: Sequence[tuple[Var, Var]] = (),
) -> tuple[Program, Flags]:
    """The cotangents of ``wrt`` as a program of the outputs' cotangents.

    Its inputs are the inputs and constants of ``program``, the variables of all its
    equations, and one cotangent for each output that is ``seeded``; its equations are
    the backward ones only. The flags say which of ``wrt`` have a cotangent that is not
    zero. With ``unit`` the cotangents of the outputs are ones and not inputs. To the
    cotangents of ``initial`` (pairs of a variable and a cotangent) contributions are
    added.
    """
    varying = dependents(program, wrt)
    cotangents = _Cotangents()
    for var, ct in initial:
        cotangents.add(var, ct)
    seeds = []
    for atom, is_seeded in zip(program.outs, seeded, strict=True):
        if is_seeded:
            seed = cotangents.ones(atom.aval) if unit else Var(atom.aval)
            seeds += [] if unit else [seed]
            if atom in varying:
                cotangents.add(atom, seed)
    for eqn in reversed(program.eqns):
        if not varying.isdisjoint(eqn.ins):
            _pull_back_eqn(eqn, varying, cotangents)
    results = [cotangents.take(var) for var in wrt]
    given = tuple(ct is not None for ct in results)
    primals = [*program.consts, *program.ins, *bound_variables(program)]
    outs = [ct for ct in results if ct is not None]
    backward = cotangents.emitter.program([*primals, *seeds], outs)
    backward = finished(backward)
    sunk = sink_selects(backward)
    return (backward if sunk is backward else finished(sunk)), given


def with_residuals(program: Program, wrt: Sequence[Var]) -> Program:
    """The same, where control flow that depends on ``wrt`` gives its residuals, too."""
    if all(eqn.prim.with_residuals is None for eqn in program.eqns):
        return program
    varying = dependents(program, wrt)
    eqns = []
    for eqn in program.eqns:
        active = tuple(atom in varying for atom in eqn.ins)
        if eqn.prim.with_residuals is None or not any(active):
            eqns.append(eqn)
            continue
        avals = [atom.aval for atom in eqn.ins]
        prim, params = eqn.prim.with_residuals(active, avals, **dict(eqn.params))
        residuals = prim.infer(avals, params)[len(eqn.outs) :]
        outs = (*eqn.outs, *map(Var, residuals))
        eqns.append(Eqn(prim, eqn.ins, tuple(params.items()), outs, eqn.site))
    return Program(program.ins, eqns, program.outs, program.consts, program.values)


def dependents(program: Program, wrt: Sequence[Var]) -> set[Atom]:
    """The floating-point variables that depend on ``wrt``."""
    varying: set[Atom] = set(wrt)
    for eqn in program.eqns:
        if not eqn.prim.is_constant and not varying.isdisjoint(eqn.ins):
            varying.update([var for var in eqn.outs if var.aval.is_inexact])
    return varying


def _pull_back_eqn(eqn: Eqn, varying: set[Atom], cotangents: "_Cotangents") -> None:
    cts = list(map(cotangents.take, eqn.outs))
    present = tuple([ct is not None for ct in cts])
    if not any(present):
        return
    active = tuple([atom in varying for atom in eqn.ins])
    avals, out_avals = types_of(eqn)
    template, given = pullback_program(
        eqn.prim, eqn.params, avals, out_avals, active, present
    )
    seeds = [ct for ct in cts if ct is not None]
    results = cotangents.emitter.stamp(
        template, [*eqn.ins, *eqn.outs, *seeds], eqn.site
    )
    operands = [a for a, is_active in zip(eqn.ins, active, strict=True) if is_active]
    kept = [a for a, is_given in zip(operands, given, strict=True) if is_given]
    for atom, ct in zip(kept, results, strict=True):
        cotangents.add(atom, ct)


def _sum_aval(atom: Atom) -> Aval:
    """The type of a sum of cotangents; that of a Python number is NumPy's."""
    return Aval((), atom.aval.numpy_dtype) if atom.aval.is_python else atom.aval


class _Cotangents:
    """The cotangent of each variable so far, and the equations that compute them."""

    def __init__(self) -> None:
        self.emitter = Emitter()
        self._sums: dict[Atom, Atom] = {}

    def ones(self, aval: Aval) -> Var:
        params = {"shape": aval.shape, "dtype": aval.dtype.name, "value": 1.0}
        return self.emitter.emit(full, (), tuple(params.items()), (aval,), None)[0]

    def take(self, var: Var) -> Atom | None:
        return self._sums.pop(var, None)

    def add(self, atom: Atom, ct: Atom) -> None:
        """Add a contribution; what was scattered into zeros is added in place."""
        known = self._sums.get(atom)
        if known is None:
            self._sums[atom] = ct
            return
        self._sums[atom] = (
            self._merge(known, ct)
            or self._merge(ct, known)
            or (self.emitter.emit(add, (known, ct), (), (_sum_aval(atom),), None)[0])
        )

    def _merge(self, base: Atom, ct: Atom) -> Atom | None:
        """``ct`` added to ``base`` by the primitive that accumulates, if it has one."""
        eqn = self.emitter.source(ct)
        if eqn is None or eqn.prim.accumulate is None:
            return None
        prim, names = eqn.prim.accumulate
        params = tuple(item for item in eqn.params if item[0] in names)
        ins = (base, *eqn.ins)
        return self.emitter.emit(prim, ins, params, (base.aval,), eqn.site)[0]
