"""Channels and pixels in another order; distances of pairs; names of older scripts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fgrad.torch.inplace import variant_of
from fgrad.torch.nn.functional import activation
from fgrad.torch.nn.functional.vision import interpolate
from fgrad.torch.recording import one
from fgrad.torch.statistics import vector_norm
from fgrad.torch.tensor import Tensor, require_tensor


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Pixels laid out as channels: the inverse of `pixel_shuffle`.

    ``(..., C, H * r, W * r)`` gives ``(..., C * r * r, H, W)``.

    Raises:
        RuntimeError: the height or the width is no multiple of the factor.

    >>> F.pixel_unshuffle(torch.arange(4.0).reshape(1, 2, 2), 2)
    tensor([[[0.]],
    <BLANKLINE>
            [[1.]],
    <BLANKLINE>
            [[2.]],
    <BLANKLINE>
            [[3.]]])
    """
    x = require_tensor("pixel_unshuffle", input)
    *lead, channels, height, width = x._aval.shape
    r = downscale_factor
    for what, n in (("height", height), ("width", width)):
        if n % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {what} to be divisible by downscale_factor, "
                f"but input.size({-2 if what == 'height' else -1})={n} is not divisible"
                f" by {r}"
            )
    parts = (*lead, channels, height // r, r, width // r, r)
    shape = (*lead, channels * r * r, height // r, width // r)
    n = len(lead)
    order = (*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return one(
        "PixelUnshuffleBackward0",
        lambda u: np.transpose(u.reshape(parts), order).reshape(shape),
        x,
    )


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels dealt out: the first of each group, then the second of each.

    Raises:
        RuntimeError: the number of channels is no multiple of that of the groups.

    >>> F.channel_shuffle(torch.arange(4.0).reshape(1, 4, 1, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    x = require_tensor("channel_shuffle", input)
    batch, channels, *rest = x._aval.shape
    if channels % groups:
        raise RuntimeError(
            "Number of channels must be divisible by groups. Got "
            f"{channels} channels and {groups} groups."
        )
    parts = (batch, groups, channels // groups, *rest)
    order = (0, 2, 1, *range(3, len(parts)))
    shape = x._aval.shape
    return one(
        "NativeChannelShuffleBackward0",
        lambda u: np.transpose(u.reshape(parts), order).reshape(shape),
        x,
    )


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The ``p``-norms of the differences of all pairs of rows, ``(N, D)``.

    The result has ``N * (N - 1) / 2`` elements: rows 0 and 1, 0 and 2, ..., 1 and 2,
    ...

    >>> F.pdist(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]]))
    tensor([5., 4., 3.])
    """
    x = require_tensor("pdist", input)
    count = x._aval.shape[0]

    def compute(u: Any) -> Any:
        first, second = np.triu_indices(count, 1)
        return vector_norm(u[first] - u[second], float(p), (1,), False)

    return one("PdistBackward0", compute, x)


def _warn_of(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` "
        "instead.",
        UserWarning,
        stacklevel=3,
    )


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The older name of `interpolate`.

    It warns that it is deprecated.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     F.upsample(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    _warn_of("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor, size: Any = None, scale_factor: Any = None
) -> Tensor:
    """`interpolate` with the nearest pixel.

    It warns that it is deprecated.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     F.upsample_nearest(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    _warn_of("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(
    input: Tensor, size: Any = None, scale_factor: Any = None
) -> Tensor:
    """`interpolate` with weights, corners aligned, of images ``(N, C, H, W)``.

    It warns that it is deprecated.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     F.upsample_bilinear(torch.tensor([[[[1.0, 2.0]]]]), size=(1, 3))
    tensor([[[[1.0000, 1.5000, 2.0000]]]])
    """
    _warn_of("upsample_bilinear")
    return interpolate(input, size, scale_factor, "bilinear", True)


def _in_place(name: str) -> Any:
    return variant_of(getattr(activation, name), name)


relu_, elu_, leaky_relu_ = _in_place("relu"), _in_place("elu"), _in_place("leaky_relu")
selu_, celu_, hardtanh_ = _in_place("selu"), _in_place("celu"), _in_place("hardtanh")
threshold_, rrelu_ = _in_place("threshold"), _in_place("rrelu")
