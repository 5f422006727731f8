"""Calls told apart by code: only what jax does not test itself, or what differs.

`jax.jit` looks at the types of its arguments anyway. So the code tests that they are
arrays of jax (or of NumPy), and takes containers apart. Shapes and dtypes are looked at
only once a function has been called with several, and only those that differ; where
none of them fits, jax traces the program for other types, which it refuses.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.checks import CHECKS
from fgrad.ir import PYTHON_NUMBERS, Aval
from fgrad.signature import Constant, Dispatcher, Writer
from fgrad.statics import Marked
from fgrad.xla.arrays import is_jax_array, is_jax_tracer
from fgrad.xla.paths import OtherTypes

Run = Callable[..., Any]


def kind_tests(name: str, value: Any, constant: Constant) -> str | None:
    """No tests beside that of the type."""
    is_array = type(value) is np.ndarray or isinstance(value, np.generic)
    is_known = is_array or is_jax_array(value) or type(value) in PYTHON_NUMBERS
    return "" if is_known and not is_jax_tracer(value) else None


def _unwritten(*args: Any, **kwargs: Any) -> Any:
    """Stands for what takes a call, until it is known."""
    raise AssertionError(args)


class Entry:
    """The code for arguments of one structure, and what runs for their types.

    Args:
        args: the arguments of a call, by position.
        kwargs: and by name.
        static: those that are part of the program, if there are any.

    Attributes:
        dispatch: the code; its global ``following`` is what takes other arguments.
    """

    def __init__(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], static: Marked | None
    ) -> None:
        self._counts = len(args), len(kwargs)
        self._writer = Writer(kind_tests)
        numbers, names = static(len(args)) if static else (set(), set())
        for position, value in enumerate(args):
            self._visit(f"args[{position}]", value, position in numbers)
        for name in sorted(kwargs):  # the order of leaves
            self._writer.require(f"{name!r} in kwargs")
            self._visit(f"kwargs[{name!r}]", kwargs[name], name in names)
        self._types: list[tuple[Sequence[Aval], Run]] = []
        self._served = 0  # by code that was replaced
        self.dispatch: Dispatcher = _unwritten

    def _visit(self, expression: str, value: Any, is_static: bool) -> None:
        if is_static:
            self._writer.visit_static(expression, value)
        else:
            self._writer.visit_part(expression, value)

    @property
    def is_complete(self) -> bool:
        """Whether all arguments are of a kind that has tests."""
        return self._writer.is_complete

    @property
    def hits(self) -> int:
        """How many calls it served."""
        is_new = self.dispatch is _unwritten
        return self._served + (0 if is_new else self.dispatch.__globals__["hits"])

    def hand_on(self, following: Dispatcher) -> None:
        """Let this take the arguments that the code does not know."""
        self.dispatch.__globals__["following"] = following

    def learn(self, avals: Sequence[Aval], run: Run) -> None:
        """Let this run for leaves of these types."""
        self._types = [(own, old) for own, old in self._types if own != avals]
        self._types.append((avals, run))
        self._write()

    def _write(self) -> None:
        self._served = self.hits
        writer = self._writer
        parts = self._parts()
        scope = dict(writer.scope, following=_unwritten, hits=0)
        scope |= {"OtherTypes": OtherTypes, "checks": CHECKS}
        scope["table"] = {
            tuple(getattr(avals[k], name) for k, name in parts): run
            for avals, run in self._types
        }
        scope["run"] = self._types[-1][1]
        other = "return following(self, *args, **kwargs)"
        lines = ["global hits"]
        count, named = self._counts
        is_named = f"len(kwargs) != {named}" if named else "kwargs"
        lines += [f"if len(args) != {count} or {is_named} or checks: {other}"]
        lines += writer.lines
        if parts:
            key = "".join(f"{writer.leaves[k]}.{name}, " for k, name in parts)
            lines += [f"run = table.get(({key}))"]
            lines += [f"if run is None: {other}"]
        lines += [
            "try:",
            f"    result = run({', '.join(writer.leaves)})",
            "except OtherTypes:",
            f"    {other}",
            "hits += 1",
            "return result",
        ]
        source = (
            "\n    ".join(["def dispatch(self, /, *args, **kwargs):", *lines]) + "\n"
        )
        exec(compile(source, "<fgrad dispatcher>", "exec"), scope)
        self.dispatch = scope["dispatch"]

    def _parts(self) -> list[tuple[int, str]]:
        """The leaves, and their attributes, in which the known types differ."""
        first = self._types[0][0]
        return [
            (k, name)
            for k in range(len(first))
            for name in ("shape", "dtype")
            if len({getattr(avals[k], name) for avals, _ in self._types}) > 1
        ]
