"""Images as columns of patches, and sums of patches as images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import fgrad.numpy
from fgrad.torch.nn.functional.windows import Sizes, each, output_length, padded, slices
from fgrad.torch.recording import one
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Tensor, require_tensor


def unfold(
    input: Tensor,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """The patches of images ``(N, C, H, W)`` as columns ``(N, C * h * w, L)``.

    ``L`` is the number of windows, as in `conv2d`.

    Raises:
        RuntimeError: there are no images, or a window does not fit in them.
        IndexError: there are fewer than three axes.

    >>> F.unfold(torch.arange(6.0).reshape(1, 1, 2, 3), 2)
    tensor([[[0., 1.],
             [1., 2.],
             [3., 4.],
             [4., 5.]]])
    """
    x = require_tensor("im2col", input)
    window = _Window(kernel_size, dilation, padding, stride)
    window.check(_NAMES)
    shape, ndim = x._aval.shape, x._aval.ndim
    for axis in (1, 2):
        if not ndim:
            raise IndexError("Dimension specified as 1 but tensor has no dimensions")
        axis_of(axis, ndim)
    if ndim not in (3, 4) or 0 in shape[ndim - 3 :]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and "
            f"other non-zero dimensions for input, but got: {list(shape)}"
        )
    out = window.counts(shape[-2:])
    if min(out) < 1:
        raise RuntimeError(
            f"Given input with spatial size {shape[-2:]}, "
            f"{window.shown('kernel_size dilation padding')}, calculated shape of the "
            f"array of sliding blocks as {out}, but its components must be at least "
            "one."
        )
    _check_dtype("im2col", x)
    columns = (*shape[:-3], shape[-3] * window.area, out[0] * out[1])

    def compute(u: Any) -> Any:
        whole = padded(u, [(p, p) for p in window.padding])
        parts = [whole[index] for index in window.slices(out)]
        return np.stack(parts, -3).reshape(columns)

    return one("Im2ColBackward0", compute, x)


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """The sum of patches ``(N, C * h * w, L)``: the transpose of `unfold`.

    Raises:
        RuntimeError: there are no patches, or not as many as have a place.

    >>> F.fold(torch.ones(1, 4, 2), (2, 3), 2)
    tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])
    """
    x = require_tensor("col2im", input)
    inside = _pair("output_size", output_size)
    window = _Window(kernel_size, dilation, padding, stride)
    window.check("kernel_size stride dilation padding")
    out = window.counts(inside)
    _check_patches(x, inside, window, out)
    _check_dtype("col2im", x)
    lead, channels = x._aval.shape[:-2], x._aval.shape[-2] // window.area
    before = window.padding
    full = [n + 2 * p for n, p in zip(inside, before, strict=True)]

    def compute(u: Any) -> Any:
        parts = u.reshape(*lead, channels, window.area, *out)
        whole = fgrad.numpy.zeros((*lead, channels, *full), u.dtype)
        for k, index in enumerate(window.slices(out)):
            whole[index] = whole[index] + parts[..., k, :, :]
        cut = (slice(p, p + n) for p, n in zip(before, inside, strict=True))
        return whole[(..., *cut)]

    return one("Col2ImBackward0", compute, x)


_NAMES = "kernel_size dilation padding stride"
_SHORT = {"kernel_size": "kernel", "padding": "pad"}


def _pair(name: str, given: Any) -> Sizes:
    """Two numbers, or one for both."""
    if isinstance(given, Sequence) and len(given) != 2:
        raise RuntimeError(
            f"It is expected {name} equals to 2, but got size {len(given)}"
        )
    return each(given, 2)


class _Window:
    """A window that slides over images: its size, and how it moves."""

    kernel_size: Sizes
    dilation: Sizes
    padding: Sizes
    stride: Sizes

    def __init__(self, *given: Any) -> None:
        for name, value in zip(_NAMES.split(), given, strict=True):
            setattr(self, name, _pair(name, value))
        self.area = self.kernel_size[0] * self.kernel_size[1]

    def check(self, names: str) -> None:
        """Refuse numbers that are too small, the names in this order."""
        for name in names.split():
            rows, columns = getattr(self, name)
            least = 0 if name == "padding" else 1
            if min(rows, columns) >= least:
                continue
            wanted = "greater than zero" if least else "non-negative"
            short = _SHORT.get(name, name)
            raise RuntimeError(
                f"{name.replace('_', ' ')} should be {wanted}, but got {short}_height: "
                f"{rows} {short}_width: {columns}"
            )

    def counts(self, inside: Sequence[int]) -> tuple[int, int]:
        """How many places the window has along both axes of an image."""
        rows, columns = (
            output_length(n + 2 * p, k, s, d)
            for n, p, k, s, d in zip(
                inside,
                self.padding,
                self.kernel_size,
                self.stride,
                self.dilation,
                strict=True,
            )
        )
        return rows, columns

    def slices(self, out: Sizes) -> Any:
        """For each offset in the window the index of its elements at all places."""
        return slices(self.kernel_size, self.stride, self.dilation, out)

    def shown(self, names: str) -> str:
        """The window as errors show it."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in names.split())


def _check_patches(x: Tensor, inside: Sizes, window: _Window, out: Sizes) -> None:
    """Raise PyTorch's error for patches that do not make an image."""
    shape, area = x._aval.shape, window.area
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch "
            f"size and non-zero dimensions for input, but got: {list(shape)}"
        )
    if shape[-2] % area:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of "
            f"kernel_size, but got input.size(1)={shape[-2]} and kernel_size="
            f"{window.kernel_size}."
        )
    if shape[-1] != out[0] * out[1]:
        raise RuntimeError(
            f"Given output_size={inside}, {window.shown(_NAMES)}, expected size of "
            "input's dimension 2 to match the calculated number of sliding blocks "
            f"{out[0]} * {out[1]} = {out[0] * out[1]}, but got input.size(2)="
            f"{shape[-1]}."
        )
    if min(inside) < 1:
        raise RuntimeError(
            "Expected output spatial size to be positive, but got: output_size="
            f"{inside}."
        )


def _check_dtype(name: str, x: Tensor) -> None:
    if x.dtype.category == 1:
        raise NotImplementedError(
            f"\"{name}_out_cpu\" not implemented for '{x.dtype.kind}'"
        )
