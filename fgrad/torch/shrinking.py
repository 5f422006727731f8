"""Activations that are methods of tensors, too: ``x.hardshrink(0.5)``."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.recording import one
from fgrad.torch.registry import operation
from fgrad.torch.tensor import Tensor, require_tensor


@operation("prelu")
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``input`` above 0, ``weight * input`` below.

    ``weight`` has one element, or one for each channel (axis 1 of the input).

    >>> torch.prelu(torch.tensor([[-1.0, -1.0]]), torch.tensor([0.1, 0.5]))
    tensor([[-0.1000, -0.5000]])
    """
    shape = [1] * input._aval.ndim
    if weight._aval.size > 1:
        shape[1] = weight._aval.size

    def compute(u: Any, w: Any) -> Any:
        return np.where(u > 0, u, u * w.reshape(shape))

    return one("PreluKernelBackward0", compute, input, weight)


@operation("hardshrink")
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Elements, but zero where the magnitude is at most ``lambd``.

    >>> torch.hardshrink(torch.tensor([-1.0, 0.5, 0.6]))
    tensor([-1.0000,  0.0000,  0.6000])
    """

    def compute(u: Any) -> Any:
        return np.where(np.abs(u) <= lambd, 0.0, u)

    x = require_tensor("hardshrink", input)
    if x._aval.dtype.kind != "f":
        raise NotImplementedError(
            f"\"hardshrink_cpu\" not implemented for '{x.dtype.kind}'"
        )
    return one("HardshrinkBackward0", compute, x)
