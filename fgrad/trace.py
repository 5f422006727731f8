"""Tracing: running a function on tracers, and recording what it does.

A trace does not build a graph. It walks the trie of structures (`fgrad.path`): each
operation steps from the structure so far to a child keyed by primitive, params and
operands. All that depends on the structure alone (types, equations, derived and
compiled programs) hangs on the trie; what differs between two runs of one structure is
only the list `Trace.saved`.

Values are computed at once, so Python control flow works. The value of a tracer is a
NumPy array or scalar, or a tracer of an enclosing trace (transforms nest that way), or
None in an abstract trace, where only shapes and dtypes are known.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.checks import active_check
from fgrad.constants import COPY_LIMIT, Constants
from fgrad.errors import FgradError, ShapeError
from fgrad.ir import Aval, aval_of
from fgrad.path import FINISHED, TRIE, UNKNOWN, Params, Path, Policy
from fgrad.primitive import Primitive
from fgrad.tracer import (
    Tracer,
    alias,
    as_operand,
    frozen,
    is_traced,
    new_tracer,
    refresh,
    type_of,
)

__all__ = [
    "Params",
    "Path",
    "Policy",
    "Trace",
    "Tracer",
    "active_trace",
    "as_operand",
    "bind",
    "call_in",
    "innermost",
    "is_traced",
    "new_tracer",
    "record",
    "refresh",
    "type_of",
]

_serials = itertools.count()


class _Active(threading.local):
    """The traces that run in this thread, outermost first."""

    def __init__(self) -> None:
        self.traces: list[Trace | None] = []


_ACTIVE = _Active()


def active_trace() -> Trace | None:
    """The innermost trace that runs in this thread; no other thread sees it."""
    return _ACTIVE.traces[-1] if _ACTIVE.traces else None


def call_in(trace: Trace | None, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function; arrays that `fgrad.numpy` makes in it belong to this trace."""
    _ACTIVE.traces.append(trace)
    try:
        return function(*args)
    finally:
        _ACTIVE.traces.pop()


