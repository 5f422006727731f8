"""Activations."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch import pointwise, random, statistics
from fgrad.torch.inplace import in_place
from fgrad.torch.recording import one
from fgrad.torch.special import erf_of
from fgrad.torch.tensor import Tensor, make, require_tensor

IMPLICIT = (
    "Implicit dimension choice for {} has been deprecated. Change the call to include "
    "dim=X as an argument."
)


def _activation(
    name: str, node: str, input: Tensor, compute: Callable[[Any], Any], inplace: bool
) -> Tensor:
    """An elementwise function of floating-point numbers."""
    x = require_tensor(name, input)
    if x._aval.dtype.kind != "f":
        kernel = {"gelu": "GeluKernelImpl"}.get(name, f"{name}_cpu")
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{x.dtype.kind}'")

    def activated(u: Tensor) -> Tensor:
        return one(node, compute, u)

    return in_place(activated)(x) if inplace else activated(x)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """The larger of an element and 0."""
    if inplace:
        return input.relu_()  # type: ignore[no-any-return]
    return pointwise.relu(input)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Elements limited to an interval; the gradient at its ends is 0."""

    def compute(u: Any) -> Any:
        return np.where(u <= min_val, min_val, np.where(u >= max_val, max_val, u))

    return _activation("hardtanh", "HardtanhBackward0", input, compute, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Elements limited to ``[0, 6]``."""
    return hardtanh(input, 0.0, 6.0, inplace)


def _elu(
    node: str, input: Tensor, below: float, rate: float, scale: float, inplace: bool
) -> Tensor:
    def compute(u: Any) -> Any:
        low = below * np.expm1(np.where(u > 0, 0.0, u) * rate)
        return scale * np.where(u > 0, u, low)

    return _activation("elu", node, input, compute, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``alpha * (exp(input) - 1)`` below 0."""
    return _elu("EluBackward0", input, alpha, 1.0, 1.0, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalising `elu`."""
    scale = 1.0507009873554804934193349852946
    below = 1.6732632423543772848170429916717
    return _elu("EluBackward0", input, below, 1.0, scale, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``alpha * (exp(input / alpha) - 1)`` below 0."""
    return _elu("CeluBackward0", input, alpha, 1 / alpha, 1.0, inplace)


def leaky_relu(
    input: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Tensor:
    """``negative_slope * input`` below 0."""

    def compute(u: Any) -> Any:
        return np.where(u > 0, u, u * negative_slope)

    return _activation("leaky_relu", "LeakyReluBackward0", input, compute, inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``weight * input`` below 0; a weight for all, or one for each channel."""
    shape = [1] * input._aval.ndim
    if weight._aval.size > 1:
        shape[1] = weight._aval.size

    def compute(u: Any, w: Any) -> Any:
        return np.where(u > 0, u, u * w.reshape(shape))

    return one("PreluKernelBackward0", compute, input, weight)


def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """`leaky_relu` with random slopes in training, the mean of them else."""
    slope: Any = (lower + upper) / 2
    if training:
        draws = random.rand_like(input)._array
        slope = (lower + (upper - lower) * draws).astype(input._aval.dtype)

    def compute(u: Any) -> Any:
        return np.where(u > 0, u, u * slope)

    return _activation("rrelu", "RreluWithNoiseBackward0", input, compute, inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``input`` times the normal distribution function of it, or nearly.

    Args:
        input: a tensor.
        approximate: ``"none"``, or ``"tanh"``.
    """
    compute = _gelu_tanh if approximate == "tanh" else _gelu
    return _activation("gelu", "GeluBackward0", input, compute, False)


def _gelu(x: Any) -> Any:
    return 0.5 * x * (1 + erf_of(x * math.sqrt(0.5)))


def _gelu_tanh(x: Any) -> Any:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1 + np.tanh(inner))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``"""

    def compute(u: Any) -> Any:
        return u * pointwise.sigmoid_of(u)

    return _activation("silu", "SiluBackward0", input, compute, inplace)


def _softplus_of(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * tanh(softplus(input))``"""

    def compute(u: Any) -> Any:
        return u * np.tanh(_softplus_of(u))

    return _activation("mish", "MishBackward0", input, compute, inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``; the input itself above the threshold."""

    def compute(u: Any) -> Any:
        return np.where(u * beta > threshold, u, _softplus_of(u * beta) / beta)

    return _activation("softplus", "SoftplusBackward0", input, compute, False)


def softsign(input: Tensor) -> Tensor:
    """``input / (1 + |input|)``"""
    node = "DivBackward0"
    return _activation("softsign", node, input, lambda u: u / (1 + np.abs(u)), False)


def tanhshrink(input: Tensor) -> Tensor:
    """``input - tanh(input)``"""
    node = "SubBackward0"
    return _activation("tanhshrink", node, input, lambda u: u - np.tanh(u), False)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``input / 6 + 1 / 2``, limited to ``[0, 1]``."""

    def compute(u: Any) -> Any:
        return np.where(u <= -3, 0.0, np.where(u >= 3, 1.0, u / 6 + 0.5))

    return _activation("hardsigmoid", "HardsigmoidBackward0", input, compute, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * hardsigmoid(input)``"""

    def compute(u: Any) -> Any:
        low = u * 0.0  # -0, as PyTorch's
        return np.where(u <= -3, low, np.where(u >= 3, u, u * (u / 6 + 0.5)))

    return _activation("hardswish", "HardswishBackward0", input, compute, inplace)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Zero where the magnitude is at most ``lambd``."""

    def compute(u: Any) -> Any:
        return np.where(np.abs(u) <= lambd, 0.0, u)

    return _activation("hardshrink", "HardshrinkBackward0", input, compute, False)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Moved by ``lambd`` towards zero."""

    def compute(u: Any) -> Any:
        inside = np.abs(u) * 0
        return np.where(u > lambd, u - lambd, np.where(u < -lambd, u + lambd, inside))

    return _activation("softshrink", "SoftshrinkBackward0", input, compute, False)


def threshold(
    input: Tensor, threshold: float, value: float, inplace: bool = False
) -> Tensor:
    """A number where elements are not above a threshold."""

    def compute(u: Any) -> Any:
        return np.where(u <= threshold, value, u)

    return _activation("threshold", "ThresholdBackward0", input, compute, inplace)


def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(input))``"""
    node = "LogSigmoidBackward0"
    return _activation("log_sigmoid", node, input, lambda u: -_softplus_of(-u), False)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``"""
    return input.sigmoid()  # type: ignore[no-any-return]


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()  # type: ignore[no-any-return]


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along an axis, times the sigmoid of the second."""
    x = require_tensor("glu", input)
    length = x._aval.shape[dim]
    if length % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % x._aval.ndim} is "
            f"size {length}"
        )

    def compute(u: Any) -> Any:
        first, second = np.split(u, 2, axis=dim)
        return first * pointwise.sigmoid_of(second)

    return one("GluBackward0", compute, x)


def _axis(name: str, input: Tensor, dim: int | None) -> int:
    """The axis, or PyTorch's deprecated choice."""
    if dim is not None:
        return dim
    warnings.warn(IMPLICIT.format(name), UserWarning, stacklevel=3)
    return 0 if input._aval.ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """``exp(input)``, divided by its sum over an axis."""
    return statistics.softmax(input, _axis("softmax", input, dim), dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of `softmax`."""
    return statistics.log_softmax(input, _axis("log_softmax", input, dim), dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The softmax of ``-input``."""
    negative = -input  # type: ignore[operator]
    return statistics.softmax(negative, _axis("softmin", input, dim), dtype)


def gumbel_softmax(
    logits: Tensor,
    tau: float = 1.0,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
) -> Tensor:
    """A sample from the Gumbel-softmax distribution; one-hot if ``hard``."""
    noise = -random.rand_like(logits).clamp_min(1e-30).log()
    soft = ((logits - noise.log()) / tau).softmax(dim)
    if not hard:
        return soft  # type: ignore[no-any-return]
    index = np.argmax(soft._array, axis=dim, keepdims=True)
    chosen = np.zeros_like(soft._array)
    np.put_along_axis(chosen, index, 1.0, axis=dim)
    return make(chosen) - soft.detach() + soft  # type: ignore[no-any-return]
