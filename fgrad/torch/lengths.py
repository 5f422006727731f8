"""Lengths of the slices of a weight along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.recording import one
from fgrad.torch.registry import function
from fgrad.torch.tensor import Tensor


@function("norm_except_dim")
def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Any:
    """The norms of order ``pow`` of the slices along an axis, which keep their rank.

    With ``dim=-1`` it is the norm of all elements.

    >>> torch.norm_except_dim(torch.tensor([[3.0, 4.0], [6.0, 8.0]]))
    tensor([[ 5.],
            [10.]])
    """
    x: Any = v
    ndim = x.dim()
    if dim == -1:
        return x.norm(pow)
    if dim == 0:
        flat = x.contiguous().view(x.shape[0], -1)
        return flat.norm(pow, 1).view(-1, *(1,) * (ndim - 1))
    if dim == ndim - 1:
        flat = x.contiguous().view(-1, x.shape[-1])
        return flat.norm(pow, 0).view(*(1,) * (ndim - 1), -1)
    return norm_except_dim(x.transpose(0, dim), pow, 0).transpose(0, dim)


@function("_weight_norm")
def scaled_to(v: Tensor, g: Tensor, dim: int = 0) -> Any:
    """A weight whose slices along an axis have given lengths."""
    lengths = norm_except_dim(v, 2, dim)
    if dim not in (0, v.ndim - 1):
        return v * (g / lengths)
    node = "WeightNormInterfaceBackward0"
    return one(node, _scaled(dim, v.ndim), v, g)


def _scaled(dim: int, ndim: int) -> Any:
    axes = tuple(axis for axis in range(ndim) if axis != dim)

    def compute(u: Any, lengths: Any) -> Any:
        squares = np.sum(u * u, axis=axes, keepdims=True)
        return u * (lengths / np.sqrt(squares))

    return compute