class Trace:
    """One run of a function on tracers.

    Attributes:
        path: the structure recorded so far.
        saved: the values that the policy keeps, in the order of recording.
        abstract: no values, only types. It shares no root with traces that have values,
            since the steps of views differ.
        direct: operations may take the short way of `fgrad.fast`: there are values,
            nothing runs operations otherwise, and nothing looks at each value.
        nested: some value is a tracer of an enclosing trace, or values are checked.
        serial: later traces are inner ones.
        constants: the arrays among what was saved.
        opaque: calls of Python functions are recorded as such.
        rule: what runs operations in place of recording them, such as on a batch.
        force: in an abstract trace, what finds the value of a tracer that Python asks
            for: ``force(tracer, kind)``.
    """

    __slots__ = (
        "abstract",
        "constants",
        "direct",
        "force",
        "nested",
        "opaque",
        "path",
        "policy",
        "rule",
        "saved",
        "serial",
    )

    def __init__(
        self,
        policy: Policy,
        avals: tuple[Aval, ...],
        abstract: bool = False,
        root: Path | None = None,
    ) -> None:
        self.policy = policy
        self.abstract = abstract
        self.nested = active_check() is not None
        self.direct = not (abstract or self.nested)
        self.saved: list[Any] = []
        self.serial = next(_serials)
        self.constants: Constants | None = None
        self.rule: Any = None
        self.force: Any = None
        self.opaque = False
        self.path = TRIE.root(policy, avals) if root is None else root

    def inputs(self, values: Sequence[Any], protect: bool = False) -> list[Tracer]:
        """One tracer for each input of the trace.

        ``protect``: the caller may change its arrays while what is saved is in use.
        """
        tracers = []
        for index, (aval, value) in enumerate(
            zip(self.path.avals, values, strict=True)
        ):
            if type(value) is Tracer:
                self.nested = True
                value = alias(value)
            elif protect and type(value) is np.ndarray:
                value = value.copy()
            tracers.append(new_tracer(self, index, aval, value, False))
        return tracers

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function; arrays made by `fgrad.numpy` in it belong to this trace."""
        try:
            return call_in(self, function, *args)
        except ValueError as error:
            # `raw[0] = tracer`: NumPy hides our error behind one about sequences
            if not isinstance(error.__cause__, FgradError):
                raise
            raise error.__cause__.with_traceback(error.__traceback__) from None

    def finish(self) -> Path:
        """End the trace: a later use of its tracers raises. Returns its structure."""
        path, self.path = self.path, FINISHED
        if self.constants is not None:
            self.constants.verify()
        return path

    def save(self, keep: tuple[int, ...], operands: Sequence[Any]) -> None:
        """Save the values at the positions ``keep`` of operands and outputs."""
        saved = self.saved
        for position in keep:
            x = operands[position]
            if type(x) is not Tracer:
                saved.append(self.snapshot(x) if type(x) is np.ndarray else x)
            elif x.scope is not self:
                saved.append(alias(x))
            elif x.origin is None:
                x.owned = False
                saved.append(x.value)
            else:
                saved.append(frozen(x))

    def snapshot(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """A constant as it is now, to be saved."""
        if array.nbytes <= COPY_LIMIT and not self.policy.constants:
            return array.copy()
        if self.constants is None:
            self.constants = Constants()
        return self.constants.snapshot(array, self.policy.constants)

    def extend(
        self,
        key: tuple[Any, ...],
        prim: Primitive,
        params: Params,
        operands: Sequence[Any],
        outs: Sequence[Any] | None,
    ) -> Path | None:
        """A new child of the path, or None where the operation is not recorded."""
        codes = key[2:]
        traced = tuple([type(code) is int for code in codes])
        known = zip(operands, codes, traced, strict=True)
        avals = tuple([x.aval if is_var else code for x, code, is_var in known])
        if outs is None:
            out_avals = self._infer(prim, avals, dict(params))
        else:
            out_avals = tuple(map(type_of, outs))
        if not self.policy.tracks(prim, out_avals):
            return None
        keep = self.policy.keep(prim, params, avals, traced, out_avals)
        child = Path(self.path, prim, params, codes, out_avals, keep)
        if prim.specialized is not None:
            child.run = prim.specialized(*avals) or child.run
        TRIE.grow()
        return self.path.children.setdefault(key, child)

    @staticmethod
    def _infer(
        prim: Primitive, avals: Sequence[Aval], params: dict[str, Any]
    ) -> tuple[Aval, ...]:
        try:
            return prim.infer(avals, params)
        except ValueError as error:
            raise _shape_error(prim, error, [aval.shape for aval in avals]) from error


def _shape_error(prim: Primitive, error: ValueError, shapes: list[Any]) -> ShapeError:
    listed = ", ".join(str(shape) for shape in shapes)
    return ShapeError(f"{prim.name} of operands with shapes {listed}: {error}")


def innermost(operands: Sequence[Any]) -> Trace | None:
    """The latest trace among the operands, or None where none is traced."""
    trace = None
    for x in operands:
        if type(x) is Tracer and (trace is None or x.scope.serial > trace.serial):
            trace = x.scope
    return trace


def evaluate_eagerly(trace: Trace, prim: Primitive, params: Any, values: Any) -> Any:
    """The value of an operation: by NumPy, or recorded in the enclosing trace."""
    try:
        if trace.nested:
            return bind(prim, values, params)
        return prim.numpy(*values, **params)
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise _shape_error(prim, error, [type_of(x).shape for x in values]) from error


def bind(prim: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Run a primitive; where an operand is traced, record it in the innermost trace."""
    is_one = len(operands) == 1 and type(operands[0]) is Tracer
    if is_one and prim.on_tape is None and prim.inlines is None:
        return _bind_one(prim, operands[0], params)
    trace = innermost(operands)
    if trace is None or (prim.inlines and prim.inlines(trace, **params)):
        out = prim.numpy(*operands, **params)
        check = active_check()
        if check is not None:
            check(prim, params, operands, out)
        return out
    if trace.rule is not None:
        return trace.rule(prim, operands, params)
    if prim.on_tape is not None and trace.policy.differentiates:
        return prim.on_tape(trace, operands, **params)
    return bind_in(trace, prim, operands, params)


