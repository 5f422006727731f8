"""Sums, means and extrema."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.conversion import convert
from fgrad.torch.dtypes import as_dtype
from fgrad.torch.graph import apply
from fgrad.torch.registry import method
from fgrad.torch.size import axes_of
from fgrad.torch.tensor import Tensor, require_tensor

_ALL: Any = object()  # no axis was named: PyTorch calls that another function


def _one_name(dim: Any, axis: Any) -> Any:
    return dim if axis is _ALL else axis


@method("sum")
def sum(
    input: Tensor,
    dim: Any = _ALL,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = _ALL,
    keepdims: bool = False,
) -> Tensor:
    """The sum over axes; of integers and booleans an int64.

    Args:
        input: a tensor.
        dim: an axis or several; all by default.
        keepdim: whether the axes stay, with length 1.
        dtype: converted to this first.
        axis: NumPy's name of ``dim``.
        keepdims: NumPy's name of ``keepdim``.
    """
    x, dim = require_tensor("sum", input), _one_name(dim, axis)
    if dtype is not None:
        x = convert(x, as_dtype(dtype))
    elif x._array.dtype.kind != "f":
        x = convert(x, dtypes.int64)
    return _reduced("Sum", np.sum, x, dim, keepdim or keepdims)


@method("mean")
def mean(
    input: Tensor,
    dim: Any = _ALL,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = _ALL,
    keepdims: bool = False,
) -> Tensor:
    """The arithmetic mean over axes; arguments as of `sum`.

    Raises:
        RuntimeError: the elements are not floating-point numbers.
    """
    x, dim = require_tensor("mean", input), _one_name(dim, axis)
    if dtype is not None:
        x = convert(x, as_dtype(dtype))
    if x._array.dtype.kind != "f":
        found = "Input" if dtype is None else "Optional"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {found} dtype must be either a "
            f"floating point or complex dtype. Got: {x.dtype.kind}"
        )
    return _reduced("Mean", _mean, x, dim, keepdim or keepdims)


def _mean(x: Any, axis: Any, keepdims: bool) -> Any:
    count = math.prod([x.shape[k] for k in axis])
    total = np.sum(x, axis=axis, keepdims=keepdims)
    return total / count if count else total * np.nan


def _reduced(name: str, function: Any, x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    node = f"{name}Backward{0 if dim is _ALL else 1}"
    axes = axes_of(None if dim is _ALL else dim, x._array.ndim)
    return apply(node, lambda u: function(u, axis=axes, keepdims=keepdim), x)  # type: ignore[no-any-return]


def _extremum(name: str, function: Any, input: Tensor, rest: tuple[Any, ...]) -> Tensor:
    if rest:
        raise NotImplementedError(
            f"{name} over an axis or of two tensors is not there yet; {name}(input) is"
        )
    x = require_tensor(name, input)
    if not x._array.size:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
            "Specify the reduction dim with the 'dim' argument."
        )
    return apply(f"{name.capitalize()}Backward1", function, x)  # type: ignore[no-any-return]


@method("max")
def max(input: Tensor, *rest: Any, **named: Any) -> Tensor:
    """The largest element; elements that tie share the gradient."""
    return _extremum("max", np.max, input, (*rest, *named))


@method("min")
def min(input: Tensor, *rest: Any, **named: Any) -> Tensor:
    """The smallest element; elements that tie share the gradient."""
    return _extremum("min", np.min, input, (*rest, *named))
