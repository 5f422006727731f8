"""Padding as modules."""

from __future__ import annotations

from typing import Any

from fgrad.torch.nn import functional as F
from fgrad.torch.nn.functional.windows import each
from fgrad.torch.nn.module import Module
from fgrad.torch.tensor import Tensor


class _Pad(Module):
    mode: str
    ndim: int

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = each(padding, 2 * self.ndim)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(Module):
    ndim: int

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__()
        self.padding = each(padding, 2 * self.ndim)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A constant before and after the last axis: as many elements as ``padding`` says.

    >>> nn.ConstantPad1d((1, 2), 9.0)(torch.zeros(1, 2))
    tensor([[9., 0., 0., 9., 9.]])
    """

    ndim = 1


class ConstantPad2d(_ConstantPad):
    """A constant around images: left, right, above, below.

    >>> nn.ConstantPad2d((1, 0, 0, 1), 9.0)(torch.zeros(1, 1, 2))
    tensor([[[9., 0., 0.],
             [9., 9., 9.]]])
    """

    ndim = 2


class ConstantPad3d(_ConstantPad):
    """A constant around volumes.

    >>> nn.ConstantPad3d((1, 0, 0, 1, 0, 0), 9.0)(torch.zeros(1, 1, 1, 2))
    tensor([[[[9., 0., 0.],
              [9., 9., 9.]]]])
    """

    ndim = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad, ConstantPad1d):
    """Zeros around the last axis.

    >>> nn.ZeroPad1d((1, 2))(torch.ones(1, 2))
    tensor([[0., 1., 1., 0., 0.]])
    """


class ZeroPad2d(_ZeroPad, ConstantPad2d):
    """Zeros around images: left, right, above, below.

    >>> nn.ZeroPad2d((1, 0, 0, 1))(torch.ones(1, 1, 2))
    tensor([[[0., 1., 1.],
             [0., 0., 0.]]])
    """


class ZeroPad3d(_ZeroPad, ConstantPad3d):
    """Zeros around volumes.

    >>> nn.ZeroPad3d((1, 0, 0, 1, 0, 0))(torch.ones(1, 1, 1, 2))
    tensor([[[[0., 1., 1.],
              [0., 0., 0.]]]])
    """


class ReflectionPad1d(_Pad):
    """The last axis, mirrored at its ends.

    >>> nn.ReflectionPad1d(2)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    mode, ndim = "reflect", 1


class ReflectionPad2d(_Pad):
    """Images, mirrored at their edges.

    >>> nn.ReflectionPad2d((1, 0, 0, 1))(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    tensor([[[2., 1., 2.],
             [4., 3., 4.],
             [2., 1., 2.]]])
    """

    mode, ndim = "reflect", 2


class ReflectionPad3d(_Pad):
    """Volumes, mirrored at their faces.

    >>> nn.ReflectionPad3d((1, 1, 0, 0, 0, 0))(torch.tensor([[[[1.0, 2.0, 3.0]]]]))
    tensor([[[[2., 1., 2., 3., 2.]]]])
    """

    mode, ndim = "reflect", 3


class ReplicationPad1d(_Pad):
    """The last axis, its ends repeated.

    >>> nn.ReplicationPad1d(2)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1., 1., 1., 2., 3., 3., 3.]])
    """

    mode, ndim = "replicate", 1


class ReplicationPad2d(_Pad):
    """Images, their edges repeated.

    >>> nn.ReplicationPad2d((1, 0, 0, 1))(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    tensor([[[1., 1., 2.],
             [3., 3., 4.],
             [3., 3., 4.]]])
    """

    mode, ndim = "replicate", 2


class ReplicationPad3d(_Pad):
    """Volumes, their faces repeated.

    >>> nn.ReplicationPad3d((1, 2, 0, 0, 0, 0))(torch.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 1., 2., 2., 2.]]]])
    """

    mode, ndim = "replicate", 3


class CircularPad1d(_Pad):
    """The last axis, continued from its other end.

    >>> nn.CircularPad1d((2, 1))(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[2., 3., 1., 2., 3., 1.]])
    """

    mode, ndim = "circular", 1


class CircularPad2d(_Pad):
    """Images, continued from their other edges.

    >>> nn.CircularPad2d((1, 0, 0, 1))(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    tensor([[[2., 1., 2.],
             [4., 3., 4.],
             [2., 1., 2.]]])
    """

    mode, ndim = "circular", 2


class CircularPad3d(_Pad):
    """Volumes, continued from their other faces.

    >>> nn.CircularPad3d((1, 2, 0, 0, 0, 0))(torch.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[2., 1., 2., 1., 2.]]]])
    """

    mode, ndim = "circular", 3
