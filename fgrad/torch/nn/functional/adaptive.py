"""Adaptive pooling: as many windows as are asked for, of lengths that differ by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fgrad.torch.recording import one
from fgrad.torch.tensor import Tensor, make, require_tensor

Sizes = tuple[int, ...]


class _Cells:
    """The windows of adaptive pooling over the last axes of a tensor, in order."""

    def __init__(self, name: str, x: Tensor, ndim: int, output_size: Any) -> None:
        if x._aval.ndim not in (ndim + 1, ndim + 2):
            raise RuntimeError(
                f"{name}(): Expected {ndim + 1}D or {ndim + 2}D tensor, but got "
                f"{list(x.shape)}"
            )
        is_number = not isinstance(output_size, tuple | list)
        given = (output_size,) * ndim if is_number else output_size
        self.lengths: Sizes = x._aval.shape[-ndim:]
        pairs = zip(self.lengths, given, strict=True)
        self.out = tuple(n if m is None else m for n, m in pairs)
        axes = [
            [slice(k * n // m, -(-(k + 1) * n // m)) for k in range(m)]
            for n, m in zip(self.lengths, self.out, strict=True)
        ]
        self.all = list(itertools.product(*axes))

    def together(self, found: list[Any]) -> Any:
        """One array of what was found for each window."""
        together = np.stack(found, -1)
        return together.reshape(*together.shape[:-1], *self.out)


def _means(name: str, node: str, ndim: int, input: Tensor, output_size: Any) -> Tensor:
    x = require_tensor(name, input)
    cells = _Cells(name, x, ndim, output_size)
    windows, out = cells.all, cells.out
    axes = tuple(range(-ndim, 0))

    def compute(u: Any) -> Any:
        found = [np.mean(u[(..., *window)], axis=axes) for window in windows]
        return np.stack(found, -1).reshape(*u.shape[:-ndim], *out)

    return one(node, compute, x)


def _largest(
    name: str, node: str, ndim: int, input: Tensor, output_size: Any, places: bool
) -> Any:
    x = require_tensor(name, input)
    cells = _Cells(name, x, ndim, output_size)
    windows, out = cells.all, cells.out

    def compute(u: Any) -> Any:
        found = [_first_largest(u[(..., *window)], ndim) for window in windows]
        return np.stack(found, -1).reshape(*u.shape[:-ndim], *out)

    values = one(node, compute, x)
    return (values, _places(cells, x._array, ndim)) if places else values


def _first_largest(x: Any, ndim: int) -> Any:
    flat = x.reshape(*x.shape[:-ndim], -1)
    best = np.argmax(flat, -1)
    return np.take_along_axis(flat, best[..., None], -1)[..., 0]


def _places(cells: _Cells, x: Any, ndim: int) -> Tensor:
    """The places of the largest elements, counted through the pooled axes."""
    numbers = np.arange(np.prod(cells.lengths)).reshape(cells.lengths)
    found = []
    for window in cells.all:
        values = x[(..., *window)]
        best = np.argmax(values.reshape(*values.shape[:-ndim], -1), -1)
        found.append(numbers[window].reshape(-1)[best])
    return make(cells.together(found))


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The means of ``output_size`` windows of the last axis.

    Window ``i`` of ``n`` begins at ``i * L // n`` and ends before ``ceil((i + 1) * L /
    n)``.

    >>> F.adaptive_avg_pool1d(torch.tensor([[1.0, 2.0, 3.0]]), 2)
    tensor([[1.5000, 2.5000]])
    """
    return _means("adaptive_avg_pool1d", "SqueezeBackward1", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of ``output_size`` windows of the last two axes: a number, or a pair.

    Windows are those of `adaptive_avg_pool1d`; None keeps the length of an axis.

    >>> F.adaptive_avg_pool2d(torch.arange(16.0).reshape(1, 4, 4), (1, 2))
    tensor([[[6.5000, 8.5000]]])
    """
    is_one = output_size in (1, (1, 1), [1, 1])
    node = "MeanBackward1" if is_one else "AdaptiveAvgPool2DBackward0"
    return _means("adaptive_avg_pool2d", node, 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The means of as many windows of the last three axes as are asked for.

    Args:
        input: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.
        output_size: a number, or three of which None keeps a length.

    Raises:
        RuntimeError: the rank is another one.

    >>> F.adaptive_avg_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), (1, 1, 2))
    tensor([[[[3., 4.]]]])
    """
    is_one = output_size in (1, (1, 1, 1), [1, 1, 1])
    node = "MeanBackward1" if is_one else "AdaptiveAvgPool3DBackward0"
    return _means("adaptive_avg_pool3d", node, 3, input, output_size)


def adaptive_max_pool1d(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Any:
    """The largest elements of ``output_size`` windows of the last axis.

    >>> F.adaptive_max_pool1d(torch.tensor([[1.0, 3.0, 2.0]]), 2)
    tensor([[3., 3.]])
    """
    name = "adaptive_max_pool1d"
    return _largest(name, "SqueezeBackward1", 1, input, output_size, return_indices)


def adaptive_max_pool2d(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Any:
    """The largest elements of ``output_size`` windows of the last two axes.

    >>> F.adaptive_max_pool2d(torch.arange(16.0).reshape(1, 4, 4), (1, 2))
    tensor([[[13., 15.]]])
    """
    name, node = "adaptive_max_pool2d", "AdaptiveMaxPool2DBackward0"
    return _largest(name, node, 2, input, output_size, return_indices)


def adaptive_max_pool3d(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Any:
    """The largest elements of as many windows of the last three axes.

    >>> F.adaptive_max_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), (1, 1, 2))
    tensor([[[[6., 7.]]]])
    """
    name, node = "adaptive_max_pool3d", "AdaptiveMaxPool3DBackward0"
    return _largest(name, node, 3, input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Any:
    """`adaptive_max_pool1d` with the places of the elements.

    >>> F.adaptive_max_pool1d_with_indices(torch.tensor([[1.0, 3.0, 2.0]]), 2)
    (tensor([[3., 3.]]), tensor([[1, 1]]))
    """
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Any:
    """`adaptive_max_pool2d` with the places of the elements.

    >>> F.adaptive_max_pool2d_with_indices(torch.tensor([[[1.0, 4.0], [3.0, 2.0]]]), 1)
    (tensor([[[4.]]]), tensor([[[1]]]))
    """
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Any:
    """`adaptive_max_pool3d` with the places of the elements.

    >>> F.adaptive_max_pool3d_with_indices(torch.arange(8.0).reshape(1, 2, 2, 2), 1)
    (tensor([[[[7.]]]]), tensor([[[[7]]]]))
    """
    return adaptive_max_pool3d(input, output_size, True)
