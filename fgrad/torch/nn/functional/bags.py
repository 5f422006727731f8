"""Sums, means and maxima of rows of a table, for each bag of numbers of rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import fgrad.numpy as fnp
from fgrad.torch.known import entered
from fgrad.torch.nn.functional.sparse import shorten
from fgrad.torch.recording import one
from fgrad.torch.tensor import Tensor

ONLY_SUMS = (
    "embedding_bag: per_sample_weights was not None. per_sample_weights is only "
    "supported for mode='sum' (got mode='{}'). Please open a feature request on GitHub."
)
WITH_OFFSETS = (
    "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
    "of fixed length sequences. However, found offsets of type {}"
)


class Bags(NamedTuple):
    """What is in which bag.

    Attributes:
        rows: the numbers of the rows, one after the other.
        places: where they are in the input.
        owners: the bag of each.
        size: how many bags there are.
    """

    rows: Any
    places: Any
    owners: Any
    size: int


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The mean, sum or largest of the rows of each bag, ``(bags, width)``.

    Args:
        input: numbers of rows: ``(bags, length)``, or ``(numbers,)`` with offsets.
        weight: the table, ``(rows, width)``.
        offsets: where each bag begins in ``input``.
        max_norm: longer rows are shortened before, in place.
        norm_type: the norm that is meant.
        scale_grad_by_freq: not supported.
        mode: ``"mean"``, ``"sum"`` or ``"max"``.
        sparse: gradients are dense all the same.
        per_sample_weights: factors of the rows of a sum, in the shape of ``input``.
        include_last_offset: the last offset is where the last bag ends.
        padding_idx: a row that is left out.

    Raises:
        ValueError: shapes or the mode do not fit.
        NotImplementedError: there are weights, and no sum is asked for.
        RuntimeError: the first bag does not begin at 0.

    >>> table = torch.tensor([[1.0], [2.0], [4.0]])
    >>> F.embedding_bag(torch.tensor([0, 1, 2]), table, torch.tensor([0, 1]))
    tensor([[1.],
            [3.]])
    """
    factors = per_sample_weights
    if factors is not None and factors.shape != input.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({factors.shape}) is not None, "
            f"then it must have the same shape as the input ({input.shape})"
        )
    starts = _starts(input, weight, offsets)
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if max_norm is not None:
        shorten(weight, np.unique(input._array), max_norm, norm_type)
    if factors is not None and mode != "sum":
        raise NotImplementedError(ONLY_SUMS.format(mode))
    count = len(weight._array)
    padding = None if padding_idx is None else padding_idx % count
    bags = _bags(input._array.ravel(), starts, include_last_offset, padding)

    def compute(table: Any, weights: Any = None) -> Any:
        found = entered(table, (bags.rows,))[bags.rows]
        if weights is not None:
            found = found * np.reshape(weights, (-1,))[bags.places][:, None]
        return _largest(found, bags) if mode == "max" else _sums(found, bags, mode)

    operands = (weight,) if factors is None else (weight, factors)
    return one("EmbeddingBagBackward0", compute, *operands)


def _starts(input: Tensor, weight: Tensor, offsets: Tensor | None) -> Any:
    """Where each bag begins.

    Raises:
        ValueError: shapes do not fit.
        RuntimeError: the first bag does not begin at 0.
    """
    shape = input._aval.shape
    if weight._aval.ndim != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}"
        )
    if len(shape) == 2:
        if offsets is not None:
            raise ValueError(WITH_OFFSETS.format(type(offsets)))
        return np.arange(shape[0]) * shape[1]
    if len(shape) != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {len(shape)}"
        )
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets._aval.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    starts = offsets._array
    if starts.size and starts[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to "
            f"start from position 0. However, got {starts[0]}"
        )
    return starts


def _bags(rows: Any, starts: Any, has_end: bool, padding: int | None) -> Bags:
    ends = starts[1:] if has_end else np.append(starts[1:], rows.size)
    lengths = ends - starts[: len(ends)]
    owners = np.repeat(np.arange(len(ends)), lengths)
    places = np.arange(len(owners))
    if padding is not None:
        places = places[rows[: len(owners)] != padding]
    return Bags(rows[places], places, owners[places], len(ends))


def _sums(found: Any, bags: Bags, mode: str) -> Any:
    total = fnp.zeros((bags.size, found.shape[1]), found.dtype)
    np.add.at(total, bags.owners, found)
    if mode == "sum":
        return total
    sizes = np.maximum(np.bincount(bags.owners, minlength=bags.size), 1)
    return total / sizes[:, None].astype(found.dtype)


def _largest(found: Any, bags: Bags) -> Any:
    none = np.zeros(found.shape[1], found.dtype)
    parts = [np.flatnonzero(bags.owners == k) for k in range(bags.size)]
    return np.stack([np.max(found[k], axis=0) if len(k) else none for k in parts])
