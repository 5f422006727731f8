"""Values on demand: a function is traced with types only, until Python asks.

Arguments may lie on another device, and computing with them while tracing would be done
operation by operation. So values are computed only where Python asks for one (``if x >
0``, ``range(n)``): by running what has been traced so far.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.errors import BackendError, ConcretizationError
from fgrad.ir import Program
from fgrad.lower.jax import import_jax, jax_function
from fgrad.lower.numpy import Executable
from fgrad.passes import dce, reads_of
from fgrad.record import read_program
from fgrad.trace import Tracer, is_traced
from fgrad.xla.arrays import constants_of, is_jax_tracer, nbytes

# What is computed from fewer bytes is computed on NumPy: compiling takes 20 ms or more.
NUMPY_LIMIT = 1 << 20


class EnclosingTrace(Exception):
    """The function closes over values of a trace that encloses it."""


class Demand:
    """Finds the value of a tracer of one abstract trace.

    Args:
        values: the arguments that the trace stands for.
        known: for the numbers of guards what is to be taken for their values.
        allows_arrays: whether Python may see whole arrays, and with them shapes that
            depend on values.
    """

    def __init__(
        self,
        values: Sequence[Any],
        known: dict[int, Any] | None = None,
        allows_arrays: bool = False,
    ) -> None:
        self._values = values
        self._known = {} if known is None else known
        self._allows_arrays = allows_arrays

    def __call__(self, tracer: Tracer, kind: str) -> Any:
        """The value, of which Python sees the ``kind`` (as guards name it)."""
        if kind == "array" and not self._allows_arrays:
            raise BackendError(
                f"Python asks for the elements of {tracer.aval}, so that a shape would "
                "depend on values (x[mask], np.nonzero, np.unique, np.repeat): XLA "
                "lays out all memory before it runs. Use a mask (np.where(mask, x, 0), "
                "np.sum(x * mask)), or a fixed size "
                "(np.argsort(~mask, kind='stable')[:size]), or jit without backend="
            )
        trace = tracer.scope
        known = self._known.get(trace.path.count)
        if known is not None:
            return known
        program = read_program(trace, trace.path, [tracer])
        if any(map(is_traced, program.values)):
            raise EnclosingTrace
        return value_of(pure(program), self._values)


def pure(program: Program) -> Program:
    """The program without guards and prints."""
    eqns = [eqn for eqn in program.eqns if eqn.outs]
    return dce(Program(program.ins, eqns, program.outs, program.consts, program.values))


def value_of(program: Program, values: Sequence[Any]) -> Any:
    """The one result of a program, as a NumPy value."""
    used = reads_of(program)
    pairs = zip(program.ins, values, strict=True)
    ins, given = [], []
    for var, value in pairs:
        if var in used:
            ins.append(var)
            given.append(value)
    if any(map(is_jax_tracer, given)):
        raise ConcretizationError(
            "Python asks for a value while jax traces, and knows types only; select "
            "with np.where, branch with fgrad.cond, loop with fgrad.while_loop, or "
            "call the function outside of jax.jit"
        )
    needed = Program(ins, program.eqns, program.outs, program.consts, program.values)
    run = _on_numpy if _is_small([*given, *program.values]) else _on_xla
    return run(needed, given)


def _is_small(values: Sequence[Any]) -> bool:
    is_here = all(getattr(x, "is_fully_addressable", True) for x in values)
    return is_here and nbytes(values) <= NUMPY_LIMIT


def _on_numpy(program: Program, values: Sequence[Any]) -> Any:
    with np.errstate(all="ignore"):
        plain = [x if type(x) in (int, float) else np.asarray(x)[()] for x in values]
        (value,) = Executable(program)(plain)
    return value


def _on_xla(program: Program, values: Sequence[Any]) -> Any:
    jax = import_jax()
    run: Callable[..., Any] = jax.jit(jax_function(program))
    constants = constants_of(program)
    with jax.enable_x64(True):
        (value,) = run(*constants, *values)
    return np.asarray(value)[()]
