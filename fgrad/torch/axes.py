"""The axes of a tensor in another order: views."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch.recording import apply
from fgrad.torch.registry import METHODS, operation
from fgrad.torch.size import axes_of, axis_of
from fgrad.torch.tensor import Tensor, require_tensor

DEPRECATED_T = (
    "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
    "deprecated and it will throw an error in a future release. Consider `x.mT` to "
    "transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` "
    "to reverse the dimensions of a tensor."
)
DEPRECATED_T_0D = (
    "Tensor.T is deprecated on 0-D tensors. This function is the identity in these "
    "cases."
)


@operation("permute")
def permute(input: Tensor, *dims: Any) -> Tensor:
    """The axes in another order: a view.

    Raises:
        RuntimeError: an axis is missing, or named twice.

    >>> torch.permute(torch.ones(2, 3, 4), (2, 0, 1)).shape
    torch.Size([4, 2, 3])
    """
    x = require_tensor("permute", input)
    named = dims[0] if len(dims) == 1 and isinstance(dims[0], Sequence) else dims
    if len(named) != x._aval.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not "
            "match the length of the desired ordering of dimensions i.e. input.dim() = "
            f"{x._aval.ndim} is not equal to len(dims) = {len(named)}"
        )
    return _transposed("PermuteBackward0", x, axes_of(tuple(named), x._aval.ndim))


def _transposed(node: str, x: Tensor, axes: Sequence[int]) -> Tensor:
    order = tuple(axes)
    return apply(node, lambda u: np.transpose(u, order), x, view=True)  # type: ignore[no-any-return]


@operation("transpose", "swapaxes", "swapdims")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged: a view.

    Raises:
        IndexError: there is no such axis.

    >>> torch.transpose(torch.tensor([[1, 2], [3, 4]]), 0, 1)
    tensor([[1, 3],
            [2, 4]])
    """
    x = require_tensor("transpose", input)
    first, second = (axis_of(dim, x._aval.ndim) for dim in (dim0, dim1))
    axes = list(range(x._aval.ndim))
    if axes:
        axes[first], axes[second] = axes[second], axes[first]
    return _transposed("TransposeBackward0", x, axes)


@operation("t")
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or number itself.

    Raises:
        RuntimeError: there are more than two axes.

    >>> torch.t(torch.tensor([[1, 2], [3, 4]]))
    tensor([[1, 3],
            [2, 4]])
    """
    x = require_tensor("t", input)
    if x._aval.ndim > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {x._aval.ndim}D"
        )
    return _transposed("TBackward0", x, range(x._aval.ndim)[::-1])


def _all_reversed(self: Tensor) -> Tensor:
    ndim = self._aval.ndim
    if ndim != 2:
        text = DEPRECATED_T if ndim else DEPRECATED_T_0D
        warnings.warn(text, UserWarning, stacklevel=2)
    return _transposed("PermuteBackward0", self, range(ndim)[::-1])


def _matrices_transposed(self: Tensor) -> Tensor:
    ndim = self._aval.ndim
    if not ndim:
        text = DEPRECATED_T_0D.replace("Tensor.T", "Tensor.mT")
        warnings.warn(text, UserWarning, stacklevel=2)
        return self
    if ndim == 1:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got 1-D "
            "tensor."
        )
    return transpose(self, -2, -1)


METHODS["T"] = property(_all_reversed)
METHODS["mT"] = property(_matrices_transposed)
