"""``torch.nn.init``: initial values, written into tensors without being recorded."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch.modes import no_grad
from fgrad.torch.random import Generator, default_generator
from fgrad.torch.tensor import Tensor, make

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]


def __dir__() -> list[str]:
    return __all__


def _unrecorded(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @functools.wraps(function)
    def fill(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        with no_grad():
            return function(tensor, *args, **kwargs)

    return fill


def uniform_within(tensor: Tensor, fan_in: int) -> Tensor:
    """Numbers of magnitude below ``1 / sqrt(fan_in)``: PyTorch's choice for biases."""
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return uniform_(tensor, -bound, bound)


@_unrecorded
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Numbers drawn evenly from ``[a, b)``.

    >>> x = nn.init.uniform_(torch.empty(1000), 2.0, 3.0)
    >>> bool((x >= 2).all() & (x < 3).all())
    True
    """
    return tensor.uniform_(a, b, generator=generator)  # type: ignore[no-any-return]


@_unrecorded
def normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of mean ``mean`` and standard deviation ``std``.

    >>> _ = torch.manual_seed(0)
    >>> nn.init.normal_(torch.empty(1000)).std().round(decimals=1)
    tensor(1.)
    """
    return tensor.normal_(mean, std, generator=generator)  # type: ignore[no-any-return]


@_unrecorded
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers, drawn again where they are outside of ``[a, b]``.

    >>> x = nn.init.trunc_normal_(torch.empty(1000))
    >>> bool(x.abs().max() <= 2)
    True
    """
    source = (generator or default_generator).numpy
    draws: Any = mean + std * source.standard_normal(tensor._aval.shape)
    wrong: Any = (draws < a) | (draws > b)
    while wrong.any():
        draws[wrong] = mean + std * source.standard_normal(int(wrong.sum()))
        wrong = (draws < a) | (draws > b)
    return tensor.copy_(make(draws.astype(tensor._aval.dtype)))  # type: ignore[no-any-return]


@_unrecorded
def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere.

    >>> nn.init.constant_(torch.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return tensor.fill_(val)  # type: ignore[no-any-return]


@_unrecorded
def zeros_(tensor: Tensor) -> Tensor:
    """Zeros.

    >>> nn.init.zeros_(torch.empty(2))
    tensor([0., 0.])
    """
    return tensor.fill_(0)  # type: ignore[no-any-return]


@_unrecorded
def ones_(tensor: Tensor) -> Tensor:
    """Ones.

    >>> nn.init.ones_(torch.empty(2))
    tensor([1., 1.])
    """
    return tensor.fill_(1)  # type: ignore[no-any-return]


@_unrecorded
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix.

    Raises:
        ValueError: the tensor is no matrix.

    >>> nn.init.eye_(torch.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor._aval.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return tensor.copy_(make(np.eye(*tensor.shape, dtype=tensor._aval.dtype)))  # type: ignore[no-any-return]


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """How much to scale initial values so that an activation keeps the variance.

    1 for linear layers, ``5 / 3`` for tanh, ``sqrt(2)`` for relu, ``sqrt(2 / (1 +
    slope**2))`` for leaky_relu, ``3 / 4`` for selu.

    Raises:
        ValueError: the activation is not known.

    >>> nn.init.calculate_gain("leaky_relu", 1.0)
    1.0
    """
    gains = {
        "tanh": 5.0 / 3,
        "relu": math.sqrt(2.0),
        "selu": 3.0 / 4,
        "sigmoid": 1.0,
        "linear": 1.0,
    }
    gains |= {f"conv{k}d": 1.0 for k in (1, 2, 3)}
    gains |= {f"conv_transpose{k}d": 1.0 for k in (1, 2, 3)}
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in gains:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return gains[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs and outputs an element of the layer has."""
    shape = tensor._aval.shape
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 "
            "dimensions"
        )
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


