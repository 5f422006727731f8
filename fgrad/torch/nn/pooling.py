"""Pooling and resizing as modules."""

from __future__ import annotations

from typing import Any

from fgrad.torch.nn import functional as F
from fgrad.torch.nn.functional.windows import each
from fgrad.torch.nn.module import Module
from fgrad.torch.tensor import Tensor


class _MaxPool(Module):
    function: Any

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        sizes = (self.kernel_size, self.stride, self.padding, self.dilation)
        flags = (self.ceil_mode, self.return_indices)
        return type(self).function(input, *sizes, *flags)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest element of each window of the last axis; arguments as of `MaxPool2d`.

    >>> nn.MaxPool1d(2)(torch.tensor([[1.0, 5.0, 2.0, 3.0]]))
    tensor([[5., 3.]])
    """

    function = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of each window of ``(N, C, H, W)`` or ``(C, H, W)``.

    Args:
        kernel_size: lengths of a window: a number, or one for each axis, as the next.
        stride: steps between windows, ``kernel_size`` by default.
        padding: elements around the image that no other is smaller than.
        dilation: steps between elements of a window.
        return_indices: give the places, counted along both axes, as well.
        ceil_mode: windows may go beyond the end.

    >>> nn.MaxPool2d(2)(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """

    function = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest element of each window of the last three axes.

    >>> nn.MaxPool3d((1, 2, 2))(torch.arange(8.0).reshape(1, 2, 2, 2)).flatten()
    tensor([3., 7.])
    """

    function = staticmethod(F.max_pool3d)


class AvgPool1d(Module):
    """The mean of each window of the last axis.

    >>> nn.AvgPool1d(2)(torch.tensor([[1.0, 5.0, 2.0, 3.0]]))
    tensor([[3.0000, 2.5000]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = each(kernel_size, 1)
        self.stride = self.kernel_size if stride is None else each(stride, 1)
        self.padding = each(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        sizes = (self.kernel_size, self.stride, self.padding)
        return F.avg_pool1d(input, *sizes, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}"
        )


class _AvgPool(Module):
    function: Any

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        sizes = (self.kernel_size, self.stride, self.padding)
        flags = (self.ceil_mode, self.count_include_pad, self.divisor_override)
        return type(self).function(input, *sizes, *flags)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}"
        )


class AvgPool2d(_AvgPool):
    """The mean of each window of ``(N, C, H, W)`` or ``(C, H, W)``.

    With ``count_include_pad`` zeros of the padding count; ``divisor_override`` divides
    the sums in place of the count.

    >>> nn.AvgPool2d(2)(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[ 2.5000,  4.5000],
             [10.5000, 12.5000]]])
    """

    function = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window of the last three axes.

    >>> nn.AvgPool3d((2, 2, 1))(torch.arange(8.0).reshape(1, 2, 2, 2))
    tensor([[[[3., 4.]]]])
    """

    function = staticmethod(F.avg_pool3d)


class _Adaptive(Module):
    function: Any

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Any:
        return type(self).function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return type(self).function(input, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_Adaptive):
    """The means of ``output_size`` windows of the last axis.

    >>> nn.AdaptiveAvgPool1d(2)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1.5000, 2.5000]])
    """

    function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_Adaptive):
    """The means of ``output_size`` windows of images: a number, or a pair.

    >>> nn.AdaptiveAvgPool2d(1)(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[7.5000]]])
    """

    function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_Adaptive):
    """The means of as many windows of volumes as are asked for.

    >>> nn.AdaptiveAvgPool3d((1, 1, 2))(torch.arange(8.0).reshape(1, 2, 2, 2))
    tensor([[[[3., 4.]]]])
    """

    function = staticmethod(F.adaptive_avg_pool3d)


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The largest elements of ``output_size`` windows of the last axis.

    >>> nn.AdaptiveMaxPool1d(2)(torch.tensor([[1.0, 3.0, 2.0]]))
    tensor([[3., 3.]])
    """

    function = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """The largest elements of ``output_size`` windows of images: a number, or a pair.

    >>> nn.AdaptiveMaxPool2d((1, 2))(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[13., 15.]]])
    """

    function = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMax):
    """The largest elements of as many windows of volumes as are asked for.

    >>> nn.AdaptiveMaxPool3d((1, 1, 2))(torch.arange(8.0).reshape(1, 2, 2, 2))
    tensor([[[[6., 7.]]]])
    """

    function = staticmethod(F.adaptive_max_pool3d)


class Upsample(Module):
    """Resized along all axes but the first two, by `interpolate`.

    >>> nn.Upsample(scale_factor=2)(torch.tensor([[[1.0, 2.0]]]))
    tensor([[[1., 1., 2., 2.]]])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.scale_factor = (
            float(scale_factor) if isinstance(scale_factor, int) else scale_factor
        )
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, input: Tensor) -> Tensor:
        rest = (self.size, self.scale_factor, self.mode, self.align_corners)
        return F.interpolate(input, *rest)

    def extra_repr(self) -> str:
        what = "scale_factor" if self.scale_factor is not None else "size"
        return f"{what}={getattr(self, what)!r}, mode={self.mode!r}"


class PixelShuffle(Module):
    """Channels laid out as pixels: ``(..., C * r * r, H, W)`` as ``(..., C, H * r, W *
    r)``.

    >>> nn.PixelShuffle(2)(torch.arange(4.0).reshape(4, 1, 1))
    tensor([[[0., 1.],
             [2., 3.]]])
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class Unfold(Module):
    """The patches of images ``(N, C, H, W)`` as columns ``(N, C * h * w, L)``.

    >>> nn.Unfold(2)(torch.arange(6.0).reshape(1, 1, 2, 3))
    tensor([[[0., 1.],
             [1., 2.],
             [3., 4.],
             [4., 5.]]])
    """

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Tensor) -> Tensor:
        rest = (self.dilation, self.padding, self.stride)
        return F.unfold(input, self.kernel_size, *rest)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
