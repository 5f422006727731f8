"""Affine maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.arithmetic import add
from fgrad.torch.recording import one
from fgrad.torch.repeating import repeated
from fgrad.torch.tensor import Tensor, require_tensor


def _affine(bias: Any, x: Any, weight: Any) -> Any:
    return np.matmul(x, weight.T) + bias


def _linear(x: Any, weight: Any) -> Any:
    return np.matmul(x, weight.T)


@repeated
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``

    Args:
        input: ``(..., in)``.
        weight: ``(out, in)``.
        bias: ``(out,)``, or None.

    Raises:
        RuntimeError: the shapes or dtypes do not fit.

    >>> F.linear(torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    tensor([ 3., -1.])
    """
    x = require_tensor("linear", input)
    shape, dtype = x._aval.shape, x._aval.dtype
    if shape[-1:] != weight._aval.shape[-1:] or dtype != weight._aval.dtype:
        raise RuntimeError(_complaint(x, weight, bias))
    ndim = len(shape)
    if bias is None:
        node = _UNBIASED.get(ndim, "UnsafeViewBackward0")
        return one(node, _linear, x, weight)
    if bias._aval.shape != weight._aval.shape[:-1]:
        raise RuntimeError(_bias_complaint(x, weight, bias))
    node = "AddmmBackward0" if ndim == 2 else "ViewBackward0"
    return one(node, _affine, bias, x, weight)  # in the order of PyTorch's edges


_UNBIASED = {1: "SqueezeBackward4", 2: "MmBackward0"}


def _complaint(x: Tensor, weight: Tensor, bias: Tensor | None) -> str:
    shape, matrix = x._aval.shape, weight._aval.shape
    if shape[-1:] != matrix[-1:]:
        rows = int(np.prod(shape[:-1]))
        out = matrix[0] if len(matrix) > 1 else 1
        return (
            "mat1 and mat2 shapes cannot be multiplied "
            f"({rows}x{shape[-1] if shape else 1} and {matrix[-1]}x{out})"
        )
    if bias is None:
        return (
            "expected m1 and m2 to have the same dtype, but got: "
            f"{x.dtype.cpp} != {weight.dtype.cpp}"
        )
    return (
        "mat1 and mat2 must have the same dtype, but got "
        f"{x.dtype.kind} and {weight.dtype.kind}"
    )


def _bias_complaint(x: Tensor, weight: Tensor, bias: Tensor) -> str:
    rows, out = int(np.prod(x._aval.shape[:-1])), weight._aval.shape[0]
    return (
        f"The expanded size of the tensor ({out}) must match the existing size "
        f"({bias._aval.shape[0]}) at non-singleton dimension 1.  Target sizes: "
        f"[{rows}, {out}].  Tensor sizes: {list(bias.shape)}"
    )


def bilinear(
    input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """``input1 @ weight[k] @ input2 + bias[k]`` for each ``k``.

    ``(..., in1)``, ``(..., in2)`` and weights ``(out, in1, in2)`` give ``(..., out)``.

    >>> F.bilinear(torch.tensor([1.0, 2.0]), torch.ones(2), torch.eye(2)[None])
    tensor([3.])
    """

    def compute(x: Any, y: Any, w: Any) -> Any:
        return np.einsum("...i,kij,...j->...k", x, w, y)

    product = one("ViewBackward0", compute, input1, input2, weight)
    return product if bias is None else add(product, bias)
