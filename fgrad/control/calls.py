"""Calls of Python functions, as equations of derived programs.

A derivative that the user wrote, or that is found by differentiating or transposing
what the user wrote, is a `Call`: a function of leaves. In a derived program it is one
equation; where the program runs, the function is called, on NumPy values or on tracers,
so it may branch in Python and is itself differentiable.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.caches import remembered
from fgrad.control.closing import apart
from fgrad.errors import CustomRuleError, LeakedTracerError
from fgrad.ir import Aval
from fgrad.ops.batching import spread
from fgrad.primitive import Primitive, Sample
from fgrad.trace import (
    Trace,
    Tracer,
    as_operand,
    call_in,
    innermost,
    is_traced,
    type_of,
)
from fgrad.transforms.jvp import Flags
from fgrad.transforms.tape import Tape, zeros
from fgrad.transforms.vmap import run_mapped

Leaves = Sequence[Any]
Function = Callable[[Leaves], Leaves]


class Call:
    """A function of leaves that is a static param: equal to itself only.

    ``is_dynamic``: what it does depends on values beyond what guards can say, so that
    it is called where a compiled program runs.
    """

    def __init__(self, name: str, function: Function, is_dynamic: bool = False) -> None:
        self.name = name
        self.function = function
        self.is_dynamic = is_dynamic

    def __call__(self, leaves: Leaves) -> list[Any]:
        outer = innermost(leaves)
        try:
            outs = at_level(outer, self.function, leaves)
        except LeakedTracerError as error:
            raise _closed_over(self.name) from error
        check_level(self.name, outs, leaves)
        return outs

    def __repr__(self) -> str:
        return self.name


def at_level(trace: Trace | None, function: Function, leaves: Leaves) -> list[Any]:
    """Call a user's function with the arrays that it makes belonging to a trace.

    It runs on values of that trace, or on NumPy's: not on those of the traces that run.
    """
    return list(call_in(trace, function, leaves))


def check_closure(name: str, outs: Leaves, trace: Trace | None = None) -> None:
    """Results must not depend on what the function closes over in a trace.

    Raises:
        CustomRuleError: a result is a tracer, of ``trace`` if that is given.
    """
    for out in outs:
        if type(out) is Tracer and trace in (None, out.scope):
            raise _closed_over(name)


def check_level(name: str, outs: Leaves, operands: Leaves) -> None:
    """Results must not be traced by inner traces than those of the operands.

    Raises:
        CustomRuleError: one is.
    """
    inner, outer = innermost(outs), innermost(operands)
    if inner is not None and (outer is None or outer.serial < inner.serial):
        raise _closed_over(name)


def _closed_over(name: str) -> CustomRuleError:
    return CustomRuleError(
        f"{name} closes over a traced value, whose derivative would be lost; pass it "
        "as an argument"
    )


def _call_numpy(*operands: Any, call: Call, types: tuple[Aval, ...]) -> tuple[Any, ...]:
    outs = call(operands)
    return tuple(outs if any(map(is_traced, operands)) else apart(outs))


def _call_aval(*avals: Aval, call: Call, types: tuple[Aval, ...]) -> tuple[Aval, ...]:
    return types


def _call_jvp(
    tangents: Leaves, outs: Leaves, *operands: Any, call: Call, **params: Any
) -> Leaves:
    active = tuple(t is not None for t in tangents)
    given = [t for t in tangents if t is not None]
    types = params["types"]
    return list(call_(*operands, *given, call=pushed(call, active), types=types))


def _call_vjp(
    cts: Leaves,
    outs: Leaves,
    *operands: Any,
    active: Flags,
    present: Flags,
    call: Call,
    **params: Any,
) -> list[Any]:
    return pull_through(call, operands, cts, active, present)


def pull_through(
    call: Call, operands: Leaves, cts: Leaves, active: Flags, present: Flags
) -> list[Any]:
    """Cotangents of the operands of a call, by a call that differentiates it."""
    types = tuple(type_of(x) for x, flag in zip(operands, active, strict=True) if flag)
    backward = pulled(call, active, present)
    results = iter(call_(*operands, *cts, call=backward, types=types))
    return [next(results) if flag else None for flag in active]


_HYPOTENUSE = Call("hypotenuse", lambda leaves: [np.hypot(*leaves)])


def _call_samples() -> list[Sample]:
    operands = np.array([0.1, 0.2, -0.3]), np.array([0.7, -0.8, 0.9])
    types = (Aval((3,), np.dtype("float64")),)
    return [Sample(operands, {"call": _HYPOTENUSE, "types": types})]


@remembered(1024)
def mapped_call(call: Call, size: int, flags: Flags) -> Call:
    """The function on operands of which some are batches; all results are."""

    def function(leaves: Leaves) -> Leaves:
        results = run_mapped(call, size, leaves, flags)
        return [spread(size, as_operand(out), m) for out, m in results]

    return Call(f"vmap({call.name})", function, call.is_dynamic)


def _call_batch(
    size: int, mapped: Flags, *operands: Any, call: Call, types: tuple[Aval, ...]
) -> Any:
    batch = tuple(Aval((size, *aval.shape), aval.dtype) for aval in types)
    return call_(*operands, call=mapped_call(call, size, tuple(mapped)), types=batch)


def _is_inlined(trace: Trace, call: Call, types: tuple[Aval, ...]) -> bool:
    return not (trace.opaque or (trace.policy.guards and call.is_dynamic))


call_: Primitive = Primitive(
    "call",
    _call_numpy,
    _call_aval,
    jvp=_call_jvp,
    vjp=_call_vjp,
    inlines=_is_inlined,
    calls_user=True,
    batch=_call_batch,
    multiple=True,
    samples=_call_samples,
)


def push_forward(
    function: Function, primals: Leaves, tangents: Sequence[Any]
) -> list[Any]:
    """Tangents of the results; None among the tangents is zero."""
    active = [k for k, t in enumerate(tangents) if t is not None]
    tape = Tape(_of_some(function, primals, active), [primals[k] for k in active])
    moving = tuple(k for k, out in enumerate(tape.outs) if out is not None)
    given = {n: tangents[k] for n, k in enumerate(active)}
    results = dict(zip(moving, tape.push_forward(given, moving), strict=True))
    return [
        results[k] if k in results else np.zeros_like(as_operand(out))
        for k, out in enumerate(tape.results)
    ]


def pull_back(
    function: Function, primals: Leaves, active: Sequence[int], cts: Sequence[Any]
) -> list[Any]:
    """Cotangents of the active primals; None among the cotangents is zero."""
    tape = Tape(_of_some(function, primals, active), [primals[k] for k in active])
    seeds = {
        k: ct for k, ct in enumerate(cts) if ct is not None and tape.outs[k] is not None
    }
    if not seeds:
        return [zeros(aval) for aval in tape.avals]
    return tape.pull_back(seeds)


def _of_some(
    function: Function, primals: Leaves, active: Sequence[int]
) -> Callable[[Leaves], Leaves]:
    """The function of the active primals, the others held fixed."""

    def of_active(leaves: Leaves) -> Leaves:
        everything = list(primals)
        for k, leaf in zip(active, leaves, strict=True):
            everything[k] = leaf
        return list(function(everything))

    return of_active


def transposed(
    function: Function, likes: Sequence[Aval], cts: Sequence[Any]
) -> list[Any]:
    """The transpose of a linear function of leaves of these types, applied to cts.

    The result has zeros for leaves that are not floating-point.
    """
    points = [aval.dtype(0) if aval.is_python else zeros(aval) for aval in likes]
    active = [k for k, aval in enumerate(likes) if aval.is_inexact]
    smooth = [ct if type_of(ct).is_inexact else None for ct in cts]
    found = dict(zip(active, pull_back(function, points, active, smooth), strict=True))
    return [found.get(k, zeros(aval)) for k, aval in enumerate(likes)]


@remembered(1024)
def pushed(call: Call, active: Flags) -> Call:
    """Operands and active tangents -> tangents of the results."""

    def function(leaves: Leaves) -> Leaves:
        count = len(active)
        given = iter(leaves[count:])
        tangents = [next(given) if flag else None for flag in active]
        return push_forward(call, leaves[:count], tangents)

    return Call(f"jvp({call.name})", function, call.is_dynamic)


@remembered(1024)
def pulled(call: Call, active: Flags, present: Flags) -> Call:
    """Operands and present cotangents -> cotangents of the active operands."""

    def function(leaves: Leaves) -> Leaves:
        count = len(active)
        given = iter(leaves[count:])
        cts = [next(given) if flag else None for flag in present]
        positions = [k for k, flag in enumerate(active) if flag]
        return pull_back(call, leaves[:count], positions, cts)

    return Call(f"vjp({call.name})", function, call.is_dynamic)
