"""Fractional maximum pooling as modules."""

from __future__ import annotations

from typing import Any

from fgrad.torch.nn import functional as F
from fgrad.torch.nn.module import Module
from fgrad.torch.tensor import Tensor


def _each(value: Any, count: int) -> Any:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * count


class _FractionalMaxPool(Module):
    function: Any
    ndim: int

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        self._check_kernel(kernel_size)
        ndim = self.ndim
        self.kernel_size = _each(kernel_size, ndim)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else _each(output_size, ndim)
        ratio = None if output_ratio is None else _each(output_ratio, ndim)
        self.output_ratio = ratio
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{type(self).__name__} requires specifying either an output size, or "
                "a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError(
                "only one of output_size and output_ratio may be specified"
            )
        if ratio is not None and not all(0 < part < 1 for part in ratio):
            raise ValueError(
                f"output_ratio must be between 0 and 1 (got {output_ratio})"
            )

    def _check_kernel(self, kernel_size: Any) -> None:
        """PyTorch looks at that of volumes."""

    def forward(self, input: Tensor) -> Any:
        sizes = (self.output_size, self.output_ratio, self.return_indices)
        return type(self).function(
            input, self.kernel_size, *sizes, _random_samples=self._random_samples
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest elements of windows of images, at distances by chance.

    B. Graham, Fractional max-pooling, 2014.

    Args:
        kernel_size: the size of a window, a number or a pair.
        output_size: how many windows there are along each axis.
        output_ratio: or that number as a part of the length.
        return_indices: whether the places of the elements are given, too.
        _random_samples: ``(N, C, 2)``, numbers from 0 to 1; drawn by default.

    Raises:
        ValueError: not just one of size and ratio is given, or the ratio is not between
            0 and 1.

    >>> nn.FractionalMaxPool2d(2, output_size=2)(torch.arange(9.0).reshape(1, 3, 3))
    tensor([[[4., 5.],
             [7., 8.]]])
    """

    ndim, function = 2, staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """The same of volumes; see `FractionalMaxPool2d`.

    >>> nn.FractionalMaxPool3d(2, output_ratio=0.5)(torch.ones(1, 4, 4, 4)).shape
    torch.Size([1, 2, 2, 2])
    """

    ndim, function = 3, staticmethod(F.fractional_max_pool3d)

    def _check_kernel(self, kernel_size: Any) -> None:
        sizes = kernel_size if isinstance(kernel_size, tuple | list) else [kernel_size]
        if not all(size > 0 for size in sizes):
            raise ValueError(
                f"kernel_size must be greater than 0, but got {kernel_size}"
            )
