"""Normalisation layers."""

from __future__ import annotations

import warnings
from typing import Any

from fgrad.torch.creation import ones, tensor, zeros
from fgrad.torch.nn import functional as F
from fgrad.torch.nn import init
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.tensor import Tensor


class NormBase(Module):
    """Normalisation by statistics of batches or instances; ranks by the subclass."""

    ranks: tuple[int, ...]
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        scale = (
            Parameter(ones(num_features, device=device, dtype=dtype))
            if affine
            else None
        )
        self.register_parameter("weight", scale)
        has_bias = affine and bias
        offset = (
            Parameter(zeros(num_features, device=device, dtype=dtype))
            if has_bias
            else None
        )
        self.register_parameter("bias", offset)
        for name, fill in (("running_mean", zeros), ("running_var", ones)):
            found = fill(num_features, device=device, dtype=dtype)
            self.register_buffer(name, found if track_running_stats else None)
        count = tensor(0) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)

    def reset_running_stats(self) -> None:
        """Forget the running mean and variance."""
        if self.running_mean is not None and self.running_var is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Forget the running statistics; weights are ones, biases zeros."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_rank(self, input: Tensor) -> None:
        if input._aval.ndim not in self.ranks:
            wanted = " or ".join(f"{rank}D" for rank in self.ranks)
            raise ValueError(f"expected {wanted} input (got {input._aval.ndim}D input)")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm(NormBase):
    def forward(self, input: Tensor) -> Tensor:
        self._check_rank(input)
        share = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                share = 1 / float(self.num_batches_tracked)
        uses_batch = self.training or self.running_mean is None
        is_tracking = not self.training or self.track_running_stats
        mean = self.running_mean if is_tracking else None
        variance = self.running_var if is_tracking else None
        affine = (self.weight, self.bias)
        return F.batch_norm(input, mean, variance, *affine, uses_batch, share, self.eps)


class BatchNorm1d(BatchNorm):
    """Normalises each channel of ``(N, C)`` or ``(N, C, L)``; see `BatchNorm2d`.

    >>> nn.BatchNorm1d(1)(torch.tensor([[1.0], [3.0]])).flatten().detach()
    tensor([-1.0000,  1.0000])
    """

    ranks = (2, 3)


class BatchNorm2d(BatchNorm):
    """Normalises each channel of ``(N, C, H, W)``, then scales and moves it.

    In training by mean and variance of the batch, in evaluation by the running ones
    (Ioffe and Szegedy, Batch normalization, 2015, algorithm 1).

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: how far running statistics move; None for the mean of all batches.
        affine: whether a weight and a bias are learnt.
        track_running_stats: whether there are running statistics.
        device: where the parameters live.
        dtype: their dtype.
        bias: whether there is one, if ``affine``.

    >>> layer = nn.BatchNorm2d(1)
    >>> _ = layer(torch.full((2, 1, 2, 2), 5.0))
    >>> layer.running_mean
    tensor([0.5000])
    """

    ranks = (4,)


class BatchNorm3d(BatchNorm):
    """Normalises each channel of ``(N, C, D, H, W)``; see `BatchNorm2d`.

    >>> nn.BatchNorm3d(2)(torch.ones(1, 2, 2, 2, 2)).detach().sum()
    tensor(0.)
    """

    ranks = (5,)


