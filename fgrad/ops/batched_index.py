"""Indexing on batches: which index reads or writes one slot of each element.

A mapped array has the batch as its first axis, so the slot of all elements is
``x[:, *at]``; where index arrays are mapped, too, it is ``x[batch, *at]`` with
``batch`` counting along them. NumPy puts the axes of index arrays first where slices
separate them, so the slot comes in another order of axes, which is undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.at import At, Steps, advanced_position, dummy, follow, has_repeats
from fgrad.ops.batching import with_rank
from fgrad.ops.structure import inverse_permutation, reshape, transpose
from fgrad.primitive import Primitive
from fgrad.trace import type_of

WHOLE = (None, None, None)


@dataclass(frozen=True)
class BatchedSlot:
    """The slot of all elements of a batch.

    Attributes:
        arrays: the index arrays.
        params: ``at`` and, where there is one, ``path``.
        order: the permutation of axes from NumPy's slot to (batch, axes of an
            element's slot); None where they agree.
    """

    arrays: tuple[Any, ...]
    params: dict[str, Any]
    order: tuple[int, ...] | None

    def ordered(self, slot: Any) -> Any:
        """What was read, with the axes of an element's slot behind the batch."""
        return slot if self.order is None else transpose(slot, axes=self.order)

    def as_slot(self, size: int, v: Any, is_mapped: bool, ndim: int) -> Any:
        """What is written, in the order of NumPy's slot; ``ndim`` is an element's."""
        shape = type_of(v).shape
        missing = ndim + is_mapped - len(shape)
        if missing < 0:  # NumPy ignores leading axes of length 1
            kept = shape[is_mapped - missing :]
            v = reshape(v, shape=(*shape[:is_mapped], *kept))
        elif is_mapped:
            v = with_rank(v, ndim)
        if self.order is None:
            return v
        if not is_mapped:
            v = reshape(v, shape=(1,) * (1 + ndim - type_of(v).ndim) + type_of(v).shape)
        return transpose(v, axes=inverse_permutation(self.order))


def batched_path(size: int, path: Steps) -> Steps:
    """The path that leads from a batch of arrays to the batch of their views."""
    steps = []
    for name, params in path:
        rule = Primitive.registry[name].batch_params
        moved = params if rule is None else tuple(rule(size, **dict(params)).items())
        steps.append((name, moved))
    return tuple(steps)


def batched_slot(
    size: int,
    mapped: Sequence[bool],
    x: Aval,
    arrays: Sequence[Any],
    at: At,
    path: Steps = (),
) -> BatchedSlot:
    """The slot of a batch; ``mapped`` is for the array and then for its indices.

    Args:
        size: the length of the batch.
        mapped: whether the array, and each of its index arrays, is mapped.
        x: the type of one element's array.
        arrays: the index arrays.
        at, path: the index, as in `fgrad.ops.at`.
    """
    x_mapped, *flags = mapped
    ranks = [type_of(a).ndim - m for a, m in zip(arrays, flags, strict=True)]
    rank = max(ranks, default=0)  # of the broadcast index arrays of an element
    ndim = follow(dummy(x), path).ndim
    advanced = [k for k, entry in enumerate(at) if type(entry) in (str, int)]
    is_apart = bool(advanced) and advanced[-1] - advanced[0] + 1 != len(advanced)
    before = advanced_position(at, ndim) if advanced else 0
    used = sum(entry is not None and entry is not Ellipsis for entry in at)
    count = ndim - used + sum(e is None or type(e) is tuple for e in at)
    if not any(flags):
        params = _params(size, (WHOLE, *at), path)
        if not is_apart or not rank:
            return BatchedSlot(tuple(arrays), params, None)
        axes = (rank, *range(rank), *range(rank + 1, rank + 1 + count))
        return BatchedSlot(tuple(arrays), params, axes)
    pairs = zip(arrays, flags, strict=True)
    lined_up = [with_rank(a, rank) if m else a for a, m in pairs]
    if not x_mapped:
        at = tuple("$" if type(entry) is str else entry for entry in at)
        params = {"at": at, "path": path} if path else {"at": at}
        if is_apart or not before:
            return BatchedSlot(tuple(lined_up), params, None)
        rest = range(before + 1, 1 + rank + count)
        return BatchedSlot(tuple(lined_up), params, (before, *range(before), *rest))
    if not _repeats(at, ranks):
        at = tuple("$u" if type(entry) is str else entry for entry in at)
    batch = np.arange(size).reshape((size, *(1,) * rank))
    order = None
    if before and rank:
        block = range(1, 1 + rank)
        first = range(1 + rank, 1 + rank + before)
        rest = range(1 + rank + before, 1 + rank + count)
        order = (0, *first, *block, *rest)
    return BatchedSlot((batch, *lined_up), _params(size, ("$u", *at), path), order)


def _repeats(at: At, ranks: Sequence[int]) -> bool:
    return has_repeats(at, [Aval((1,) * rank, np.intp) for rank in ranks])


def _params(size: int, at: At, path: Steps) -> dict[str, Any]:
    return {"at": at, "path": batched_path(size, path)} if path else {"at": at}


def element(x: Any, is_mapped: bool) -> Aval:
    """The type of one element."""
    aval = type_of(x)
    return Aval(aval.shape[1:], aval.numpy_dtype) if is_mapped else aval
