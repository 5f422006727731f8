"""What a tensor depends on: whether a transform may cut it off from the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fgrad.torch.graph import AccumulateGrad
from fgrad.torch.tensor import Tensor


def has_other_leaves(results: Sequence[Any], points: Sequence[Any]) -> bool:
    """Whether results depend on leaves other than the points of a transform.

    Then they stay in the graph: an outer transform, or ``backward()``, needs them.
    """
    own = {id(x) for x in points}
    if any(x.is_leaf and x._requires and id(x) not in own for x in results):
        return True
    stack = [x.grad_fn for x in results if x.grad_fn is not None]
    seen = set(map(id, stack))
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is None or id(node) in seen:
                continue
            if isinstance(node, AccumulateGrad):
                if id(node.variable) not in own:
                    return True
                continue
            seen.add(id(node))
            stack.append(node)
    return False


def left(x: Any, keep: bool) -> Any:
    """A result of a transform: cut off unless it is to stay in the graph."""
    return x.detach() if isinstance(x, Tensor) and not keep else x
