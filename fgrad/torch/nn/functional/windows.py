"""Windows that slide over the last axes: what convolutions and pooling share.

A window's elements at one offset are a strided slice of the input, so all windows are
as many slices as a window has elements. That is plain indexing, which NumPy does fast
and whose derivative is plain indexing, too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Sizes = tuple[int, ...]


def each(value: Any, count: int) -> Sizes:
    """A number for each axis; one number serves all."""
    if isinstance(value, Sequence):
        return tuple(value) if len(value) == count else (value[0],) * count
    return (int(value),) * count


def output_length(
    length: int, size: int, stride: int, dilation: int, ceil: bool = False
) -> int:
    """How many windows there are along a padded axis."""
    rest = length - dilation * (size - 1) - 1
    return (math.ceil(rest / stride) if ceil else rest // stride) + 1


def slices(
    size: Sizes, stride: Sizes, dilation: Sizes, lengths: Sizes
) -> Iterator[tuple[Any, ...]]:
    """For each offset in a window the index of its elements in all windows."""
    for offset in itertools.product(*map(range, size)):
        yield (
            ...,
            *(
                slice(k * d, k * d + (n - 1) * s + 1, s)
                for k, d, n, s in zip(offset, dilation, lengths, stride, strict=True)
            ),
        )


def padded(x: Any, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Any:
    """An array with constants around its last axes."""
    if not any(map(any, pads)):
        return x
    widths = [(0, 0)] * (x.ndim - len(pads)) + list(pads)
    return np.pad(x, widths, constant_values=value)
