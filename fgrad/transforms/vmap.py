"""Mapping over a batch: every operation runs once, on all elements.

In a mapped trace nothing is recorded. The value of a tracer has one more axis in front
than its type says, and each operation is bound, through the batch rule of its
primitive, to the values one level down: NumPy computes them, or an enclosing trace
records them. What does not depend on mapped arguments never enters the trace.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.caches import remembered
from fgrad.errors import BatchLoopWarning
from fgrad.ir import Aval, Program, evaluate
from fgrad.ops.batching import aligned, all_spread, spread
from fgrad.ops.index import index, index_update, write_batch
from fgrad.ops.structure import concatenate, reshape
from fgrad.path import Policy
from fgrad.primitive import Primitive, Unmapped
from fgrad.record import trace_program
from fgrad.trace import Trace, Tracer, attach_view, new_tracer, refresh, type_of
from fgrad.tracer import MAPPED, SHARED
from fgrad.transforms.jvp import Flags, finished

BATCH = Policy(constants=False, keep=lambda *_: ())


def run_mapped(
    function: Callable[[list[Any]], Sequence[Any]],
    size: int,
    values: Sequence[Any],
    mapped: Flags,
) -> list[tuple[Any, bool]]:
    """Call a function of a list on all elements at once; values have the batch first.

    Arrays that are not mapped enter as tracers, too: so they take mapped indices, and
    can be written to.

    Returns, for each result, its value and whether it has the batch in front.
    """
    trace = Trace(BATCH, ())
    trace.direct = False
    trace.opaque = any(type(x) is Tracer and x.scope.opaque for x in values)
    rule = trace.rule = BatchRule(trace, size)
    arguments = [
        rule.element(value, MAPPED, False) if is_mapped else rule.shared(value, False)
        for value, is_mapped in zip(values, mapped, strict=True)
    ]
    results = []
    for out in trace.run(function, arguments):
        is_own = type(out) is Tracer and out.scope is trace
        if is_own and out.origin is not None:
            refresh(out)
        results.append((out.value, out.index == MAPPED) if is_own else (out, False))
    trace.finish()
    return results


class BatchRule:
    """Runs the operations of a mapped trace on all elements of the batch."""

    def __init__(self, trace: Trace, size: int) -> None:
        self.trace = trace
        self.size = size

    def __call__(
        self, prim: Primitive, operands: Sequence[Any], params: dict[str, Any]
    ) -> Any:
        self.trace.path.children  # noqa: B018  (raises where the trace has ended)
        values, mapped = self._split(operands)
        if any(mapped):
            outs = batch(prim, self.size, mapped, values, params)
        else:
            outs = prim(*values, **params)
            outs = tuple(map(Unmapped, outs)) if prim.multiple else Unmapped(outs)
        if not prim.multiple:
            return self._wrap(prim, params, operands, outs)
        return tuple(self._wrap(prim, params, operands, out) for out in outs)

    def element(self, value: Any, index: int, owned: bool) -> Tracer:
        """A tracer of one element of a batch, or of an array that all share."""
        aval = type_of(value)
        if index == MAPPED:
            aval = Aval(aval.shape[1:], aval.dtype)
        return new_tracer(self.trace, index, aval, value, owned)

    def shared(self, value: Any, owned: bool) -> Any:
        """A value that all elements share: a number stays as it is."""
        if type(value) is np.ndarray or type(value) is Tracer:
            return self.element(value, SHARED, owned)
        return value

    def _split(self, operands: Sequence[Any]) -> tuple[list[Any], Flags]:
        """The values one level down, and which of them have the batch in front."""
        values, mapped = [], []
        for x in operands:
            is_own = type(x) is Tracer and x.scope is self.trace
            if is_own and x.origin is not None:
                refresh(x)
            values.append(x.value if is_own else x)
            mapped.append(is_own and x.index == MAPPED)
        return values, tuple(mapped)

    def _wrap(
        self, prim: Primitive, params: Any, operands: Sequence[Any], out: Any
    ) -> Any:
        is_fresh = prim.view_step is None
        if type(out) is Unmapped:
            tracer = self.shared(out.value, is_fresh)
        else:
            tracer = self.element(out, MAPPED, is_fresh)
        base = operands[0] if operands else None
        if is_fresh or type(base) is not Tracer or base.scope is not self.trace:
            return tracer
        if type(tracer) is not Tracer:
            return tracer
        step = prim.view_step(tracer.value, base.value, operands, params)  # type: ignore[misc] # it is not fresh
        if step is None and type(tracer.value) is np.ndarray and not tracer.aval.ndim:
            tracer.value = tracer.value.copy()  # a number: a copy, not a view
        attach_view(tracer, base, step)
        return tracer

    def write(
        self, owner: Tracer, v: Any, arrays: Sequence[Any], params: dict[str, Any]
    ) -> None:
        """Write into each element's array, in place where no one else needs it."""
        values, mapped = self._split((owner, v, *arrays))
        is_own = owner.owned and not any(type(x) is Tracer for x in values)
        operands: Sequence[Any] = values
        if any(mapped):
            operands, params = write_batch(self.size, mapped, *values, **params)
            is_own = is_own and owner.index == MAPPED
        run = index_update.in_place if is_own else index_update
        assert run is not None
        owner.value = run(*operands, **params)
        owner.index = MAPPED if any(mapped) else SHARED
        owner.owned = True
        owner.version += 1


def batch(
    prim: Primitive,
    size: int,
    mapped: Flags,
    operands: Sequence[Any],
    params: dict[str, Any],
) -> Any:
    """The outputs for all elements, of operands of which some are mapped."""
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


def batch_program(
    program: Program, size: int, mapped: Flags, wanted: Flags | None = None
) -> tuple[Program, Flags]:
    """The program that runs on inputs of which the mapped ones are batches.

    The flags say which outputs have the batch in front; those that are ``wanted`` are
    made to.
    """
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
    return finished(trace_program(rule, avals, opaque=True)), tuple(found)


@remembered(2048)
def batched(
    program: Program, size: int, mapped: Flags, wanted: Flags | None = None
) -> tuple[Program, Flags]:
    """`batch_program`, looked up for a program seen before; it has no constants."""
    assert not program.consts
    return batch_program(program, size, mapped, wanted)
