"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.recording import one
from fgrad.torch.registry import operation
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Tensor, require_tensor


def _check_matrix(name: str, x: Tensor) -> Tensor:
    if x._aval.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    return x


@operation("tril")
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of ``(..., n, m)``, zeros above diagonal ``diagonal``.

    >>> torch.tril(torch.tensor([[1, 2], [3, 4]]))
    tensor([[1, 0],
            [3, 4]])
    """
    x = _check_matrix("tril", require_tensor("tril", input))
    return one("TrilBackward0", lambda u: np.tril(u, diagonal), x)


@operation("triu")
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of ``(..., n, m)``, zeros below diagonal ``diagonal``.

    >>> torch.triu(torch.tensor([[1, 2], [3, 4]]))
    tensor([[1, 2],
            [0, 4]])
    """
    x = _check_matrix("triu", require_tensor("triu", input))
    return one("TriuBackward0", lambda u: np.triu(u, diagonal), x)


@operation("diagonal")
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the elements on a diagonal of two axes, in a new last axis.

    >>> torch.diagonal(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    x = require_tensor("diagonal", input)
    axes = axis_of(dim1, x._aval.ndim), axis_of(dim2, x._aval.ndim)
    top, left = -min(offset, 0), max(offset, 0)
    count = max(min(x._aval.shape[axes[0]] - top, x._aval.shape[axes[1]] - left), 0)
    square = (..., slice(top, top + count), slice(left, left + count))

    def compute(u: Any) -> Any:  # np.diagonal gives what cannot be written to
        return np.einsum("...ii->...i", np.moveaxis(u, axes, (-2, -1))[square])

    return one("DiagonalBackward0", compute, x, view=True)


@operation("diag")
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector as its diagonal.

    Raises:
        RuntimeError: there are more than two axes.

    >>> torch.diag(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    x = require_tensor("diag", input)
    if x._aval.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {x._aval.ndim}D")
    is_vector = x._aval.ndim == 1
    node = "DiagEmbedBackward0" if is_vector else "DiagonalBackward0_copy"
    return one(node, lambda u: _copied(np.diag(u, diagonal)), x)


def _copied(x: Any) -> Any:
    return x.copy() if isinstance(x, np.ndarray) else x


@operation("diag_embed")
def diag_embed(
    input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1
) -> Tensor:
    """Matrices with the last axis as their diagonals.

    >>> torch.diag_embed(torch.tensor([1, 2]), offset=1).shape
    torch.Size([3, 3])
    """
    x = require_tensor("diag_embed", input)
    length = x._aval.shape[-1] + abs(offset)
    ndim = x._aval.ndim + 1
    first, second = axis_of(dim1, ndim), axis_of(dim2, ndim)
    column = max(offset, 0)
    mask = np.eye(length, k=offset, dtype=bool)

    def compute(u: Any) -> Any:
        pad = [(0, 0)] * (u.ndim - 1) + [(column, length - u.shape[-1] - column)]
        spread = np.pad(u, pad)[..., None, :]
        return np.moveaxis(np.where(mask, spread, 0), (-2, -1), (first, second))

    return one("DiagEmbedBackward0", compute, x)


@operation("diagflat")
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all elements as its diagonal.

    >>> torch.diagflat(torch.tensor([[1], [2]]))
    tensor([[1, 0],
            [0, 2]])
    """
    return diag(input.reshape(-1), offset)


@operation("trace")
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix.

    Raises:
        RuntimeError: it is no matrix.

    >>> torch.trace(torch.tensor([[1, 2], [3, 4]]))
    tensor(5)
    """
    x = require_tensor("trace", input)
    if x._aval.ndim != 2:
        raise RuntimeError(
            f"trace: expected a matrix, but got tensor with dim {x._aval.ndim}"
        )
    return one("TraceBackward0", np.trace, x)
