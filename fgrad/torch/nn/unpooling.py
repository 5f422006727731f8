"""The inverse of pooling, and pooling by norms, as modules."""

from __future__ import annotations

from typing import Any

from fgrad.torch.nn import functional as F
from fgrad.torch.nn.functional.windows import each
from fgrad.torch.nn.module import Module
from fgrad.torch.tensor import Tensor


class _MaxUnpool(Module):
    function: Any
    ndim: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = each(kernel_size, self.ndim)
        self.stride = self.kernel_size if stride is None else each(stride, self.ndim)
        self.padding = each(padding, self.ndim)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Any:
        sizes = (self.kernel_size, self.stride, self.padding)
        return type(self).function(input, indices, *sizes, output_size)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}"
        )


class MaxUnpool1d(_MaxUnpool):
    """The elements at the places that `MaxPool1d` took them from.

    >>> nn.MaxUnpool1d(2)(torch.tensor([[5.0, 4.0]]), torch.tensor([[1, 2]]))
    tensor([[0., 5., 4., 0.]])
    """

    ndim, function = 1, staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """The elements at the places that `MaxPool2d` took them from.

    >>> nn.MaxUnpool2d(2)(torch.tensor([[[5.0]]]), torch.tensor([[[2]]]))
    tensor([[[0., 0.],
             [5., 0.]]])
    """

    ndim, function = 2, staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """The elements at the places that `MaxPool3d` took them from.

    >>> nn.MaxUnpool3d((1, 1, 2))(torch.tensor([[[[5.0]]]]), torch.tensor([[[[1]]]]))
    tensor([[[[0., 5.]]]])
    """

    ndim, function = 3, staticmethod(F.max_unpool3d)


class _LPPool(Module):
    function: Any

    def __init__(
        self,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, input: Tensor) -> Any:
        sizes = (float(self.norm_type), self.kernel_size, self.stride)
        return type(self).function(input, *sizes, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The norm of each window of the last axis.

    >>> nn.LPPool1d(2, 2)(torch.tensor([[[3.0, 4.0, 6.0, 8.0]]]))
    tensor([[[ 5., 10.]]])
    """

    function = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    """The norm of each window of the last two axes.

    >>> nn.LPPool2d(2, 2)(torch.tensor([[[[1.0, 1.0, 3.0], [1.0, 1.0, 3.0]]]]))
    tensor([[[[2.]]]])
    """

    function = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    """The norm of each window of the last three axes.

    >>> nn.LPPool3d(1, 2)(torch.ones(1, 1, 2, 2, 2))
    tensor([[[[[8.]]]]])
    """

    function = staticmethod(F.lp_pool3d)
