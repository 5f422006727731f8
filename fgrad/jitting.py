"""``jit``: a function as compiled programs, one for each structure and path.

The first call for new types of arguments traces the function with their values; calls
that follow run the compiled program. Where Python branched on a value, the program has
a guard; a call for which it fails looks up, or traces, the path for that outcome.
"""

import functools
import inspect
import threading
import types
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from fgrad import tree
from fgrad.arguments import Argnames
from fgrad.bodies import tighten
from fgrad.caches import exact_key
from fgrad.control.guard import GuardFailed, guards_first
from fgrad.errors import JitError
from fgrad.ir import Program
from fgrad.lower.numpy import Executable
from fgrad.record import JIT, read_program
from fgrad.rewrites import optimise
from fgrad.signature import MISS, make_dispatcher
from fgrad.trace import Path, Trace, Tracer, as_operand, is_traced, refresh, type_of

Function = Callable[..., Any]
DISPATCHERS = 4  # types of arguments that are told by code written for them
_LOCK = threading.Lock()  # held while a path is added
SIGNATURES = 256  # types of arguments for which a jitted function keeps its programs


class JitInfo(NamedTuple):
    """How often a jitted function was served from its cache, and what this holds."""

    hits: int
    misses: int
    signatures: int
    paths: int


class Compiled:
    """One path through a function: its program, and the paths that leave it.

    Attributes:
        program: with its guards.
        treedef: the structure of the result.
        others: for the number, kind and outcome of a guard that failed, the path that
            was traced for it.
    """

    def __init__(
        self, program: Program, treedef: tree.TreeDef, has_inner: bool
    ) -> None:
        self.program = program
        self.treedef = treedef
        self.executable = Executable(program)
        self.others: dict[Any, Compiled] = {}
        self._is_leaf = treedef.is_leaf()
        # lanes that are masked later may overflow, and derivatives never warn
        self._is_quiet = has_inner or any(e.prim.name == "where" for e in program.eqns)

    def __call__(self, values: list[Any]) -> Any:
        if self._is_quiet:
            with np.errstate(all="ignore"):
                outs = self.executable(values)
        else:
            outs = self.executable(values)
        return outs[0] if self._is_leaf else tree.unflatten(self.treedef, outs)