class _InstanceNorm(NormBase):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        rest = (momentum, affine, track_running_stats, device, dtype)
        super().__init__(num_features, eps, *rest, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check_rank(input)
        is_single = input._aval.ndim == self.ranks[0]
        self._check_channels(input._aval.shape, 0 if is_single else 1)
        x = input.unsqueeze(0) if is_single else input
        uses_input = self.training or not self.track_running_stats
        known = (self.running_mean, self.running_var, self.weight, self.bias)
        assert self.momentum is not None
        out = F.instance_norm(x, *known, uses_input, self.momentum, self.eps)
        return out.squeeze(0) if is_single else out

    def _check_channels(self, shape: tuple[int, ...], axis: int) -> None:
        if shape[axis] == self.num_features:
            return
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={axis} to match num_features "
                f"({self.num_features}), but got: {shape[axis]}."
            )
        warnings.warn(
            f"input's size at dim={axis} does not match num_features. You can silence "
            "this warning by not passing in num_features, which is not used because "
            "affine=False",
            UserWarning,
            stacklevel=4,
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalises each sample and channel of ``(N, C, L)`` or ``(C, L)``.

    As `BatchNorm1d`, without parameters and running statistics by default.

    >>> nn.InstanceNorm1d(2)(torch.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
    tensor([[[-1.0000,  1.0000],
             [-1.0000,  1.0000]]])
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each sample and channel of ``(N, C, H, W)`` or ``(C, H, W)``.

    Ulyanov et al., Instance normalization, 2016.

    >>> nn.InstanceNorm2d(1)(torch.tensor([[[[1.0, 3.0]]]]))
    tensor([[[[-1.0000,  1.0000]]]])
    """

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalises each sample and channel of ``(N, C, D, H, W)``.

    >>> nn.InstanceNorm3d(1)(torch.arange(3.0).reshape(1, 1, 1, 1, 3)).flatten()
    tensor([-1.2247,  0.0000,  1.2247])
    """

    ranks = (4, 5)


class LayerNorm(Module):
    """Normalises over the last axes, of lengths ``normalized_shape``.

    ``(x - mean) / sqrt(var + eps) * weight + bias``; weight and bias have these lengths
    (Ba et al., Layer normalization, 2016).

    >>> nn.LayerNorm(2)(torch.tensor([1.0, 3.0])).detach()
    tensor([-1.0000,  1.0000])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        is_number = isinstance(normalized_shape, int)
        shape = (normalized_shape,) if is_number else tuple(normalized_shape)
        self.normalized_shape: tuple[int, ...] = shape
        self.eps, self.elementwise_affine = eps, elementwise_affine
        has = (elementwise_affine, elementwise_affine and bias)
        for name, create, given in zip(
            ("weight", "bias"), (ones, zeros), has, strict=True
        ):
            value = (
                Parameter(create(shape, device=device, dtype=dtype)) if given else None
            )
            self.register_parameter(name, value)

    def reset_parameters(self) -> None:
        """Weights are ones, biases zeros."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(
            input, self.normalized_shape, self.weight, self.bias, self.eps
        )

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divides by the root of the mean square over the last axes.

    ``x / sqrt(mean(x**2) + eps) * weight`` (Zhang and Sennrich, Root mean square layer
    normalization, 2019).

    >>> nn.RMSNorm(2)(torch.tensor([1.0, 7.0])).detach()
    tensor([0.2000, 1.4000])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        is_number = isinstance(normalized_shape, int)
        shape = (normalized_shape,) if is_number else tuple(normalized_shape)
        self.normalized_shape: tuple[int, ...] = shape
        self.eps, self.elementwise_affine = eps, elementwise_affine
        weight = (
            Parameter(ones(shape, device=device, dtype=dtype))
            if elementwise_affine
            else None
        )
        self.register_parameter("weight", weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """Normalises each sample and group of channels of ``(N, C, ...)``.

    Weight and bias are one number for each channel (Wu and He, Group normalization,
    2018).

    Raises:
        ValueError: the channels are no multiple of the groups.

    >>> nn.GroupNorm(2, 4)(torch.tensor([[1.0, 3.0, 10.0, 30.0]])).detach()
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups "
                f"({num_groups})"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        scale = (
            Parameter(ones(num_channels, device=device, dtype=dtype))
            if affine
            else None
        )
        self.register_parameter("weight", scale)
        has_bias = affine and bias
        offset = (
            Parameter(zeros(num_channels, device=device, dtype=dtype))
            if has_bias
            else None
        )
        self.register_parameter("bias", offset)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.affine}, bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Divides by a power of the mean square over neighbouring channels.

    ``x / (k + alpha * s)**beta``, with ``s`` the mean square of ``size`` channels
    (Krizhevsky et al., 2012, section 3.3).

    >>> nn.LocalResponseNorm(2, alpha=2.0)(torch.ones(1, 3, 1)).flatten()
    tensor([0.5946, 0.4387, 0.4387])
    """

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
