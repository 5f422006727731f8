"""How PyTorch's messages show the structure of nested containers."""

from __future__ import annotations

from typing import Any


def structure_text(value: Any) -> str:
    """The structure of a container, with stars for leaves.

    >>> structure_text((1, [2]))
    'TreeSpec(tuple, None, [*,\\n  TreeSpec(list, None, [*])])'
    """
    return _text(value, 0)


def _text(value: Any, indent: int) -> str:
    if isinstance(value, dict):
        context: Any = list(value)
        children = list(value.values())
    elif isinstance(value, tuple | list):
        context, children = None, list(value)
    else:
        return "*"
    inner = [_text(child, indent + 2) for child in children]
    joined = (",\n" + " " * (indent + 2)).join(inner)
    return f"TreeSpec({type(value).__name__}, {context}, [{joined}])"
