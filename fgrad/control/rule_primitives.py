"""Functions with rules as primitives. Rules run as `call` equations."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.control.calls import Leaves, at_level, call_, check_closure, check_level
from fgrad.control.closing import apart, typed
from fgrad.control.rules import Avals, Rule
from fgrad.ir import Aval
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


def _make(name: str) -> Primitive:
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
    )
    return prim


custom_jvp_ = _make("custom_jvp")
external_ = _make("external")


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
)
