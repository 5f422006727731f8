"""Recording a function for differentiation, and running what follows from the record.

The tape policy records what depends smoothly on the inputs and saves the values that
pullbacks need. The derived programs hang on the structure (`Path.ends`), so a structure
seen before derives and compiles nothing.
"""

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.caches import remembered
from fgrad.checks import active_check
from fgrad.ir import Aval, Program, Var, evaluate
from fgrad.lower.numpy import Executable, run_on
from fgrad.ops.batching import spread
from fgrad.passes import reads_of
from fgrad.primitive import Primitive
from fgrad.record import read_path
from fgrad.rewrites import turn_products
from fgrad.rewrites.bands import with_unit_seeds
from fgrad.trace import (
    Params,
    Path,
    Policy,
    Trace,
    Tracer,
    is_traced,
    refresh,
    type_of,
)
from fgrad.tracer import alias
from fgrad.transforms.curvature import curvature, is_plain
from fgrad.transforms.jvp import Avals, Flags, forward, tangent_program
from fgrad.transforms.vjp import pullback_program, reverse
from fgrad.transforms.vmap import batch_program, run_mapped

Numbers = tuple[int, ...]


@remembered(8192)
def _keep_residuals(
    prim: Primitive, params: Params, avals: Avals, traced: Flags, out_avals: Avals
) -> tuple[int, ...]:
    """Positions of the operands and outputs that an equation's derivatives read."""
    active = tuple(
        is_var and aval.is_inexact for is_var, aval in zip(traced, avals, strict=True)
    )
    if not any(active):
        return ()
    present = tuple(aval.is_inexact for aval in out_avals)
    count = len(avals) + len(out_avals)
    pullback, _ = pullback_program(prim, params, avals, out_avals, active, present)
    read = _used(pullback, count)
    if prim.derivs is None:  # else both come from the same maps and read the same
        tangent, _ = tangent_program(prim, params, avals, out_avals, active)
        read |= _used(tangent, count)
    return tuple(sorted(read))


def _used(program: Program, count: int) -> set[int]:
    """The positions among the first ``count`` inputs that a program reads."""
    used = reads_of(program)
    return {k for k, var in enumerate(program.ins[:count]) if var in used}


tree.add_leaf_type(Tracer)
TAPE = Policy(constants=False, keep=_keep_residuals, differentiates=True)


