"""Transforms of jax arrays without jit: recorded with types only, run as one call.

The function runs at each call, so that it sees every change of what it closes over.
What it does is recorded in the trie of structures, with values on demand; a structure
seen before has its compiled program. Arrays of NumPy that the function closes over go
to the device at each call. Python numbers are part of the program until one of them
changes.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.bodies import shorten
from fgrad.caches import exact_key
from fgrad.checks import active_check
from fgrad.ir import PYTHON_AVALS, Atom, Aval, Lit, Program, Var
from fgrad.lower.jax import import_jax, jax_function
from fgrad.path import TRIE, Policy
from fgrad.record import PROGRAM, read_path
from fgrad.trace import Path, Trace, Tracer, as_operand, is_traced, refresh, type_of
from fgrad.transforms.tape import Tape
from fgrad.xla.arrays import aval_of_argument, is_jax_array, keeping_jax, run_wide
from fgrad.xla.demand import Demand, EnclosingTrace

Function = Callable[..., Any]
LAZY = Policy(constants=True, keep=PROGRAM.keep)
_PLAIN = {np.ndarray, float, int, Tracer, np.float64, np.float32, type(None), str}


def has_jax(*args: Any, **kwargs: Any) -> bool:
    """Whether there is an array of jax among arguments, and nothing that is traced."""
    if "jax" not in sys.modules:
        return False
    containers = [x for x in (*args, *kwargs.values()) if type(x) not in _PLAIN]
    if not containers:
        return False
    leaves = tree.flatten(containers)[0]
    return any(map(is_jax_array, leaves)) and not any(map(is_traced, leaves))


def on_jax(function: Function) -> Function:
    """Let a function that records and runs what its arguments say serve arrays of jax.

    Where there is one among the arguments, the whole function runs as one call of XLA,
    and its results are arrays of jax.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if "jax" in sys.modules and has_jax(*args, **kwargs):
            return run_lazily(function, *args, **kwargs)
        return function(*args, **kwargs)

    return call


def run_lazily(function: Function, *args: Any, **kwargs: Any) -> Any:
    """The result of a function of arrays of jax, by one compiled call."""
    leaves, treedef = tree.flatten((args, kwargs))
    positions = [k for k, leaf in enumerate(leaves) if is_jax_array(leaf)]
    values = [leaves[k] for k in positions]
    if active_check() is not None:
        return _checked(function, leaves, treedef)
    avals = tuple(map(aval_of_argument, values))
    trace = Trace(LAZY, avals, abstract=True, root=TRIE.root(LAZY, avals))
    trace.force = Demand(values, allows_arrays=True)

    def call(tracers: Sequence[Any]) -> Any:
        elements = list(leaves)
        for k, tracer in zip(positions, tracers, strict=True):
            elements[k] = tracer
        new_args, new_kwargs = tree.unflatten(treedef, elements)
        return function(*new_args, **new_kwargs)

    try:
        with keeping_jax():
            result = trace.run(call, trace.inputs([None] * len(avals)))
        return _computed(trace, result, values)
    except EnclosingTrace:
        return function(*args, **kwargs)


def _checked(function: Function, leaves: Sequence[Any], treedef: tree.TreeDef) -> Any:
    """The result by NumPy, operation by operation, each of which is looked at."""
    plain = [np.array(x)[()] if is_jax_array(x) else x for x in leaves]
    args, kwargs = tree.unflatten(treedef, plain)
    return tree.map_leaves(_to_jax, function(*args, **kwargs))


def _to_jax(x: Any) -> Any:
    if not isinstance(x, np.ndarray | np.generic):
        return x
    jax = import_jax()
    with jax.enable_x64(True):
        return jax.numpy.asarray(x)


def _computed(trace: Trace, result: Any, values: Sequence[Any]) -> Any:
    """A result with arrays of jax in place of what was recorded, and of NumPy's."""
    leaves, treedef = tree.flatten(result)
    codes: list[int | None] = []
    constants: list[Any] = []
    positions: list[int] = []
    for position, leaf in enumerate(leaves):
        is_own = type(leaf) is Tracer and leaf.scope is trace
        if is_own and leaf.origin is not None:
            refresh(leaf)
        if is_own or isinstance(leaf, np.ndarray | np.generic):
            positions.append(position)
            codes.append(leaf.index if is_own else None)
            if not is_own:
                constants.append(as_operand(leaf))
    path = trace.finish()
    saved = [*trace.saved, *constants]
    if any(map(is_traced, saved)) or any(
        type(x) is Tracer and x.scope is not trace for x in leaves
    ):
        raise EnclosingTrace
    first = _first_positions(saved)
    key = "xla", tuple(codes), first, tuple(map(type_of, constants))
    if key not in path.ends:
        path.ends[key] = Structure(path, codes, list(map(type_of, constants)), first)
    found = path.ends[key](saved, values)
    for position, x in zip(positions, found, strict=True):
        leaves[position] = x
    return tree.unflatten(treedef, leaves)


