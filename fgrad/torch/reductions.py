"""Sums and means."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.conversion import convert
from fgrad.torch.dtypes import as_dtype
from fgrad.torch.recording import apply
from fgrad.torch.registry import numpy_names, operation
from fgrad.torch.repeating import repeated
from fgrad.torch.size import axes_of
from fgrad.torch.tensor import Tensor, require_tensor

_ALL: Any = object()  # no axis was named: PyTorch calls that another function


@operation("sum")
@repeated
@numpy_names
def sum(
    input: Tensor,
    dim: Any = _ALL,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """The sum over axes; of integers and booleans an int64.

    Args:
        input: a tensor.
        dim: an axis or several; all by default.
        keepdim: whether the axes stay, with length 1.
        dtype: converted to this first.


    >>> torch.sum(torch.tensor([[1, 2], [3, 4]]), dim=1)
    tensor([3, 7])
    """
    x = require_tensor("sum", input)
    if dtype is not None:
        x = convert(x, as_dtype(dtype))
    elif x._aval.dtype.kind not in "fc":
        x = convert(x, dtypes.int64)
    return _reduced("Sum", np.sum, x, dim, keepdim)


@operation("mean")
@repeated
@numpy_names
def mean(
    input: Tensor,
    dim: Any = _ALL,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """The arithmetic mean over axes; arguments as of `sum`.

    Raises:
        RuntimeError: the elements are not floating-point numbers.

    >>> torch.mean(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), dim=1)
    tensor([1.5000, 4.5000])
    """
    x = require_tensor("mean", input)
    if dtype is not None:
        x = convert(x, as_dtype(dtype))
    if x._aval.dtype.kind not in "fc":
        found = "Input" if dtype is None else "Optional"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {found} dtype must be either a "
            f"floating point or complex dtype. Got: {x.dtype.kind}"
        )
    return _reduced("Mean", _mean, x, dim, keepdim)


def _mean(x: Any, axis: Any, keepdims: bool) -> Any:
    count = math.prod([x.shape[k] for k in axis])
    total = np.sum(x, axis=axis, keepdims=keepdims)
    return total / count if count else total * np.nan


def _reduced(name: str, function: Any, x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    node = f"{name}Backward{0 if dim is _ALL else 1}"
    axes = axes_of(None if dim is _ALL else dim, x._aval.ndim)
    return apply(node, lambda u: function(u, axis=axes, keepdims=keepdim), x)  # type: ignore[no-any-return]
