"""Guards: what a compiled program takes for granted of the values that Python saw.

Where Python asks for a value while a function is traced for `jit` (``if x > 0``,
``range(n)``, ``x[mask]``), the program is one for this outcome. The equation ``guard``
stands at that place and fails for another.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.ir import Atom, Eqn, Program
from fgrad.passes import with_eqns
from fgrad.primitive import Primitive, Sample
from fgrad.trace import bind_in
from fgrad.tracer import Tracer


class GuardFailed(Exception):
    """A value is not what the path was traced for."""

    def __init__(self, number: int, kind: str, observed: Any) -> None:
        super().__init__()
        self.number = number
        self.kind = kind
        self.observed = observed


def _array_key(value: Any) -> Any:
    array = np.asarray(value)
    return array.shape, array.dtype.str, array.tobytes()


OBSERVE: dict[str, Callable[[Any], Any]] = {
    "bool": bool,
    "int": int,
    "array": _array_key,
}


def _guard_numpy(x: Any, *, kind: str, expected: Any, number: int) -> tuple[()]:
    observed = OBSERVE[kind](x)
    if observed != expected:
        raise GuardFailed(number, kind, observed)
    return ()


def _guard_jax(xla: Any, x: Any, **params: Any) -> tuple[()]:
    """The value comes out of the program, and is tested after it."""
    xla.observe(x)
    return ()


guard_: Primitive = Primitive(
    "guard",
    _guard_numpy,
    lambda x, *, kind, expected, number: (),
    is_constant=True,
    multiple=True,
    has_effect=True,
    jax=_guard_jax,
    samples=lambda: [
        Sample((np.float64(2.0),), {"kind": "bool", "expected": True, "number": 0})
    ],
    batch=lambda size, mapped, x, **params: [],
)


def guard(tracer: Tracer, kind: str, value: Any) -> None:
    """Record that Python saw this value of a tracer."""
    params = {
        "kind": kind,
        "expected": OBSERVE[kind](value),
        "number": tracer.scope.path.count,
    }
    bind_in(tracer.scope, guard_, (tracer,), params)


def guards_first(program: Program) -> Program:
    """The program with what it prints moved behind its guards, where none needs it.

    A call for which a guard fails starts again on another path, and prints there.
    """
    last = max((k for k, e in enumerate(program.eqns) if e.prim is guard_), default=-1)
    before, after = program.eqns[: last + 1], program.eqns[last + 1 :]
    read: set[Atom] = set()  # what guards depend on
    for eqn in reversed(before):
        if eqn.prim is guard_ or not read.isdisjoint(eqn.outs):
            read.update(eqn.ins)
    early: list[Eqn] = []
    late: list[Eqn] = []
    moved: set[Atom] = set()
    for eqn in before:
        is_read = eqn.prim is guard_ or not read.isdisjoint(eqn.outs)
        if not is_read and (eqn.has_effect or not moved.isdisjoint(eqn.ins)):
            late.append(eqn)
            moved.update(eqn.outs)
        else:
            early.append(eqn)
    return with_eqns(program, [*early, *late, *after], program.outs)