def _first_positions(values: Sequence[Any]) -> tuple[int, ...]:
    """For each value the position of the first one that is the same array."""
    seen: dict[Any, int] = {}
    found = []
    for k, value in enumerate(values):
        key: Any = ("number", k) if type(value) in PYTHON_AVALS else id(value)
        found.append(seen.setdefault(key, k))
    return tuple(found)


class Structure:
    """What was recorded, compiled: a function of its constants and its inputs.

    Args:
        path: the structure.
        codes: for each result the number of its variable; None for a constant.
        more: the types of results that are constants; they follow those of the path.
        first: for each constant the position of the first one that is the same.
    """

    def __init__(
        self,
        path: Path,
        codes: Sequence[int | None],
        more: Sequence[Aval],
        first: Sequence[int],
    ) -> None:
        self._path, self._codes, self._more = path, codes, more
        self._first = first
        # numbers that are part of the program, positions of others, what runs
        self._state: tuple[list[Any], frozenset[int], Function] | None = None

    def __call__(self, saved: Sequence[Any], values: Sequence[Any]) -> Any:
        """The results, as arrays of jax."""
        state = self._state
        moving = frozenset() if state is None else state[1]
        numbers = _fixed_numbers(saved, moving)
        if state is None or numbers != state[0]:
            if state is not None:  # what has changed is an argument from now on
                pairs = zip(numbers, state[0], strict=True)
                moving |= {k for k, (one, old) in enumerate(pairs) if one != old}
                numbers = _fixed_numbers(saved, moving)
            state = self._state = numbers, moving, self._compile(saved, moving)
        given = [x for k, x in enumerate(saved) if self._is_given(k, x, moving)]
        return run_wide(state[2], *given, *values)

    def _is_given(self, k: int, x: Any, moving: frozenset[int]) -> bool:
        """Whether a constant is an argument of the compiled function."""
        return self._first[k] == k and (type(x) not in PYTHON_AVALS or k in moving)

    def _compile(self, saved: Sequence[Any], moving: frozenset[int]) -> Function:
        atoms: list[Atom] = []
        inputs: list[Var] = []
        for k, x in enumerate(saved):
            if self._is_given(k, x, moving):
                inputs.append(Var(type_of(x)))
                atoms.append(inputs[-1])
            else:
                is_number = type(x) in PYTHON_AVALS
                atoms.append(Lit(x) if is_number else atoms[self._first[k]])
        unread = iter(atoms)
        ins, eqns, variables, _ = read_path(self._path, lambda aval: next(unread))
        outs = [next(unread) if c is None else variables[c] for c in self._codes]
        program = shorten(Program([*inputs, *ins], eqns, outs))
        run: Function = import_jax().jit(jax_function(program))
        return run


def _fixed_numbers(saved: Sequence[Any], moving: frozenset[int]) -> list[Any]:
    """A key for each Python number that is part of the program."""
    return [
        exact_key(x) if type(x) in PYTHON_AVALS and k not in moving else None
        for k, x in enumerate(saved)
    ]


def record_on_jax(
    record: Callable[..., tuple[Any, ...]], primals: tuple[Any, ...]
) -> tuple[Any, ...]:
    """What ``record(primals)`` returns: a tape, descriptions, and two results.

    All values, those that the tape saved too, are computed by one compiled call.
    """
    kept: list[Any] = []

    def call(*primals: Any) -> Any:
        tape, *others, out, aux = record(primals)
        kept[:] = tape, *others
        return tape.saved, out, aux

    saved, out, aux = run_lazily(call, *primals)
    tape, *others = kept
    return tape.rebound(saved), *others, out, aux


def on_saved(function: Callable[[Tape, Any], Any], tape: Tape, argument: Any) -> Any:
    """A function of a tape that was recorded on jax, and of something linear."""
    return run_lazily(
        lambda saved, argument: function(tape.rebound(saved), argument),
        tape.saved,
        argument,
    )
