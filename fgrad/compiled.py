"""What `jit` keeps: for each structure of arguments the paths through the function.

A path is a program with guards. The first call traces it, with the values of its
arguments; from the second on it runs as a function of its own. Where a guard fails that
function calls the path for the other outcome, which is traced if there is none yet.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.bodies import tighten
from fgrad.checks import active_check
from fgrad.control.guard import GuardFailed, guards_first
from fgrad.errors import JitError
from fgrad.ir import Program, Var
from fgrad.lower.function import Layout, Mode, lay_out
from fgrad.lower.numpy import COMPILE_LIMIT, Executable
from fgrad.lower.path import path_source
from fgrad.lower.source import execute
from fgrad.lower.statements import Globals
from fgrad.record import JIT, read_program
from fgrad.rewrites import optimise
from fgrad.statics import Arguments, as_label
from fgrad.trace import (
    Path,
    Trace,
    Tracer,
    as_operand,
    is_traced,
    refresh,
    type_of,
)

Function = Callable[..., Any]
Outcome = tuple[int, str, Any]  # the number and the kind of a guard, what was observed


class Signature:
    """What is known of calls with one structure of arguments.

    Attributes:
        name: of the function.
        arguments: those of the first call.
        donated: the positions of leaves whose memory the function may use.
        paths: what was traced, the first one first.
        dispatchers: functions whose global ``run`` runs the first path.
    """

    def __init__(
        self,
        name: str,
        arguments: Arguments,
        donated: Sequence[int],
        trace: Callable[["Signature", list[Any], "Compiled", Outcome], Any],
    ) -> None:
        self.name, self.arguments, self.donated = name, arguments, donated
        self.paths: list[Compiled] = []
        self.dispatchers: list[Function] = []
        self._trace = trace

    def identifier(self) -> str:
        """The name as one that no argument has."""
        name = "function" if self.name == "<lambda>" else self.name
        return as_label(name, set(self.arguments.labels()))

    def run(self, *values: Any) -> Any:
        """The result, by the paths that are there."""
        path = self.paths[0]
        if path.function is None and path.compile() is not None:
            for dispatcher in self.dispatchers:
                dispatcher.__globals__["run"] = path.function
        return path(*values)

    def other(self, path: "Compiled", number: int, kind: str) -> Function:
        """What runs where a guard of a path fails: a function of what was observed,
        and of the arguments.
        """

        def run_other(observed: Any, *values: Any) -> Any:
            outcome = number, kind, observed
            found = path.others.get(outcome)
            if found is None:
                return self._trace(self, list(values), path, outcome)
            return found(*values)

        return run_other


class Compiled:
    """One path through a function: its program, and the paths that leave it.

    Attributes:
        program: with its guards.
        treedef: the structure of the result.
        traced: how many equations it had before passes.
        others: for the outcome of a guard that failed, the path that was traced for it.
        is_quiet: whether it runs without floating-point warnings: elements that are
            masked later may overflow, and derivatives never warn.
        function: the path as a function, from the second call on.
        source: its lines.
    """

    def __init__(
        self,
        signature: Signature,
        program: Program,
        treedef: tree.TreeDef,
        has_inner: bool,
        traced: int,
    ) -> None:
        self.signature, self.program, self.treedef = signature, program, treedef
        self.traced = traced
        self.is_quiet = has_inner or any(e.prim.name == "where" for e in program.eqns)
        self.others: dict[Outcome, Compiled] = {}
        self.function: Function | None = None

    def __call__(self, *values: Any) -> Any:
        if active_check() is not None:
            return self.interpret(*values)
        function = self.function or self.compile()
        return self.interpret(*values) if function is None else function(*values)

    @functools.cached_property
    def layout(self) -> Layout:
        """The order of equations, and the plan of memory."""
        return lay_out(self.program, self.signature.donated)

    @functools.cached_property
    def names(self) -> dict[Var, str]:
        """The names of inputs and constants in source."""
        consts = [f"const_{k}" for k in range(len(self.program.consts))]
        variables = (*self.program.ins, *self.program.consts)
        return dict(
            zip(variables, (*self.signature.arguments.labels(), *consts), strict=True)
        )

    def compile(self) -> Function | None:
        """Make the path a function, unless it is too long for that."""
        if len(self.program.eqns) > COMPILE_LIMIT:
            return None
        name = self.signature.identifier()
        known, mode = Globals(), Mode(self.is_quiet)
        lines = path_source(self.layout, name, self.names, self.treedef, mode, known)
        for number, kind in self.guards():
            other = self.signature.other(self, number, kind)
            known.values[f"other_{number}"] = other
        self.function = execute(lines, known, name)
        return self.function

    def guards(self) -> list[tuple[int, str]]:
        """The number and the kind of each guard."""
        found = [dict(e.params) for e in self.program.eqns if e.prim.name == "guard"]
        return [(params["number"], params["kind"]) for params in found]

    @functools.cached_property
    def _executable(self) -> Executable:
        return Executable(self.program)

    def interpret(self, *values: Any) -> Any:
        """The result without the function: looked at by `debug_nans`, or too long."""
        try:
            with np.errstate(all="ignore") if self.is_quiet else np.errstate():
                outs = self._executable(list(values))
        except GuardFailed as failure:
            other = self.signature.other(self, failure.number, failure.kind)
            return other(failure.observed, *values)
        return tree.unflatten(self.treedef, outs)


def trace_path(signature: Signature, values: list[Any]) -> tuple[Compiled, Any]:
    """Run the function on these values: the path that it takes, and its result."""
    avals = tuple(map(type_of, values))
    root = Path(None, None, (), (), avals, ())
    trace = Trace(JIT, avals, root=root)
    result = trace.run(signature.arguments.call, trace.inputs(values))
    has_inner = Trace(JIT, avals, root=root).serial > trace.serial + 1
    leaves, treedef = tree.flatten(result)
    outs, results = [], []
    for leaf in leaves:
        out = as_operand(leaf)
        is_own = type(out) is Tracer and out.scope is trace
        if is_own and out.origin is not None:
            refresh(out)
        outs.append(out)
        results.append(_apart(out.value if is_own else out))
    recorded = read_program(trace, trace.finish(), outs)
    program = guards_first(optimise(tighten(recorded)))
    frozen = [_frozen(value) for value in program.values]
    program = Program(program.ins, program.eqns, program.outs, program.consts, frozen)
    compiled = Compiled(signature, program, treedef, has_inner, len(recorded.eqns))
    return compiled, tree.unflatten(treedef, results)


def too_many_paths(name: str, max_paths: int) -> JitError:
    """The error of a function that takes more paths than are kept."""
    return JitError(
        f"{name} took {max_paths} paths through its Python branches for the same types "
        "of arguments; use fgrad.cond, fgrad.switch, fgrad.while_loop or np.where for "
        "branches on values, or a larger max_paths="
    )


def closes_over_traced(compiled: Compiled) -> bool:
    """Whether a path closes over a value of an enclosing trace, which ends."""
    return any(is_traced(value) for value in compiled.program.values)


def _apart(value: Any) -> Any:
    """A result that shares no memory with anything else."""
    return np.array(value) if type(value) is np.ndarray else value


def _frozen(value: Any) -> Any:
    """A closed-over array as it is now."""
    return value.copy(order="K") if type(value) is np.ndarray else value
