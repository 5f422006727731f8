"""Values on demand: a function is traced with types only, until Python asks.

Arguments may lie on another device, and computing with them while tracing would be done
operation by operation. So values are computed only where Python asks for one (``if x >
0``, ``range(n)``): by running what has been traced so far.
"""

import functools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.errors import BackendError, ConcretizationError
from fgrad.ir import Aval, Program, Var
from fgrad.lower.jax import import_jax, jax_function
from fgrad.lower.numpy import Executable
from fgrad.passes import dce, reads_of
from fgrad.record import read_path
from fgrad.trace import Path, Tracer, is_traced
from fgrad.xla.arrays import is_jax_array, is_jax_tracer, nbytes, run_wide

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
                f"{_asking()} asks for the elements of {tracer.aval}, so that a shape "
                "would depend on values (as of x[mask], np.nonzero, np.unique): XLA "
                "lays out all memory before it runs. Use a mask (np.where(mask, x, 0), "
                "np.sum(x * mask)), or a fixed size "
                "(np.argsort(~mask, kind='stable')[:size]), or jit without backend="
            )
        trace = tracer.scope
        known = self._known.get(trace.path.count)
        if known is not None:
            return known
        arguments = [*trace.saved, *self._values]
        if any(map(is_traced, arguments)):
            raise EnclosingTrace
        key = "value", tracer.index
        ends = trace.path.ends
        if key not in ends:
            ends[key] = Evaluation(trace.path, tracer.index)
        return ends[key](arguments)


def _asking() -> str:
    """What asks for values: the function of NumPy that fgrad runs, or Python."""
    frame, name = sys._getframe(1), "Python"
    while frame.f_back is not None:
        frame = frame.f_back
        module = frame.f_globals.get("__name__", "")
        if module.startswith("fgrad.functions.") and not module.endswith("protocol"):
            name = frame.f_code.co_name
    if name in ("getitem", "setitem", "parse_index"):
        return "an index x[...]"
    return f"np.{name}" if hasattr(np, name) else "Python"


class Evaluation:
    """Computes one variable of a structure from its constants and its inputs."""

    def __init__(self, path: Path, index: int) -> None:
        constants: list[Var] = []

        def constant(aval: Aval) -> Var:
            constants.append(Var(aval))
            return constants[-1]

        ins, eqns, variables, _ = read_path(path, constant)
        pure = [eqn for eqn in eqns if eqn.outs]  # without guards and prints
        inputs = [*constants, *ins]
        program = dce(Program(inputs, pure, [variables[index]]))
        used = reads_of(program)
        self._positions = [k for k, var in enumerate(inputs) if var in used]
        ins = [inputs[k] for k in self._positions]
        self._program = Program(ins, program.eqns, program.outs)

    @functools.cached_property
    def _on_numpy(self) -> Executable:
        return Executable(self._program)

    @functools.cached_property
    def _on_xla(self) -> Any:
        return import_jax().jit(jax_function(self._program))

    def __call__(self, arguments: Sequence[Any]) -> Any:
        """The value, for the constants and the inputs.

        Raises:
            ConcretizationError: jax traces, and there are no values.
        """
        given = [arguments[k] for k in self._positions]
        if any(map(is_jax_tracer, given)):
            raise ConcretizationError(
                "Python asks for a value while jax traces, and knows types only; "
                "select with np.where, branch with fgrad.cond, loop with "
                "fgrad.while_loop, or call the function outside of jax.jit"
            )
        if _is_small(given):
            with np.errstate(all="ignore"):
                (value,) = self._on_numpy(list(map(_as_numpy, given)))
            return value
        (value,) = run_wide(self._on_xla, *given)
        return np.asarray(value)[()]


def _as_numpy(x: Any) -> Any:
    return np.asarray(x)[()] if is_jax_array(x) else x


def _is_small(values: Sequence[Any]) -> bool:
    is_here = all(getattr(x, "is_fully_addressable", True) for x in values)
    return is_here and nbytes(values) <= NUMPY_LIMIT