class Tape:
    """A finished recording of a function of flat arguments.

    Attributes:
        results: the leaves of the result, without the tracers of this recording.
        outs: for each leaf its variable number, or None where it is a constant.
        treedef: the structure of the result.
        avals: the types of the inputs.

    ``protect``: the inputs may be changed by their owner while the tape is in use.
    """

    __slots__ = ("_path", "_trace", "avals", "out_avals", "outs", "results", "treedef")

    def __init__(
        self, function: Callable[..., Any], values: Sequence[Any], protect: bool = False
    ) -> None:
        self.avals = tuple(map(type_of, values))
        trace = Trace(TAPE, self.avals)
        self._trace = trace
        result = trace.run(function, trace.inputs(values, protect))
        leaves, self.treedef = tree.flatten(result)
        self.outs: list[int | None] = []
        self.results: list[Any] = []
        self.out_avals: list[Aval | None] = []
        for leaf in leaves:
            is_own = type(leaf) is Tracer and leaf.scope is trace
            if is_own and leaf.origin is not None:
                refresh(leaf)
            self.outs.append(leaf.index if is_own else None)
            self.out_avals.append(leaf.aval if is_own else None)
            self.results.append(exported(leaf) if is_own else leaf)
        self._path = trace.finish()

    @property
    def saved(self) -> list[Any]:
        """The values that derivatives read."""
        return self._trace.saved

    def rebound(self, saved: list[Any]) -> "Tape":
        """The same recording with other values, such as those of an abstract trace."""
        tape, trace = copy.copy(self), copy.copy(self._trace)
        trace.saved, trace.constants, trace.nested = saved, None, True
        tape._trace = trace
        return tape

    def pull_back(self, seeds: dict[int, Any]) -> list[Any]:
        """Cotangents of the inputs for ``seeds`` (leaf number -> cotangent).

        An input that has no influence gets zeros.
        """
        outs = tuple(self.outs[leaf] for leaf in seeds)
        executable, given = derived(self._path, "vjp", outs, self._inputs)
        return self._fill(self._run(executable, list(seeds.values())), given)

    def pull_back_units(self, leaf: int) -> list[Any]:
        """Cotangents of the inputs for all unit vectors of one leaf, stacked."""
        aval = self.out_avals[leaf]
        assert aval is not None
        key = "vjp", (self.outs[leaf],), self._inputs
        results, given = self._run_units(key, aval)
        return self._fill(results, given, (aval.size,))

    def push_forward_units(self, number: int, leaves: Numbers) -> list[Any]:
        """Tangents of result ``leaves`` for all unit vectors of one input, stacked."""
        key = "jvp", tuple(self.outs[leaf] for leaf in leaves), (number,)
        results, given = self._run_units(key, self.avals[number])
        found = iter(results)
        size = (self.avals[number].size,)
        return [
            next(found) if is_given else zeros(self.out_avals[leaf], size)
            for leaf, is_given in zip(leaves, given, strict=True)
        ]

    @property
    def has_curvature(self) -> bool:
        """Whether `curve` can be derived: one number, of equations without bodies."""
        key = "curvature", self.outs[0]
        found = self._path.ends.get(key)
        if found is None:
            eqns = read_path(self._path, Var)[1]
            found = self._path.ends[key] = is_plain(eqns)
        return bool(found)

    def curve(self, tangents: dict[int, Any]) -> list[Any]:
        """Tangents of the gradient of the first leaf, one number."""
        key = "curvature", (self.outs[0],), tuple(tangents)
        executable, given = derived(self._path, *key)
        return self._fill(self._run(executable, list(tangents.values())), given)

    def curve_units(self, number: int) -> list[Any]:
        """The same for all unit vectors of one input, stacked."""
        key = "curvature", (self.outs[0],), (number,)
        aval = self.avals[number]
        results, given = self._run_units(key, aval)
        return self._fill(results, given, (aval.size,))

    def _run_units(self, key: Any, aval: Aval) -> tuple[list[Any], Flags]:
        executable, given = derived(self._path, *key)
        program, size = executable.program, aval.size
        if any(eqn.prim.inlines for eqn in program.eqns):
            saved = self._trace.saved  # a rule of the user's may branch on them
            flags = (*(False for _ in saved), True)
            call = functools.partial(evaluate, program)
            results = run_mapped(call, size, [*saved, unit_vectors(aval)], flags)
            return [spread(size, out, m) for out, m in results], given
        executable, takes_seeds = derived_units(self._path, key, size)
        return self._run(executable, [unit_vectors(aval)] if takes_seeds else []), given

    def gradient(self) -> list[Any]:
        """The gradient of the first leaf, a number; frees what the tape saved."""
        trace = self._trace
        executable, given = derived(self._path, "grad", (self.outs[0],), self._inputs)
        if trace.constants is not None:
            trace.constants.verify()
        results = run_on(executable, trace.saved, self._is_traced(()))
        return self._fill(results, given)

    @property
    def _inputs(self) -> Numbers:
        return _first_numbers(len(self.avals))

    def _fill(
        self, results: list[Any], given: Flags, lead: tuple[int, ...] = ()
    ) -> list[Any]:
        if all(given):
            return results
        found = iter(results)
        return [
            next(found) if is_given else zeros(aval, lead)
            for aval, is_given in zip(self.avals, given, strict=True)
        ]

    def push_forward(self, tangents: dict[int, Any], leaves: Numbers) -> list[Any]:
        """Tangents of result ``leaves`` for ``tangents`` (input number -> tangent)."""
        outs = tuple(self.outs[leaf] for leaf in leaves)
        executable, given = derived(self._path, "jvp", outs, tuple(tangents))
        results = iter(self._run(executable, list(tangents.values())))
        return [
            next(results) if is_given else zeros(self.out_avals[leaf])
            for leaf, is_given in zip(leaves, given, strict=True)
        ]

    def _run(self, executable: Executable, linear: list[Any]) -> list[Any]:
        trace = self._trace
        if trace.constants is not None:
            trace.constants.verify()
        return run_on(executable, [*trace.saved, *linear], self._is_traced(linear))

    def _is_traced(self, linear: Sequence[Any]) -> bool:
        """Whether a derived program runs on tracers of an enclosing trace."""
        trace = self._trace
        if not trace.nested:
            return any(map(is_traced, linear)) if linear else False
        if active_check() is None:
            return True
        return any(map(is_traced, (*trace.saved, *linear)))


