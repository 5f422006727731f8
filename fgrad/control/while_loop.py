"""``while_loop``: a body that runs as long as a condition holds.

Operands are what the condition closes over, what the body closes over, and the carry.
Forward mode carries the tangents along. Reverse mode needs the steps: where values are
known the loop runs once to count them, and is recorded as a `scan` of that many steps;
elements of a batch that end earlier keep their carry in the steps that remain. In a
body, where they are not, it is differentiated where the derived body runs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.caches import remembered
from fgrad.control.calls import Call, Leaves, pull_through
from fgrad.control.closing import apart, as_value, close
from fgrad.control.derivatives import lifted
from fgrad.control.executing import runner, selects
from fgrad.control.loops import close_loop
from fgrad.control.loops_jax import while_jax
from fgrad.control.running import run_while
from fgrad.control.scan import scan_
from fgrad.control.while_bodies import (
    any_of,
    counting,
    masked_body,
    moving_body,
    parts,
    with_more_carry,
)
from fgrad.errors import CarryTypeError, LoopError
from fgrad.ir import Aval, Program
from fgrad.ops.batching import spread
from fgrad.ops.structure import zeros_in
from fgrad.primitive import Body, Feed, Primitive, Sample, Unmapped
from fgrad.text import parse
from fgrad.trace import Trace, Tracer, bind_in, new_tracer, refresh, type_of
from fgrad.tracer import is_mapped
from fgrad.transforms.jvp import Flags
from fgrad.transforms.vmap import batched


def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init: Any,
    *,
    max_steps: int | None = None,
) -> Any:
    """Run ``carry = body_fun(carry)`` while ``cond_fun(carry)`` holds.

    Python's own ``while`` does where values are known. Under `vmap` and in the bodies
    of other loops they are not.

    Args:
        cond_fun: takes the carry and returns one boolean.
        body_fun: takes the carry and returns the next, of the same structure, shapes
            and dtypes.
        init: the first carry: arrays or nested containers of them.
        max_steps: the loop ends after this many steps at the latest. Reverse mode needs
            it where the number of steps is not known when the gradient is derived.

    Returns:
        The last carry.

    Raises:
        CarryTypeError: the carry changes its type, or the condition is not one boolean.
        LoopError: reverse mode through a loop of unknown length without ``max_steps``,
            or ``max_steps`` is negative.

    >>> import numpy as np, fgrad
    >>> def root(a):  # Newton's method
    ...     step = lambda x: 0.5 * (x + a / x)
    ...     return fgrad.while_loop(lambda x: abs(x * x - a) > 1e-12, step, a)
    >>> value, slope = fgrad.value_and_grad(root)(4.0)
    >>> round(float(value), 6), round(float(slope), 6)
    (2.0, 0.25)
    """
    if max_steps is not None and max_steps < 0:
        raise LoopError(f"while_loop with max_steps={max_steps}: a number of steps")
    carry, carry_tree = tree.flatten(init)
    given = [as_value(leaf) for leaf in carry]

    def body(leaves: list[Any]) -> Any:
        return body_fun(tree.unflatten(carry_tree, leaves)), None

    def condition(leaves: list[Any]) -> Any:
        return cond_fun(tree.unflatten(carry_tree, leaves))

    step, given = close_loop(body, carry, given, (), init, carry_tree, "while_loop")
    test = close(condition, list(map(type_of, given)))
    avals = test.out_avals
    if len(avals) != 1 or avals[0].shape or avals[0].numpy_dtype.kind != "b":
        raise CarryTypeError(
            "the condition of while_loop returns one boolean, this one returned "
            f"{', '.join(map(str, avals)) or 'nothing'}; reduce it (np.any, np.all)"
        )
    if max_steps == 0:
        return tree.unflatten(carry_tree, apart(given))
    outs = while_(
        *test.operands,
        *step.operands,
        *given,
        cond=test.program,
        body=step.program,
        cond_consts=len(test.operands),
        body_consts=len(step.operands),
        max_steps=max_steps,
    )
    return tree.unflatten(carry_tree, outs)


def _while_runs(
    *,
    cond: Program,
    body: Program,
    cond_consts: int,
    body_consts: int,
    max_steps: int | None,
) -> tuple[Any, dict[str, Any]]:
    return run_while, {
        "test": Body(cond),
        "run": Body(body, tuple(range(body_consts, len(body.ins)))),
        "cond_consts": cond_consts,
        "body_consts": body_consts,
        "max_steps": max_steps,
        "quiet": selects(body),
    }


def _while_aval(
    *avals: Aval,
    cond: Program,
    body: Program,
    cond_consts: int,
    body_consts: int,
    max_steps: int | None,
) -> Any:
    for_cond, for_body, carry = parts(avals, cond_consts, body_consts)
    if (*for_cond, *carry) != tuple(var.aval for var in cond.ins):
        raise ValueError("the operands do not have the types of the condition's inputs")
    if (*for_body, *carry) != tuple(var.aval for var in body.ins):
        raise ValueError("the operands do not have the types of the body's inputs")
    return tuple(carry)


# --- forward mode


def _while_jvp(
    tangents: Sequence[Any],
    outs: Sequence[Any],
    *operands: Any,
    cond: Program,
    body: Program,
    cond_consts: int,
    body_consts: int,
    max_steps: int | None,
) -> list[Any]:
    for_cond, for_body, carry = parts(operands, cond_consts, body_consts)
    _, t_body, t_carry = parts(tangents, cond_consts, body_consts)
    active = tuple(t is not None for t in (*t_body, *t_carry))
    if not any(active):
        return [None] * len(carry)
    program, values, moving = moving_body(body, body_consts, active)
    anchor = next(t for t in (*t_body, *t_carry) if t is not None)
    moved = [t for t in t_body if t is not None]
    initial = [
        zeros_in(anchor, type_of(carry[k])) if t_carry[k] is None else t_carry[k]
        for k in moving
    ]
    results = while_(
        *for_cond,
        *values,
        *for_body,
        *moved,
        *carry,
        *initial,
        cond=with_more_carry(cond, tuple(map(type_of, initial))),
        body=program,
        cond_consts=cond_consts,
        body_consts=len(values) + body_consts + len(moved),
        max_steps=max_steps,
    )
    found = dict(zip(moving, results[len(carry) :], strict=True))
    return [found.get(k) for k in range(len(carry))]


# --- reverse mode


def _while_on_tape(trace: Trace, operands: Sequence[Any], **params: Any) -> Any:
    is_active = any(
        type(x) is Tracer and x.scope is trace and x.aval.is_inexact for x in operands
    )
    if not is_active:
        return bind_in(trace, while_, operands, params)
    counted = _trip_count(operands, params)
    if counted is None and params["max_steps"] is None:
        return bind_in(trace, while_, operands, params)
    if counted is None:
        return scan_(*operands, **_as_scan(**params))
    length, is_mapped = counted
    if is_mapped:
        return scan_(*operands, **_as_scan(**{**params, "max_steps": length}))
    _, for_body, carry = parts(operands, params["cond_consts"], params["body_consts"])
    more = {"reverse": False, "residuals": 0, "length": length}
    sizes = {"consts": len(for_body), "carry": len(carry)}
    return scan_(*for_body, *carry, body=params["body"], **sizes, **more)


@remembered(1024)
def _loop_call(params: tuple[tuple[str, Any], ...]) -> Call:
    """The loop as a function that is differentiated where it runs.

    Only then is the number of its steps known.
    """

    def run(operands: Leaves) -> Leaves:
        if _trip_count(operands, dict(params)) is None:
            raise LoopError(
                "reverse mode through a while_loop whose number of steps is not known: "
                "give it max_steps=, or use fori_loop or scan"
            )
        return while_(*operands, **dict(params))  # type: ignore[no-any-return]

    return Call("while_loop", run, is_dynamic=True)


def _while_vjp(
    cts: Leaves,
    outs: Leaves,
    *operands: Any,
    active: Flags,
    present: Flags,
    **params: Any,
) -> list[Any]:
    call = _loop_call(tuple(params.items()))
    return pull_through(call, operands, cts, active, present)


def _with_residuals(
    active: Flags, avals: Sequence[Aval], **params: Any
) -> tuple[Primitive, dict[str, Any]]:
    if params["max_steps"] is None:
        return while_, params
    assert scan_.with_residuals is not None
    return scan_.with_residuals(active, avals, **_as_scan(**params))  # type: ignore[no-any-return]


def _as_scan(
    *, cond: Program, body: Program, cond_consts: int, body_consts: int, max_steps: int
) -> dict[str, Any]:
    """The params of a scan of ``max_steps`` steps on the same operands."""
    sizes = {"consts": cond_consts + body_consts, "carry": len(body.outs)}
    more = {"reverse": False, "residuals": 0, "length": max_steps}
    return {"body": masked_body(cond, body, cond_consts), **sizes, **more}


def _trip_count(operands: Sequence[Any], params: Any) -> tuple[int, bool] | None:
    """The largest number of steps of an element, and whether there are several.

    None where values are not known.
    """
    values = [_without_tapes(x) for x in operands]
    if any(value is None for value in values):
        return None
    more = counting(params["cond"], params["body"])
    count = while_(*values, np.int64(0), **{**params, **more})[-1]
    is_mapped = any(type(value) is Tracer for value in values)
    while type(count) is Tracer:
        count = count.value
    return int(np.max(count, initial=0)), is_mapped


def _without_tapes(x: Any) -> Any:
    """The value without the traces that record; None where it is not known.

    What is left are the mapped traces: a tracer of theirs stands for many values.
    """
    if type(x) is not Tracer or x.scope.policy.guards:
        return None if type(x) is Tracer else x
    if x.origin is not None:
        refresh(x)
    value = _without_tapes(x.value)
    if value is None or not is_mapped(x):
        return value
    return new_tracer(x.scope, x.index, x.aval, value, False)


# --- batches


def _while_batch(
    size: int,
    mapped: Flags,
    *operands: Any,
    cond: Program,
    body: Program,
    cond_consts: int,
    body_consts: int,
    max_steps: int | None,
) -> list[Any]:
    for_cond, for_body, carry = parts(operands, cond_consts, body_consts)
    cond_mapped, body_mapped, are_mapped = parts(mapped, cond_consts, body_consts)
    flags = _mapped_carry(size, mapped, cond, body, cond_consts, body_consts)
    test, (is_mapped,) = batched(cond, size, (*cond_mapped, *flags))
    if is_mapped:
        test = any_of(test, size)
        body = masked_body(cond, body, cond_consts)
        for_body = [*for_cond, *for_body]
        body_mapped = [*cond_mapped, *body_mapped]
    step, _ = batched(body, size, (*body_mapped, *flags), flags)
    (test, test_values), (step, step_values) = lifted(test), lifted(step)
    carry = [
        spread(size, x, m) if flag else x
        for x, m, flag in zip(carry, are_mapped, flags, strict=True)
    ]
    outs = while_(
        *test_values,
        *for_cond,
        *step_values,
        *for_body,
        *carry,
        cond=test,
        body=step,
        cond_consts=len(test_values) + len(for_cond),
        body_consts=len(step_values) + len(for_body),
        max_steps=max_steps,
    )
    pairs = zip(outs, flags, strict=True)
    return [out if flag else Unmapped(out) for out, flag in pairs]


def _mapped_carry(
    size: int,
    mapped: Flags,
    cond: Program,
    body: Program,
    cond_consts: int,
    body_consts: int,
) -> Flags:
    """Which leaves of the carry differ between elements: all, where the steps do."""
    cond_mapped, body_mapped, flags = parts(mapped, cond_consts, body_consts)
    while True:
        _, (is_mapped,) = batched(cond, size, (*cond_mapped, *flags))
        wanted = (True,) * len(flags) if is_mapped else tuple(flags)
        _, found = batched(body, size, (*body_mapped, *wanted), wanted)
        if found == tuple(flags):
            return found
        flags = found


def _while_feeds(
    count: int, cond_consts: int, body_consts: int, **_: Any
) -> list[Feed]:
    for_body = range(cond_consts, cond_consts + body_consts)
    return [
        Feed(range(cond_consts), "cond", count="cond_consts"),
        Feed(for_body, "body", count="body_consts"),
    ]


_SAMPLE_COND = """
{ lambda ; a:f64[] x:f64[2] . let
    s:f64[] = sum[axis=(0,)] x
    b:bool[] = less s a
  in (b,) }"""
_SAMPLE_BODY = """
{ lambda ; w:f64[2] x:f64[2] . let
    s:f64[2] = sin w
    y:f64[2] = multiply s x
    z:f64[2] = add x y
  in (z,) }"""


def _while_samples() -> list[Sample]:
    operands = (np.float64(3.0), np.array([0.7, 0.9]), np.array([0.3, 0.4]))
    params = {"cond": parse(_SAMPLE_COND), "body": parse(_SAMPLE_BODY)}
    sizes = {"cond_consts": 1, "body_consts": 1, "max_steps": None}
    return [Sample(operands, {**params, **sizes})]


while_: Primitive = Primitive(
    "while_loop",
    runner(_while_runs),
    _while_aval,
    jvp=_while_jvp,
    on_tape=_while_on_tape,
    with_residuals=_with_residuals,
    vjp=_while_vjp,
    feeds=_while_feeds,
    runs=_while_runs,
    multiple=True,
    batch=_while_batch,
    jax=while_jax,
    samples=_while_samples,
)
