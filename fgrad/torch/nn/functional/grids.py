"""Images read at the points of a grid: spatial transformers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fgrad.torch.recording import one
from fgrad.torch.tensor import Tensor, require_tensor

ALIGNED = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False "
    "since 1.3.0. Please specify align_corners=True if the old behavior is desired. "
    "See the documentation of grid_sample for details."
)


def _is_aligned(given: bool | None) -> bool:
    if given is None:
        warnings.warn(ALIGNED, UserWarning, stacklevel=3)
    return bool(given)


def _line(n: int, aligned: bool, dtype: Any) -> Any:
    """The coordinates of n pixels between -1 and 1."""
    if n == 1:
        return np.zeros(1, dtype)
    ends = np.linspace(-1, 1, n, dtype=dtype)
    return ends if aligned else ends * dtype.type((n - 1) / n)


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The points of an image under affine maps: a grid for `grid_sample`.

    Args:
        theta: the maps, ``(N, 2, 3)``.
        size: the shape of the images, ``(N, C, H, W)``.
        align_corners: -1 and 1 are the centres of the pixels at the ends, not the ends.

    Raises:
        ValueError: the shapes do not fit.

    >>> theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> F.affine_grid(theta, (1, 1, 2, 2), align_corners=True)
    tensor([[[[-1., -1.],
              [ 1., -1.]],
    <BLANKLINE>
             [[-1.,  1.],
              [ 1.,  1.]]]])
    """
    x = require_tensor("affine_grid", theta)
    aligned = _is_aligned(align_corners)
    if len(size) != 4 or x._aval.shape[-2:] != (2, 3):
        raise ValueError(
            "Expected a batch of 2D affine matrices of shape Nx2x3 for size "
            f"{size}. Got {x.shape}."
        )
    height, width = int(size[2]), int(size[3])

    def compute(u: Any) -> Any:
        dtype = np.dtype(u.dtype)
        across = _line(width, aligned, dtype)[None, :, None]
        down = _line(height, aligned, dtype)[:, None, None]
        maps = u[:, None, None]  # of (x, y, 1)
        return maps[..., 0] * across + maps[..., 1] * down + maps[..., 2]

    return one("AffineGridGeneratorBackward0", compute, x)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The values of images at points between -1 and 1.

    Args:
        input: the images, ``(N, C, H, W)``.
        grid: the points, ``(N, H', W', 2)``: across, then down.
        mode: ``"bilinear"`` or ``"nearest"``.
        padding_mode: what is outside: ``"zeros"``, ``"border"`` or ``"reflection"``.
        align_corners: -1 and 1 are the centres of the pixels at the ends, not the ends.

    Raises:
        ValueError: there is no such mode.
        NotImplementedError: volumes, or ``"bicubic"``.

    >>> image = torch.tensor([[[[0.0, 1.0]]]])
    >>> F.grid_sample(image, torch.zeros(1, 1, 1, 2), align_corners=True)
    tensor([[[[0.5000]]]])
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or "
            f"'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border'"
            f", or 'reflection', but got: '{padding_mode}'"
        )
    aligned = _is_aligned(align_corners)
    if mode == "bicubic" or input._aval.ndim != 4:
        raise NotImplementedError(
            "fgrad.torch has grid_sample of (N, C, H, W), bilinear or nearest"
        )
    height, width = input._aval.shape[2:]

    def compute(u: Any, points: Any) -> Any:
        across = _pixels(points[..., 0], width, aligned, padding_mode)
        down = _pixels(points[..., 1], height, aligned, padding_mode)
        if mode == "nearest":
            return _read(u, np.rint(down), np.rint(across))
        left, top = np.floor(across), np.floor(down)
        right, low = across - left, down - top
        return (
            _read(u, top, left) * ((1 - low) * (1 - right))[:, None]
            + _read(u, top, left + 1) * ((1 - low) * right)[:, None]
            + _read(u, top + 1, left) * (low * (1 - right))[:, None]
            + _read(u, top + 1, left + 1) * (low * right)[:, None]
        )

    return one("GridSampler2DBackward0", compute, input, grid)


def _pixels(x: Any, n: int, aligned: bool, padding: str) -> Any:
    """Coordinates in pixels, those outside moved as the padding says."""
    x = (x + 1) / 2 * (n - 1) if aligned else ((x + 1) * n - 1) / 2
    if padding == "reflection":
        low, high = (0.0, n - 1.0) if aligned else (-0.5, n - 0.5)
        x = _reflected(x, low, high - low)
    return x if padding == "zeros" else np.clip(x, 0, n - 1)


def _reflected(x: Any, low: float, span: float) -> Any:
    if not span:
        return x * 0
    size = np.abs(x - low)
    flips = np.floor(size / span)
    rest = size - flips * span
    return np.where(flips % 2 == 0, rest, span - rest) + low


def _read(u: Any, rows: Any, columns: Any) -> Any:
    """Pixels ``(N, C, H', W')``, zeros outside."""
    height, width = u.shape[2:]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    row = np.where(inside, rows, 0).astype(np.int64)
    column = np.where(inside, columns, 0).astype(np.int64)
    batch = np.arange(u.shape[0])[:, None, None]
    found = np.moveaxis(u, 1, -1)[batch, row, column]
    return np.where(inside[:, None], np.moveaxis(found, -1, 1), 0.0)
