"""Fractional maximum pooling: windows whose distances vary by chance.

B. Graham, Fractional max-pooling, 2014.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fgrad.torch.nn.functional.windows import each
from fgrad.torch.random import rand
from fgrad.torch.recording import one
from fgrad.torch.tensor import Array, Tensor, make, require_tensor

SIDES = ("time", "height", "width")


def _sizes(name: str, x: Tensor, output_size: Any, ratio: Any, ndim: int) -> Any:
    """How many windows there are along each axis.

    Raises:
        ValueError: neither the number nor the ratio is given.
    """
    if output_size is not None:
        return each(output_size, ndim)
    if ratio is None:
        raise ValueError(
            f"{name} requires specifying either an output_size or an output_ratio"
        )
    if len(ratio) > ndim:
        raise ValueError(
            f"{name} requires output_ratio to either be a single Int or tuple of Ints."
        )
    return tuple(int(n * r) for n, r in zip(x.shape[-ndim:], ratio, strict=True))


def _check(name: str, x: Tensor, size: Any, out: Any, samples: Tensor) -> None:
    """Raise PyTorch's errors for windows and samples that do not fit."""
    ndim = len(out)
    shape = x._aval.shape
    is_batched = len(shape) == ndim + 2
    for axis, n in enumerate(shape):
        if n == 0 and not (is_batched and axis == 0):
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch "
                f"dimensions, but got{list(shape)} with dimension {axis} being empty."
            )
    sides = zip(SIDES[-ndim:], size, out, shape[-ndim:], strict=True)
    for side, k, n, length in sides:
        if n + k - 1 > length - (ndim == 3):  # PyTorch leaves a place more in volumes
            raise RuntimeError(
                f"{name}(): pool {side} {k} too large relative to input {side} {length}"
            )
    if samples.dtype is not x.dtype:
        raise RuntimeError("Expect _random_samples to have the same dtype as input")
    given = samples._aval.shape
    if len(given) != 3:
        raise RuntimeError(
            f"Expect _random_samples to have 3 dimensions, got {len(given)}"
        )
    if given[0] < (shape[0] if is_batched else 1):
        raise RuntimeError(
            "Expect _random_samples.size(0) no less then input batch size."
        )
    if given[1] != shape[-ndim - 1]:
        raise RuntimeError(
            "Expect _random_samples.size(1) equals to input channel size."
        )
    if given[2] != ndim:
        raise RuntimeError(
            f"Expect _random_samples.size(2) equals to {ndim}; got {given[2]}."
        )


def _starts(sample: Array, length: int, size: int, count: int) -> Array:
    """Where windows begin: for each sample ``(...)`` as many as ``count``."""
    last = np.full((*sample.shape, 1), length - size)
    if count == 1:
        return last
    step = sample.dtype.type(length - size) / sample.dtype.type(count - 1)
    first = sample[..., None]
    moved = np.arange(count - 1, dtype=sample.dtype) + first
    places = (moved * step).astype(np.int64) - (first * step).astype(np.int64)
    return np.concatenate([places, last], -1)


def _elements(x: Tensor, size: Any, out: Any, samples: Array) -> Array:
    """For each window the places of its elements ``(batch, channels, windows, size)``,
    counted through the pooled axes.
    """
    ndim = len(out)
    lengths = x._aval.shape[-ndim:]
    order = (1, 0) if ndim == 2 else (0, 1, 2)  # of the samples of a channel
    places: Any = np.zeros((1, 1), np.int64)
    for axis in range(ndim):
        starts = _starts(
            samples[..., order[axis]], *(each[axis] for each in (lengths, size, out))
        )
        along = starts[..., None] + np.arange(size[axis])
        if axis == 0:
            places = along
            continue
        # (..., windows, 1, size, 1) and (..., 1, windows, 1, size)
        joined = places[..., :, None, :, None] * lengths[axis]
        joined = joined + along[..., None, :, None, :]
        *lead, a, b, c, d = joined.shape
        places = joined.reshape(*lead, a * b, c * d)
    return places  # type: ignore[no-any-return]


