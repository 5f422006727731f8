"""Convolutions and transposed convolutions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import fgrad.numpy
from fgrad.torch.nn.functional.correlation import correlated
from fgrad.torch.nn.functional.windows import each, slices
from fgrad.torch.recording import one
from fgrad.torch.tensor import Tensor, require_tensor

Sizes = tuple[int, ...]
UNEVEN = (
    "Using padding='same' with even kernel lengths and odd dilation may require a "
    "zero-padded copy of the input be created"
)


def _check(name: str, x: Tensor, weight: Tensor, ndim: int, groups: int) -> None:
    shape = x._aval.shape
    if len(shape) not in (ndim + 1, ndim + 2):
        raise RuntimeError(
            f"Expected {ndim + 1}D (unbatched) or {ndim + 2}D (batched) input to "
            f"{name}, but got input of size: {list(shape)}"
        )
    if x._aval.dtype != weight._aval.dtype:
        raise RuntimeError(
            f"expected scalar type {x.dtype.kind} but found {weight.dtype.kind}"
        )


def _check_channels(x: Tensor, shape: Any, weight: Tensor, groups: int) -> None:
    if weight._aval.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at "
            f"dimension 0, but got weight of size [{list(weight.shape)}] instead"
        )
    wanted = weight._aval.shape[1] * groups
    if shape[1] != wanted:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected "
            f"input{list(shape)} to have {wanted} channels, but got {shape[1]} "
            "channels instead"
        )


def _paddings(
    padding: Any, size: Sizes, dilation: Sizes, stride: Sizes
) -> list[tuple[int, int]]:
    """How much to add before and after each axis."""
    if padding == "valid":
        return [(0, 0)] * len(size)
    if padding == "same":
        if any(s != 1 for s in stride):
            raise RuntimeError(
                "padding='same' is not supported for strided convolutions"
            )
        totals = [d * (k - 1) for d, k in zip(dilation, size, strict=True)]
        if any(total % 2 for total in totals):
            warnings.warn(UNEVEN, UserWarning, stacklevel=4)
        return [(total // 2, total - total // 2) for total in totals]
    return [(p, p) for p in each(padding, len(size))]


def _recorded(
    convolve: Callable[[Any, Any, Any], Any],
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    is_single: bool,
) -> Tensor:
    """A convolution of a batch, or of one sample, plus each channel's bias."""

    def compute(u: Any, w: Any, b: Any = None) -> Any:
        out = convolve(u[None] if is_single else u, w, b)
        return out[0] if is_single else out

    biases = () if bias is None else (bias,)
    node = "SqueezeBackward1" if is_single else "ConvolutionBackward0"
    return one(node, compute, x, weight, *biases)


