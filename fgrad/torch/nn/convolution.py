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
from fgrad.torch.tensor import Tensor

MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
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
        self.weight = Parameter(empty(*channels, *self.kernel_size, dtype=dtype))
        self.bias = Parameter(empty(out_channels, dtype=dtype)) if bias else None
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


class Conv1d(_Convolution):
    """The convolution of ``(N, C, L)``."""

    ndim = 1

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._around(input)
        rest = (self.stride, padding, self.dilation, self.groups)
        return F.conv1d(x, self.weight, self.bias, *rest)


class Conv2d(_Convolution):
    """The convolution of ``(N, C, H, W)``."""

    ndim = 2

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._around(input)
        rest = (self.stride, padding, self.dilation, self.groups)
        return F.conv2d(x, self.weight, self.bias, *rest)


class Conv3d(_Convolution):
    """The convolution of ``(N, C, D, H, W)``."""

    ndim = 3

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._around(input)
        rest = (self.stride, padding, self.dilation, self.groups)
        return F.conv3d(x, self.weight, self.bias, *rest)


class _Transposed(_Convolution):
    is_transposed = True

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
            dtype=dtype,
            output_padding=output_padding,
        )

    def _rest(self) -> tuple[Any, ...]:
        pads = (self.padding, self.output_padding)
        return (self.stride, *pads, self.groups, self.dilation)


class ConvTranspose1d(_Transposed):
    """The transpose of `Conv1d`."""

    ndim = 1

    def forward(self, input: Tensor) -> Tensor:
        return F.conv_transpose1d(input, self.weight, self.bias, *self._rest())


class ConvTranspose2d(_Transposed):
    """The transpose of `Conv2d`."""

    ndim = 2

    def forward(self, input: Tensor) -> Tensor:
        return F.conv_transpose2d(input, self.weight, self.bias, *self._rest())
