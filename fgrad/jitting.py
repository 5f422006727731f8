"""``jit``: a function as compiled programs, one for each structure and path.

The first call for new types of arguments traces the function with their values; calls
that follow run the compiled program. Where Python branched on a value, the program has
a guard; a call for which it fails looks up, or traces, the path for that outcome.
"""

import functools
import threading
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from fgrad.arguments import Argnames
from fgrad.caches import JitInfo
from fgrad.compiled import (
    Compiled,
    Outcome,
    Signature,
    closes_over_traced,
    too_many_paths,
    trace_path,
)
from fgrad.errors import BackendError, ExportError, JitError
from fgrad.explain import explain
from fgrad.exporting import module_source, write_module
from fgrad.ir import Program
from fgrad.signature import Dispatcher, make_dispatcher
from fgrad.statics import Arguments, Marked, as_names, as_numbers
from fgrad.trace import Tracer, as_operand, type_of
from fgrad.xla.jitted import Shardings, XlaJitted

Function = Callable[..., Any]
DISPATCHERS = 4  # types of arguments that are told by code written for them
_LOCK = threading.Lock()  # held while a path is added
BACKENDS = ("numpy", "jax")
SIGNATURES = 256  # types of arguments for which a jitted function keeps its programs


class Jitted:
    """What `jit` returns: call it like the function.

    Each is of a class of its own, whose ``__call__`` begins with tests that are made
    for the arguments it has seen: an attribute of the instance would be one call more.
    """

    def __new__(cls, *_: Any) -> "Jitted":
        own = type(cls.__name__, (cls,), {"__module__": cls.__module__})
        return cast("Jitted", super().__new__(own))

    def __init__(
        self,
        f: Function,
        static: Marked | None,
        donated: Marked | None,
        max_paths: int,
    ) -> None:
        functools.update_wrapper(self, f)
        self._f = f
        self._name = getattr(f, "__name__", type(f).__name__)
        self._static, self._donated = static, donated
        self._max_paths = max_paths
        self._signatures: dict[Any, Signature] = {}
        self._dispatchers: list[Dispatcher] = []
        self._hits = self._misses = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        split = self._split(args, kwargs)
        if any(type(leaf) is Tracer for leaf in split.leaves):
            return self._f(*args, **kwargs)
        values, key = _values_and_key(split)
        signature = self._signatures.get(key)
        if signature is not None:
            self._hits += 1
            return signature.run(*values)
        signature = self._new_signature(split)
        out = self._trace(signature, values, None, None)
        self._keep(key, signature)
        if not kwargs and self._static is None and signature.paths:
            self._learn(args, signature)
        return out

    def _new_signature(self, split: Arguments) -> Signature:
        donated = split.donated(self._donated)
        split.forget_leaves()
        return Signature(self._name, split, donated, self._trace)

    def _keep(self, key: Any, signature: Signature) -> None:
        with _LOCK:
            if not signature.paths:
                return
            if len(self._signatures) >= SIGNATURES:
                self.clear_cache()
            self._signatures.setdefault(key, signature)

    def _learn(self, args: tuple[Any, ...], signature: Signature) -> None:
        """Let arguments of these types be told by code written for them."""
        if len(self._dispatchers) >= DISPATCHERS:
            return
        own: Any = type(self)
        dispatch = make_dispatcher(args, signature.run, own.__call__)
        if dispatch is not None:
            signature.dispatchers.append(dispatch)
            self._dispatchers.append(dispatch)
            own.__call__ = dispatch

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
            d:float = number[kind='float'] c
          in (d,) }
        """
        split = self._split(args, kwargs)
        values = list(map(_as_argument, split.leaves))
        return trace_path(self._new_signature(split), values)[0].program

    @property
    def source(self) -> str:
        """A module that needs NumPy only, for the types of arguments traced last.

        It has the paths that were traced so far. See `export`.

        Raises:
            JitError: nothing was traced yet.
            ExportError: the function does what such a module cannot hold.
        """
        if not self._signatures:
            raise JitError(
                f"{self._name} has no source before it is called: call it, or use "
                "fgrad.export(jitted, args, path)"
            )
        return module_source(list(self._signatures.values())[-1])

    def explain(self) -> str:
        """What was specialised, fused, reused and kept for each path, and why."""
        return explain(self._name, list(self._signatures.values()))

    def leaves(self, *args: Any, **kwargs: Any) -> list[Any]:
        """The arrays and numbers that are traced of these arguments."""
        return list(map(_as_argument, self._split(args, kwargs).leaves))

    def signature(self, *args: Any, **kwargs: Any) -> Signature:
        """What is known of calls with arguments like these, traced if it is new."""
        _, key = _values_and_key(self._split(args, kwargs))
        if key not in self._signatures:
            self(*args, **kwargs)
        if key not in self._signatures:
            raise JitError(f"{self._name} is called with traced values here")
        return self._signatures[key]

    def cache_info(self) -> JitInfo:
        """Calls that were served, functions that were traced, and what is kept."""
        counts = [len(signature.paths) for signature in self._signatures.values()]
        hits = self._hits + self._dispatched()
        return JitInfo(hits, self._misses, len(counts), sum(counts))

    def _dispatched(self) -> int:
        """How many calls were told by code."""
        return sum(dispatch.__globals__["hits"] for dispatch in self._dispatchers)

    def clear_cache(self) -> None:
        """Forget all programs; the next calls trace anew."""
        self._hits += self._dispatched()
        self._signatures = {}
        self._dispatchers = []
        if "__call__" in vars(type(self)):
            del type(self).__call__

    def _split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        return Arguments(self._f, args, kwargs, self._static)

    def _trace(
        self,
        signature: Signature,
        values: list[Any],
        source: Compiled | None,
        outcome: Outcome | None,
    ) -> Any:
        """Trace a path: the first one, or that for an outcome of a guard of another."""
        if len(signature.paths) >= self._max_paths:
            raise too_many_paths(self._name, self._max_paths)
        compiled, out = trace_path(signature, values)
        self._misses += 1
        if source is not None:
            self._hits -= 1  # what was counted as served took a new path
        if closes_over_traced(compiled):
            return out
        with _LOCK:
            is_new = not signature.paths  # another thread may have traced it meanwhile
            if source is not None:
                is_new = source.others.setdefault(outcome, compiled) is compiled  # type: ignore[arg-type] # an outcome comes with a source
            if is_new:
                signature.paths.append(compiled)
        return out


def _values_and_key(split: Arguments) -> tuple[list[Any], Any]:
    """What is traced of arguments, and their key in the cache."""
    values = list(map(_as_argument, split.leaves))
    return values, (split.key, *map(type_of, values))


def _as_argument(leaf: Any) -> Any:
    try:
        return as_operand(leaf)
    except TypeError as error:
        raise TypeError(
            f"an argument of a jitted function is no array or number: {error}; name it "
            "in static_argnums or static_argnames if it is to be part of the program "
            "(the self of a method: @fgrad.jit(static_argnums=0))"
        ) from error


def jit(
    f: Function | None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: Argnames = None,
    donate_argnums: int | Iterable[int] = (),
    donate_argnames: Argnames = None,
    max_paths: int = 64,
    backend: str = "numpy",
    in_shardings: Any = None,
    out_shardings: Any = None,
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
        donate_argnums: positions of arguments whose arrays the caller needs no more:
            results may be written into them, which saves new arrays.
        donate_argnames: names of such arguments.
        max_paths: how many paths are kept for the same types of arguments.
        backend: ``"numpy"``, or ``"jax"`` for XLA: on CPU, GPU or several devices.
            Arrays of jax in give arrays of jax, those of NumPy those of NumPy.
        in_shardings: for ``"jax"``, the layout over devices of the arguments: of each,
            or of all, as for ``jax.jit``; left out, that which they have.
        out_shardings: that of the result, likewise.

    Returns:
        A function of the same arguments, with ``lower(*args)`` (the program),
        ``cache_info()`` and ``clear_cache()``. Inside other transforms it is ``f``.

    Raises:
        JitError: there are more paths than ``max_paths``, or a static argument cannot
            be hashed or is no argument of ``f``.
        BackendError: there is no such backend, or jax is missing or too old; when
            called, XLA cannot run what ``f`` does.

    >>> import numpy as np, fgrad
    >>> step = fgrad.jit(fgrad.grad(lambda x: np.sum(x**2) if x[0] > 0 else x[1]))
    >>> step(np.array([1.0, 2.0])), step(np.array([-1.0, 2.0]))
    (array([2., 4.]), array([0., 1.]))
    >>> fgrad.jit(np.cumsum, backend="jax")(np.ones(3))
    array([1., 2., 3.])
    """
    if backend not in BACKENDS:
        raise BackendError(f"backend={backend!r} is none of {', '.join(BACKENDS)}")
    shardings = Shardings(in_shardings, out_shardings)
    if backend != "jax" and not shardings.are_free:
        raise BackendError("in_shardings and out_shardings need backend='jax'")
    statics = as_numbers(static_argnums), as_names(static_argnames)
    donations = as_numbers(donate_argnums), as_names(donate_argnames)

    def decorate(function: Function) -> Jitted | XlaJitted:
        static = Marked(function, *statics, "static") if any(statics) else None
        donated = Marked(function, *donations, "donate") if any(donations) else None
        if backend == "jax":
            return XlaJitted(function, static, donated, max_paths, shardings)
        return Jitted(function, static, donated, max_paths)

    return decorate if f is None else decorate(f)


