"""Which arguments of a call are differentiated, and whether they can be."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.errors import IntegerInputError
from fgrad.ops.structure import astype
from fgrad.trace import Tracer

Argnums = int | Sequence[int]
Argnames = str | Sequence[str] | None


class Selection:
    """The arguments named by ``argnums`` and ``argnames``, in that order."""

    def __init__(self, argnums: Argnums, argnames: Argnames) -> None:
        if argnames is not None and argnums == 0:
            argnums = ()
        self.is_single = isinstance(argnums, int) and argnames is None
        self.numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        self.is_one_name = isinstance(argnames, str) and not self.numbers
        names = (argnames,) if isinstance(argnames, str) else tuple(argnames or ())
        self.names: tuple[str, ...] = names

    def take(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[Any, Callable[[Any], tuple[Sequence[Any], dict[str, Any]]]]:
        """The chosen arguments as one tree, and a function that puts others in place.

        Raises:
            TypeError: the call has no such argument.
        """
        if self.is_single and 0 <= self.numbers[0] < len(args):
            number = self.numbers[0]
            head, tail = args[:number], args[number + 1 :]
            return args[number], lambda value: ((*head, value, *tail), kwargs)
        places: list[tuple[str, Any]] = []
        for number in self.numbers:
            position = number + len(args) if number < 0 else number
            if not 0 <= position < len(args):
                raise TypeError(
                    f"argnums={number} names no argument: the call has {len(args)} "
                    "positional arguments (use argnames for keyword arguments)"
                )
            places.append(("position", position))
        for name in self.names:
            places.append(_find_name(function, name, len(args), kwargs))
        chosen = [args[k] if kind == "position" else kwargs[k] for kind, k in places]

        def put(values: Any) -> tuple[list[Any], dict[str, Any]]:
            if self.is_single or self.is_one_name:
                values = (values,)
            new_args, new_kwargs = list(args), dict(kwargs)
            for (kind, key), value in zip(places, values, strict=True):
                (new_args if kind == "position" else new_kwargs)[key] = value
            return new_args, new_kwargs

        is_one = self.is_single or self.is_one_name
        return (chosen[0] if is_one else tuple(chosen)), put


def _find_name(
    function: Callable[..., Any], name: str, count: int, kwargs: dict[str, Any]
) -> tuple[str, Any]:
    if name in kwargs:
        return "name", name
    parameters = list(inspect.signature(function).parameters)
    if name in parameters and parameters.index(name) < count:
        return "position", parameters.index(name)
    raise TypeError(f"argnames={name!r} names no argument of this call")


def as_input(leaf: Any, where: str) -> Any:
    """A leaf as the input of a differentiation: an inexact array or scalar.

    Raises:
        IntegerInputError: the leaf is an integer or a boolean.
        TypeError: the leaf is not numeric.
    """
    cls = type(leaf)
    if cls is float:
        return np.float64(leaf)
    if cls is np.ndarray or isinstance(leaf, np.generic):
        value = leaf
    elif cls is Tracer:
        if leaf.aval.is_python and leaf.aval.is_inexact:
            leaf = astype(leaf, dtype=leaf.aval.numpy_dtype.name)
        value = leaf
    elif cls is complex:
        return np.complex128(leaf)
    elif isinstance(leaf, np.ma.MaskedArray):
        raise TypeError(f"{where} is a masked array; pass its data and mask apart")
    else:
        value = leaf = np.asarray(leaf)
    kind = value.dtype.kind
    if kind in "fc":
        return leaf if cls is Tracer or value.dtype.isnative else _native(leaf)
    if kind in "biu":
        raise IntegerInputError(
            f"{where} has dtype {value.dtype}; gradients are defined for floating-"
            "point values: pass a float (1.0 in place of 1), or choose other arguments "
            "with argnums"
        )
    raise TypeError(f"{where} of type {cls.__name__} is not numeric")


def _native(array: Any) -> Any:
    return array.astype(array.dtype.newbyteorder("="))


def inputs_of(chosen: Any) -> tuple[list[Any], tree.TreeDef | None]:
    """The leaves of the chosen arguments, checked, and their structure.

    The structure is None where the argument is one array or number.
    """
    if type(chosen) in (np.ndarray, float, np.float64, Tracer):
        return [as_input(chosen, "the argument")], None
    leaves, treedef = tree.flatten(chosen)
    try:
        return [as_input(leaf, "the argument") for leaf in leaves], treedef
    except TypeError:  # again, for an error that names the leaf
        where = [f"the argument{path and f' at {path}'}" for path in tree.paths(chosen)]
        return list(map(as_input, leaves, where)), treedef


def restore(treedef: tree.TreeDef | None, leaves: Sequence[Any]) -> Any:
    """The tree of these leaves; the one leaf where there is no structure."""
    return leaves[0] if treedef is None else tree.unflatten(treedef, leaves)
