"""``scan``: a body that runs a given number of times, with a carry.

Operands are what the body closes over (``consts`` of them), the initial carry
(``carry`` of them) and arrays whose slices along the first axis are the body's further
inputs. Outputs are the final carry, and what each step returns beside it, stacked.

Both derivatives are scans. What they read of the steps, the residuals, the equation
stacks as its last outputs (`with_residuals`): carries, and what is neither an input nor
cheap to compute anew from inputs. What does not change from step to step is an operand
and never stacked.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.control.closing import typed
from fgrad.control.derivatives import lifted
from fgrad.control.executing import runner, selects
from fgrad.control.loops_jax import scan_jax
from fgrad.control.running import run_scan
from fgrad.control.scan_derivatives import (
    Derived,
    body_with_residuals,
    groups,
    positions_in,
    pullback_scan,
    tangent_scan,
    varying_carry,
)
from fgrad.ir import Aval, Program
from fgrad.ops.batching import move_axis, spread
from fgrad.ops.index import index
from fgrad.ops.structure import concatenate, reshape, zeros_in
from fgrad.passes import dce, reads_of
from fgrad.primitive import Body, Feed, Primitive, Sample, Unmapped
from fgrad.text import parse
from fgrad.trace import Trace, Tracer, bind_in, type_of
from fgrad.transforms.jvp import Flags
from fgrad.transforms.vmap import batched

Params = dict[str, Any]


def _scan_runs(
    *, body: Program, consts: int, carry: int, length: int, reverse: bool, **_: Any
) -> tuple[Any, Params]:
    avals = [atom.aval for atom in body.outs[carry:]]
    return run_scan, {
        "run": Body(body, tuple(range(consts, consts + carry))),
        "consts": consts,
        "carry": carry,
        "length": length,
        "reverse": reverse,
        "stacks": tuple((aval.shape, aval.numpy_dtype.name) for aval in avals),
        "quiet": selects(body),
    }


def _scan_aval(
    *avals: Aval, body: Program, consts: int, carry: int, length: int, **_: Any
) -> Any:
    closed, initial, xs = groups(avals, consts, carry)
    slices = [Aval(x.shape[1:], x.dtype) for x in xs if x.shape[0] == length]
    if (*closed, *initial, *slices) != tuple(var.aval for var in body.ins):
        raise ValueError("the operands do not have the types of the body's inputs")
    outs = [typed(atom.aval) for atom in body.outs]
    stacks = [Aval((length, *aval.shape), aval.dtype) for aval in outs[carry:]]
    return (*outs[:carry], *stacks)


# --- derivatives


def _with_residuals(
    active: Flags,
    avals: Sequence[Aval],
    *,
    body: Program,
    consts: int,
    carry: int,
    **params: Any,
) -> tuple[Primitive, Params]:
    more, count = body_with_residuals(body, consts, carry, active)
    sizes = {"consts": consts, "carry": carry}
    return scan_, {"body": more, **sizes, **params, "residuals": count}


def _scan_on_tape(trace: Trace, operands: Sequence[Any], **params: Any) -> Any:
    active = tuple(
        type(x) is Tracer and x.scope is trace and x.aval.is_inexact for x in operands
    )
    count = len(params["body"].outs)
    if any(active):
        _, params = _with_residuals(active, (), **params)
    return bind_in(trace, scan_, operands, params)[:count]


def _closed(derived: Derived, closed: Sequence[Any]) -> list[Any]:
    return [*derived.values, *(closed[k] for k in derived.closed)]


def _scan_jvp(
    tangents: Sequence[Any], outs: Sequence[Any], *operands: Any, **params: Any
) -> list[Any]:
    body, consts, carry = params["body"], params["consts"], params["carry"]
    residuals, backwards = params["residuals"], params["reverse"]
    active = tuple(t is not None for t in tangents)
    derived = tangent_scan(body, consts, carry, residuals, active)
    closed, _, xs = groups(operands, consts, carry)
    t_closed, t_carry, t_xs = groups(tangents, consts, carry)
    stacks = outs[len(outs) - residuals :]
    finals = [outs[k] for k in derived.shifted]
    befores = [_stack_of(body, consts, k, residuals, stacks) for k in derived.shifted]
    initial = [
        zeros_in(_anchor(tangents), type_of(operands[consts + k]))
        if t_carry[k] is None
        else t_carry[k]
        for k in derived.carried
    ]
    moved = _given(t_closed)
    results = scan_(
        *_closed(derived, closed),
        *moved,
        *initial,
        *(xs[k] for k in derived.slices),
        *(stacks[k] for k in derived.residuals),
        *(
            _after(stack, final, backwards)
            for stack, final in zip(befores, finals, strict=True)
        ),
        *_given(t_xs),
        body=derived.body,
        consts=len(derived.values) + len(derived.closed) + len(moved),
        carry=len(initial),
        length=params["length"],
        reverse=backwards,
        residuals=0,
    )
    return _tangents_of_outputs(derived, results, carry, residuals)


def _given(items: Sequence[Any]) -> list[Any]:
    return [item for item in items if item is not None]


def _anchor(items: Sequence[Any]) -> Any:
    return next(item for item in items if item is not None)


def _tangents_of_outputs(
    derived: Derived, results: Sequence[Any], carry: int, residuals: int
) -> list[Any]:
    """For each output its tangent, or None; residuals have none that is used."""
    finals = dict(zip(derived.carried, results, strict=False))
    stacks = iter(results[len(derived.carried) :])
    tangents = [finals.get(k) for k in range(carry)]
    tangents += [next(stacks) if varies else None for varies in derived.given[carry:]]
    return [*tangents, *(None for _ in range(residuals))]


def _stack_of(
    body: Program, consts: int, position: int, residuals: int, stacks: Sequence[Any]
) -> Any:
    """The stacked values that a carry has before each step."""
    names = body.outs[len(body.outs) - residuals :]
    return stacks[names.index(body.ins[consts + position])]


def _after(stack: Any, final: Any, backwards: bool) -> Any:
    """The stacked values of a carry after each step, from those before it."""
    last = reshape(final, shape=(1, *type_of(final).shape))
    if backwards:
        return concatenate(last, index(stack, at=((None, -1, None),)), axis=0)
    return concatenate(index(stack, at=((1, None, None),)), last, axis=0)


def _scan_vjp(
    cts: Sequence[Any],
    outs: Sequence[Any],
    *operands: Any,
    active: Flags,
    present: Flags,
    **params: Any,
) -> list[Any]:
    body, consts, carry = params["body"], params["consts"], params["carry"]
    residuals = params["residuals"]
    present = present[: len(outs) - residuals]
    derived = pullback_scan(body, consts, carry, residuals, active, present)
    closed, initial, xs = groups(operands, consts, carry)
    given = iter(cts)
    by_out = [next(given) if is_there else None for is_there in present]
    _, varying = varying_carry(
        _without_residuals(body, residuals), consts, carry, active
    )
    kept = dict(zip(positions_in(active, (True,)), derived.given, strict=True))
    summed = [k for k in range(consts) if kept.get(k)]
    zeros = [zeros_in(cts[0], type_of(closed[k])) for k in summed]
    finals = [
        zeros_in(cts[0], type_of(initial[k])) if by_out[k] is None else by_out[k]
        for k in derived.carried
    ]
    stacks = outs[len(outs) - residuals :]
    ys_cts = [
        ct
        for ct, varies in zip(by_out[carry:], varying[carry:], strict=True)
        if ct is not None and varies
    ]
    results = scan_(
        *_closed(derived, closed),
        *zeros,
        *finals,
        *(outs[k] for k in derived.shifted),
        *(xs[k] for k in derived.slices),
        *(stacks[k] for k in derived.residuals),
        *ys_cts,
        body=derived.body,
        consts=len(derived.values) + len(derived.closed),
        carry=len(zeros) + len(finals) + len(derived.shifted),
        length=params["length"],
        reverse=not params["reverse"],
        residuals=0,
    )
    cotangents = dict(zip(summed, results, strict=False))
    moved = results[len(summed) :]
    cotangents |= {consts + k: moved[n] for n, k in enumerate(derived.carried)}
    stacked = iter(moved[len(finals) + len(derived.shifted) :])
    first = consts + carry
    for k in range(first, len(operands)):
        if kept.get(k):
            cotangents[k] = next(stacked)
    return [
        cotangents.get(k) if is_active else None for k, is_active in enumerate(active)
    ]


def _without_residuals(body: Program, residuals: int) -> Program:
    return Program(body.ins, body.eqns, body.outs[: len(body.outs) - residuals])


# --- what is left out, and batches


def _scan_prune(
    used: Flags,
    avals: Sequence[Aval],
    *,
    body: Program,
    consts: int,
    carry: int,
    residuals: int,
    **params: Any,
) -> tuple[list[int], list[int], Params]:
    live = list(used)
    while True:
        outs = [out for out, is_live in zip(body.outs, live, strict=True) if is_live]
        pruned = dce(Program(body.ins, body.eqns, outs))
        read = reads_of(pruned)
        more = [
            is_live or body.ins[consts + k] in read
            for k, is_live in enumerate(live[:carry])
        ]
        if more == live[:carry]:
            break
        live[:carry] = more
    kept_outs = [k for k, is_live in enumerate(live) if is_live]
    closed = [k for k in range(consts) if body.ins[k] in read]
    carried = [consts + k for k in kept_outs if k < carry]
    xs = [k for k in range(consts + carry, len(body.ins)) if body.ins[k] in read]
    kept_ins = [*closed, *carried, *xs]
    count = sum(k >= len(body.outs) - residuals for k in kept_outs)
    program = Program([body.ins[k] for k in kept_ins], pruned.eqns, outs)
    sizes = {"consts": len(closed), "carry": len(carried)}
    return kept_ins, kept_outs, {"body": program, **sizes, **params, "residuals": count}


def _scan_batch(
    size: int,
    mapped: Flags,
    *operands: Any,
    body: Program,
    consts: int,
    carry: int,
    **params: Any,
) -> list[Any]:
    flags = list(mapped)
    wanted = [False] * len(body.outs)
    while True:
        wanted[:carry] = flags[consts : consts + carry]
        program, found = batched(body, size, tuple(flags), tuple(wanted))
        if list(found[:carry]) == flags[consts : consts + carry]:
            break
        flags[consts : consts + carry] = found[:carry]
    closed, initial, xs = groups(operands, consts, carry)
    _, are_mapped, xs_mapped = groups(mapped, consts, carry)
    initial = [
        spread(size, x, is_mapped) if flag else x
        for x, is_mapped, flag in zip(initial, are_mapped, found, strict=False)
    ]
    pairs = zip(xs, xs_mapped, strict=True)
    xs = [move_axis(x, 0, 1) if is_mapped else x for x, is_mapped in pairs]
    program, values = lifted(program)
    sizes = {"consts": len(values) + consts, "carry": carry}
    outs = scan_(*values, *closed, *initial, *xs, body=program, **sizes, **params)
    return [
        (out if k < carry else move_axis(out, 0, 1)) if is_mapped else Unmapped(out)
        for k, (out, is_mapped) in enumerate(zip(outs, found, strict=True))
    ]


def _scan_feeds(count: int, consts: int, carry: int, **_: Any) -> list[Feed]:
    first = consts + carry
    return [
        Feed(range(consts), "body", count="consts"),
        Feed(range(first, count), "body", first, whole=False),
    ]


_SAMPLE_BODY = """
{ lambda ; w:f64[3] n:i64[] c:f64[3] x:f64[3] . let
    a:f64[3] = multiply w c
    b:f64[3] = tanh a
    d:f64[3] = multiply b x
    e:f64[3] = sin d
    m:i64[] = add n 1
  in (m, b, e) }"""


def _scan_samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    w, c, xs = (rng.uniform(-1, 1, shape) for shape in ((3,), (3,), (4, 3)))
    params = {"body": parse(_SAMPLE_BODY), "consts": 1, "carry": 2, "length": 4}
    return [
        Sample((w, np.int64(0), c, xs), {**params, "reverse": False, "residuals": 0})
    ]


scan_: Primitive = Primitive(
    "scan",
    runner(_scan_runs),
    _scan_aval,
    jvp=_scan_jvp,
    vjp=_scan_vjp,
    on_tape=_scan_on_tape,
    with_residuals=_with_residuals,
    prune=_scan_prune,
    feeds=_scan_feeds,
    runs=_scan_runs,
    multiple=True,
    batch=_scan_batch,
    jax=scan_jax,
    samples=_scan_samples,
)
