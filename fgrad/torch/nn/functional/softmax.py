"""Activations along an axis: `softmax` and its relatives, `glu`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fgrad.torch import elementary, softmaxes
from fgrad.torch.likes import rand_like
from fgrad.torch.recording import one
from fgrad.torch.tensor import Tensor, make, require_tensor

IMPLICIT = (
    "Implicit dimension choice for {} has been deprecated. Change the call to include "
    "dim=X as an argument."
)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along an axis, times the sigmoid of the second.

    Raises:
        RuntimeError: the length of the axis is odd.

    >>> F.glu(torch.tensor([1.0, 2.0, 0.0, 100.0]))
    tensor([0.5000, 2.0000])
    """
    x = require_tensor("glu", input)
    length = x._aval.shape[dim]
    if length % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % x._aval.ndim} is "
            f"size {length}"
        )

    def compute(u: Any) -> Any:
        first, second = np.split(u, 2, axis=dim)
        return first * elementary.sigmoid_of(second)

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
    """``exp(input)``, divided by its sum over ``dim``.

    ``dtype`` is that of the result; the input is converted to it first. Without ``dim``
    a warning says that axis 0 or 1 was chosen.

    >>> F.softmax(torch.tensor([0.0, 0.0, 100.0]), dim=0)
    tensor([3.7835e-44, 3.7835e-44, 1.0000e+00])
    """
    return softmaxes.softmax(input, _axis("softmax", input, dim), dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of `softmax`: ``input - log(sum(exp(input)))`` over ``dim``.

    >>> F.log_softmax(torch.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    return softmaxes.log_softmax(input, _axis("log_softmax", input, dim), dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The `softmax` of ``-input``.

    >>> F.softmin(torch.tensor([0.0, 100.0]), dim=0)
    tensor([1.0000e+00, 3.7835e-44])
    """
    negative = -input  # type: ignore[operator]
    return softmaxes.softmax(negative, _axis("softmin", input, dim), dtype)


def gumbel_softmax(
    logits: Tensor,
    tau: float = 1.0,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
) -> Tensor:
    """A sample from the Gumbel-softmax distribution of unnormalised log-probabilities.

    ``softmax((logits + noise) / tau)``, with noise from the Gumbel distribution; if
    ``hard`` the one-hot tensor of its largest element, with the gradient of the former
    (Jang et al., Categorical reparameterization with Gumbel-softmax, 2017).

    >>> F.gumbel_softmax(torch.tensor([0.0, 100.0]), hard=True)
    tensor([0., 1.])
    """
    noise = -rand_like(logits).clamp_min(1e-30).log()
    soft = ((logits - noise.log()) / tau).softmax(dim)
    if not hard:
        return soft  # type: ignore[no-any-return]
    index = np.argmax(soft._array, axis=dim, keepdims=True)
    chosen = np.zeros_like(soft._array)
    np.put_along_axis(chosen, index, 1.0, axis=dim)
    return make(chosen) - soft.detach() + soft  # type: ignore[no-any-return]
