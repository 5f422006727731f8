"""Modules over the functions of older scripts and of spatial layouts."""

from __future__ import annotations

from typing import Any

from fgrad.torch.nn import functional as F
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.pooling import Upsample
from fgrad.torch.nn.sparse import DropoutBase
from fgrad.torch.tensor import Tensor


class PixelUnshuffle(Module):
    """Pixels laid out as channels: ``(..., C, H * r, W * r)`` as ``(..., C * r * r, H,
    W)``.

    >>> nn.PixelUnshuffle(2)(torch.arange(4.0).reshape(1, 2, 2)).flatten()
    tensor([0., 1., 2., 3.])
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Channels dealt out among groups: the first of each, then the second of each.

    >>> nn.ChannelShuffle(2)(torch.arange(4.0).reshape(1, 4, 1, 1)).flatten()
    tensor([0., 2., 1., 3.])
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class UpsamplingNearest2d(Upsample):
    """Images resized to the nearest pixel.

    >>> nn.UpsamplingNearest2d(scale_factor=2)(torch.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Images resized with weights, corners aligned.

    >>> nn.UpsamplingBilinear2d(size=(1, 3))(torch.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1.0000, 1.5000, 2.0000]]]])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class Dropout3d(DropoutBase):
    """Channels of ``(N, C, D, H, W)`` set to zero by chance in training.

    >>> nn.Dropout3d(1.0)(torch.ones(1, 2, 1, 1, 2)).flatten()
    tensor([0., 0., 0., 0.])
    """

    function = staticmethod(F.dropout3d)


class TripletMarginWithDistanceLoss(Module):
    """The triplet loss with a distance function.

    Args:
        distance_function: of two tensors; the Euclidean one by default.
        margin: by how much a negative is to be farther away.
        swap: use the distance of the negative from the positive where it is less.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> distance = lambda x, y: (x - y).abs()
    >>> loss = nn.TripletMarginWithDistanceLoss(distance_function=distance)
    >>> loss(torch.tensor([0.0]), torch.tensor([3.0]), torch.tensor([1.5]))
    tensor(2.5000)
    """

    def __init__(
        self,
        *,
        distance_function: Any = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.distance_function = distance_function or F.pairwise_distance
        self.margin, self.swap, self.reduction = margin, swap, reduction

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class Fold(Module):
    """The sum of patches, given as columns: the transpose of `Unfold`.

    >>> nn.Fold((2, 3), 2)(torch.ones(1, 4, 2))
    tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])
    """

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        rest = (self.dilation, self.padding, self.stride)
        return F.fold(input, self.output_size, self.kernel_size, *rest)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )


class FeatureAlphaDropout(DropoutBase):
    """Whole channels set to what keeps mean and variance, by chance in training.

    >>> nn.FeatureAlphaDropout(p=1.0)(torch.ones(1, 2, 2))
    tensor([[[0., 0.],
             [0., 0.]]])
    """

    function = staticmethod(F.feature_alpha_dropout)