class Jitted:
    """What `jit` returns: call it like the function."""

    def __init__(
        self,
        f: Function,
        static_argnums: tuple[int, ...],
        static_argnames: tuple[str, ...],
        max_paths: int,
    ) -> None:
        functools.update_wrapper(self, f)
        self._f = f
        self._name = getattr(f, "__name__", type(f).__name__)
        self._statics: _Statics | None = None
        if static_argnums or static_argnames:
            self._statics = _Statics(f, static_argnums, static_argnames)
        self._max_paths = max_paths
        self._signatures: dict[Any, list[Compiled]] = {}
        self._dispatchers: list[Callable[[tuple[Any, ...]], Any]] = []
        self._hits = self._misses = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            for dispatch in self._dispatchers:
                out = dispatch(args)
                if out is not MISS:
                    return out
        leaves, treedef, call, static = self._split(args, kwargs)
        if any(type(leaf) is Tracer for leaf in leaves):
            return self._f(*args, **kwargs)
        values = list(map(_as_argument, leaves))
        key = (treedef, static, *map(type_of, values))
        if key in self._signatures:
            return self._run(key, call, values)
        out = self._trace(key, values, call, None)
        self._learn(key, args, kwargs, call)
        return out

    def _run(self, key: Any, call: Function, values: list[Any]) -> Any:
        """Run the path that fits; trace it if there is none yet."""
        paths = self._signatures.get(key)
        compiled = paths[0] if paths else None
        failed: tuple[Compiled, Any] | None = None
        while compiled is not None:
            try:
                out = compiled(list(values))
            except GuardFailed as failure:
                outcome = failure.number, failure.kind, failure.observed
                failed = compiled, outcome
                compiled = compiled.others.get(outcome)
                continue
            self._hits += 1
            return out
        return self._trace(key, values, call, failed)

    def _learn(
        self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any], call: Function
    ) -> None:
        """Let arguments of these types be told by code written for them."""
        is_known = key in self._signatures
        if kwargs or not (self._statics is None and is_known):
            return
        dispatch = make_dispatcher(args, functools.partial(self._run, key, call))
        if dispatch is not None and len(self._dispatchers) < DISPATCHERS:
            self._dispatchers.append(dispatch)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def lower(self, *args: Any, **kwargs: Any) -> Program:
        """The program for these arguments, with the guards of the path they take.

        >>> import numpy as np, fgrad
        >>> print(fgrad.jit(lambda x: x * 2.0 if x > 0 else -x).lower(1.0))
        { lambda ; a:float . let
            b:bool[] = greater a 0
            guard[kind='bool', expected=True, number=2] b
            c:f64[] = multiply a 2.0
          in (c,) }
        """
        leaves, _, call, _ = self._split(args, kwargs)
        return _traced(call, list(map(_as_argument, leaves))).program

    def cache_info(self) -> JitInfo:
        """Calls that were served, functions that were traced, and what is kept."""
        counts = [len(paths) for paths in self._signatures.values()]
        return JitInfo(self._hits, self._misses, len(counts), sum(counts))

    def clear_cache(self) -> None:
        """Forget all programs; the next calls trace anew."""
        self._signatures = {}
        self._dispatchers = []

    def _split(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Any], tree.TreeDef, Function, Any]:
        """The traced leaves, their structure, ``f`` as a function of them, statics."""
        if self._statics is None:
            leaves, treedef = tree.flatten((args, kwargs))

            def plain(elements: list[Any]) -> Any:
                new_args, new_kwargs = tree.unflatten(treedef, elements)
                return self._f(*new_args, **new_kwargs)

            return leaves, treedef, plain, ()
        count = len(args)
        numbers, names = self._statics(count)
        fixed = {k: x for k, x in enumerate(args) if k in numbers}
        named = {k: x for k, x in kwargs.items() if k in names}
        moving = [x for k, x in enumerate(args) if k not in fixed]
        rest = {k: x for k, x in kwargs.items() if k not in named}
        leaves, treedef = tree.flatten((moving, rest))

        def call(elements: list[Any]) -> Any:
            given, more = tree.unflatten(treedef, elements)
            found = iter(given)
            new_args = [fixed[k] if k in fixed else next(found) for k in range(count)]
            return self._f(*new_args, **more, **named)

        static = tuple(sorted((k, _hashable(k, x)) for k, x in fixed.items()))
        return leaves, treedef, call, (static, *sorted(_pairs(named)))

    def _trace(
        self,
        key: Any,
        values: list[Any],
        call: Function,
        failed: tuple[Compiled, Any] | None,
    ) -> Any:
        if len(self._signatures.get(key, ())) >= self._max_paths:
            raise JitError(
                f"{self._name} took {self._max_paths} paths through its Python "
                "branches for the same types of arguments; use fgrad.cond, "
                "fgrad.switch, fgrad.while_loop or np.where for branches on values, or "
                "a larger max_paths="
            )
        compiled, results = _traced(call, values)
        out = tree.unflatten(compiled.treedef, results)
        if any(is_traced(value) for value in compiled.program.values):
            return out  # it closes over a value of an enclosing trace, which ends
        with _LOCK:
            self._misses += 1
            if key not in self._signatures and len(self._signatures) >= SIGNATURES:
                self.clear_cache()
            paths = self._signatures.setdefault(key, [])
            if failed is None:
                is_new = not paths  # another thread may have traced it meanwhile
            else:
                source, outcome = failed
                is_new = source.others.setdefault(outcome, compiled) is compiled
            if is_new:
                paths.append(compiled)
        return out


def _as_argument(leaf: Any) -> Any:
    try:
        return as_operand(leaf)
    except TypeError as error:
        raise TypeError(
            f"an argument of a jitted function is no array or number: {error}; name it "
            "in static_argnums or static_argnames if it is to be part of the program"
        ) from error


