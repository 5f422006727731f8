"""The arguments of a call of a jitted function: what is traced, and what is static."""

from collections.abc import Callable
from typing import Any, NamedTuple

from fgrad import tree
from fgrad.compiled import as_label
from fgrad.statics import Marked, parameters_of, static_key

Function = Callable[..., Any]


class Split(NamedTuple):
    """The arguments of a call.

    Attributes:
        leaves: the arrays and numbers that are traced.
        key: what tells the structure, and the static arguments.
        call: the function, of a list of leaves.
        labels: gives a name for each leaf.
        donated: the positions of leaves that are donated.
        moving: the arguments that are not static: positional ones, keywords.
    """

    leaves: list[Any]
    key: Any
    call: Function
    labels: Callable[[], list[str]]
    donated: Callable[[], list[int]]
    moving: tuple[list[Any], dict[str, Any]]


class Splitter:
    """Takes the arguments of a function apart.

    Args:
        f: the function.
        static: its static arguments, if there are any.
        donated: its donated arguments, if there are any.
    """

    def __init__(
        self, f: Function, static: Marked | None, donated: Marked | None
    ) -> None:
        self._f = f
        self._static, self._donated = static, donated

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Split:
        count = len(args)
        numbers, names = self._static(count) if self._static else (set(), set())
        fixed = {k: x for k, x in enumerate(args) if k in numbers}
        named = {k: x for k, x in kwargs.items() if k in names}
        moving = {k: x for k, x in enumerate(args) if k not in fixed}
        rest = {k: x for k, x in kwargs.items() if k not in named}
        given = list(moving.values()), rest
        leaves, treedef = tree.flatten(given)

        def call(elements: list[Any]) -> Any:
            values, more = tree.unflatten(treedef, elements)
            found = iter(values)
            new_args = [fixed[k] if k in fixed else next(found) for k in range(count)]
            return self._f(*new_args, **more, **named)

        def owners() -> list[Any]:
            """For each leaf its argument."""
            items = [*moving.items(), *((k, rest[k]) for k in sorted(rest))]
            return [k for k, x in items for _ in tree.flatten(x)[0]]

        def labels() -> list[str]:
            parameters = parameters_of(self._f)
            plain = [x.name for x in parameters if x.kind <= x.POSITIONAL_OR_KEYWORD]
            taken: set[str] = set()
            found = []
            for owner, path in zip(owners(), tree.paths(given), strict=True):
                is_named = type(owner) is int and owner < len(plain)
                argument = plain[owner] if is_named else f"x{owner}"
                argument = owner if type(owner) is str else argument
                place = path.split("]", 2)[2]  # behind the list, and the argument
                found.append(as_label(argument, place, taken))
            return found

        def donated() -> list[int]:
            if self._donated is None:
                return []
            marked = set().union(*self._donated(count))
            return [k for k, owner in enumerate(owners()) if owner in marked]

        key = treedef, static_key(fixed, named)
        return Split(leaves, key, call, labels, donated, given)
