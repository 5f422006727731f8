"""Functions with rules as primitives. Rules run as `call` equations."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.control.calls import Leaves, at_level, call_, check_closure, check_level
from fgrad.control.closing import apart, typed
from fgrad.control.rules import Avals, Outline, Rule
from fgrad.ir import Aval
from fgrad.lower.jax_rules import with_pullback, with_tangents
from fgrad.ops.structure import zeros_in
from fgrad.primitive import Primitive, Unmapped
from fgrad.trace import Trace, Tracer, innermost, is_traced, record, refresh, type_of
from fgrad.tracer import alias, frozen
from fgrad.transforms.jvp import Flags


def _with_zeros(items: Leaves, likes: Leaves) -> list[Any]:
    """Tangents or cotangents, with zeros for those that are absent."""
    anchor = next(item for item in items if item is not None)

    def zero(aval: Aval) -> Any:
        return aval.dtype(0) if aval.is_python else zeros_in(anchor, aval)

    pairs = zip(items, likes, strict=True)
    return [zero(type_of(like)) if item is None else item for item, like in pairs]


def _jvp(
    tangents: Leaves, outs: Leaves, *operands: Any, rule: Rule, layout: Any = None
) -> list[Any]:
    layout = layout or _layout(rule, operands)
    memos = rule.memos(operands, outs, layout)
    results = outs[: rule.count(layout)]
    moved = _with_zeros(tangents, operands)
    types = tuple(map(type_of, results))
    call = rule.call("pushed", len(memos), types, layout)
    found = call_(*memos, *moved, call=call, types=types)
    return [*found, *(None for _ in outs[len(results) :])]


def _vjp(
    cts: Leaves,
    outs: Leaves,
    *operands: Any,
    active: Flags,
    present: Flags,
    rule: Rule,
    layout: Any = None,
) -> list[Any]:
    layout = layout or _layout(rule, operands)
    memos = rule.memos(operands, outs, layout)
    count = rule.count(layout)
    given = iter(cts)
    by_out = [next(given) if flag else None for flag in present]
    avals = tuple(map(type_of, operands))
    call = rule.call("pulled", len(memos), avals, layout)
    moved = _with_zeros(by_out[:count], outs[:count])
    found = call_(*memos, *moved, call=call, types=tuple(map(typed, avals)))
    return [ct if flag else None for ct, flag in zip(found, active, strict=True)]


def _layout(rule: Rule, operands: Leaves) -> Any:
    """The layout in a program, of types alone."""
    return rule.outline("primal", tuple(map(type_of, operands))).layout


def _run(
    trace: Trace | None, function: Callable[[Leaves], list[Any]], operands: Leaves
) -> tuple[Any, ...]:
    """Results that share no memory with anything that the user has."""
    return tuple(apart(at_level(trace, function, operands)))


def _numpy(*operands: Any, rule: Rule, layout: Any = None) -> tuple[Any, ...]:
    return _run(None, rule.primal, operands)


def _aval(*avals: Aval, rule: Rule, layout: Any = None) -> Avals:
    return rule.outline("primal", avals).avals


def _forward_numpy(*operands: Any, rule: Rule, layout: Any) -> tuple[Any, ...]:
    return _run(None, rule.forward, operands)


def _forward_aval(*avals: Aval, rule: Rule, layout: Any) -> Avals:
    return rule.outline("forward", avals).avals


def _one_level_down(
    trace: Trace, operands: Leaves
) -> tuple[list[Any], list[Any], Trace | None]:
    """The codes of operands in a trace, their values, and the trace of these."""
    codes: list[Any] = []
    values: list[Any] = []
    for x in operands:
        is_own = type(x) is Tracer and x.scope is trace
        if is_own and x.origin is not None:
            refresh(x)
        codes.append(x.index if is_own else type_of(x))
        values.append(frozen(x) if is_own else x)
    return codes, values, innermost(values)


def _recorded(
    trace: Trace,
    prim: Primitive,
    operands: Leaves,
    codes: list[Any],
    outs: Leaves,
    rule: Rule,
) -> Any:
    check_closure(rule.name, outs, trace)
    trace.nested |= any(map(is_traced, (*outs, *operands)))
    params = ("rule", rule), ("layout", rule.layout(tuple(map(type_of, operands))))
    return record(trace, prim, codes, operands, params, tuple(outs))


def _by_mapped_rule(
    prim: Primitive, size: int, mapped: Flags, operands: Leaves, rule: Rule
) -> list[Any]:
    """The same primitive on a batch, with the rule for batches."""
    outs = prim(*operands, rule=rule.mapped(size, tuple(mapped)))
    check_level(rule.name, outs, operands)
    return list(outs)


def _primal_jax(xla: Any, *operands: Any, rule: Rule, layout: Any = None) -> Any:
    """What the user's function does, of types alone."""
    said = rule.outline("forward", tuple(xla.ins))

    def primal(*xs: Any) -> Any:
        return xla.inline(rule.primal, xs)

    def forward(*xs: Any) -> Any:
        return xla.inline(rule.forward, xs)

    return _with_pullback(xla, rule, said, primal, forward, operands)


