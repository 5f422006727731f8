"""Softmax along an axis, its logarithm, and the logarithm of sums of exponentials."""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad
from fgrad.torch import dtypes
from fgrad.torch.conversion import convert
from fgrad.torch.dtypes import as_dtype
from fgrad.torch.recording import one
from fgrad.torch.registry import numpy_names, operation
from fgrad.torch.size import axes_of, axis_of
from fgrad.torch.tensor import Tensor, require_tensor


@operation("logsumexp")
@numpy_names
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(input)))`` over an axis or several, without overflow.

    >>> torch.logsumexp(torch.tensor([1000.0, 1000.0]), dim=0)
    tensor(1000.6932)
    """
    x = require_tensor("logsumexp", input)
    if not x.dtype.is_floating_point:
        x = convert(x, dtypes.get_default_dtype())
    axes = axes_of(dim, x._aval.ndim)
    return one("LogsumexpBackward0", lambda u: _logsumexp(u, axes, keepdim), x)


def _logsumexp(x: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    for axis in axes:
        x = np.logaddexp.reduce(x, axis=axis, keepdims=True)
    return x if keepdim else np.squeeze(x, axes)


def softmax_of(x: Any, axis: int) -> Any:
    """The softmax of an array along an axis."""
    if not x.ndim or not x.size:
        return x * 0 + 1
    top = fgrad.stop_gradient(np.max(x, axis=axis, keepdims=True))
    powers = np.exp(x - top)
    return powers / np.sum(powers, axis=axis, keepdims=True)


def log_softmax_of(x: Any, axis: int) -> Any:
    """The logarithm of the softmax of an array along an axis."""
    if not x.ndim or not x.size:
        return x * 0
    top = fgrad.stop_gradient(np.max(x, axis=axis, keepdims=True))
    shifted = x - top
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def floating(name: str, input: Tensor, dtype: Any) -> Tensor:
    """A tensor of floating-point numbers, converted to ``dtype`` if given."""
    x = require_tensor(name, input)
    if dtype is not None:
        return convert(x, as_dtype(dtype))
    if not x.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"{name}_lastdim_kernel_impl\" not implemented for '{x.dtype.kind}'"
        )
    return x


@operation("softmax")
@numpy_names
def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """``exp(input)``, divided by its sum over an axis.

    ``dtype`` is what elements are converted to first.

    Raises:
        NotImplementedError: the elements are integers, and no dtype is given.

    >>> torch.softmax(torch.tensor([0.0, 0.0, 100.0]), dim=0)
    tensor([3.7835e-44, 3.7835e-44, 1.0000e+00])
    """
    x = floating("softmax", input, dtype)
    axis = axis_of(dim, x._aval.ndim)
    return one("SoftmaxBackward0", lambda u: softmax_of(u, axis), x)


@operation("log_softmax")
@numpy_names
def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`: ``input - logsumexp(input)`` along an axis.

    >>> torch.log_softmax(torch.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    x = floating("log_softmax", input, dtype)
    axis = axis_of(dim, x._aval.ndim)
    return one("LogSoftmaxBackward0", lambda u: log_softmax_of(u, axis), x)
