"""The arguments of a call: which are static or donated, and the names of leaves."""

import inspect
import keyword
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from fgrad import tree
from fgrad.arguments import Argnames
from fgrad.caches import exact_key
from fgrad.errors import JitError


def as_numbers(argnums: int | Iterable[int]) -> tuple[int, ...]:
    """Positions as a tuple."""
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)


def as_names(argnames: Argnames) -> tuple[str, ...]:
    """Names as a tuple."""
    return (argnames,) if isinstance(argnames, str) else tuple(argnames or ())


class Marked:
    """Some arguments of a function.

    Args:
        f: the function.
        numbers: their positions.
        names: their names.
        what: how they are called in errors, such as ``static``.

    Raises:
        JitError: a name is none of an argument of ``f``.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        numbers: tuple[int, ...],
        names: tuple[str, ...],
        what: str,
    ) -> None:
        self._numbers, self._given = numbers, names
        parameters = parameters_of(f)
        kinds = {x.kind for x in parameters}
        self._is_open = not parameters or inspect.Parameter.VAR_POSITIONAL in kinds
        self._names = [x.name for x in parameters if x.kind <= x.POSITIONAL_OR_KEYWORD]
        unknown = set(names).difference(x.name for x in parameters)
        if unknown and parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise JitError(f"{what}_argnames that are no arguments: {sorted(unknown)}")

    def __call__(self, count: int) -> tuple[set[int], set[str]]:
        """Their positions and names in a call with so many positional ones."""
        size = count if self._is_open else len(self._names)
        numbers = {k + size if k < 0 else k for k in self._numbers}
        names = {name for k, name in enumerate(self._names) if k in numbers}
        numbers |= {k for k, name in enumerate(self._names) if name in self._given}
        return numbers, names.union(self._given)


def parameters_of(f: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function; none for one that is written in C."""
    try:
        return list(inspect.signature(f).parameters.values())
    except ValueError:
        return []


def static_key(
    fixed: dict[int, Any], named: dict[str, Any]
) -> tuple[tuple[Any, Any], ...]:
    """A key for the values of static arguments, by position and by name.

    Raises:
        JitError: one cannot be hashed.
    """
    items = [*sorted(fixed.items()), *sorted(named.items())]
    return tuple((label, _hashable(label, value)) for label, value in items)


def _hashable(label: Any, value: Any) -> Any:
    try:
        hash(value)
    except TypeError as error:
        raise JitError(
            f"the static argument {label!r} cannot be hashed "
            f"({type(value).__name__}): it is part of the key of a program; pass a "
            "tuple in place of a list, or leave it out of static_argnums"
        ) from error
    return exact_key(value)


class Parameter(NamedTuple):
    """An argument that is traced: its name, and whether it is given by name."""

    name: str
    is_keyword: bool


class Arguments:
    """The arguments of one call, and what follows from their structure.

    Attributes:
        leaves: the arrays and numbers that are traced.
        key: what tells the structure, and the static arguments.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        static: Marked | None,
    ) -> None:
        self._f, self._count = f, len(args)
        numbers, names = static(len(args)) if static else (set(), set())
        self._fixed = {k: x for k, x in enumerate(args) if k in numbers}
        self._named = {k: x for k, x in kwargs.items() if k in names}
        self._moving = {k: x for k, x in enumerate(args) if k not in numbers}
        self._rest = {k: x for k, x in kwargs.items() if k not in names}
        self._given: tuple[list[Any], dict[str, Any]]
        self._given = list(self._moving.values()), self._rest
        self.leaves, self._treedef = tree.flatten(self._given)
        self.key = self._treedef, static_key(self._fixed, self._named)

    def forget_leaves(self) -> None:
        """Keep the structure only, so that the arrays of a call are not kept alive."""
        values, self._rest = tree.unflatten(self._treedef, [0.0] * len(self.leaves))
        self._moving = dict(zip(self._moving, values, strict=True))
        self._given = values, self._rest
        self.leaves = []

    def call(self, elements: list[Any]) -> Any:
        """The function of a list of leaves."""
        values, more = tree.unflatten(self._treedef, elements)
        found = iter(values)
        fixed = self._fixed
        args = [fixed[k] if k in fixed else next(found) for k in range(self._count)]
        return self._f(*args, **more, **self._named)

    @property
    def given(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments that are traced, by position and by name."""
        return self._given

    def parameters(self) -> list[Parameter]:
        """The arguments that are traced, in the order of their leaves."""
        kinds = parameters_of(self._f)
        plain = [x.name for x in kinds if x.kind <= x.POSITIONAL_OR_KEYWORD]
        names = [plain[k] if k < len(plain) else f"x{k}" for k in self._moving]
        by_name = [Parameter(name, True) for name in sorted(self._rest)]
        return [*(Parameter(name, False) for name in names), *by_name]

    def donated(self, marked: Marked | None) -> list[int]:
        """The positions of leaves of arguments that are donated."""
        if marked is None:
            return []
        owners = [*self._moving, *sorted(self._rest)]
        chosen = set().union(*marked(self._count))
        return [
            k
            for k, (number, _) in enumerate(self._places())
            if owners[number] in chosen
        ]

    def _places(self) -> list[tuple[int, str]]:
        """For each leaf the number of its parameter, and its place in that."""
        items = [*self._moving.values(), *(self._rest[k] for k in sorted(self._rest))]
        counts = [len(tree.flatten(item)[0]) for item in items]
        numbers = [number for number, count in enumerate(counts) for _ in range(count)]
        # a path begins with the place in the list or dict, and that of the parameter
        paths = [path.split("]", 2)[2] for path in tree.paths(self._given)]
        return list(zip(numbers, paths, strict=True))

    def expressions(self) -> list[str]:
        """For each leaf what gives it: ``params['w']``."""
        parameters = self.parameters()
        return [f"{parameters[number].name}{path}" for number, path in self._places()]

    def labels(self) -> list[str]:
        """For each leaf a name of its own: ``params_w``."""
        taken: set[str] = set()
        return [as_label(text, taken) for text in self.expressions()]


_TAKEN = re.compile(
    r"np|inf|nan|i0|i1|first|last|part|call|result|token|\w+_|"
    r"(kept|const_|other_|run_|spare_|new_buffers_|body_|results_)\w*|"
    r"k[\dm]\w*|\w+_rows|(bool|u?int|float|complex)\w*|"
    r"abs|int|len|list|math|min|range|tuple|zip|getattr|type|checked|observed|"
    r"ArithmeticError|ValueError|IndexError|"
    r"as_float64|unshared|error_state|ignore_all|unflatten|treedef|array_key|expected\w*"
)


def as_label(text: str, taken: set[str]) -> str:
    """A name made from an expression, ``params_w`` for ``params['w']``; it is added to
    those that are taken.
    """
    label = re.sub(r"\W+", "_", text).strip("_")
    if not label.isidentifier():
        label = f"x_{label}"
    if _TAKEN.fullmatch(label) or keyword.iskeyword(label):
        label += "_in"
    while label in taken:
        label += "_2"
    taken.add(label)
    return label