def _tangents_jax(xla: Any, *operands: Any, rule: Rule, layout: Any = None) -> Any:
    """The same for a rule of tangents, which jax can transpose."""
    ins, outs = tuple(xla.ins), tuple(xla.outs)
    layout = _layout(rule, ins)

    def push(xs: Leaves, results: Leaves, tangents: Leaves) -> Any:
        flags = [t is not None for t in tangents]
        given = [t for t in tangents if t is not None]
        types = [aval for aval, flag in zip(ins, flags, strict=True) if flag]

        def pushed(leaves: Leaves) -> list[Any]:
            primals, values = leaves[: len(ins)], leaves[len(ins) :][: len(outs)]
            rest = iter(leaves[len(ins) + len(outs) :])
            moved = [next(rest) if flag else None for flag in flags]
            found = _jvp(moved, values, *primals, rule=rule, layout=layout)
            pairs = zip(found, outs, strict=True)
            return [t for t, aval in pairs if aval.is_inexact]

        types = list(map(typed, (*ins, *outs, *types)))
        return xla.inline(pushed, [*xs, *results, *given], types)

    def primal(*xs: Any) -> Any:
        return xla.inline(rule.primal, xs)

    return with_tangents(xla.jax, primal, push, operands)


def _forward_jax(xla: Any, *operands: Any, rule: Rule, layout: Any) -> Any:
    return xla.inline(rule.forward, operands)


def _external_jax(xla: Any, *operands: Any, rule: Rule, layout: Any = None) -> Any:
    """A call of the host, where the program runs, or what jax does in its place."""
    said = rule.outline("primal", tuple(xla.ins))

    def primal(*xs: Any) -> Any:
        pairs = zip(xs, xla.ins, strict=True)
        values = [xla.cast(x, aval.numpy_dtype) for x, aval in pairs]
        if rule.is_jax:
            return rule.on_jax(values)
        return xla.call_host(lambda values: _run(None, rule.primal, values), values)

    if rule.is_jax:
        return primal(*operands)
    return _with_pullback(xla, rule, said, primal, primal, operands)


def _with_pullback(
    xla: Any, rule: Rule, said: Outline, primal: Any, forward: Any, operands: Leaves
) -> list[Any]:
    """Results that jax, too, differentiates by the rule."""
    ins, outs, layout = tuple(xla.ins), said.avals, said.layout
    count = rule.count(layout)
    active = tuple(aval.is_inexact for aval in ins)

    def pull(xs: Leaves, results: Leaves, cts: Leaves) -> Any:
        present = (*(ct is not None for ct in cts), *(False for _ in outs[count:]))
        given = [ct for ct in cts if ct is not None]
        types = [aval for aval, flag in zip(outs, present, strict=True) if flag]

        def pulled(leaves: Leaves) -> list[Any]:
            primals, values = leaves[: len(ins)], leaves[len(ins) :][: len(outs)]
            flags: dict[str, Any] = {"active": active, "present": present}
            rest = leaves[len(ins) + len(outs) :]
            found = _vjp(rest, values, *primals, rule=rule, layout=layout, **flags)
            return [ct for ct in found if ct is not None]

        types = list(map(typed, (*ins, *outs, *types)))
        return xla.inline(pulled, [*xs, *results, *given], types)

    return with_pullback(xla.jax, primal, forward, pull, count, operands)