def export(
    f: Function, args: tuple[Any, ...], path: Any, kwargs: dict[str, Any] | None = None
) -> Path:
    """Write a jitted function as a Python module that needs NumPy only, not fgrad.

    The module has one function, of the name and the traced arguments of ``f``, for
    arguments of the types of these. Static arguments are part of it. Paths through
    Python branches are those that were met so far: call the jitted function with values
    that take the others before. Arrays that ``f`` closes over are part of the module.

    Args:
        f: what `jit` returned, or a function.
        args: its arguments, as a tuple.
        path: the file to write, such as ``"gradient.py"``.
        kwargs: its arguments by name.

    Returns:
        The path.

    Raises:
        ExportError: the function calls Python functions (`external`, `custom_vjp`) that
            a module cannot hold.

    >>> import numpy as np, fgrad, tempfile, pathlib
    >>> slope = fgrad.jit(fgrad.grad(lambda x: np.sum(x**3)))
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "slope.py"
    >>> _ = fgrad.export(slope, (np.ones(2),), file)
    >>> scope = {}
    >>> exec(file.read_text(), scope)
    >>> scope["function"](np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    if isinstance(f, XlaJitted):
        raise ExportError(
            "export writes a module for NumPy, and this function runs on XLA: jit it "
            "without backend=, or use jitted.lower(*args).export()"
        )
    jitted = f if isinstance(f, Jitted) else jit(f)
    if not isinstance(args, tuple):
        raise TypeError("args must be a tuple of the arguments of f")
    return write_module(jitted.signature(*args, **(kwargs or {})), path)