@functools.cache
def _first_numbers(count: int) -> Numbers:
    return tuple(range(count))


def exported(leaf: Tracer) -> Any:
    """The value of a result outside its trace; a copy where the trace needs it."""
    value = leaf.value
    is_exclusive = leaf.owned and leaf.origin is None
    if is_exclusive or isinstance(value, np.generic):
        return value
    return alias(value) if type(value) is Tracer else value.copy()


def zeros(aval: Aval | None, lead: tuple[int, ...] = ()) -> Any:
    """The zero of a type, as a NumPy array or scalar; with further axes in front."""
    assert aval is not None
    return np.zeros(lead + aval.shape, aval.dtype)[()]


def derived(
    path: Path, mode: str, outs: tuple[Any, ...], wrt: Numbers
) -> tuple[Executable, Flags]:
    """The pullback (``vjp``), the gradient or the tangent map (``jvp``) of a structure,
    or the tangent map of its gradient (``curvature``).

    Its arguments are the saved values, then the cotangents or tangents; the gradient
    (``grad``) is the pullback of a cotangent of ones, and takes none. The flags say
    which of its results vary; the others are zero and left out.
    """
    key = (mode, outs, wrt)
    found = path.ends.get(key)
    if found is None:
        found = path.ends[key] = _derive(path, mode, outs, wrt)
    return found


def unit_vectors(aval: Aval) -> Any:
    """A batch of arrays of a type: one for each element, with a one there."""
    ones = np.eye(aval.size, dtype=aval.numpy_dtype)
    return ones.reshape((aval.size, *aval.shape))


def derived_units(
    path: Path, key: tuple[str, Numbers, Numbers], size: int
) -> tuple[Executable, bool]:
    """A derived program for all unit vectors in place of its last argument.

    The flag says whether it takes them as last argument; it does not where it is the
    shorter for knowing them.
    """
    found = path.ends.get((*key, size))
    if found is None:
        program = derived(path, *key)[0].program
        mapped = (*(False for _ in program.ins[1:]), True)
        every = tuple(True for _ in program.outs)
        whole, _ = batch_program(program, size, mapped, every)
        sparse = with_unit_seeds(whole)
        executable = Executable(whole if sparse is None else sparse)
        found = path.ends[(*key, size)] = executable, sparse is None
    return found


def _derive(
    path: Path, mode: str, outs: tuple[int, ...], wrt: Numbers
) -> tuple[Executable, Flags]:
    constants: list[Var] = []

    def constant(aval: Aval) -> Var:
        constants.append(Var(aval))
        return constants[-1]

    ins, eqns, variables, saved = read_path(path, constant)
    results = [variables[number] for number in outs]
    program = Program(ins, eqns, results, constants)
    inputs = [ins[number] for number in wrt]
    if mode in ("vjp", "grad"):
        unit = mode == "grad"
        linear, given = reverse(program, inputs, (True,) * len(outs), unit)
        count = 0 if unit else len(outs)
    else:
        is_first = mode == "jvp"
        linear, given = (
            forward(program, inputs) if is_first else curvature(program, ins, inputs)
        )
        count = len(inputs)
    seeds = linear.ins[len(linear.ins) - count :]
    program = Program(
        [*_distinct(saved), *seeds],
        linear.eqns,
        linear.outs,
        linear.consts,
        linear.values,
    )
    return Executable(turn_products(program)), given


def _distinct(saved: Sequence[Any]) -> list[Var]:
    """The saved variables; one that was saved before is renamed and not read."""
    seen: set[Var] = set()
    variables = []
    for var in saved:
        variables.append(Var(var.aval) if var in seen else var)
        seen.add(var)
    return variables
