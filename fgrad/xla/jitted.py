"""``jit(backend="jax")``: a function as programs that XLA compiles.

It is traced with types only, and values on demand; its guards come out of the compiled
program as values, which are looked at after the call.
"""

import functools
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from fgrad import tree
from fgrad.caches import JitInfo
from fgrad.checks import active_check
from fgrad.compiled import Signature, too_many_paths, trace_path
from fgrad.ir import Aval
from fgrad.lower.jax import import_jax
from fgrad.statics import Arguments, Marked
from fgrad.trace import Tracer
from fgrad.xla.arrays import as_argument, aval_of_argument, is_jax_array
from fgrad.xla.demand import Demand, EnclosingTrace
from fgrad.xla.dispatch import Entry
from fgrad.xla.lowered import Lowered, trace_split
from fgrad.xla.paths import Outcome, XlaPath, trace_types

Function = Callable[..., Any]
ENTRIES = 4  # structures of arguments that are told by code written for them
SIGNATURES = 256  # types of arguments for which a jitted function keeps its programs
_LOCK = threading.Lock()  # held while a path is added


class Shardings:
    """How arguments and results are laid out over devices, if the user says so."""

    def __init__(self, ins: Any, outs: Any) -> None:
        self._ins, self.outs = ins, outs

    @property
    def are_free(self) -> bool:
        """Whether they are those that the arguments have."""
        return self._ins is None and self.outs is None

    def of(self, split: Arguments) -> list[Any] | None:
        """The sharding of each leaf of the arguments.

        Raises:
            TreeError: ``in_shardings`` does not match the arguments.
        """
        if self._ins is None:
            return None
        args, named = split.given
        is_many = isinstance(self._ins, tuple | list)
        ins = tuple(self._ins) if is_many else self._ins
        found = tree.prefix_leaves(ins, tuple(args), "in_shardings")
        return [*found, *(None for _ in tree.flatten(named)[0])]


class XlaSignature:
    """What is known of calls with one structure and types of arguments.

    Args:
        name: of the function.
        split: arguments with this structure, whose leaves are forgotten.
        donated: the donated arguments, if there are any.
        avals: the types of the leaves.
        kinds: for each leaf whether it is an array of jax.
        shardings: of arguments and results.
        max_paths: how many paths are kept.
    """

    def __init__(
        self,
        name: str,
        split: Arguments,
        donated: Marked | None,
        avals: Sequence[Aval],
        kinds: Sequence[bool],
        shardings: Shardings,
        max_paths: int,
    ) -> None:
        self.avals = tuple(avals)
        self.paths: list[XlaPath] = []
        self.misses = 0
        self._name, self._call, self._max_paths = name, split.call, max_paths
        self._is_jax = any(kinds)
        self._is_wide = not all(kinds)
        self._donated = split.donated(donated)
        self._in_shardings, self._out_shardings = shardings.of(split), shardings.outs
        split.forget_leaves()

    def run(self, *values: Any) -> Any:
        """The result, by the path that was taken last, and from there by others."""
        path = self.paths[-1] if self.paths else self.trace(values, ())
        while True:
            result, failure = path(values, self._is_wide)
            if failure is None:
                return result
            path = self._after(failure) or self.trace(values, failure)

    @property
    def direct(self) -> Function:
        """What runs for such leaves: a function of jax's own if that is enough."""
        own = self.paths[0].direct(self._is_wide) if len(self.paths) == 1 else None
        return self.run if own is None else own

    def _after(self, outcomes: tuple[Outcome, ...]) -> XlaPath | None:
        """A path whose guards hold for these outcomes; the next call begins with it."""
        for path in self.paths:
            if path.outcomes[: len(outcomes)] == outcomes:
                with _LOCK:
                    self.paths.remove(path)
                    self.paths.append(path)
                return path
        return None

    def trace(self, values: Sequence[Any], outcomes: tuple[Outcome, ...]) -> XlaPath:
        """Trace the path for these values, along outcomes that are known.

        Raises:
            JitError: there are too many.
        """
        if len(self.paths) >= self._max_paths:
            raise too_many_paths(self._name, self._max_paths)
        demand = Demand(values, {number: value for number, _, value in outcomes})
        program, treedef = trace_types(self._call, self.avals, demand)
        path = XlaPath(
            program,
            treedef,
            self._is_jax,
            self._donated,
            self._in_shardings,
            self._out_shardings,
        )
        self.misses += 1
        with _LOCK:
            self.paths.append(path)
        return path


