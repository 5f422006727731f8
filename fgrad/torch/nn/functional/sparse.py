"""Tables of vectors, and numbers as unit vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad
from fgrad.torch.known import entered, examined
from fgrad.torch.recording import one
from fgrad.torch.storage import writing
from fgrad.torch.tensor import Tensor, make, require_tensor


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of a table.

    Args:
        input: the numbers of rows.
        weight: the table, ``(rows, width)``.
        padding_idx: a row that gets no gradient.
        max_norm: longer rows are shortened to it first, in the table itself.
        norm_type: the norm that is meant.
        scale_grad_by_freq: the gradient of a row is divided by how often it is taken.
        sparse: gradients are dense all the same.

    Raises:
        IndexError: there is no such row.
        RuntimeError: the numbers are no integers.

    >>> table = torch.tensor([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
    >>> F.embedding(torch.tensor([2, 0]), table)
    tensor([[2.0000, 2.5000],
            [0.0000, 0.5000]])
    """
    indices = require_tensor("embedding", input)
    rows = indices._array
    if rows.dtype not in (np.int64, np.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following "
            f"scalar types: Long, Int; but got torch.{indices.dtype.kind}Tensor "
            "instead (while checking arguments for embedding)"
        )
    count = weight._aval.shape[0]
    seen = examined(rows)
    if seen.size and not (seen.min() >= 0 and seen.max() < count):
        raise IndexError("index out of range in self")
    if max_norm is not None:
        shorten(weight, np.unique(rows), max_norm, norm_type)
    padding = None if padding_idx is None else padding_idx % count

    shares = _shares(rows)[..., None] if scale_grad_by_freq else None

    def compute(table: Any) -> Any:
        found = entered(table, (rows,))[rows]
        if shares is not None:  # the value is not changed: a difference of equals is 0
            scaled = found * shares.astype(found.dtype)
            change = scaled - fgrad.stop_gradient(scaled)
            found = fgrad.stop_gradient(found) + change
        if padding is None:
            return found
        is_padding = (rows == padding)[..., None]
        return np.where(is_padding, fgrad.stop_gradient(found), found)

    return one("EmbeddingBackward0", compute, weight)


def _shares(rows: Any) -> Any:
    """One divided by how often each number is among those given."""
    _, inverse, counts = np.unique(rows, return_inverse=True, return_counts=True)
    return (1 / counts)[inverse].reshape(rows.shape)


def shorten(weight: Tensor, rows: Any, max_norm: float, order: float) -> None:
    """Scale rows of a table that are longer than ``max_norm``, in place."""
    writing(weight)
    table = weight._array
    norms = np.linalg.norm(table[rows], order, axis=1, keepdims=True)
    scale = np.where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
    table[rows] = table[rows] * scale.astype(table.dtype)
    weight._storage.changed()


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Unit vectors of the numbers of classes, in a new last axis, as int64.

    Without ``num_classes`` there is one more than the largest number.

    Raises:
        RuntimeError: a class is negative or too large, or no int64 number.

    >>> F.one_hot(torch.tensor([2, 0]))
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    classes = require_tensor("one_hot", tensor)._array
    if classes.dtype != np.int64:
        raise RuntimeError(
            "one_hot is only applicable to index tensor of type LongTensor."
        )
    seen = examined(classes)
    if seen.size and seen.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        if not classes.size:
            raise RuntimeError(
                "Can not infer total number of classes from empty tensor."
            )
        num_classes = int(classes.max()) + 1
    if seen.size and seen.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    found = classes[..., None] == np.arange(num_classes)
    return make(found.astype(np.int64, order="C"))
