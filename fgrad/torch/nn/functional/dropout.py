"""Dropout: elements or channels set to zero by chance, the others scaled up."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from fgrad.torch.inplace import overwrite
from fgrad.torch.random import default_generator
from fgrad.torch.recording import one
from fgrad.torch.tensor import Tensor, require_tensor


def _dropped(
    name: str,
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    shape: tuple[int, ...],
) -> Tensor:
    """The input times a mask of a shape that broadcasts."""
    x = require_tensor(name, input)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return x
    draws = default_generator.numpy.random(shape, np.float32)
    scale = 0.0 if p == 1 else 1 / (1 - p)
    mask = (draws >= p).astype(x._aval.dtype) * x._aval.dtype.type(scale)
    result = one("MulBackward0", operator.mul, x, constants=(mask,))
    return overwrite(x, result) if inplace else result


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Elements set to zero with probability ``p``, the others divided by ``1 - p``.

    Raises:
        ValueError: ``p`` is no probability.
    """
    x = require_tensor("dropout", input)
    return _dropped("dropout", x, p, training, inplace, x._aval.shape)


def _channels(x: Tensor, ndim: int) -> tuple[int, ...]:
    lead = x._aval.ndim - ndim
    return (*x._aval.shape[:lead], *(1,) * ndim)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of ``(N, C, L)`` set to zero."""
    shape = _channels(input, 1)
    return _dropped("dropout1d", input, p, training, inplace, shape)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of ``(N, C, H, W)`` set to zero."""
    shape = _channels(input, 2)
    return _dropped("dropout2d", input, p, training, inplace, shape)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of ``(N, C, D, H, W)`` set to zero."""
    shape = _channels(input, 3)
    return _dropped("dropout3d", input, p, training, inplace, shape)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps the mean and variance of what `selu` gives."""
    x = require_tensor("alpha_dropout", input)
    if not training or p == 0:
        return x
    low = -1.7580993408473766
    scale = ((1 - p) * (1 + p * low * low)) ** -0.5
    keep = default_generator.numpy.random(x._aval.shape, np.float32) >= p

    def compute(u: Any) -> Any:
        return np.where(keep, u, low) * scale - scale * p * low

    return one("AddBackward0", compute, x)
