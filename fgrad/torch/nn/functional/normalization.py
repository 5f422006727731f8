"""Normalisation over batches, layers, groups and instances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch.modes import no_grad
from fgrad.torch.recording import one, several
from fgrad.torch.tensor import Tensor, require_tensor


def _centred(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """An array less its mean over axes, that mean, and the variance."""
    mean = np.mean(x, axis=axes, keepdims=True)
    rest = x - mean
    return rest, mean, np.mean(rest * rest, axis=axes, keepdims=True)


def _scaled(x: Any, affine: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """``x * weight + bias``, where they are given."""
    weight, bias = affine
    if weight is not None:
        x = x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 over the last axes, then scaled and moved.

    ``(x - mean) / sqrt(var + eps) * weight + bias``; weight and bias have the shape
    ``normalized_shape`` (Ba et al., Layer normalization, 2016).

    Raises:
        RuntimeError: the last axes are others than ``normalized_shape``.

    >>> F.layer_norm(torch.tensor([[1.0, 3.0]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    x = require_tensor("layer_norm", input)
    shape = tuple(normalized_shape)
    if x._aval.shape[x._aval.ndim - len(shape) :] != shape:
        text = ", ".join(map(str, shape))
        raise RuntimeError(
            f"Given normalized_shape=[{text}], expected input with shape [*, {text}], "
            f"but got input of size{list(x.shape)}"
        )
    axes = tuple(range(-len(shape), 0))

    def compute(u: Any, *affine: Any) -> Any:
        rest, _, variance = _centred(u, axes)
        return _scaled(rest / np.sqrt(variance + eps), affine, shape)

    return one("NativeLayerNormBackward0", compute, x, weight, bias)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """``input / sqrt(mean(input**2) + eps) * weight`` over the last axes.

    Without ``eps`` it is the machine epsilon of the dtype (Zhang and Sennrich, Root
    mean square layer normalization, 2019).

    >>> F.rms_norm(torch.tensor([1.0, 7.0]), (2,))
    tensor([0.2000, 1.4000])
    """
    x = require_tensor("rms_norm", input)
    shape = tuple(normalized_shape)
    axes = tuple(range(-len(shape), 0))
    small = float(np.finfo(x._aval.dtype).eps) if eps is None else eps

    def compute(u: Any, w: Any) -> Any:
        squares = np.mean(u * u, axis=axes, keepdims=True)
        return _scaled(u / np.sqrt(squares + small), (w, None), shape)

    return one("MulBackward0", compute, x, weight)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 for each channel, then scaled and moved.

    ``(x - mean) / sqrt(var + eps) * weight + bias``, with the variance over ``n``; the
    running variance takes that over ``n - 1`` (Ioffe and Szegedy, 2015).

    Args:
        input: ``(N, C, ...)``.
        running_mean: for each channel; changed in training, used else.
        running_var: for each channel, likewise.
        weight: for each channel.
        bias: for each channel.
        training: whether mean and variance are those of the batch.
        momentum: how far the running ones move to those of the batch.
        eps: added to the variance.

    Raises:
        ValueError: there is one value per channel in training.
        RuntimeError: the number of channels is another one.

    >>> x = torch.tensor([[1.0], [3.0]])
    >>> F.batch_norm(x, torch.zeros(1), torch.ones(1), training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    x = require_tensor("batch_norm", input)
    shape = x._aval.shape
    per_channel = (shape[1], *(1,) * (x._aval.ndim - 2))
    count = math.prod(shape) // max(shape[1], 1)
    if training and count <= 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{x.shape}"
        )
    named = {"running_mean": running_mean, "weight": weight, "bias": bias}
    for name, given in named.items():
        if given is not None and given._aval.shape != shape[1:2]:
            raise RuntimeError(
                f"{name} should contain {shape[1]} elements not {given._aval.size}"
            )
    node = "NativeBatchNormBackward0"
    axes = (0, *range(2, x._aval.ndim))
    if not training:
        assert running_mean is not None
        assert running_var is not None

        def with_known(u: Any, mean: Any, variance: Any, *affine: Any) -> Any:
            scale = np.sqrt(variance.reshape(per_channel) + eps)
            rest = (u - mean.reshape(per_channel)) / scale
            return _scaled(rest, affine, per_channel)

        return one(node, with_known, x, running_mean, running_var, weight, bias)

    def compute(u: Any, *affine: Any) -> Any:
        rest, mean, variance = _centred(u, axes)
        out = _scaled(rest / np.sqrt(variance + eps), affine, per_channel)
        return out, mean, variance

    out, mean, variance = several(node, compute, x, weight, bias)
    if running_mean is not None and running_var is not None:
        _move(running_mean, mean, momentum, 1.0)
        _move(running_var, variance, momentum, count / (count - 1))
    return out


def _move(running: Tensor, found: Tensor, momentum: float, factor: float) -> None:
    with no_grad():
        target = found.detach().reshape(-1) * factor
        running.copy_(running * (1 - momentum) + target * momentum)  # type: ignore[operator]


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 for each sample and group of channels of ``(N, C, ...)``.

    Weight and bias are one number for each channel (Wu and He, Group normalization,
    2018).

    Raises:
        RuntimeError: the channels cannot be divided so.

    >>> F.group_norm(torch.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    x = require_tensor("group_norm", input)
    shape = x._aval.shape
    if shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but "
            f"got input of shape {list(shape)} and num_groups={num_groups}"
        )
    per_channel = (shape[1], *(1,) * (x._aval.ndim - 2))

    def compute(u: Any, *affine: Any) -> Any:
        groups = u.reshape(shape[0], num_groups, -1)
        rest, _, variance = _centred(groups, (2,))
        out = (rest / np.sqrt(variance + eps)).reshape(shape)
        return _scaled(out, affine, per_channel)

    return one("NativeGroupNormBackward0", compute, x, weight, bias)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 for each sample and channel of ``(N, C, ...)``.

    Without ``use_input_stats`` the running mean and variance are used (Ulyanov et al.,
    Instance normalization, 2016).

    Raises:
        ValueError: there is one value per channel, and statistics are of the input.

    >>> F.instance_norm(torch.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
    tensor([[[-1.0000,  1.0000],
             [-1.0000,  1.0000]]])
    """
    x = require_tensor("instance_norm", input)
    per_channel = (x._aval.shape[1], *(1,) * (x._aval.ndim - 2))
    if not use_input_stats:
        rest = (weight, bias, False, momentum, eps)
        return batch_norm(x, running_mean, running_var, *rest)
    axes = tuple(range(2, x._aval.ndim))
    count = math.prod(x._aval.shape[2:])
    if count <= 1:
        raise ValueError(
            "Expected more than 1 spatial element when training, got input size "
            f"{x.shape}"
        )

    def compute(u: Any, *affine: Any) -> Any:
        rest, mean, variance = _centred(u, axes)
        out = _scaled(rest / np.sqrt(variance + eps), affine, per_channel)
        return out, np.mean(mean, 0), np.mean(variance, 0)

    out, mean, variance = several("ViewBackward0", compute, x, weight, bias)
    if running_mean is not None and running_var is not None:
        _move(running_mean, mean, momentum, 1.0)
        _move(running_var, variance, momentum, count / (count - 1))
    return out


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """``input / (k + alpha * s)**beta``, ``s`` the mean square of ``size`` channels.

    The channels are the ones around each, axis 1; missing ones are zero (Krizhevsky et
    al., 2012, section 3.3).

    >>> F.local_response_norm(torch.ones(1, 3, 1), 2, alpha=2.0).flatten()
    tensor([0.5946, 0.4387, 0.4387])
    """
    x = require_tensor("local_response_norm", input)

    def compute(u: Any) -> Any:
        widths = [(0, 0)] * u.ndim
        widths[1] = (size // 2, (size - 1) // 2)
        squares = np.pad(u * u, widths)
        channels = u.shape[1]
        mean = sum(squares[:, j : j + channels] for j in range(size)) / size
        return u / (mean * alpha + k) ** beta

    return one("DivBackward0", compute, x)