def _make(name: str, jax: Callable[..., Any]) -> Primitive:
    """A function whose derivatives read operands and results."""

    def batch(
        size: int, mapped: Flags, *operands: Any, rule: Rule, layout: Any = None
    ) -> list[Any]:
        return _by_mapped_rule(prim, size, mapped, operands, rule)

    def on_tape(trace: Trace, operands: Leaves, rule: Rule, layout: Any = None) -> Any:
        codes, values, outer = _one_level_down(trace, operands)
        rule.forget()
        outs = (
            prim.numpy(*values, rule=rule)
            if outer is None
            else prim(*values, rule=rule)
        )
        return _recorded(trace, prim, operands, codes, outs, rule)

    prim = Primitive(
        name,
        _numpy,
        _aval,
        jvp=_jvp,
        vjp=_vjp,
        on_tape=on_tape,
        multiple=True,
        calls_user=True,
        batch=batch,
        jax=jax,
    )
    return prim


custom_jvp_ = _make("custom_jvp", _tangents_jax)
external_ = _make("external", _external_jax)


# --- a forward rule of its own


def _vjp_batch(
    size: int, mapped: Flags, *operands: Any, rule: Rule, layout: Any = None
) -> list[Any]:
    return _by_mapped_rule(custom_vjp_, size, mapped, operands, rule)


def _forward_batch(
    size: int, mapped: Flags, *operands: Any, rule: Rule, layout: Any
) -> list[Any]:
    rule = rule.mapped(size, tuple(mapped))
    layout = rule.outline("forward", tuple(map(type_of, operands))).layout
    outs = custom_vjp_forward_(*operands, rule=rule, layout=layout)
    flags = (True,) * rule.count(layout) + layout.residuals
    pairs = zip(outs, flags, strict=True)
    return [out if is_mapped else Unmapped(out) for out, is_mapped in pairs]


def _vjp_on_tape(trace: Trace, operands: Leaves, rule: Rule, layout: Any = None) -> Any:
    """Run the forward rule one level down, where outer traces see what it does."""
    codes, values, outer = _one_level_down(trace, operands)
    rule.forget()
    outs = at_level(outer, rule.forward, values)
    count = rule.count(rule.layout(tuple(map(type_of, operands))))
    saved = [_kept(out, operands) for out in outs[count:]]
    outs = [*apart(outs[:count]), *saved]
    return _recorded(trace, custom_vjp_forward_, operands, codes, outs, rule)[:count]


def _kept(residual: Any, operands: Leaves) -> Any:
    """A residual that no later write reaches."""
    if type(residual) is Tracer:
        return alias(residual)
    if type(residual) is not np.ndarray:
        return residual
    others = [x for x in operands if type(x) is np.ndarray]
    is_shared = any(np.may_share_memory(residual, x) for x in others)
    return residual.copy() if is_shared else residual


def _vjp_with_residuals(
    active: Flags, avals: Sequence[Aval], *, rule: Rule, layout: Any = None
) -> tuple[Primitive, dict[str, Any]]:
    layout = rule.outline("forward", tuple(avals)).layout
    return custom_vjp_forward_, {"rule": rule, "layout": layout}


def _forward_on_tape(trace: Trace, operands: Leaves, rule: Rule, layout: Any) -> Any:
    """A derivative of the derivative goes through what the forward rule does."""
    return tuple(rule.forward_call()(operands))


def _forward_with_residuals(
    active: Flags, avals: Sequence[Aval], *, rule: Rule, layout: Any
) -> tuple[Primitive, dict[str, Any]]:
    types = rule.outline("forward", tuple(avals)).avals
    return call_, {"call": rule.forward_call(), "types": types}


custom_vjp_ = Primitive(
    "custom_vjp",
    _numpy,
    _aval,
    jvp=_jvp,
    vjp=_vjp,
    on_tape=_vjp_on_tape,
    with_residuals=_vjp_with_residuals,
    multiple=True,
    calls_user=True,
    batch=_vjp_batch,
    jax=_primal_jax,
)
custom_vjp_forward_ = Primitive(
    "custom_vjp_forward",
    _forward_numpy,
    _forward_aval,
    jvp=_jvp,
    vjp=_vjp,
    on_tape=_forward_on_tape,
    with_residuals=_forward_with_residuals,
    multiple=True,
    calls_user=True,
    batch=_forward_batch,
    jax=_forward_jax,
)