def _pooled(
    name: str,
    node: str,
    ndim: int,
    input: Tensor,
    kernel_size: Any,
    sizes: tuple[Any, Any],
    samples: Tensor | None,
) -> tuple[Tensor, Tensor]:
    x = require_tensor(name, input)
    out = _sizes(name, x, *sizes, ndim)
    size = each(kernel_size, ndim)
    rank = x._aval.ndim
    if rank < ndim + 1:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}]"
            f", but got {-ndim - 1})"
        )
    if samples is None:
        batch = 1 if rank == ndim + 1 else x.shape[0]
        samples = rand(batch, x.shape[-ndim - 1], ndim, dtype=x.dtype)
    kernel = "fractional_max_pool2d" if ndim == 2 else "fractional_max_pool3d_out"
    _check(kernel, x, size, out, samples)
    given = samples._array
    given = given[0] if rank == ndim + 1 else given[: x.shape[0]]
    places = _elements(x, size, out, given)
    lead, (number, count) = x._aval.shape[:-ndim], places.shape[-2:]

    def best_of(u: Any) -> tuple[Any, Any]:
        flat = u.reshape(*lead, math.prod(u.shape[-ndim:]))
        chosen = places.reshape(*lead, number * count)
        windows = np.take_along_axis(flat, chosen, -1).reshape(*lead, number, count)
        return windows, np.argmax(windows, -1)[..., None]

    def compute(u: Any) -> Any:
        windows, best = best_of(u)
        return np.take_along_axis(windows, best, -1)[..., 0].reshape(*lead, *out)

    best = best_of(x._array)[1]
    chosen = np.take_along_axis(places, best, -1)[..., 0].reshape(*lead, *out)
    return one(node, compute, x), make(chosen)


def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`fractional_max_pool2d` with the places of the elements.

    >>> samples = torch.zeros(1, 1, 2)
    >>> x = torch.arange(9.0).reshape(1, 3, 3)
    >>> F.fractional_max_pool2d_with_indices(x, 2, 2, _random_samples=samples)
    (tensor([[[4., 5.],
             [7., 8.]]]), tensor([[[4, 5],
             [7, 8]]]))
    """
    name, node = "fractional_max_pool2d", "FractionalMaxPool2DBackward0"
    sizes = (output_size, output_ratio)
    return _pooled(name, node, 2, input, kernel_size, sizes, _random_samples)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest elements of windows over the last two axes, at distances by chance.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        kernel_size: the size of a window, a number or a pair.
        output_size: how many windows there are along each axis.
        output_ratio: or that number as a part of the length, a pair.
        return_indices: whether the places of the elements are given, too.
        _random_samples: ``(N, C, 2)``, numbers from 0 to 1; drawn by default.

    Raises:
        ValueError: neither number nor ratio is given.
        RuntimeError: windows are too large, or samples do not fit.

    >>> x = torch.arange(9.0).reshape(1, 3, 3)
    >>> F.fractional_max_pool2d(x, 2, output_size=2)
    tensor([[[4., 5.],
             [7., 8.]]])
    """
    found = fractional_max_pool2d_with_indices(
        input, kernel_size, output_size, output_ratio, True, _random_samples
    )
    return found if return_indices else found[0]


def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`fractional_max_pool3d` with the places of the elements.

    >>> x = torch.arange(27.0).reshape(1, 3, 3, 3)
    >>> F.fractional_max_pool3d_with_indices(x, 2, 1)
    (tensor([[[[26.]]]]), tensor([[[[26]]]]))
    """
    name, node = "fractional_max_pool3d", "FractionalMaxPool3DBackward0"
    sizes = (output_size, output_ratio)
    return _pooled(name, node, 3, input, kernel_size, sizes, _random_samples)


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest elements of windows over the last three axes, at distances by chance.

    Arguments as of `fractional_max_pool2d`, with one axis more: samples are ``(N, C,
    3)``.

    >>> F.fractional_max_pool3d(torch.arange(27.0).reshape(1, 3, 3, 3), 2, (1, 1, 1))
    tensor([[[[26.]]]])
    """
    found = fractional_max_pool3d_with_indices(
        input, kernel_size, output_size, output_ratio, True, _random_samples
    )
    return found if return_indices else found[0]
