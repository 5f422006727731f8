"""Sums, products and extrema of what came before; differences and integrals."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch import return_types
from fgrad.torch.extrema import taken
from fgrad.torch.recording import one
from fgrad.torch.registry import FUNCTIONS, METHODS, function, numpy_names, operation
from fgrad.torch.size import axis_of
from fgrad.torch.statistics import typed
from fgrad.torch.tensor import Array, Tensor, make, require_tensor


@operation("cumsum")
@numpy_names
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sums of the elements up to each along an axis; of integers an int64.

    >>> torch.cumsum(torch.tensor([[1, 2], [3, 4]]), dim=1)
    tensor([[1, 3],
            [3, 7]])
    """
    x = typed(require_tensor("cumsum", input), dtype)
    axis = axis_of(dim, x._aval.ndim)
    return one("CumsumBackward0", lambda u: _scanned(np.cumsum, u, axis), x)


@operation("cumprod")
@numpy_names
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The products of the elements up to each along an axis; of integers an int64.

    >>> torch.cumprod(torch.tensor([2, 3, 4]), dim=0)
    tensor([ 2,  6, 24])
    """
    x = typed(require_tensor("cumprod", input), dtype)
    axis = axis_of(dim, x._aval.ndim)
    return one("CumprodBackward0", lambda u: _scanned(np.cumprod, u, axis), x)


def _scanned(compute: Any, x: Any, axis: int) -> Any:
    return compute(x, axis=axis) if x.ndim else x * 1


@operation("logcumsumexp")
@numpy_names
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """``log(cumsum(exp(input)))`` along an axis, without overflow.

    >>> torch.logcumsumexp(torch.tensor([1000.0, 1000.0]), dim=0)
    tensor([1000.0000, 1000.6932])
    """
    x = require_tensor("logcumsumexp", input)
    axis = axis_of(dim, x._aval.ndim)

    def compute(u: Any) -> Any:
        lines = np.moveaxis(u, axis, 0)
        found = [lines[0]]
        for line in lines[1:]:
            found.append(np.logaddexp(found[-1], line))
        return np.moveaxis(np.stack(found), 0, axis)

    return one("LogcumsumexpBackward0", compute, x)


def _running(name: str, compute: Any) -> Any:
    def apply_running(input: Tensor, dim: int) -> Any:
        x = require_tensor(name, input)
        axis = axis_of(dim, x._aval.ndim)
        indices = _indices(x._array, axis, compute)
        node = f"{name.capitalize()}Backward0"
        values = one(node, lambda u: taken(u, indices, axis), x)
        return getattr(return_types, name)(values, make(indices))

    apply_running.__name__ = apply_running.__qualname__ = name
    METHODS[name] = FUNCTIONS[name] = numpy_names(apply_running)
    return METHODS[name]


def _indices(array: Array, axis: int, compute: Any) -> Array:
    """Where the extremum up to each element is: the last of several."""
    if not array.ndim:
        return np.asarray(0)
    best = compute.accumulate(array, axis=axis)
    places = np.arange(array.shape[axis]).reshape(
        [-1 if k == axis else 1 for k in range(array.ndim)]
    )
    hits = np.where((array == best) | (array != array), places, 0)
    found: Array = np.maximum.accumulate(hits, axis=axis)
    return found


cummax = _running("cummax", np.maximum)
cummax.__doc__ = """The largest element up to each along an axis, and where it is.

    A named tuple of values and int64 indices.

    >>> torch.cummax(torch.tensor([1, 3, 2]), dim=0).values
    tensor([1, 3, 3])
    """
cummin = _running("cummin", np.minimum)
cummin.__doc__ = """The smallest element up to each along an axis, and where it is.

    A named tuple of values and int64 indices.

    >>> torch.cummin(torch.tensor([3, 1, 2]), dim=0).values
    tensor([3, 1, 1])
    """


@operation("diff")
@numpy_names
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """The differences between neighbours along an axis, ``n`` times.

    ``prepend`` and ``append`` are joined to the ends first.

    >>> torch.diff(torch.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    x = require_tensor("diff", input)
    axis = axis_of(dim, x._aval.ndim)
    ends = [(0, prepend), (1, append)]
    given = [(place, end) for place, end in ends if end is not None]

    def compute(u: Any, *others: Any) -> Any:
        parts = [u]
        for (place, _), other in zip(given, others, strict=True):
            parts.insert(place and len(parts), other)
        joined = np.concatenate(parts, axis) if others else u
        for _ in range(n):
            joined = _difference(joined, axis)
        return joined

    return one("SubBackward0", compute, x, *[end for _, end in given])


def _difference(x: Any, axis: int) -> Any:
    lead = (slice(None),) * axis
    above, below = x[(*lead, slice(1, None))], x[(*lead, slice(None, -1))]
    return np.logical_xor(above, below) if x.dtype == bool else above - below


@function("trapz", "trapezoid")
def trapezoid(y: Tensor, x: Any = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral along an axis by the trapezoidal rule, at ``x`` or steps ``dx``.

    >>> torch.trapezoid(torch.tensor([1.0, 2.0, 3.0]), dx=2.0)
    tensor(8.)
    """
    values = require_tensor("trapezoid", y)
    axis = axis_of(dim, values._aval.ndim)
    if x is None:
        step = 1.0 if dx is None else dx
        return one(
            "MulBackward1", lambda u: np.trapezoid(u, dx=step, axis=axis), values
        )
    return one("DivBackward0", lambda u, t: np.trapezoid(u, t, axis=axis), values, x)
