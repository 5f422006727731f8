"""What batch rules share: operands with one more axis, the batch, in front.

A mapped operand has the batch as its first axis; the others do not have it.
"""

from collections.abc import Sequence
from typing import Any

from fgrad.ops.structure import broadcast_to, reshape, transpose
from fgrad.trace import type_of

Flags = Sequence[bool]


def rank_of(x: Any, is_mapped: bool) -> int:
    """The number of axes that one element of the batch has."""
    return type_of(x).ndim - is_mapped


def with_rank(x: Any, rank: int) -> Any:
    """A mapped operand whose elements have axes of length 1 in front, up to a rank."""
    shape = type_of(x).shape
    missing = rank + 1 - len(shape)
    if not missing:
        return x
    return reshape(x, shape=(shape[0], *(1,) * missing, *shape[1:]))


def aligned(mapped: Flags, operands: Sequence[Any]) -> list[Any]:
    """The operands such that broadcasting them broadcasts the elements of the batch."""
    pairs = list(zip(operands, mapped, strict=True))
    rank = max(rank_of(x, is_mapped) for x, is_mapped in pairs)
    return [with_rank(x, rank) if is_mapped else x for x, is_mapped in pairs]


def spread(size: int, x: Any, is_mapped: bool) -> Any:
    """The operand as a mapped one, the same for all elements where it was not."""
    return x if is_mapped else broadcast_to(x, shape=(size, *type_of(x).shape))


def all_spread(size: int, mapped: Flags, operands: Sequence[Any]) -> list[Any]:
    """All operands as mapped ones."""
    return [spread(size, x, m) for x, m in zip(operands, mapped, strict=True)]


def move_axis(x: Any, source: int, target: int) -> Any:
    """The array with one axis moved."""
    ndim = type_of(x).ndim
    axes = [axis for axis in range(ndim) if axis != source % ndim]
    axes.insert(target % ndim, source % ndim)
    return x if axes == list(range(ndim)) else transpose(x, axes=tuple(axes))
