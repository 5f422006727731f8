"""Pytrees: nested containers of leaves, a thin layer over optree.

Dicts, lists, tuples, namedtuples and ``None`` are optree's own; a dataclass is
registered the first time an instance is met.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import optree

from fgrad.errors import TreeError

NAMESPACE = "fgrad"
TreeDef = optree.PyTreeSpec


def _is_new_dataclass(leaf: Any) -> bool:
    return dataclasses.is_dataclass(leaf) and not isinstance(leaf, type)


def _register_dataclass(cls: type) -> None:
    names = tuple(field.name for field in dataclasses.fields(cls))

    def flatten_fields(instance: Any) -> tuple[tuple[Any, ...], None, tuple[str, ...]]:
        return tuple(getattr(instance, name) for name in names), None, names

    def unflatten_fields(_: Any, children: Iterable[Any]) -> Any:
        instance: Any = object.__new__(cls)
        for name, child in zip(names, children, strict=True):
            object.__setattr__(instance, name, child)
        return instance

    optree.register_pytree_node(
        cls, flatten_fields, unflatten_fields, namespace=NAMESPACE
    )


LEAF: TreeDef = optree.treespec_leaf()
_LEAF_TYPES: set[type] = {float, int, complex, bool, np.ndarray, np.float64, np.float32}


def add_leaf_type(cls: type) -> None:
    """Declare a type whose instances are leaves, which makes flattening them quick."""
    _LEAF_TYPES.add(cls)


def flatten(tree: Any) -> tuple[list[Any], TreeDef]:
    """Leaves of ``tree`` from left to right, and the structure that holds them."""
    if type(tree) in _LEAF_TYPES:
        return [tree], LEAF
    leaves, treedef = optree.tree_flatten(tree, namespace=NAMESPACE)
    unknown = {type(leaf) for leaf in leaves if _is_new_dataclass(leaf)}
    if not unknown:
        return leaves, treedef
    for cls in unknown:
        _register_dataclass(cls)
    return flatten(tree)


def unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of structure ``treedef`` with these leaves."""
    return optree.tree_unflatten(treedef, leaves)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same tree with ``function`` applied to each leaf."""
    leaves, treedef = flatten(tree)
    return unflatten(treedef, [function(leaf) for leaf in leaves])


def flatten_like(treedef: TreeDef, tree: Any, what: str, like: str) -> list[Any]:
    """Leaves of ``tree``, which must have the structure ``treedef``.

    Raises:
        TreeError: the structures differ.
    """
    leaves, found = flatten(tree)
    if found != treedef:
        raise TreeError(
            f"{what} must have the structure of {like}: expected {treedef}, got {found}"
        )
    return leaves


def paths(tree: Any) -> list[str]:
    """A readable access path for each leaf, such as ``['w'][0]``."""
    flatten(tree)  # registers the dataclasses met on the way
    accessors = optree.tree_accessors(tree, namespace=NAMESPACE)
    return [accessor.codify("") for accessor in accessors]


NONE = object()  # stands for None where None is a leaf


def prefix_leaves(prefix: Any, tree: Any, what: str) -> list[Any]:
    """For each leaf of ``tree`` the leaf of ``prefix`` that is above it.

    None is a leaf of ``prefix``.

    Raises:
        TreeError: ``prefix`` is not the upper part of the tree.
    """
    if isinstance(prefix, int) or prefix is None:
        return [prefix] * len(flatten(tree)[0])
    marked = optree.tree_map(
        lambda leaf: NONE if leaf is None else leaf,
        prefix,
        none_is_leaf=True,
        namespace=NAMESPACE,
    )
    try:
        leaves = optree.broadcast_prefix(marked, tree, namespace=NAMESPACE)
    except ValueError as error:
        raise TreeError(f"{what} does not match the tree: {error}") from error
    return [None if leaf is NONE else leaf for leaf in leaves]


def source(treedef: TreeDef, leaves: Iterable[str], scope: dict[str, Any]) -> str:
    """The source of a tree whose leaves are these expressions.

    What it refers to is added to ``scope``: namedtuples, and where a container is none
    of Python's own, the function and the structure that make it.
    """
    texts = list(leaves)
    text = _source(unflatten(treedef, map(_Leaf, texts)), scope)
    if text is not None:
        return text
    scope["unflatten"], scope["treedef"] = unflatten, treedef
    return f"unflatten(treedef, [{', '.join(texts)}])"


class _Leaf:
    def __init__(self, text: str) -> None:
        self.text = text


def _source(node: Any, scope: dict[str, Any]) -> str | None:
    """The source of a container; None for one that is none of Python's own."""
    kind = type(node)
    if kind is _Leaf:
        return str(node.text)
    if node is None:
        return "None"
    if kind is dict:
        if not all(type(key) in (str, int) for key in node):
            return None
        items = [_source(item, scope) for item in node.values()]
        pairs = zip(node, items, strict=True)
        text = ", ".join(f"{key!r}: {item}" for key, item in pairs)
        return None if None in items else f"{{{text}}}"
    is_named = kind is not tuple and issubclass(kind, tuple) and hasattr(kind, "_make")
    if kind not in (tuple, list) and not is_named:
        return None
    items = [_source(item, scope) for item in node]
    if None in items:
        return None
    text = ", ".join(map(str, items))
    if kind is list:
        return f"[{text}]"
    if kind is tuple:
        return f"({text},)" if len(items) == 1 else f"({text})"
    scope[kind.__name__] = kind
    return f"{kind.__name__}({text})"
