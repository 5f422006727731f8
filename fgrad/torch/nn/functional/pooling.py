"""Pooling: the largest or the mean of each window."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch.nn.functional.windows import each, output_length, padded, slices
from fgrad.torch.recording import one
from fgrad.torch.tensor import Tensor, make, require_tensor

Sizes = tuple[int, ...]


class _Windows:
    """The windows of a pooling over the last axes of a shape.

    Attributes:
        out: how many windows there are along each axis.
        pads: what is to be added before and after each axis.
    """

    def __init__(
        self, ndim: int, x: Tensor, size: Any, stride: Any, padding: Any, ceil: bool
    ) -> None:
        self.x = x
        self.size = each(size, ndim)
        self.stride = self.size if stride in (None, ()) else each(stride, ndim)
        self.before = each(padding, ndim)
        self.lengths = x._aval.shape[-ndim:]
        if any(p > k / 2 for p, k in zip(self.before, self.size, strict=True)):
            raise RuntimeError(
                "pad should be at most half of effective kernel size, but got pad="
                f"{max(self.before)}, kernel_size={max(self.size)} and dilation=1"
            )

    def lay_out(self, dilation: Sizes, ceil: bool) -> None:
        """Find how many windows there are, and the padding that they need.

        Raises:
            RuntimeError: there are none.
        """
        self.dilation = dilation
        out, pads = [], []
        axes = zip(
            self.lengths, self.size, self.stride, self.before, dilation, strict=True
        )
        for n, k, s, p, d in axes:
            count = output_length(n + 2 * p, k, s, d, ceil)
            if ceil and (count - 1) * s >= n + p:
                count -= 1  # a window must begin inside
            out.append(count)
            pads.append((p, max(p, (count - 1) * s + d * (k - 1) + 1 - n - p)))
        if min(out) < 1:
            self._refuse(out)
        self.out, self.pads = tuple(out), pads

    def _refuse(self, out: list[int]) -> None:
        lead = self.x._aval.shape[-len(out) - 1]
        more = (1,) if len(out) == 1 else ()  # PyTorch pools lines as images
        given = "x".join(map(str, (lead, *more, *self.lengths)))
        found = "x".join(map(str, (lead, *more, *out)))
        raise RuntimeError(
            f"Given input size: ({given}). Calculated output size: ({found}). Output "
            "size is too small"
        )

    def parts(self, x: Any) -> list[Any]:
        """For each offset in a window the elements of all windows there."""
        indices = slices(self.size, self.stride, self.dilation, self.out)
        return [x[index] for index in indices]


def _check_rank(name: str, x: Tensor, ndim: int) -> None:
    ranks = f"{ndim + 1}D or {ndim + 2}D (batch mode) tensor"
    if x._aval.ndim in (ndim + 1, ndim + 2):
        return
    if ndim > 1:
        raise RuntimeError(f"non-empty {ranks} expected for input")
    raise RuntimeError(
        f"{name}: Expected {ranks} with optional 0 dim batch size for input, but got:"
        f"{list(x.shape)}"
    )


def _max_pool(
    ndim: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{ndim}d"
    x = require_tensor(name, input)
    _check_rank(name, x, ndim)
    windows = _Windows(ndim, x, kernel_size, stride, padding, ceil_mode)
    windows.lay_out(each(dilation, ndim), ceil_mode)
    lowest = -np.inf if x.dtype.is_floating_point else np.iinfo(x._aval.dtype).min
    node = "SqueezeBackward1"
    if ndim > 1:
        node = f"MaxPool{ndim}DWithIndicesBackward0"
    indices = slices(windows.size, windows.stride, windows.dilation, windows.out)
    values = one(node, _largest_of(tuple(indices), windows.pads, lowest), x)
    if not return_indices:
        return values
    parts = windows.parts(padded(x._array, windows.pads, lowest))
    best = np.argmax(np.stack(parts, -1), -1)
    return values, make(_flat_places(windows, best))


def _largest_of(
    indices: tuple[Any, ...], pads: Any, lowest: float
) -> Callable[[Any], Any]:
    """The largest element of each window, of one slice for each offset in it.

    The first of equal ones takes the gradient, and NaN is the largest, as in PyTorch.
    """

    def compute(u: Any) -> Any:
        u = padded(u, pads, lowest)
        best = u[indices[0]].copy()
        for index in indices[1:]:
            part = u[index].copy()  # it is read several times, with gaps
            best = np.where((part > best) | (part != part), part, best)
        return best

    return compute


def _flat_places(windows: _Windows, best: Any) -> Any:
    """The places of the largest elements, counted through the unpadded input."""
    ndim = len(windows.out)
    offsets = np.unravel_index(best, windows.size)
    places = np.zeros(best.shape, np.int64)
    for axis in range(ndim):
        shape = [-1 if k == axis else 1 for k in range(ndim)]
        starts = (np.arange(windows.out[axis]) * windows.stride[axis]).reshape(shape)
        steps = offsets[axis] * windows.dilation[axis] - windows.before[axis]
        places = places * windows.lengths[axis] + starts + steps
    return places


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of the last axis.

    As `max_pool2d`, of ``(N, C, L)`` or ``(C, L)``.

    >>> F.max_pool1d(torch.tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
    tensor([[5., 3.]])
    """
    rest = (stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool(1, input, kernel_size, *rest)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of the last two axes.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        kernel_size: lengths of a window: a number, or one for each axis, as the next.
        stride: steps between windows, ``kernel_size`` by default.
        padding: elements around the image that no other is smaller than.
        dilation: steps between elements of a window.
        ceil_mode: windows may go beyond the end.
        return_indices: give the places, counted along both axes, as well.

    Raises:
        RuntimeError: the padding is more than half of a window.

    >>> F.max_pool2d(torch.arange(16.0).reshape(1, 4, 4), 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """
    rest = (stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool(2, input, kernel_size, *rest)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of the last three axes.

    >>> torch.max_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), (2, 2, 1))
    tensor([[[[6., 7.]]]])
    """
    rest = (stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool(3, input, kernel_size, *rest)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool1d` with the places of the elements, whatever ``return_indices`` says.

    Places are int64 numbers, counted through the unpadded axes of a channel.

    >>> F.max_pool1d_with_indices(torch.tensor([[1.0, 5.0, 4.0, 2.0]]), 2)
    (tensor([[5., 4.]]), tensor([[1, 2]]))
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool2d` with the places of the elements.

    >>> F.max_pool2d_with_indices(torch.tensor([[[1.0, 4.0], [3.0, 2.0]]]), 2)
    (tensor([[[4.]]]), tensor([[[1]]]))
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool3d` with the places of the elements.

    >>> F.max_pool3d_with_indices(torch.arange(8.0).reshape(1, 2, 2, 2), 2)
    (tensor([[[[7.]]]]), tensor([[[[7]]]]))
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def _check_rank_of_mean(x: Tensor, ndim: int) -> None:
    if x._aval.ndim in (ndim + 1, ndim + 2):
        return
    if ndim == 1:
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {x._aval.ndim}-dimensional tensor "
            "for argument #1 'self' (while checking arguments for avg_pool1d)"
        )
    ranks = f"{ndim + 1}D or {ndim + 2}D (batch mode) tensor"
    if ndim == 3:
        raise RuntimeError(f"non-empty {ranks} expected for input")
    raise RuntimeError(
        f"Expected {ranks} with optional 0 dim batch size for input, but got:"
        f"{list(x.shape)}"
    )


def _avg_pool(
    ndim: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Tensor:
    x = require_tensor(f"avg_pool{ndim}d", input)
    _check_rank_of_mean(x, ndim)
    windows = _Windows(ndim, x, kernel_size, stride, padding, ceil_mode)
    windows.lay_out((1,) * ndim, ceil_mode)
    counts: Any = divisor or math.prod(windows.size)
    if divisor is None and any(map(any, windows.pads)):
        inside = np.ones(windows.lengths)
        if count_include_pad:  # what `ceil_mode` adds does not count
            own = [(p, min(p, after)) for p, (_, after) in _with(windows)]
            rest = [
                (0, after - q)
                for (_, after), (_, q) in zip(windows.pads, own, strict=True)
            ]
            inside = np.pad(np.pad(inside, own, constant_values=1), rest)
        else:
            inside = padded(inside, windows.pads)
        counts = sum(windows.parts(inside))
        counts = counts.astype(x._aval.dtype)

    def compute(u: Any) -> Any:
        return sum(windows.parts(padded(u, windows.pads))) / counts

    node = "SqueezeBackward1" if ndim == 1 else f"AvgPool{ndim}DBackward0"
    return one(node, compute, x)


def _with(windows: _Windows) -> list[tuple[int, tuple[int, int]]]:
    return list(zip(windows.before, windows.pads, strict=True))


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of the last axis of ``(N, C, L)`` or ``(C, L)``.

    With ``count_include_pad`` zeros of the padding count.

    >>> F.avg_pool1d(torch.tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
    tensor([[3.0000, 2.5000]])
    """
    rest = (stride, padding, ceil_mode, count_include_pad, None)
    return _avg_pool(1, input, kernel_size, *rest)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of ``(N, C, H, W)`` or ``(C, H, W)``.

    With ``count_include_pad`` zeros of the padding count; ``divisor_override`` divides
    the sums in place of the count.

    >>> F.avg_pool2d(torch.arange(16.0).reshape(1, 4, 4), 2)
    tensor([[[ 2.5000,  4.5000],
             [10.5000, 12.5000]]])
    """
    rest = (stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool(2, input, kernel_size, *rest)


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of the last three axes.

    >>> F.avg_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), (1, 2, 2)).flatten()
    tensor([1.5000, 5.5000])
    """
    rest = (stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool(3, input, kernel_size, *rest)