class _Statics:
    """Which arguments of a function are static, each given by its place or name."""

    def __init__(
        self, f: Function, argnums: tuple[int, ...], argnames: tuple[str, ...]
    ) -> None:
        self._argnums, self._argnames = argnums, argnames
        try:
            parameters = list(inspect.signature(f).parameters.values())
        except ValueError:  # a function written in C
            parameters = []
        kinds = {x.kind for x in parameters}
        self._is_open = not parameters or inspect.Parameter.VAR_POSITIONAL in kinds
        self._names = [x.name for x in parameters if x.kind <= x.POSITIONAL_OR_KEYWORD]
        unknown = set(argnames).difference(x.name for x in parameters)
        if unknown and parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise JitError(f"static_argnames that are no arguments: {sorted(unknown)}")

    def __call__(self, count: int) -> tuple[set[int], set[str]]:
        """The static positions and names of a call with so many positional ones."""
        size = count if self._is_open else len(self._names)
        numbers = {k + size if k < 0 else k for k in self._argnums}
        names = {name for k, name in enumerate(self._names) if k in numbers}
        numbers |= {k for k, name in enumerate(self._names) if name in self._argnames}
        return numbers, names.union(self._argnames)


def _pairs(named: dict[str, Any]) -> list[Any]:
    return [(name, _hashable(name, value)) for name, value in named.items()]


def _hashable(name: Any, value: Any) -> Any:
    try:
        hash(value)
    except TypeError as error:
        raise JitError(
            f"the static argument {name!r} cannot be hashed ({type(value).__name__}): "
            "it is part of the key of a program; pass a tuple in place of a list, or "
            "leave it out of static_argnums"
        ) from error
    return exact_key(value)


class Traced(NamedTuple):
    """A path that was traced, and the leaves of its result."""

    compiled: Compiled
    results: list[Any]

    @property
    def program(self) -> Program:
        return self.compiled.program


def _traced(call: Function, values: list[Any]) -> Traced:
    """Run a function on these values, and read the program of the path it takes."""
    avals = tuple(map(type_of, values))
    root = Path(None, None, (), (), avals, ())
    trace = Trace(JIT, avals, root=root)
    result = trace.run(call, trace.inputs(values))
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
    program = tighten(read_program(trace, trace.finish(), outs))
    program = guards_first(optimise(program))
    frozen = [_frozen(value) for value in program.values]
    program = Program(program.ins, program.eqns, program.outs, program.consts, frozen)
    return Traced(Compiled(program, treedef, has_inner), results)


def _apart(value: Any) -> Any:
    """A result that shares no memory with anything else."""
    return np.array(value) if type(value) is np.ndarray else value


def _frozen(value: Any) -> Any:
    """A closed-over array as it is now."""
    return value.copy(order="K") if type(value) is np.ndarray else value


def jit(
    f: Function | None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: Argnames = None,
    max_paths: int = 64,
) -> Any:
    """Compile ``f`` for the types of its arguments, and reuse what was compiled.

    Values, shapes and dtypes are those of ``f``. Python's ``if`` and ``while`` on
    values work: a program is one path through them, with a guard at each branch.
    Arrays that ``f`` closes over are taken as they are when it is traced. What else
    ``f`` does (Python's ``print``, appending to a list) happens when it is traced.

    Args:
        f: a function of arrays, numbers, or nested containers of them; left out, the
            result is a decorator.
        static_argnums: positions of arguments that are no arrays: functions, strings,
            numbers that Python loops over. They must be hashable; each value has its
            own programs.
        static_argnames: names of such arguments.
        max_paths: how many paths are kept for the same types of arguments.

    Returns:
        A function of the same arguments, with ``lower(*args)`` (the program),
        ``cache_info()`` and ``clear_cache()``. Inside other transforms it is ``f``.

    Raises:
        JitError: there are more paths than ``max_paths``, or a static argument cannot
            be hashed or is no argument of ``f``.

    >>> import numpy as np, fgrad
    >>> step = fgrad.jit(fgrad.grad(lambda x: np.sum(x**2) if x[0] > 0 else x[1]))
    >>> step(np.array([1.0, 2.0])), step(np.array([-1.0, 2.0]))
    (array([2., 4.]), array([0., 1.]))
    """
    numbers = (
        (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    )
    names = (
        (static_argnames,)
        if isinstance(static_argnames, str)
        else tuple(static_argnames or ())
    )

    def decorate(function: Function) -> Jitted:
        return Jitted(function, numbers, names, max_paths)

    return decorate if f is None else decorate(f)
