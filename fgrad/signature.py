"""Tests of arguments, written out as code for the types that a program was made for.

Straight-line tests of type, dtype and shape, and the taking apart of nested containers,
cost a third of flattening and looking up.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.checks import CHECKS

Run = Callable[..., Any]
Dispatcher = Callable[..., Any]  # of self and the arguments
Constant = Callable[[Any], str]  # a name for a global
LeafTests = Callable[[str, Any, Constant], str | None]
_NUMBERS = (bool, int, float, complex)


def _is_leaf(cls: type) -> bool:
    """Whether the tests tell all that matters of an instance; not so for subclasses."""
    is_numpy = issubclass(cls, np.generic) and np.sctypeDict.get(cls.__name__) is cls
    return is_numpy or cls is np.ndarray or cls in _NUMBERS


def exact_tests(name: str, value: Any, constant: Constant) -> str | None:
    """The tests of a leaf of NumPy, beside that of its type."""
    if type(value) is not np.ndarray:
        return "" if _is_leaf(type(value)) else None
    dtype = constant(value.dtype)
    return f" and {name}.dtype is {dtype} and {name}.shape == {value.shape}"


class Writer:
    """The lines of a dispatcher, and the globals that they need.

    ``tests`` writes those of a leaf, or says that there are none for it (None).
    """

    def __init__(self, tests: LeafTests) -> None:
        self._tests = tests
        self.lines: list[str] = []
        self.leaves: list[str] = []
        self.scope: dict[str, Any] = {}
        self.is_complete = True  # whether all arguments are of a kind that has tests

    def constant(self, value: Any) -> str:
        name = f"c{len(self.scope)}"
        self.scope[name] = value
        return name

    def require(self, condition: str) -> None:
        other = "return following(self, *args, **kwargs)"
        self.lines.append(f"if not ({condition}): {other}")

    def visit_static(self, expression: str, value: Any) -> None:
        """Write the test of an argument that is part of the program by its value: the
        same object, or one that is equal where equality says all.
        """
        name = f"x{len(self.lines)}"
        self.lines.append(f"{name} = {expression}")
        known = self.constant(value)
        condition = f"{name} is {known}"
        if type(value) in (int, str, bytes):
            kind = self.constant(type(value))
            condition += f" or type({name}) is {kind} and {name} == {known}"
        self.require(condition)

    def visit(self, name: str, value: Any) -> None:
        """Write the tests of one argument or of a part of one."""
        if value is None:
            self.require(f"{name} is None")
            return
        kind = self.constant(type(value))
        condition = f"type({name}) is {kind}"
        is_container = type(value) in (tuple, list, dict)
        if is_container:
            more: str | None = f" and len({name}) == {len(value)}"
        else:
            more = self._tests(name, value, self.constant)
        self.is_complete &= more is not None
        self.require(condition + (more or ""))
        if type(value) is dict:
            self._visit_keys(name, value)
        elif type(value) in (tuple, list):
            for position, item in enumerate(value):
                self.visit_part(f"{name}[{position}]", item)
        else:
            self.leaves.append(name)

    def _visit_keys(self, name: str, value: dict[Any, Any]) -> None:
        try:
            keys = sorted(value)  # the order of leaves
        except TypeError:
            self.is_complete = False
            return
        for key in keys:
            text = self.constant(key)
            self.require(f"{text} in {name}")
            self.visit_part(f"{name}[{text}]", value[key])

    def visit_part(self, expression: str, item: Any) -> None:
        name = f"x{len(self.lines)}"
        self.lines.append(f"{name} = {expression}")
        self.visit(name, item)


def make_dispatcher(
    args: tuple[Any, ...], run: Run, following: Dispatcher
) -> Dispatcher | None:
    """A ``__call__`` that calls ``run(*leaves)`` for arguments like these, and
    ``following``, another ``__call__``, for others.

    Its globals ``run``, ``following`` and ``hits`` (how often it ran) may be read and
    set. None where an argument is of a type that these tests do not know.
    """
    writer = Writer(exact_tests)
    writer.scope.update(run=run, following=following, hits=0, checks=CHECKS)
    writer.lines.append("global hits")
    writer.require(f"len(args) == {len(args)} and not kwargs and not checks")
    for position, value in enumerate(args):
        writer.visit_part(f"args[{position}]", value)
    if not writer.is_complete:
        return None
    writer.lines += ["hits += 1", f"return run({', '.join(writer.leaves)})"]
    head = "def dispatch(self, *args, **kwargs):"
    source = "\n    ".join([head, *writer.lines]) + "\n"
    exec(compile(source, "<fgrad dispatcher>", "exec"), writer.scope)
    dispatch: Dispatcher = writer.scope["dispatch"]
    return dispatch
