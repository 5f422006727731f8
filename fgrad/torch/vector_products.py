"""Vector products in three dimensions: ``torch.cross`` and ``torch.linalg.cross``."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.fitting import check_shapes
from fgrad.torch.recording import one
from fgrad.torch.registry import operation
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Tensor, require_tensor

WITHOUT_DIM = (
    "Using torch.cross without specifying the dim arg is deprecated.\nPlease either "
    "pass the dim explicitly or simply use torch.linalg.cross.\nThe default value of "
    "dim will change to agree with that of linalg.cross in a future release."
)


@operation("cross")
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along an axis of length 3: the first, or the one named.

    Args:
        input: a tensor.
        other: another of the same dtype and as many axes, of the same lengths or 1.
        dim: the axis; leaving it out is deprecated.

    Raises:
        RuntimeError: the axis is not of length 3, or shapes or dtypes do not fit.
        IndexError: there is no such axis.

    >>> torch.cross(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0]), dim=0)
    tensor([0, 0, 1])
    """
    x, y = require_tensor("cross", input), require_tensor("cross", other, 2)
    if dim is None:
        warnings.warn(WITHOUT_DIM, UserWarning, stacklevel=2)
        if 3 not in x._aval.shape:
            raise RuntimeError("no dimension of size 3 in input")
        dim = x._aval.shape.index(3)
    return _cross(x, y, dim)


def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vector product along an axis of length 3, the last one by default.

    Arguments and errors as of `torch.cross`.

    >>> torch.linalg.cross(torch.tensor([1, 0, 0]), torch.tensor([[0, 1, 0]]))
    Traceback (most recent call last):
    RuntimeError: linalg.cross: inputs must have the same number of dimensions.
    >>> torch.linalg.cross(torch.tensor([[1, 0, 0]]), torch.tensor([[0, 1, 0]]))
    tensor([[0, 0, 1]])
    """
    x, y = require_tensor("cross", input), require_tensor("cross", other, 2)
    return _cross(x, y, dim)


linalg_cross.__name__ = "cross"


def _cross(x: Tensor, y: Tensor, dim: int) -> Tensor:
    ndim = x._aval.ndim
    if ndim != y._aval.ndim:
        raise RuntimeError(
            "linalg.cross: inputs must have the same number of dimensions."
        )
    if not ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    axis = axis_of(dim, ndim)
    lengths = x._aval.shape[axis], y._aval.shape[axis]
    if lengths != (3, 3):
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got "
            f"{lengths[0]} and {lengths[1]}"
        )
    if x.dtype is dtypes.bool_:
        raise NotImplementedError("\"cross\" not implemented for 'Bool'")
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"expected scalar type {x.dtype.kind} but found {y.dtype.kind}"
        )
    check_shapes(x, y)

    def compute(u: Any, v: Any) -> Any:
        return np.cross(u, v, axis=axis)

    return one("LinalgCrossBackward0", compute, x, y)