class XlaJitted:
    """What ``jit(backend="jax")`` returns: call it like the function.

    Each is of a class of its own, whose ``__call__`` begins with tests that are made
    for the arguments it has seen, as in `fgrad.jitting.Jitted`.
    """

    def __new__(cls, *_: Any) -> "XlaJitted":
        own = type(cls.__name__, (cls,), {"__module__": cls.__module__})
        return cast("XlaJitted", super().__new__(own))

    def __init__(
        self,
        f: Function,
        static: Marked | None,
        donated: Marked | None,
        max_paths: int,
        shardings: Shardings,
    ) -> None:
        import_jax()
        functools.update_wrapper(self, f)
        self._f = f
        self._name = getattr(f, "__name__", type(f).__name__)
        self._static, self._donated = static, donated
        self._max_paths, self._shardings = max_paths, shardings
        self._signatures: dict[Any, XlaSignature] = {}
        self._entries: dict[Any, Entry] = {}
        self._calls = 0  # that no code told
        self._misses = 0  # of signatures that are forgotten

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        split = self._split(args, kwargs)
        if any(type(leaf) is Tracer for leaf in split.leaves):
            return self._f(*args, **kwargs)
        values = list(map(as_argument, split.leaves))
        if active_check() is not None:
            return _interpret(self._name, split, values)
        are_jax = tuple(map(is_jax_array, values))
        kinds = tuple(map(type, split.leaves))
        structure = are_jax, split.key
        avals = tuple(map(aval_of_argument, values))
        key = structure, avals
        signature = self._signatures.get(key)
        if signature is None:
            marks = split, self._donated
            settings = self._shardings, self._max_paths
            signature = XlaSignature(self._name, *marks, avals, are_jax, *settings)
        try:
            out = signature.run(*values)
        except EnclosingTrace:
            return self._f(*args, **kwargs)
        self._calls += 1
        self._keep(key, signature)
        self._learn((kinds, structure), args, kwargs, signature)
        return out

    def _keep(self, key: Any, signature: XlaSignature) -> None:
        with _LOCK:
            if len(self._signatures) >= SIGNATURES and key not in self._signatures:
                self.clear_cache()
            self._signatures.setdefault(key, signature)

    def _learn(
        self,
        structure: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        signature: XlaSignature,
    ) -> None:
        """Let arguments of these types be told by code written for them."""
        entry = self._entries.get(structure)
        if entry is None:
            if len(self._entries) >= ENTRIES:
                return
            entry = Entry(args, kwargs, self._static)
            if not entry.is_complete:
                return
            self._entries[structure] = entry
        entry.learn(signature.avals, signature.direct)
        self._chain()

    def _chain(self) -> None:
        """Let each entry hand on what it does not know to the next."""
        own: Any = type(self)
        following = XlaJitted.__call__
        for entry in self._entries.values():
            entry.hand_on(following)
            following = entry.dispatch
        own.__call__ = following

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """The program for these arguments, which may be types (`fgrad.Aval`).

        >>> import numpy as np, fgrad
        >>> x = fgrad.Aval((3,), "float64")
        >>> fgrad.jit(lambda x: x * 2.0, backend="jax").lower(x)
        { lambda ; a:f64[3] . let
            b:f64[3] = multiply a 2.0
          in (b,) }
        """
        split = self._split(args, kwargs)
        program, treedef, avals = trace_split(split)
        donated = split.donated(self._donated)
        layouts = self._shardings.of(split), self._shardings.outs
        path = XlaPath(program, treedef, True, donated, *layouts)
        return Lowered(path, split, avals, self._name)

    def cache_info(self) -> JitInfo:
        """Calls that were served, functions that were traced, and what is kept."""
        counts = [len(signature.paths) for signature in self._signatures.values()]
        calls = self._calls + sum(entry.hits for entry in self._entries.values())
        misses = self._misses + sum(s.misses for s in self._signatures.values())
        return JitInfo(calls - misses, misses, len(counts), sum(counts))

    def clear_cache(self) -> None:
        """Forget all programs; the next calls trace anew."""
        self._calls += sum(entry.hits for entry in self._entries.values())
        self._misses += sum(s.misses for s in self._signatures.values())
        self._signatures = {}
        self._entries = {}
        if "__call__" in vars(type(self)):
            del type(self).__call__

    def _split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        return Arguments(self._f, args, kwargs, self._static)


def _interpret(name: str, split: Arguments, values: Sequence[Any]) -> Any:
    """The result by NumPy, operation by operation, each of which is looked at."""
    signature = Signature(name, split, (), _no_trace)
    plain = [np.asarray(x)[()] if is_jax_array(x) else x for x in values]
    _, out = trace_path(signature, plain)
    if not any(map(is_jax_array, values)):
        return out
    jax = import_jax()
    with jax.enable_x64(True):
        return tree.map_leaves(jax.numpy.asarray, out)


def _no_trace(*args: Any) -> Any:
    """What is interpreted takes no other path."""
    raise AssertionError(args)
