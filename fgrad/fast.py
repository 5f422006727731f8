"""``bind`` for the common cases: one or two operands, elementwise, and no params.

Values of a nested trace are tracers of the enclosing one, which go the same short way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.ir import PYTHON_AVALS, Atom, Aval, Lit, Program, aval_of
from fgrad.path import UNKNOWN, Path
from fgrad.primitive import Primitive
from fgrad.trace import Params, Trace, attach_view, bind, evaluate_eagerly, record
from fgrad.tracer import Tracer, as_operand, new_tracer, refresh

_new = Tracer.__new__
_COMPLEX = PYTHON_AVALS[complex]
_NUMBERS: dict[Any, Aval] = {**PYTHON_AVALS}
_Array = np.ndarray
_known = Aval.interned.get


def _save(trace: Trace, x: Any) -> None:
    """Save the value of one operand; a constant that is an array is copied."""
    if type(x) is not Tracer or x.origin is not None or x.scope is not trace:
        trace.save((0,), (x,))
    else:
        x.owned = False
        trace.saved.append(x.value)


def bind1(prim: Primitive, x: Tracer) -> Any:
    """``bind`` for one traced operand."""
    trace = x.scope
    if not trace.direct:
        return bind(prim, (x,), {})
    if x.origin is not None:
        refresh(x)
    u = x.value
    child = trace.path.children.get((prim, (), x.index))
    if child is None:
        is_plain = prim.is_constant and type(u) is not Tracer
        if is_plain and not trace.policy.constants:
            return prim.evaluate(u)
        return bind(prim, (x,), {})
    out = bind1(prim, u) if type(u) is Tracer else prim.evaluate(u)
    trace.path = child
    tracer = _new(Tracer)
    tracer.scope = trace
    tracer.index = child.index
    tracer.value = out
    tracer.aval = child.aval
    tracer.origin = None
    tracer.version = 0
    tracer.owned = True
    for position in child.keep:
        _save(trace, tracer if position else x)
    return tracer


def bind2(prim: Primitive, x: Any, y: Any) -> Any:
    """``bind`` for two operands, of which at least one is traced."""
    if type(x) is Tracer:
        trace = x.scope
        if type(y) is Tracer:
            if y.scope is not trace:
                return bind(prim, (x, y), {})
            if y.origin is not None:
                refresh(y)
            b: Any = y.index
            v = y.value
        else:
            cls = type(y)
            b = _known((y.shape, y.dtype)) if cls is _Array else _NUMBERS.get(cls)
            if b is None:
                y = as_operand(y)
                b = aval_of(y)
            elif b is _COMPLEX:
                return bind(prim, (x, y), {})  # with np.float64, Python would answer
            v = y
        if x.origin is not None:
            refresh(x)
        a: Any = x.index
        u = x.value
    else:
        trace = y.scope
        cls = type(x)
        a = _known((x.shape, x.dtype)) if cls is _Array else _NUMBERS.get(cls)
        if a is None:
            x = as_operand(x)
            a = aval_of(x)
        elif a is _COMPLEX:
            return bind(prim, (x, y), {})
        u = x
        if y.origin is not None:
            refresh(y)
        b = y.index
        v = y.value
    if not trace.direct:
        if trace.abstract and prim.on_tape is None and prim.inlines is None:
            return record(trace, prim, (a, b), (x, y), (), None)
        return bind(prim, (x, y), {})
    child = trace.path.children.get((prim, (), a, b))
    if child is None:
        is_plain = prim.is_constant and not trace.nested
        if is_plain and not trace.policy.constants:
            return prim.evaluate(u, v)
        if prim.on_tape is not None or prim.inlines is not None:
            return bind(prim, (x, y), {})
        out = evaluate_eagerly(trace, prim, {}, (u, v))
        if prim.is_constant and not trace.policy.constants:
            return out
        return record(trace, prim, (a, b), (x, y), (), out)
    try:
        if trace.nested and (type(u) is Tracer or type(v) is Tracer):
            out = bind2(prim, u, v)
        else:
            out = child.run(u, v)
    except ValueError:
        return bind(prim, (x, y), {})  # raises with the shapes and the line
    trace.path = child
    tracer = _new(Tracer)
    tracer.scope = trace
    tracer.index = child.index
    tracer.value = out
    tracer.aval = child.aval
    tracer.origin = None
    tracer.version = 0
    tracer.owned = True
    for position in child.keep:
        kept = x if position == 0 else y if position == 1 else tracer
        if type(kept) is Tracer and kept.origin is None and kept.scope is trace:
            kept.owned = False
            trace.saved.append(kept.value)
        elif type(kept) is _Array:
            trace.saved.append(trace.snapshot(kept))
        else:
            trace.save((0,), (kept,))
    return tracer


def bind_static(prim: Primitive, x: Tracer, static: Params) -> Any:
    """``bind`` for one traced operand and params, where the result is no view."""
    trace = x.scope
    if not trace.direct:
        return bind(prim, (x,), dict(static))
    if x.origin is not None:
        refresh(x)
    child = trace.path.children.get((prim, static, x.index))
    if child is None:
        return bind(prim, (x,), dict(static))
    u = x.value
    if type(u) is Tracer:
        out = bind_static(prim, u, static)
    else:
        out = prim.numpy(u, **dict(static))
    trace.path = child
    tracer = new_tracer(trace, child.index, child.aval, out, True)
    for position in child.keep:
        _save(trace, tracer if position else x)
    return tracer


def read_slice(x: Tracer, key: slice) -> Any:
    """``x[start:stop]`` with numbers as bounds, where that was read here before.

    None where it was not. Such reads are looked up by the bounds.
    """
    trace = x.scope
    if not trace.direct or (x.origin is not None and x.version != x.origin[0].version):
        return None
    child = trace.path.children.get((x.index, key.start, key.stop))
    if child is None:
        return None
    out = x.value[key]
    trace.path = child
    tracer = new_tracer(trace, child.index, child.aval, out, True)
    attach_view(tracer, x, child.step)
    return tracer


def learn_slice(x: Tracer, key: slice, before: Path) -> None:
    """Let the read of a slice, which was just recorded, be looked up by its bounds."""
    child = x.scope.path
    is_static = child.step is not UNKNOWN and not child.keep
    if x.scope.direct and is_static and child.parent is before:
        before.children[x.index, key.start, key.stop] = child


def evaluate_traced(program: Program, args: list[Any]) -> list[Any]:
    """`fgrad.ir.evaluate` for arguments of which some are traced.

    The list of arguments is emptied, so that each is freed after its last use.
    """
    env: dict[Any, Any] = dict(zip(program.consts, program.values, strict=True))
    env.update(zip(program.ins, args, strict=True))
    args.clear()
    for eqn, last in zip(program.eqns, _last_reads(program), strict=True):
        prim = eqn.prim
        ins = [a.value if type(a) is Lit else env[a] for a in eqn.ins]
        if eqn.params or not prim.elementwise or len(ins) > 2:
            out = bind(prim, ins, dict(eqn.params))
        elif type(ins[0]) is not Tracer and type(ins[-1]) is not Tracer:
            out = prim.evaluate(*ins)
        else:
            out = bind1(prim, *ins) if len(ins) == 1 else bind2(prim, *ins)
        if prim.multiple:
            env.update(zip(eqn.outs, out, strict=True))
        else:
            env[eqn.outs[0]] = out
        for atom in last:
            env.pop(atom, None)
    return [a.value if type(a) is Lit else env[a] for a in program.outs]


def _last_reads(program: Program) -> list[list[Atom]]:
    """For each equation what is not read after it."""
    read: set[Atom] = set(program.outs)
    last: list[list[Atom]] = []
    for eqn in reversed(program.eqns):
        last.append([a for a in (*eqn.ins, *eqn.outs) if a not in read])
        read.update(eqn.ins)
    last.reverse()
    return last
