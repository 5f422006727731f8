"""One path through a function, compiled by XLA."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.bodies import shorten, with_fills
from fgrad.control.guard import guards_first
from fgrad.errors import ConcretizationError
from fgrad.ir import Aval, Program
from fgrad.lower.jax import guards, import_jax, jax_function
from fgrad.record import JIT, read_program
from fgrad.trace import Path, Trace, Tracer, as_operand, is_traced, refresh
from fgrad.xla.arrays import constants_of, keeping_jax, numpy_form, run_wide
from fgrad.xla.demand import Demand, EnclosingTrace

Function = Callable[..., Any]
Outcome = tuple[int, str, Any]  # number and kind of a guard, and what was observed


class OtherTypes(Exception):
    """jax traces a path for other types than those that it was made for."""


def trace_types(
    call: Function, avals: Sequence[Aval], demand: Demand | None
) -> tuple[Program, tree.TreeDef]:
    """The program of a function of the list of leaves, and the structure of its result.

    Raises:
        EnclosingTrace: the function closes over values of a trace that encloses it.
    """
    avals = tuple(avals)
    root = Path(None, None, (), (), avals, ())
    trace = Trace(JIT, avals, abstract=True, root=root)
    trace.force = demand
    with keeping_jax():
        result = trace.run(call, trace.inputs([None] * len(avals)))
        leaves, treedef = tree.flatten(result)
        operands = list(map(as_operand, leaves))
    outs = []
    for out in operands:
        if type(out) is Tracer and out.scope is trace and out.origin is not None:
            refresh(out)
        outs.append(out)
    program = with_fills(read_program(trace, trace.finish(), outs))
    program = guards_first(shorten(program))
    if any(map(is_traced, program.values)):
        raise EnclosingTrace
    return program, treedef


class XlaPath:
    """A program with guards, as a function that jax has compiled.

    Attributes:
        program: the program.
        treedef: the structure of its result.
        outcomes: what its guards hold for.
        is_jax: whether results are arrays of jax, and not of NumPy.
        constants: its constants, as arrays of jax.
        run: the compiled function, of the constants and the leaves.
        in_shardings: of the leaves, or None.

    Args:
        donated: the positions of leaves whose memory jax may use.
        out_shardings: of the whole result, or None.
    """

    def __init__(
        self,
        program: Program,
        treedef: tree.TreeDef,
        is_jax: bool,
        donated: Sequence[int],
        in_shardings: Sequence[Any] | None,
        out_shardings: Any,
    ) -> None:
        self.program, self.treedef, self.is_jax = program, treedef, is_jax
        self.in_shardings = in_shardings
        params = [dict(eqn.params) for eqn in guards(program)]
        self.outcomes: tuple[Outcome, ...] = tuple(
            (p["number"], p["kind"], p["expected"]) for p in params
        )
        self._is_native = is_jax and is_native(treedef)
        is_free = not is_jax and out_shardings is None
        self._is_packed = is_free and _are_numbers_of_one_type(program)
        self._result = self._finish()
        traced = self._traced_by_jax()  # raises where XLA lacks a type
        self.constants = constants_of(program)
        options: dict[str, Any] = {}
        count = len(self.constants)
        if is_jax and not self.outcomes:  # another path may need what it was given
            options["donate_argnums"] = tuple(count + k for k in donated)
        if in_shardings is not None:
            options["in_shardings"] = (*(None for _ in range(count)), *in_shardings)
        if out_shardings is not None:
            leaves = tree.prefix_leaves(
                out_shardings, _numbers(treedef), "out_shardings"
            )
            shape = self._shaped(leaves)
            options["out_shardings"] = (shape, None, None) if self.outcomes else shape
        self.run = import_jax().jit(traced, **options)

    def _shaped(self, results: Sequence[Any]) -> Any:
        """Results as the compiled function gives them."""
        if self._is_native:
            return tree.unflatten(self.treedef, results)
        return import_jax().numpy.stack(results) if self._is_packed else list(results)

    def _traced_by_jax(self) -> Function:
        jax = import_jax()
        function = jax_function(self.program)
        program, count = self.program, len(self.program.outs)
        types = [var.aval for var in (*program.consts, *program.ins)]

        def run(*arguments: Any) -> Any:
            for x, aval in zip(arguments, types, strict=True):
                if x.shape != aval.shape or x.dtype != aval.numpy_dtype:
                    raise OtherTypes
            outs = function(*arguments)
            result = self._shaped(outs[:count])
            if not self.outcomes:
                return result
            with jax.enable_x64(True):
                seen = [
                    _as_seen(jax, x, kind)
                    for x, (_, kind, _) in zip(outs[count:], self.outcomes, strict=True)
                ]
                observed = jax.numpy.stack(seen)
                expected = np.array([int(outcome[2]) for outcome in self.outcomes])
                return result, (observed == expected).all(), observed

        run.__name__ = "fgrad_program"
        return run

    def direct(self, wide: bool) -> Function | None:
        """A function of the leaves, jax's own if that can be; None with guards."""
        if self.outcomes:
            return None
        run: Function = self.run
        if wide:
            run = functools.partial(run_wide, run, *self.constants)
        elif self.constants:
            run = functools.partial(run, *self.constants)
        result = self._result
        return run if self._is_native else lambda *leaves: result(run(*leaves))

    def __call__(self, values: Sequence[Any], wide: bool) -> tuple[Any, Any]:
        """The result and None, or anything and the outcomes up to a guard that fails.

        ``wide``: some values are no arrays of jax, which would make 32 bits of them.
        """
        if wide:
            found = run_wide(self.run, *self.constants, *values)
        else:
            found = self.run(*self.constants, *values)
        if self.outcomes:
            found, holds, observed = found
            failure = self._failure(holds, observed)
            if failure is not None:
                return None, failure
        return self._result(found), None

    def _failure(self, holds: Any, observed: Any) -> tuple[Outcome, ...] | None:
        """What was observed up to the first guard that fails."""
        try:
            if np.asarray(holds):
                return None
        except import_jax().errors.TracerArrayConversionError as error:
            raise ConcretizationError(
                "the function branches on a value, which is not known while jax "
                "traces it; select with np.where, or branch with fgrad.cond"
            ) from error
        seen: list[Outcome] = []
        for value, (number, kind, expected) in zip(
            np.asarray(observed).tolist(), self.outcomes, strict=True
        ):
            seen.append((number, kind, value if kind == "int" else bool(value)))
            if seen[-1][2] != expected:
                break
        return tuple(seen)

    def _finish(self) -> Callable[[Any], Any]:
        """What makes the result of what the compiled function gives."""
        unflatten = functools.partial(tree.unflatten, self.treedef)
        if self._is_native:
            return lambda found: found
        if self.is_jax:
            return unflatten
        forms = [numpy_form(atom.aval) for atom in self.program.outs]
        if self.treedef.is_leaf():
            (form,) = forms
            return lambda found: form(found[0])
        if not self._is_packed:
            return lambda found: unflatten(
                [form(x) for form, x in zip(forms, found, strict=True)]
            )
        if not any(atom.aval.is_python for atom in self.program.outs):
            return lambda found: unflatten(np.asarray(found))
        return lambda found: unflatten(
            [form(x) for form, x in zip(forms, np.asarray(found), strict=True)]
        )


def _are_numbers_of_one_type(program: Program) -> bool:
    """Whether all results fit into one vector, which NumPy gets more quickly."""
    types = {(atom.aval.shape, atom.aval.numpy_dtype) for atom in program.outs}
    return len(program.outs) > 1 and len(types) == 1 and types.pop()[0] == ()


def _as_seen(jax: Any, x: Any, kind: str) -> Any:
    """A guard's value as the number that it is compared by."""
    value = jax.numpy.reshape(x, ())
    return (value != 0 if kind == "bool" else value).astype(np.int64)


def _numbers(treedef: tree.TreeDef) -> Any:
    return tree.unflatten(treedef, range(treedef.num_leaves))


def is_native(treedef: tree.TreeDef) -> bool:
    """Whether jax sees the same leaves in such a structure."""
    leaves = import_jax().tree_util.tree_leaves(_numbers(treedef))
    return sorted(map(str, leaves)) == sorted(map(str, range(treedef.num_leaves)))
