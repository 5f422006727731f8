"""Dropout: elements or channels set to zero by chance, the others scaled up."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from fgrad.torch.in_order import reordered
from fgrad.torch.inplace import overwrite
from fgrad.torch.pending import order_of_axes
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
    draws = _in_order(default_generator.numpy.random(shape, np.float32), x)
    scale = 0.0 if p == 1 else 1 / (1 - p)
    mask = (draws >= p).astype(x._aval.dtype) * x._aval.dtype.type(scale)
    result = one("MulBackward0", operator.mul, x, constants=(mask,))
    return overwrite(x, result) if inplace else result


def _in_order(draws: Any, x: Tensor) -> Any:
    """Draws whose axes lie in memory as the tensor's, so that those of results do."""
    return reordered(draws, order_of_axes(x))


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Elements set to zero with probability ``p``, the others divided by ``1 - p``.

    Without ``training`` the input as it is.

    Raises:
        ValueError: ``p`` is no probability.

    >>> F.dropout(torch.ones(3), p=1.0), F.dropout(torch.ones(3), training=False)
    (tensor([0., 0., 0.]), tensor([1., 1., 1.]))
    """
    x = require_tensor("dropout", input)
    return _dropped("dropout", x, p, training, inplace, x._aval.shape)


def _channels(x: Tensor, ndim: int) -> tuple[int, ...]:
    lead = x._aval.ndim - ndim
    return (*x._aval.shape[:lead], *(1,) * ndim)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of ``(N, C, L)`` or ``(C, L)`` set to zero, as in `dropout`.

    >>> x = F.dropout1d(torch.ones(1, 8, 2))
    >>> torch.equal(x[..., 0], x[..., 1])
    True
    """
    shape = _channels(input, 1)
    return _dropped("dropout1d", input, p, training, inplace, shape)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of ``(N, C, H, W)`` set to zero, as in `dropout`.

    >>> x = F.dropout2d(torch.ones(1, 8, 2, 2))
    >>> torch.equal(x[..., 0, 0], x[..., 1, 1])
    True
    """
    shape = _channels(input, 2)
    return _dropped("dropout2d", input, p, training, inplace, shape)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of ``(N, C, D, H, W)`` set to zero, as in `dropout`.

    >>> F.dropout3d(torch.ones(1, 2, 1, 1, 2), p=1.0).flatten()
    tensor([0., 0., 0., 0.])
    """
    shape = _channels(input, 3)
    return _dropped("dropout3d", input, p, training, inplace, shape)


def _alpha_dropped(
    x: Tensor, p: float, training: bool, inplace: bool, shape: tuple[int, ...]
) -> Tensor:
    """Elements set to what a large negative one gives, by a mask that broadcasts."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return x
    low = -1.7580993408473766
    keep = _in_order(default_generator.numpy.random(shape, np.float32), x) >= p
    if p == 1:
        result = one("MulBackward0", lambda u: u * 0, x)
        return overwrite(x, result) if inplace else result
    scale = ((1 - p) * (1 + p * low * low)) ** -0.5

    def compute(u: Any, keep: Any) -> Any:
        return np.where(keep, u, low) * scale - scale * p * low

    result = one("AddBackward0", compute, x, constants=(keep,))
    return overwrite(x, result) if inplace else result


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps the mean and variance of what `selu` gives.

    Dropped elements become -1.7581, and all are scaled and moved (Klambauer et al.,
    Self-normalizing neural networks, 2017).

    >>> F.alpha_dropout(torch.ones(2), training=False)
    tensor([1., 1.])
    """
    x = require_tensor("alpha_dropout", input)
    return _alpha_dropped(x, p, training, inplace, x._aval.shape)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels of ``(N, C, ...)``.

    Raises:
        ValueError: ``p`` is no probability.

    >>> F.feature_alpha_dropout(torch.ones(1, 2, 2), p=1.0, training=True)
    tensor([[[0., 0.],
             [0., 0.]]])
    """
    x = require_tensor("feature_alpha_dropout", input)
    shape = (*x._aval.shape[:2], *(1,) * (x._aval.ndim - 2))
    return _alpha_dropped(x, p, training, inplace, shape)