def bind_in(
    trace: Trace, prim: Primitive, operands: Sequence[Any], params: dict[str, Any]
) -> Any:
    """Run a primitive and record it in this trace, to which an operand belongs."""
    codes: list[Any] = []
    values: list[Any] = []
    for x in operands:
        if type(x) is not Tracer:
            codes.append(aval_of(x))
            values.append(x)
        elif x.scope is trace:
            if x.origin is not None:
                refresh(x)
            codes.append(x.index)
            values.append(x.value)
        else:
            trace.nested = True
            codes.append(x.aval)
            values.append(x)
    static = tuple(params.items())
    if trace.abstract:
        return record(trace, prim, codes, operands, static, None)
    out = evaluate_eagerly(trace, prim, params, values)
    if prim.is_constant and not trace.policy.constants:
        return out
    return record(trace, prim, codes, operands, static, out)


def _bind_one(prim: Primitive, x: Tracer, params: dict[str, Any]) -> Any:
    """``bind`` for one operand, which is traced."""
    trace = x.scope
    if x.origin is not None:
        refresh(x)
    if trace.rule is not None:
        return trace.rule(prim, (x,), params)
    static = tuple(params.items())
    if trace.abstract:
        return record(trace, prim, (x.index,), (x,), static, None)
    out = evaluate_eagerly(trace, prim, params, (x.value,))
    if prim.is_constant and not trace.policy.constants:
        return out
    return record(trace, prim, (x.index,), (x,), static, out)


def record(
    trace: Trace,
    prim: Primitive,
    codes: Sequence[Any],
    operands: Sequence[Any],
    params: Params,
    out: Any,
) -> Any:
    """Record an equation whose value is known (None in an abstract trace)."""
    if trace.rule is not None:
        return trace.rule(prim, operands, dict(params))
    key = (prim, params, *codes)
    child = trace.path.children.get(key)
    if child is None:
        outs = None if trace.abstract else out if prim.multiple else (out,)
        child = trace.extend(key, prim, params, operands, outs)
        if child is None:
            return out
    trace.path = child
    if not prim.multiple:
        tracer = new_tracer(trace, child.index, child.aval, out, True)
        if child.keep:
            trace.save(child.keep, (*operands, tracer))
        if prim.view_step is not None and not isinstance(out, np.generic):
            _attach_view(tracer, child, prim, operands)
        return tracer
    values = out if out is not None else (None,) * len(child.avals)
    tracers = tuple(
        new_tracer(trace, child.index + position, aval, value, True)
        for position, (aval, value) in enumerate(zip(child.avals, values, strict=True))
    )
    if child.keep:
        trace.save(child.keep, (*operands, *tracers))
    return tracers


def _attach_view(
    tracer: Tracer,
    child: Path,
    prim: Primitive,
    operands: Sequence[Any],
) -> None:
    """Make the result of a viewing primitive a view of its first operand."""
    base = operands[0]
    if type(base) is not Tracer or base.scope is not tracer.scope:
        return
    step = child.step
    if step is UNKNOWN:
        assert prim.view_step is not None
        params = dict(child.params)
        step = prim.view_step(tracer.value, base.value, operands, params)
        if prim.is_step_static(operands):
            child.step = step
    attach_view(tracer, base, step)


def attach_view(tracer: Tracer, base: Tracer, step: Any) -> None:
    """Make a tracer the view that one step leads to from another; None for a copy."""
    if step is None:
        return
    if base.origin is None:
        tracer.origin = (base, (step,))
        tracer.version = base.version
        return
    owner, steps = base.origin
    tracer.origin = (owner, (*steps, step))
    tracer.version = owner.version


Primitive.bind = bind
