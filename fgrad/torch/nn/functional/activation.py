"""Activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch import elementary, pointwise
from fgrad.torch.inplace import in_place
from fgrad.torch.likes import rand_like
from fgrad.torch.recording import one
from fgrad.torch.special import erf_of
from fgrad.torch.tensor import Tensor, require_tensor


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
    """The larger of an element and 0; its gradient at 0 is 0.

    Shape and dtype are those of the input; ``inplace`` writes into its memory.

    Raises:
        RuntimeError: the input is of booleans.

    >>> F.relu(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    if inplace:
        return input.relu_()  # type: ignore[no-any-return]
    return pointwise.relu(input)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Elements limited to ``[min_val, max_val]``; the gradient at the ends is 0.

    >>> F.hardtanh(torch.tensor([-3.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """

    def compute(u: Any) -> Any:
        if min_val == 0:
            return np.where(u >= max_val, max_val, pointwise.relu_of(u))
        return np.where(u <= min_val, min_val, np.where(u >= max_val, max_val, u))

    return _activation("hardtanh", "HardtanhBackward0", input, compute, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Elements limited to ``[0, 6]``.

    >>> F.relu6(torch.tensor([-1.0, 3.0, 8.0]))
    tensor([0., 3., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def _elu(
    node: str, input: Tensor, below: float, rate: float, scale: float, inplace: bool
) -> Tensor:
    def compute(u: Any) -> Any:
        low = below * np.expm1(np.where(u > 0, 0.0, u) * rate)
        return scale * np.where(u > 0, u, low)

    return _activation("elu", node, input, compute, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` above 0, ``alpha * (exp(input) - 1)`` below.

    Clevert et al., Fast and accurate deep network learning by ELUs, 2016.

    >>> F.elu(torch.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return _elu("EluBackward0", input, alpha, 1.0, 1.0, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """``scale * input`` above 0, ``scale * alpha * (exp(input) - 1)`` below.

    The scale is 1.0507 and alpha 1.6733: mean 0 and variance 1 are kept from layer to
    layer (Klambauer et al., Self-normalizing neural networks, 2017).

    >>> F.selu(torch.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    scale = 1.0507009873554804934193349852946
    below = 1.6732632423543772848170429916717
    return _elu("EluBackward0", input, below, 1.0, scale, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` above 0, ``alpha * (exp(input / alpha) - 1)`` below (Barron, 2017).

    >>> F.celu(torch.tensor([-1.0, 2.0]), alpha=0.5)
    tensor([-0.4323,  2.0000])
    """
    return _elu("CeluBackward0", input, alpha, 1 / alpha, 1.0, inplace)


def leaky_relu(
    input: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Tensor:
    """``input`` above 0, ``negative_slope * input`` below.

    >>> F.leaky_relu(torch.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """

    def compute(u: Any) -> Any:
        return np.where(u > 0, u, u * negative_slope)

    return _activation("leaky_relu", "LeakyReluBackward0", input, compute, inplace)


def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """`leaky_relu` with random slopes in training, the mean of them else.

    The slopes come from the uniform distribution on ``[lower, upper)``.

    >>> F.rrelu(torch.tensor([-1.0, 2.0]), 0.1, 0.3)
    tensor([-0.2000,  2.0000])
    """
    slope: Any = (lower + upper) / 2
    if training:
        draws = rand_like(input)._array
        slope = (lower + (upper - lower) * draws).astype(input._aval.dtype)

    def compute(u: Any) -> Any:
        return np.where(u > 0, u, u * slope)

    return _activation("rrelu", "RreluWithNoiseBackward0", input, compute, inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``input`` times the normal distribution function at it.

    ``x * Phi(x)``, or ``0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x**3)))`` (Hendrycks
    and Gimpel, Gaussian error linear units, 2016).

    Args:
        input: a tensor of floating-point numbers.
        approximate: ``"none"``, or ``"tanh"``.

    >>> F.gelu(torch.tensor([-1.0, 1.0]))
    tensor([-0.1587,  0.8413])
    """
    compute = _gelu_tanh if approximate == "tanh" else _gelu
    return _activation("gelu", "GeluBackward0", input, compute, False)


def _gelu(x: Any) -> Any:
    return 0.5 * x * (1 + erf_of(x * math.sqrt(0.5)))


def _gelu_tanh(x: Any) -> Any:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1 + np.tanh(inner))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``, also called swish.

    >>> F.silu(torch.tensor([-1.0, 1.0]))
    tensor([-0.2689,  0.7311])
    """

    def compute(u: Any) -> Any:
        return u * elementary.sigmoid_of(u)

    return _activation("silu", "SiluBackward0", input, compute, inplace)


def _softplus_of(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * tanh(softplus(input))`` (Misra, Mish, 2019).

    >>> F.mish(torch.tensor([-1.0, 1.0]))
    tensor([-0.3034,  0.8651])
    """

    def compute(u: Any) -> Any:
        return u * np.tanh(_softplus_of(u))

    return _activation("mish", "MishBackward0", input, compute, inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``, which is a smooth `relu`.

    Where ``beta * input`` is above ``threshold`` the input itself.

    >>> F.softplus(torch.tensor([0.0, 30.0]))
    tensor([ 0.6931, 30.0000])
    """

    def compute(u: Any) -> Any:
        return np.where(u * beta > threshold, u, _softplus_of(u * beta) / beta)

    return _activation("softplus", "SoftplusBackward0", input, compute, False)


def softsign(input: Tensor) -> Tensor:
    """``input / (1 + |input|)``

    >>> F.softsign(torch.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    node = "DivBackward0"
    return _activation("softsign", node, input, lambda u: u / (1 + np.abs(u)), False)


def tanhshrink(input: Tensor) -> Tensor:
    """``input - tanh(input)``

    >>> F.tanhshrink(torch.tensor([-1.0, 1.0]))
    tensor([-0.2384,  0.2384])
    """
    node = "SubBackward0"
    return _activation("tanhshrink", node, input, lambda u: u - np.tanh(u), False)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``input / 6 + 1 / 2``, limited to ``[0, 1]``.

    >>> F.hardsigmoid(torch.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """

    def compute(u: Any) -> Any:
        return np.where(u <= -3, 0.0, np.where(u >= 3, 1.0, u / 6 + 0.5))

    return _activation("hardsigmoid", "HardsigmoidBackward0", input, compute, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * hardsigmoid(input)`` (Howard et al., MobileNetV3, 2019).

    >>> F.hardswish(torch.tensor([-4.0, 1.5, 4.0]))
    tensor([-0.0000, 1.1250, 4.0000])
    """

    def compute(u: Any) -> Any:
        low = u * 0.0  # -0, as PyTorch's
        return np.where(u <= -3, low, np.where(u >= 3, u, u * (u / 6 + 0.5)))

    return _activation("hardswish", "HardswishBackward0", input, compute, inplace)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Elements moved by ``lambd`` towards zero, and no further than zero.

    >>> F.softshrink(torch.tensor([-1.0, 0.25, 0.75]))
    tensor([-0.5000,  0.0000,  0.2500])
    """

    def compute(u: Any) -> Any:
        inside = np.abs(u) * 0
        return np.where(u > lambd, u - lambd, np.where(u < -lambd, u + lambd, inside))

    return _activation("softshrink", "SoftshrinkBackward0", input, compute, False)


def threshold(
    input: Tensor, threshold: float, value: float, inplace: bool = False
) -> Tensor:
    """Elements above a threshold, ``value`` in place of the others.

    >>> F.threshold(torch.tensor([0.5, 1.0, 1.5]), 1.0, -7.0)
    tensor([-7.0000, -7.0000,  1.5000])
    """

    def compute(u: Any) -> Any:
        return np.where(u <= threshold, value, u)

    return _activation("threshold", "ThresholdBackward0", input, compute, inplace)


def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(input))``, which does not overflow.

    >>> F.logsigmoid(torch.tensor([-200.0, 0.0]))
    tensor([-200.0000,   -0.6931])
    """
    node = "LogSigmoidBackward0"
    return _activation("log_sigmoid", node, input, lambda u: -_softplus_of(-u), False)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``; integers give the default dtype.

    >>> F.sigmoid(torch.tensor([0.0, 1.0]))
    tensor([0.5000, 0.7311])
    """
    return input.sigmoid()  # type: ignore[no-any-return]


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent; integers give the default dtype.

    >>> F.tanh(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """
    return input.tanh()  # type: ignore[no-any-return]