@_unrecorded
def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Even numbers whose variance is ``2 * gain**2 / (inputs + outputs)``.

    They are below ``gain * sqrt(6 / (inputs + outputs))``. For a weight ``(out, in,
    ...)`` inputs and outputs are the lengths ``in`` and ``out``, times those of a
    kernel (Glorot and Bengio, 2010, equation 16).

    >>> x = nn.init.xavier_uniform_(torch.empty(50, 100))
    >>> bool(x.abs().max() <= (6 / 150) ** 0.5)
    True
    """
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


@_unrecorded
def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal numbers whose variance is ``2 * gain**2 / (inputs + outputs)``.

    Glorot and Bengio, Understanding the difficulty of training deep networks, 2010.

    >>> _ = torch.manual_seed(0)
    >>> nn.init.xavier_normal_(torch.empty(100, 100)).std().round(decimals=2)
    tensor(0.1000)
    """
    std = gain * math.sqrt(2.0 / sum(_fans(tensor)))
    return normal_(tensor, 0.0, std, generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(
            f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']"
        )
    fan = _fans(tensor)[mode.lower() == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


@_unrecorded
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Even numbers that keep the variance through an activation.

    Their variance is ``gain**2 / fan``, of `calculate_gain` (He et al., Delving deep
    into rectifiers, 2015, equation 10).

    Args:
        tensor: at least two axes, outputs first.
        a: the slope below zero of a leaky activation.
        mode: the fan is that of the inputs, ``"fan_in"``, or the outputs,
            ``"fan_out"``.
        nonlinearity: the activation that follows.
        generator: where the numbers come from.

    >>> x = nn.init.kaiming_uniform_(torch.empty(50, 24))
    >>> bool(x.abs().max() <= 0.5)
    True
    """
    if 0 in tensor._aval.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


@_unrecorded
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers that keep the variance through an activation.

    As `kaiming_uniform_`: the variance is ``gain**2 / fan``.

    >>> _ = torch.manual_seed(0)
    >>> nn.init.kaiming_normal_(torch.empty(100, 200)).std().round(decimals=2)
    tensor(0.1000)
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


@_unrecorded
def orthogonal_(
    tensor: Tensor, gain: float = 1, generator: Generator | None = None
) -> Tensor:
    """A random matrix with orthogonal rows or columns, times ``gain``.

    All axes but the first are taken as one (Saxe et al., Exact solutions to the
    nonlinear dynamics of learning, 2013).

    Raises:
        ValueError: there are fewer than two axes.

    >>> q = nn.init.orthogonal_(torch.empty(2, 5))
    >>> torch.allclose(q @ q.T, torch.eye(2), atol=1e-5)
    True
    """
    if tensor._aval.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    rows = tensor._aval.shape[0]
    flat = (generator or default_generator).numpy.standard_normal(
        (rows, tensor._aval.size // rows)
    )
    is_wide = flat.shape[0] < flat.shape[1]
    orthogonal, upper = np.linalg.qr(flat.T if is_wide else flat)
    orthogonal = orthogonal * np.sign(np.diag(upper))
    values = (orthogonal.T if is_wide else orthogonal).reshape(tensor._aval.shape)
    return tensor.copy_(make((gain * values).astype(tensor._aval.dtype)))  # type: ignore[no-any-return]


@_unrecorded
def sparse_(
    tensor: Tensor,
    sparsity: float,
    std: float = 0.01,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers, of which a share in each column is zero.

    >>> (nn.init.sparse_(torch.empty(10, 4), 0.3) == 0).sum(0)
    tensor([3, 3, 3, 3])
    """
    normal_(tensor, 0.0, std, generator)
    source = (generator or default_generator).numpy
    rows = tensor._aval.shape[0]
    for column in range(tensor._aval.shape[1]):
        gone = source.permutation(rows)[: math.ceil(sparsity * rows)]
        tensor._array[gone, column] = 0
    return tensor


@_unrecorded
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Convolution weights ``(out, in, ...)`` that pass channels on.

    >>> nn.init.dirac_(torch.empty(2, 2, 3))
    tensor([[[0., 1., 0.],
             [0., 0., 0.]],
    <BLANKLINE>
            [[0., 0., 0.],
             [0., 1., 0.]]])
    """
    shape = tensor._aval.shape
    tensor.fill_(0)
    centre = tuple(n // 2 for n in shape[2:])
    per_group = shape[0] // groups
    for group in range(groups):
        for k in range(min(per_group, shape[1])):
            tensor._array[(group * per_group + k, k, *centre)] = 1
    return tensor


def _old_name(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The name without the underscore, of scripts written before PyTorch 0.4."""
    new = function.__name__
    old = new.removesuffix("_")

    def initialise(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    initialise.__name__ = old
    initialise.__doc__ = f"The older name of `{new}`. {function.__doc__}"
    return initialise


uniform, normal, constant = map(_old_name, (uniform_, normal_, constant_))
xavier_uniform, xavier_normal = map(_old_name, (xavier_uniform_, xavier_normal_))
kaiming_uniform, kaiming_normal = map(_old_name, (kaiming_uniform_, kaiming_normal_))
orthogonal, eye, dirac, sparse = map(_old_name, (orthogonal_, eye_, dirac_, sparse_))
