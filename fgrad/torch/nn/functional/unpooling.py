"""The inverse of pooling, and pooling by norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import fgrad
import fgrad.numpy
from fgrad.torch.known import examined
from fgrad.torch.nn.functional.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from fgrad.torch.nn.functional.windows import each
from fgrad.torch.pointwise import relu
from fgrad.torch.recording import one
from fgrad.torch.tensor import Tensor, require_tensor

Sizes = tuple[int, ...]


def _unpooled_size(
    ndim: int, x: Tensor, size: Any, stride: Any, padding: Any, output_size: Any
) -> Sizes:
    """The lengths of the result.

    Raises:
        ValueError: ``output_size`` is not one that was pooled to the input's.
    """
    kernel, before = each(size, ndim), each(padding, ndim)
    steps = kernel if stride in (None, ()) else each(stride, ndim)
    axes = zip(x._aval.shape[-ndim:], steps, before, kernel, strict=True)
    default = tuple((n - 1) * s - 2 * p + k for n, s, p, k in axes)
    if output_size is None:
        return default
    wanted = tuple(output_size)
    if len(wanted) == ndim + 2:
        wanted = wanted[2:]
    if len(wanted) != ndim:
        raise ValueError(
            f"output_size should be a sequence containing {ndim} or {ndim + 2} "
            f"elements, but it has a length of '{len(output_size)}'"
        )
    for k, (n, known, s) in enumerate(zip(wanted, default, steps, strict=True)):
        if not known - s < n < known + s:
            raise ValueError(
                f'invalid output_size "{wanted}" (dim {k} must be between {known - s} '
                f"and {known + s})"
            )
    return wanted


def _max_unpool(
    ndim: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> Tensor:
    x = require_tensor(f"max_unpool{ndim}d", input)
    out = _unpooled_size(ndim, x, kernel_size, stride, padding, output_size)
    places, total = indices._array, math.prod(out)
    if places.dtype != np.int64:
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {indices.dtype.kind}"
        )
    if places.shape != x._aval.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor "
            f"({list(x.shape)}) but got indices tensor with shape: "
            f"{list(indices.shape)}"
        )
    wrong = (examined(places) < 0) | (examined(places) >= total)
    if np.any(wrong):
        shown = "x".join(map(str, (1, *out) if ndim == 1 else out))
        raise RuntimeError(
            f"Found an invalid max index: {int(examined(places)[wrong][0])} (output "
            f"volumes are of size {shown})"
        )
    lead = x._aval.shape[:-ndim]
    rows = np.arange(math.prod(lead))[:, None]
    columns = places.reshape(len(rows), -1)
    is_last = _last_of_equal(columns, total)

    def compute(u: Any) -> Any:
        flat = fgrad.numpy.zeros((len(rows), total), u.dtype)
        given = u.reshape(len(rows), -1)
        # all elements of one place get its gradient, and the last one stands there
        kept = np.where(is_last, given, given - fgrad.stop_gradient(given))
        np.add.at(flat, (rows, columns), kept)
        return flat.reshape(*lead, *out)

    node = "SqueezeBackward1" if ndim == 1 else f"MaxUnpool{ndim}DBackward0"
    return one(node, compute, x)


def _last_of_equal(columns: Any, total: int) -> Any:
    """Which of the places in each row do not come again."""
    last = np.empty((len(columns), total), np.intp)
    numbers = np.broadcast_to(np.arange(columns.shape[1]), columns.shape)
    np.put_along_axis(last, columns, numbers, 1)
    return np.take_along_axis(last, columns, 1) == numbers


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The elements at the places that `max_pool1d` took them from, zeros elsewhere.

    Raises:
        ValueError: no tensor of ``output_size`` was pooled to the input's.
        RuntimeError: a place is outside.

    >>> import fgrad.torch as torch
    >>> F = torch.nn.functional
    >>> x = torch.tensor([[1.0, 3.0, 2.0, 0.0]])
    >>> F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2)
    tensor([[0., 3., 2., 0.]])
    """
    rest = (kernel_size, stride, padding, output_size)
    return _max_unpool(1, input, indices, *rest)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_unpool1d` for the last two axes.

    >>> F.max_unpool2d(torch.tensor([[[5.0]]]), torch.tensor([[[2]]]), 2)
    tensor([[[0., 0.],
             [5., 0.]]])
    """
    rest = (kernel_size, stride, padding, output_size)
    return _max_unpool(2, input, indices, *rest)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_unpool1d` for the last three axes.

    >>> F.max_unpool3d(torch.tensor([[[[5.0]]]]), torch.tensor([[[[1]]]]), (1, 1, 2))
    tensor([[[[0., 5.]]]])
    """
    rest = (kernel_size, stride, padding, output_size)
    return _max_unpool(3, input, indices, *rest)


_MEANS: list[Any] = [avg_pool1d, avg_pool2d, avg_pool3d]
_LARGEST: list[Any] = [max_pool1d, max_pool2d, max_pool3d]


def _lp_pool(
    ndim: int, input: Tensor, order: float, size: Any, stride: Any, ceil: bool
) -> Tensor:
    x: Any = require_tensor(f"lp_pool{ndim}d", input)
    if order == math.inf:
        return _LARGEST[ndim - 1](x.abs(), size, stride, ceil_mode=ceil)  # type: ignore[no-any-return]
    if order == -math.inf:
        return -_LARGEST[ndim - 1](-x.abs(), size, stride, ceil_mode=ceil)  # type: ignore[no-any-return]
    means = _MEANS[ndim - 1](x.pow(order), size, stride, 0, ceil)
    positive = means.sign() * relu(means.abs())
    return positive.mul(math.prod(each(size, ndim))).pow(1.0 / order)  # type: ignore[no-any-return]


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The norm of order ``norm_type`` of each window of the last axis.

    >>> F.lp_pool1d(torch.tensor([[[3.0, 4.0, 6.0, 8.0]]]), 2, 2)
    tensor([[[ 5., 10.]]])
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`lp_pool1d` for the last two axes.

    >>> F.lp_pool2d(torch.tensor([[[[1.0, 1.0], [1.0, 1.0]]]]), 2, 2)
    tensor([[[[2.]]]])
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`lp_pool1d` for the last three axes.

    >>> F.lp_pool3d(torch.ones(1, 1, 2, 2, 2), 1, 2)
    tensor([[[[[8.]]]]])
    """
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
