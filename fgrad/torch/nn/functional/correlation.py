"""What convolutions compute: products of matrices of weights and of windows.

The windows of a sample are gathered to a matrix, ``(channels * window, positions)``, so
that a convolution, forward and backward, is a product of matrices. For one offset in
the windows the elements are a slice of the sample, with runs as long as its last axis;
NumPy spends more time between short runs than in them. Where windows are next to each
other, a sample that is read as one line has one run instead: the positions then go on
through the ends of rows, and what is computed there is dropped.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch.nn.functional.windows import output_length, padded, slices

Sizes = tuple[int, ...]
Pads = Sequence[tuple[int, int]]
WASTE = 1.5  # positions that are computed, for one that is kept, at most


def correlated(
    x: Any,
    weight: Any,
    bias: Any,
    pads: Pads,
    stride: Sizes,
    dilation: Sizes,
    groups: int,
) -> Any:
    """The correlation of ``(N, C, ...)``, with zeros around, and ``(out, C / groups,
    ...)``, plus the bias of each channel, or None.
    """
    size = weight.shape[2:]
    lengths = tuple(n + sum(p) for n, p in zip(x.shape[2:], pads, strict=True))
    axes = zip(lengths, size, stride, dilation, strict=True)
    out = tuple(output_length(*axis) for axis in axes)
    is_dense = set(stride) == {1}
    if is_dense and math.prod(size) == 1:
        u = padded(x, pads)
        product = _multiplied(weight, bias, u.reshape(*u.shape[:2], -1), groups)
        return product.reshape(*product.shape[:2], *out)
    inner = math.prod(lengths[1:])
    if is_dense and len(size) > 1 and inner <= WASTE * math.prod(out[1:]):
        return _along_lines(x, weight, bias, pads, dilation, groups, lengths, out)
    u = padded(x, pads)
    parts = [u[index] for index in slices(size, stride, dilation, out)]
    product = _multiplied(weight, bias, _stacked(parts), groups)
    return product.reshape(*product.shape[:2], *out)


def _along_lines(
    x: Any,
    weight: Any,
    bias: Any,
    pads: Pads,
    dilation: Sizes,
    groups: int,
    lengths: Sizes,
    out: Sizes,
) -> Any:
    """The same with a stride of one: all positions from the first to the last row."""
    strides = [math.prod(lengths[k + 1 :]) for k in range(len(lengths))]
    steps = [s * d for s, d in zip(strides, dilation, strict=True)]
    offsets = [
        sum(k * step for k, step in zip(offset, steps, strict=True))
        for offset in itertools.product(*map(range, weight.shape[2:]))
    ]
    count = out[0] * strides[0]
    missing = offsets[-1] + count - lengths[0] * strides[0]  # at the end, behind rows
    (before, after), *rest = pads
    whole = padded(x, [(before, after - (-missing // strides[0])), *rest])
    line = whole.reshape(*x.shape[:2], -1)
    parts = [line[..., offset : offset + count] for offset in offsets]
    product = _multiplied(weight, bias, _stacked(parts), groups)
    rows = product.reshape(*product.shape[:2], out[0], *lengths[1:])
    return rows[(..., *(slice(n) for n in out[1:]))].copy()


def _stacked(parts: list[Any]) -> Any:
    """For ``(N, C, ...)`` at each offset the windows ``(N, C * window, positions)``."""
    batch, channels = parts[0].shape[:2]
    return np.stack(parts, 2).reshape(batch, channels * len(parts), -1)


def _multiplied(weight: Any, bias: Any, columns: Any, groups: int) -> Any:
    """The product of ``(out, ...)`` and ``(N, C * window, positions)``, plus biases."""
    channels = weight.shape[0]
    if groups == 1:
        product = weight.reshape(channels, -1) @ columns
    else:
        batch, _, positions = columns.shape
        rows = weight.reshape(groups, channels // groups, -1)
        product = rows @ columns.reshape(batch, groups, -1, positions)
        product = product.reshape(batch, channels, positions)
    return product if bias is None else product + bias[:, None]