def _convolution(
    ndim: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    name = f"conv{ndim}d"
    x = require_tensor(name, input)
    _check(name, x, weight, ndim, groups)
    steps, spread = each(stride, ndim), each(dilation, ndim)
    size = weight._aval.shape[2:]
    pads = _paddings(padding, size, spread, steps)
    is_single = x._aval.ndim == ndim + 1
    shape = (1, *x._aval.shape) if is_single else x._aval.shape
    _check_channels(x, shape, weight, groups)
    lengths = [n + sum(p) for n, p in zip(shape[2:], pads, strict=True)]
    extents = [d * (k - 1) + 1 for d, k in zip(spread, size, strict=True)]
    if any(n < m for n, m in zip(lengths, extents, strict=True)):
        inner, outer = (" x ".join(map(str, each)) for each in (lengths, extents))
        raise RuntimeError(
            f"Calculated padded input size per channel: ({inner}). Kernel size: "
            f"({outer}). Kernel size can't be greater than actual input size"
        )

    def convolve(u: Any, w: Any, b: Any) -> Any:
        return correlated(u, w, b, pads, steps, spread, groups)

    return _recorded(convolve, x, weight, bias, is_single)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of ``(N, C, L)`` with weights ``(out, C / groups, k)``.

    It is what signal processing calls a correlation: the kernel is not mirrored. The
    batch axis may be missing; see `conv2d`. The result is ``(N, out, (L + 2 * padding -
    dilation * (k - 1) - 1) // stride + 1)``.

    Raises:
        RuntimeError: the shapes or dtypes do not fit.

    >>> x = torch.tensor([[[1.0, 2.0, 3.0]]])
    >>> F.conv1d(x, torch.tensor([[[1.0, -1.0]]]))
    tensor([[[-1., -1.]]])
    """
    return _convolution(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of ``(N, C, H, W)`` with weights ``(out, C / groups, h, w)``.

    Args:
        input: images; the batch axis may be missing.
        weight: kernels; they are not mirrored.
        bias: ``(out,)``, or None.
        stride: steps between windows, a number or one for each axis, as the next.
        padding: zeros around the image, or ``"valid"`` or ``"same"``.
        dilation: steps between elements of a window.
        groups: parts of the channels that do not see each other.

    Raises:
        RuntimeError: the shapes or dtypes do not fit.

    >>> F.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2), stride=2, padding=1)
    tensor([[[[1., 2.],
              [2., 4.]]]])
    """
    return _convolution(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of ``(N, C, D, H, W)`` with ``(out, C / groups, d, h, w)``.

    Raises:
        RuntimeError: the shapes or dtypes do not fit.

    >>> F.conv3d(torch.ones(1, 1, 2, 2, 2), torch.ones(4, 1, 2, 2, 2)).flatten()
    tensor([8., 8., 8., 8.])
    """
    return _convolution(3, input, weight, bias, stride, padding, dilation, groups)


def _spread_out(
    x: Any, weight: Any, stride: Sizes, dilation: Sizes, groups: int, full: Sizes
) -> Any:
    """The transpose of `correlated`: each element adds its window to the output."""
    batch, channels, *lengths = x.shape
    size = weight.shape[2:]
    rows = weight.reshape(groups, channels // groups, -1)
    columns = np.moveaxis(x, 1, 0).reshape(groups, channels // groups, -1)
    product = np.swapaxes(rows, -1, -2) @ columns
    parts = product.reshape(-1, math.prod(size), batch, *lengths)
    out = fgrad.numpy.zeros((parts.shape[0], batch, *full), x.dtype)
    for k, index in enumerate(slices(size, stride, dilation, tuple(lengths))):
        out[index] = out[index] + parts[:, k]
    return np.moveaxis(out, 0, 1)


def _check_output_padding(more: Sizes, stride: Sizes, dilation: Sizes) -> None:
    axes = zip(more, stride, dilation, strict=True)
    if len(more) == 1 or all(m < s or m < d for m, s, d in axes):
        return
    names = ("depth", "height", "width")[-len(more) :]
    parts = [
        f"{what}_{name}: {n}"
        for what, numbers in (
            ("output_padding", more),
            ("stride", stride),
            ("dilation", dilation),
        )
        for name, n in zip(names, numbers, strict=True)
    ]
    raise RuntimeError(
        "output padding must be smaller than either stride or dilation, but got "
        + " ".join(parts)
    )


def _transposed(
    ndim: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    name = f"conv_transpose{ndim}d"
    x = require_tensor(name, input)
    _check(name, x, weight, ndim, groups)
    steps, spread = each(stride, ndim), each(dilation, ndim)
    pads, more = each(padding, ndim), each(output_padding, ndim)
    size = weight._aval.shape[2:]
    is_single = x._aval.ndim == ndim + 1
    shape = (1, *x._aval.shape) if is_single else x._aval.shape
    if shape[1] != weight._aval.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected input"
            f"{list(shape)} to have {weight._aval.shape[0]} channels, but got "
            f"{shape[1]} channels instead"
        )
    _check_output_padding(more, steps, spread)
    full = tuple(
        (n - 1) * s + d * (k - 1) + 1 + m
        for n, s, d, k, m in zip(shape[2:], steps, spread, size, more, strict=True)
    )
    inside = tuple(slice(p, n - p) for p, n in zip(pads, full, strict=True))
    lengths = [n - 2 * p for p, n in zip(pads, full, strict=True)]
    if min(lengths) < 1:
        given, found = (" x ".join(map(str, each)) for each in (shape[2:], lengths))
        raise RuntimeError(
            f"Given input size per channel: ({given}). Calculated output size per "
            f"channel: ({found}). Output size is too small"
        )

    def convolve(u: Any, w: Any, b: Any) -> Any:
        out = _spread_out(u, w, steps, spread, groups, full)[(..., *inside)]
        return out if b is None else out + b.reshape(-1, *(1,) * ndim)

    return _recorded(convolve, x, weight, bias, is_single)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of `conv1d`, of weights ``(C, out / groups, k)``.

    It is the gradient of `conv1d` with respect to its input. The result is ``(N, out,
    (L - 1) * stride - 2 * padding + dilation * (k - 1) + output_padding + 1)``.

    >>> x = torch.tensor([[[1.0, 2.0]]])
    >>> F.conv_transpose1d(x, torch.tensor([[[1.0, 10.0]]]), stride=2)
    tensor([[[ 1., 10.,  2., 20.]]])
    """
    rest = (stride, padding, output_padding, groups, dilation)
    return _transposed(1, input, weight, bias, *rest)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of `conv2d`, of weights ``(C, out / groups, h, w)``.

    Images ``(N, C, H, W)`` grow as in `conv_transpose1d`, each axis for itself.

    >>> F.conv_transpose2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
    tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    rest = (stride, padding, output_padding, groups, dilation)
    return _transposed(2, input, weight, bias, *rest)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of `conv3d`, of weights ``(C, out / groups, d, h, w)``.

    >>> F.conv_transpose3d(torch.full((1, 1, 1, 1, 2), 3.0), torch.ones(1, 1, 1, 1, 2))
    tensor([[[[[3., 6., 3.]]]]])
    """
    rest = (stride, padding, output_padding, groups, dilation)
    return _transposed(3, input, weight, bias, *rest)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """The convolution along the first axis of ``(T, N, C)``, with ``(k, C, out)``.

    >>> signal = torch.tensor([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    >>> torch.conv_tbc(signal, torch.ones(2, 1, 1), torch.zeros(1)).flatten()
    tensor([3., 6.])
    """
    x = require_tensor("conv_tbc", input)

    def compute(u: Any, w: Any, b: Any) -> Any:
        whole = np.pad(u, [(pad, pad), (0, 0), (0, 0)])
        count = whole.shape[0] - w.shape[0] + 1
        return sum(whole[k : k + count] @ w[k] for k in range(w.shape[0])) + b

    return one("ConvTbcBackward0", compute, x, weight, bias)
