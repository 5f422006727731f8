"""The tracer: a rebindable handle on a recorded value."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrad.ir import PYTHON_AVALS, Aval, aval_of
from fgrad.primitive import Primitive

if TYPE_CHECKING:
    from fgrad.trace import Trace

MAPPED, SHARED = 1, 0  # the index of a tracer of a mapped trace: is it a batch?
VIEW_COPY_FRACTION = 8  # a saved view this many times smaller than its base is copied


class Tracer:
    """A rebindable handle on a recorded value; behaves like a NumPy array.

    `origin` is None, or the handle that owns the memory and the steps that lead from it
    here: ``(primitive name, params)``, with operands where an index is traced. Writing
    to either changes the owner's `version`, which makes views stale.
    `owned` says that no one else needs the present content of `value`, so that an
    in-place update may overwrite it.
    """

    __slots__ = ("aval", "index", "origin", "owned", "scope", "value", "version")
    __hash__ = None  # type: ignore[assignment]
    scope: Trace
    index: int
    value: Any
    aval: Aval
    origin: tuple[Tracer, tuple[Any, ...]] | None
    version: int
    owned: bool


_new = Tracer.__new__


def new_tracer(trace: Trace, index: int, aval: Any, value: Any, owned: bool) -> Tracer:
    """A handle on variable ``index`` of ``trace``."""
    tracer = _new(Tracer)
    tracer.scope = trace
    tracer.index = index
    tracer.value = value
    tracer.aval = aval
    tracer.origin = None
    tracer.version = 0
    tracer.owned = owned
    return tracer


def is_mapped(tracer: Tracer) -> bool:
    """Whether the value is a batch: another one for each element of a mapped axis."""
    return tracer.scope.rule is not None and tracer.index == MAPPED


def follow_steps(owner: Tracer, steps: tuple[Any, ...]) -> Any:
    """The view that steps lead to; one by a traced index has that as third entry."""
    current: Any = owner
    for name, params, *operands in steps:
        arrays = operands[0] if operands else ()
        current = Primitive.registry[name](current, *arrays, **dict(params))
    return current


def is_dynamic(steps: tuple[Any, ...]) -> bool:
    """Whether a step of a view has a traced index."""
    return any(len(step) > 2 for step in steps)


def refresh(tracer: Tracer) -> None:
    """Bring a view up to date with the handle that owns its memory."""
    assert tracer.origin is not None
    owner, steps = tracer.origin
    if tracer.version == owner.version:
        return
    current = follow_steps(owner, steps)
    tracer.index, tracer.value = current.index, current.value
    tracer.version = owner.version


def frozen(tracer: Tracer) -> Any:
    """The present value of a handle, in a form that later writes do not reach."""
    if tracer.origin is None:
        tracer.owned = False
        return tracer.value
    owner = tracer.origin[0]
    if tracer.value is None:  # only its type is known, and writes make new variables
        return None
    if tracer.aval.size * VIEW_COPY_FRACTION <= owner.aval.size:
        return tracer.value.copy()
    owner.owned = False
    return tracer.value


def alias(tracer: Tracer) -> Tracer:
    """A second handle on the same variable, unaffected by writes to the first."""
    if tracer.origin is not None:
        refresh(tracer)
    value = frozen(tracer)
    return new_tracer(tracer.scope, tracer.index, tracer.aval, value, False)


def type_of(value: Any) -> Aval:
    """The aval of an operand: a tracer, an array, a NumPy scalar, a Python number."""
    return value.aval if type(value) is Tracer else aval_of(value)


def is_traced(value: Any) -> bool:
    """Whether a value is a tracer."""
    return type(value) is Tracer


class _Kept(threading.local):
    """Types of arrays that are operands as they are, in this thread."""

    types: frozenset[type] = frozenset()


_KEPT = _Kept()


@contextmanager
def keeping(types: frozenset[type]) -> Iterator[None]:
    """Let arrays of other libraries be operands: where only types are computed."""
    before, _KEPT.types = _KEPT.types, types
    try:
        yield
    finally:
        _KEPT.types = before


def as_operand(value: Any) -> Any:
    """A tracer, a Python number, a NumPy scalar or array: what primitives take.

    Raises:
        TypeError: the value is not array-like, or holds Python objects.
    """
    cls = type(value)
    if cls is Tracer or cls is np.ndarray or cls in PYTHON_AVALS:
        return value
    if cls in _KEPT.types:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("masked arrays have no derivative rules; use np.where")
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"an operand of type {cls.__name__} is not numeric")
    return array[()] if isinstance(value, np.generic) else array
