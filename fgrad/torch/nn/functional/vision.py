"""Padding and resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch.nn.functional.windows import each
from fgrad.torch.recording import one
from fgrad.torch.tensor import Array, Tensor, require_tensor

_PADDED = {"reflect": "Reflection", "replicate": "Replication"}


def pad(
    input: Tensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> Tensor:
    """More elements around the last axes; negative numbers take elements away.

    Args:
        input: a tensor.
        pad: how many before and after: the last axis first.
        mode: ``"constant"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        value: the constant, 0 by default.

    Raises:
        RuntimeError: the lengths do not come in pairs.
        NotImplementedError: there is no such mode.

    >>> F.pad(torch.tensor([[1.0, 2.0]]), (0, 1, 1, 0))
    tensor([[0., 0., 0.],
            [1., 2., 0.]])
    """
    x = require_tensor("pad", input)
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    pairs = [(pad[k], pad[k + 1]) for k in range(0, len(pad), 2)][::-1]
    if len(pairs) > x._aval.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input "
            f"dimension but got padding length {len(pad)} and input of dimension "
            f"{x._aval.ndim}"
        )
    if mode == "constant":
        return _with_constants(x, pairs, 0.0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if mode == "circular" and value is not None:
        raise RuntimeError('Padding mode "circular" doesn\'t take in value argument')
    _check_padding(x._aval.shape, pad, mode)
    indices = [
        _outside(n, before, after, mode)
        for n, (before, after) in zip(x._aval.shape[-len(pairs) :], pairs, strict=True)
    ]

    def compute(u: Any) -> Any:
        for k, index in enumerate(indices):
            u = np.take(u, index, axis=u.ndim - len(indices) + k)
        return u

    name = _PADDED.get(mode)
    node = f"{name}Pad{len(pairs)}DBackward0" if name else "CopySlices"
    return one(node, compute, x)


def _check_padding(shape: tuple[int, ...], pad: Sequence[int], mode: str) -> None:
    """Refuse ranks and widths that PyTorch has no other padding than constants for.

    Raises:
        NotImplementedError: so many axes of a tensor of this rank are not padded.
        RuntimeError: an axis is too short to give as many elements.
    """
    if len(pad) not in (2, 4, 6) or len(shape) - len(pad) // 2 not in (1, 2):
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {len(shape)}D input tensor."
            "\nSupported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    for k in range(len(pad) // 2):
        axis, pair = len(shape) - 1 - k, tuple(pad[2 * k : 2 * k + 2])
        if mode == "reflect" and max(pair) >= shape[axis]:
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding "
                f"input dimension, but got: padding {pair} at dimension {axis} of "
                f"input {list(shape)}"
            )
        if mode == "circular" and max(pair) > shape[axis]:
            raise RuntimeError("Padding value causes wrapping around more than once.")


def _with_constants(x: Tensor, pairs: list[tuple[int, int]], value: float) -> Tensor:
    cuts = tuple(
        slice(max(-before, 0), n - max(-after, 0))
        for n, (before, after) in zip(x._aval.shape[-len(pairs) :], pairs, strict=True)
    )
    added = [(max(before, 0), max(after, 0)) for before, after in pairs]
    is_cut = any(before < 0 or after < 0 for before, after in pairs)

    def compute(u: Any) -> Any:
        inside = u[(..., *cuts)] if is_cut else u
        widths = [(0, 0)] * (u.ndim - len(added)) + added
        return np.pad(inside, widths, constant_values=value)

    return one("ConstantPadNdBackward0", compute, x)


def _outside(length: int, before: int, after: int, mode: str) -> Array:
    """The indices that extend an axis."""
    numpy_mode: Any = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return np.pad(np.arange(length), (before, after), mode=numpy_mode[mode])


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resized along all axes but the first two.

    Args:
        input: ``(N, C, ...)``.
        size: the new lengths; or
        scale_factor: what the lengths are multiplied by.
        mode: ``"nearest"``, ``"linear"`` of one axis, ``"bilinear"`` of two.
        align_corners: elements at the ends stay at the ends.
        recompute_scale_factor: accepted, without effect.
        antialias: accepted, without effect.

    Raises:
        NotImplementedError: there is no such mode here.

    >>> F.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    x = require_tensor("interpolate", input)
    ndim = x._aval.ndim - 2
    lengths = x._aval.shape[2:]
    if not 1 <= ndim <= 3 or mode not in ("nearest", "linear", "bilinear"):
        raise NotImplementedError(
            f"interpolate() of {x._aval.ndim}D tensors with mode {mode!r}: there are "
            "'nearest', 'linear' (3D) and 'bilinear' (4D)"
        )
    if size is not None:
        out, scales = (
            each(size, ndim),
            [n / m for n, m in zip(lengths, each(size, ndim), strict=True)],
        )
    else:
        given = (
            scale_factor
            if isinstance(scale_factor, tuple | list)
            else [scale_factor] * ndim
        )
        out = tuple(int(n * s) for n, s in zip(lengths, given, strict=True))
        scales = [1 / s for s in given]
    if mode == "nearest":
        places = [
            np.minimum((np.arange(m) * s).astype(np.intp), n - 1)
            for n, m, s in zip(lengths, out, scales, strict=True)
        ]
        node = f"UpsampleNearest{ndim}DBackward0"
        return one(node, lambda u: u[(slice(None), slice(None), *np.ix_(*places))], x)
    weights = [
        _linear_weights(n, m, s, bool(align_corners)).astype(x._aval.dtype)
        for n, m, s in zip(lengths, out, scales, strict=True)
    ]

    def compute(u: Any) -> Any:
        u = u @ weights[-1].T
        return u if ndim == 1 else weights[0] @ u

    return one(f"Upsample{mode.capitalize()}{ndim}DBackward0", compute, x)


def _linear_weights(length: int, count: int, scale: float, aligned: bool) -> Array:
    """The matrix that interpolates linearly between ``length`` elements."""
    if aligned:
        places = np.arange(count) * ((length - 1) / max(count - 1, 1))
    else:
        places = np.maximum((np.arange(count) + 0.5) * scale - 0.5, 0.0)
    low = np.minimum(places.astype(np.intp), length - 1)
    high = np.minimum(low + 1, length - 1)
    share = places - low
    matrix = np.zeros((count, length))
    np.add.at(matrix, (np.arange(count), low), 1 - share)
    np.add.at(matrix, (np.arange(count), high), share)
    return matrix
