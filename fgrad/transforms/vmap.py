"""Mapping over a batch: every operation runs once, on all elements.

In a mapped trace nothing is recorded. The value of a tracer has one more axis in front
than its type says, and each operation is bound, through the batch rule of its
primitive, to the values one level down: NumPy computes them, or an enclosing trace
records them. What does not depend on mapped arguments never enters the trace.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.errors import BatchLoopWarning
from fgrad.ir import Aval, Program, evaluate
from fgrad.ops.batching import aligned, all_spread, spread
from fgrad.ops.index import index
from fgrad.ops.structure import concatenate, reshape
from fgrad.path import Policy
from fgrad.primitive import Primitive, Unmapped
from fgrad.record import trace_program
from fgrad.trace import Trace, Tracer, attach_view, new_tracer, refresh, type_of
from fgrad.transforms.jvp import Flags, finished

BATCH = Policy(constants=False, keep=lambda *_: ())


def run_mapped(
    function: Callable[[list[Any]], Sequence[Any]],
    size: int,
    values: Sequence[Any],
    mapped: Flags,
) -> list[tuple[Any, bool]]:
    """Call a function of a list on all elements at once; values have the batch first.

    Returns, for each result, its value and whether it has the batch in front.
    """
    trace = Trace(BATCH, ())
    trace.nested = True
    trace.rule = functools.partial(_apply, trace, size)
    arguments = [
        _element(trace, value, False) if is_mapped else value
        for value, is_mapped in zip(values, mapped, strict=True)
    ]
    results = []
    for out in trace.run(function, arguments):
        is_own = type(out) is Tracer and out.scope is trace
        if is_own and out.origin is not None:
            refresh(out)
        results.append((out.value, True) if is_own else (out, False))
    trace.finish()
    return results


def _element(trace: Trace, value: Any, owned: bool) -> Tracer:
    """A tracer that stands for one element of a batch of values."""
    aval = type_of(value)
    return new_tracer(trace, 0, Aval(aval.shape[1:], aval.dtype), value, owned)


def _apply(
    trace: Trace,
    size: int,
    prim: Primitive,
    operands: Sequence[Any],
    params: dict[str, Any],
) -> Any:
    """Run an operation on all elements of the batch."""
    trace.path.children  # noqa: B018  (raises where the trace has ended)
    mapped = tuple(type(x) is Tracer and x.scope is trace for x in operands)
    for x, is_mapped in zip(operands, mapped, strict=True):
        if is_mapped and x.origin is not None:
            refresh(x)
    values = [x.value if m else x for x, m in zip(operands, mapped, strict=True)]
    outs = batch(prim, size, mapped, values, params)
    if not prim.multiple:
        return _wrap(trace, prim, params, operands, outs)
    return tuple(_wrap(trace, prim, params, operands, out) for out in outs)


def _wrap(
    trace: Trace,
    prim: Primitive,
    params: dict[str, Any],
    operands: Sequence[Any],
    out: Any,
) -> Any:
    if type(out) is Unmapped:
        return out.value
    tracer = _element(trace, out, owned=prim.view_step is None)
    base = operands[0] if operands else None
    if prim.view_step is None or type(base) is not Tracer or base.scope is not trace:
        return tracer
    step = prim.view_step(out, base.value, operands, params)
    if step is None and type(out) is np.ndarray and not tracer.aval.ndim:
        tracer.value = out.copy()  # the element is a number: a copy, not a view
    attach_view(tracer, base, step)
    return tracer


def batch(
    prim: Primitive,
    size: int,
    mapped: Flags,
    operands: Sequence[Any],
    params: dict[str, Any],
) -> Any:
    """The outputs for all elements, of operands that are mapped or not.

    An array that is made inside the mapped function has no mapped operand.
    """
    if not any(mapped) and not prim.multiple:
        return spread(size, prim(*operands, **params), False)
    if prim.batch is not None:
        return prim.batch(size, mapped, *operands, **params)
    if prim.elementwise or prim.stacks:
        return prim(*aligned(mapped, operands), **params)
    if prim.batch_params is not None:
        stacked = all_spread(size, mapped, operands)
        return prim(*stacked, **prim.batch_params(size, **params))
    return _loop(prim, size, mapped, operands, params)


_warned: set[str] = set()


def _loop(
    prim: Primitive,
    size: int,
    mapped: Flags,
    operands: Sequence[Any],
    params: dict[str, Any],
) -> Any:
    """An operation without a batch rule: once for each element."""
    if prim.name not in _warned:
        _warned.add(prim.name)
        warnings.warn(
            f"vmap runs {prim.name} once for each of {size} elements: it has no batch "
            "rule",
            BatchLoopWarning,
            stacklevel=2,
        )
    if not size:
        return _empty(prim, mapped, operands, params)
    rows = []
    for number in range(size):
        row = [
            index(x, number, at=("$",)) if is_mapped else x
            for x, is_mapped in zip(operands, mapped, strict=True)
        ]
        out = prim(*row, **params)
        rows.append(out if prim.multiple else (out,))
    columns = [_stacked(column) for column in zip(*rows, strict=True)]
    return tuple(columns) if prim.multiple else columns[0]


def _empty(
    prim: Primitive, mapped: Flags, operands: Sequence[Any], params: dict[str, Any]
) -> Any:
    """The outputs for no elements at all."""
    avals = [
        Aval(type_of(x).shape[1:], type_of(x).dtype) if is_mapped else type_of(x)
        for x, is_mapped in zip(operands, mapped, strict=True)
    ]
    outs = [np.zeros((0, *a.shape), a.dtype) for a in prim.infer(avals, params)]
    return tuple(outs) if prim.multiple else outs[0]


def _stacked(rows: Sequence[Any]) -> Any:
    parts = [reshape(row, shape=(1, *type_of(row).shape)) for row in rows]
    return concatenate(*parts, axis=0)


@functools.lru_cache(maxsize=2048)
def batched(
    program: Program, size: int, mapped: Flags, wanted: Flags | None = None
) -> tuple[Program, Flags]:
    """The program that runs on inputs of which the mapped ones are batches.

    The flags say which outputs have the batch in front; those that are ``wanted`` are
    made to. The program must have no constants.
    """
    assert not program.consts
    found: list[bool] = []

    def rule(*tracers: Any) -> list[Any]:
        results = run_mapped(
            lambda elements: evaluate(program, elements), size, tracers, mapped
        )
        force = wanted or (False,) * len(results)
        found.extend(m or f for (_, m), f in zip(results, force, strict=True))
        return [
            spread(size, out, m) if f else out
            for (out, m), f in zip(results, force, strict=True)
        ]

    pairs = zip(program.ins, mapped, strict=True)
    avals = [
        Aval((size, *var.aval.shape), var.aval.numpy_dtype) if m else var.aval
        for var, m in pairs
    ]
    return finished(trace_program(rule, avals)), tuple(found)
