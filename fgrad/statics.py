"""Which arguments of a function are static or donated, given by position or name."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

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
