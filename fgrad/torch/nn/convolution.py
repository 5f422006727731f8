"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

from fgrad.torch.creation import empty
from fgrad.torch.nn import functional as F
from fgrad.torch.nn import init
from fgrad.torch.nn.functional.windows import each
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.size import Size
from fgrad.torch.tensor import Tensor

MODES = ("zeros", "reflect", "replicate", "circular")


class ConvNd(Module):
    """What all convolutions hold; a subclass gives the number of axes."""

    ndim: int
    is_transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        output_padding: Any = 0,
    ) -> None:
        super().__init__()
        for name, count in (("in", in_channels), ("out", out_channels)):
            if count % groups:
                raise ValueError(f"{name}_channels must be divisible by groups")
        if padding_mode not in MODES:
            raise ValueError(
                f"padding_mode must be one of {set(MODES)}, but got "
                f"padding_mode='{padding_mode}'"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = each(kernel_size, self.ndim)
        self.stride, self.dilation = each(stride, self.ndim), each(dilation, self.ndim)
        is_name = isinstance(padding, str)
        self.padding: Any = padding if is_name else each(padding, self.ndim)
        self.output_padding = each(output_padding, self.ndim)
        self.groups, self.padding_mode = groups, padding_mode
        channels = (out_channels, in_channels // groups)
        if self.is_transposed:
            channels = (in_channels, out_channels // groups)
        self.weight = Parameter(
            empty(*channels, *self.kernel_size, device=device, dtype=dtype)
        )
        self.bias = (
            Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        if not bias:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan = math.prod(self.weight._aval.shape[1:])
            init.uniform_within(self.bias, fan)

    def _around(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input padded in a mode of its own, and what is left to pad."""
        if self.padding_mode == "zeros":
            return input, self.padding
        if self.padding == "same":
            totals = [
                d * (k - 1)
                for d, k in zip(self.dilation, self.kernel_size, strict=True)
            ]
            pairs = [(total // 2, total - total // 2) for total in totals]
        else:
            pairs = [(p, p) for p in each(self.padding, self.ndim)]
        flat = [n for pair in reversed(pairs) for n in pair]
        return F.pad(input, flat, mode=self.padding_mode), 0

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        zeros, ones = (0,) * self.ndim, (1,) * self.ndim
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class Conv1d(ConvNd):
    """The convolution of ``(N, C, L)``; arguments as of `Conv2d`.

    >>> nn.Conv1d(3, 8, 5)(torch.ones(2, 3, 10)).shape
    torch.Size([2, 8, 6])
    """

    ndim = 1

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._around(input)
        rest = (self.stride, padding, self.dilation, self.groups)
        return F.conv1d(x, self.weight, self.bias, *rest)


class Conv2d(ConvNd):
    """The convolution of ``(N, C, H, W)``.

    ``weight`` is ``(out_channels, in_channels / groups, height, width)``, ``bias``
    ``(out_channels,)``. Both begin between ``-bound`` and ``bound``, which is ``1 /
    sqrt(in_channels / groups * height * width)``.

    Args:
        in_channels: the channels of the input.
        out_channels: those of the output.
        kernel_size: a number, or one for each axis, as the next.
        stride: steps between windows.
        padding: elements around the image, or ``"valid"`` or ``"same"``.
        dilation: steps between elements of a window.
        groups: parts of the channels that do not see each other.
        bias: whether there is one.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.

    Raises:
        ValueError: there is no such padding mode; channels are no multiple of groups.

    >>> nn.Conv2d(3, 8, 5, padding="same")(torch.ones(2, 3, 10, 12)).shape
    torch.Size([2, 8, 10, 12])
    """

    ndim = 2

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._around(input)
        rest = (self.stride, padding, self.dilation, self.groups)
        return F.conv2d(x, self.weight, self.bias, *rest)


class Conv3d(ConvNd):
    """The convolution of ``(N, C, D, H, W)``; arguments as of `Conv2d`.

    >>> nn.Conv3d(3, 8, 2)(torch.ones(2, 3, 4, 4, 4)).shape
    torch.Size([2, 8, 3, 3, 3])
    """

    ndim = 3

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._around(input)
        rest = (self.stride, padding, self.dilation, self.groups)
        return F.conv3d(x, self.weight, self.bias, *rest)


class ConvTransposeNd(ConvNd):
    is_transposed = True
    function: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f'Only "zeros" padding mode is supported for {type(self).__name__}'
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            device=device,
            dtype=dtype,
            output_padding=output_padding,
        )

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        more = self.output_padding
        if output_size is not None:
            more = self._padding_for(input._aval.shape, tuple(output_size))
        rest = (self.stride, self.padding, more, self.groups, self.dilation)
        return type(self).function(input, self.weight, self.bias, *rest)  # type: ignore[no-any-return]

    def _padding_for(self, shape: Any, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """The output padding that gives these lengths.

        Raises:
            ValueError: there is none, since no step of the stride leads to them.
        """
        ndim, size = self.ndim, wanted
        if len(shape) == len(wanted):
            wanted = wanted[len(shape) - ndim :]
        if len(wanted) != ndim:
            raise ValueError(
                f"ConvTranspose{ndim}D: for {len(shape)}D input, output_size must have "
                f"{ndim} or {len(shape)} elements (got {len(wanted)})"
            )
        axes = zip(
            shape[-ndim:],
            self.stride,
            self.padding,
            self.dilation,
            self.kernel_size,
            strict=True,
        )
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in axes]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
        bounds = zip(wanted, least, most, strict=True)
        if any(not low <= n <= high for n, low, high in bounds):
            given = Size(shape[-ndim:])
            shown = size if len(size) == ndim else wanted
            raise ValueError(
                f"requested an output size of {shown}, but valid sizes range from "
                f"{least} to {most} (for an input of torch.Size({list(given)}))"
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))


class ConvTranspose1d(ConvTransposeNd):
    """The transpose of `Conv1d`: it makes the last axis longer.

    Raises:
        ValueError: the padding mode is not ``"zeros"``.

    >>> nn.ConvTranspose1d(3, 8, 4, stride=4)(torch.ones(2, 3, 10)).shape
    torch.Size([2, 8, 40])
    """

    ndim, function = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(ConvTransposeNd):
    """The transpose of `Conv2d`: it makes images larger.

    Raises:
        ValueError: the padding mode is not ``"zeros"``.

    >>> nn.ConvTranspose2d(3, 8, 2, stride=2)(torch.ones(2, 3, 5, 6)).shape
    torch.Size([2, 8, 10, 12])
    """

    ndim, function = 2, staticmethod(F.conv_transpose2d)


class ConvTranspose3d(ConvTransposeNd):
    """The transpose of `Conv3d`.

    >>> nn.ConvTranspose3d(2, 4, 3, stride=2)(torch.ones(1, 2, 3, 3, 3)).shape
    torch.Size([1, 4, 7, 7, 7])
    """

    ndim, function = 3, staticmethod(F.conv_transpose3d)
