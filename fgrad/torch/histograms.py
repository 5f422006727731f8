"""How many elements are in each interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch import return_types
from fgrad.torch.ranges import linspace
from fgrad.torch.registry import operation
from fgrad.torch.tensor import Array, Tensor, make, require_tensor

Range = tuple[float, float]


@operation("histogram")
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Range | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """How many elements are in each interval, in the input's dtype, and their ends.

    Args:
        input: floating-point numbers.
        bins: how many intervals, or their ends in order, a vector.
        range: where the first begins and the last ends; by default the extrema.
        weight: how much each element counts, in the shape of ``input``.
        density: divide by the sum and by the lengths of the intervals.

    Returns:
        A named tuple of ``hist`` and ``bin_edges``. Intervals are half open, but for
        the last one.

    Raises:
        NotImplementedError: the elements are integers.
        RuntimeError: the intervals are none, or the weights do not fit.

    >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), bins=2, range=(0.0, 2.0)).hist
    tensor([0., 3.])
    """
    x = require_tensor("histogram", input)
    if isinstance(bins, Tensor):
        _check_edges(x, bins)
    elif bins <= 0:
        raise RuntimeError(
            f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0"
        )
    if weight is not None:
        _check_weight(x, weight)
    if x._aval.dtype.kind != "f":
        raise NotImplementedError(
            f"\"histogramdd\" not implemented for '{x.dtype.kind}'"
        )
    array = x._array.reshape(-1)
    if isinstance(bins, Tensor):
        edges: Any = bins._array.copy()
    else:
        ends = _ends(array, range)
        edges = linspace(*ends, bins + 1, dtype=x.dtype)._array
    counts = _counted(array, edges, None if weight is None else weight._array.ravel())
    if density:
        counts = counts / counts.sum() / np.diff(edges)
    return return_types.histogram(make(counts), make(edges))


def _counted(x: Array, edges: Array, weights: Array | None) -> Array:
    """The sums of weights in each interval."""
    places = np.searchsorted(edges, x, side="right") - 1
    last = len(edges) - 2
    places = np.where(x == edges[-1], last, places)
    is_inside = (x >= edges[0]) & (x <= edges[-1])
    given = None if weights is None else weights[is_inside]
    found = np.bincount(places[is_inside], given, minlength=last + 1)
    return np.asarray(found[: last + 1], x.dtype)


def _ends(x: Array, given: Any) -> Range:
    """Where the first interval begins and the last one ends."""
    if given is not None:
        if len(given) != 2:
            raise RuntimeError(
                "torch.histogramdd: for a 1-dimensional histogram range should have 2 "
                f"elements, but got {len(given)}"
            )
        low, high = map(float, given)
    else:
        low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
    if not np.isfinite([low, high]).all():
        raise RuntimeError(
            f"torch.histogramdd: dimension 0's range [{low:g}, {high:g}] is not finite"
        )
    if low > high:
        raise RuntimeError(
            f"torch.histogramdd: min should not exceed max, but got min {low:g} max "
            f"{high:g} for dimension 0"
        )
    return (low - 0.5, high + 0.5) if low == high else (low, high)


def _check_edges(x: Tensor, bins: Tensor) -> None:
    shape = bins._aval.shape
    if len(shape) != 1:
        raise RuntimeError(
            "torch.histogramdd: bins tensor should have one dimension, but got "
            f"{len(shape)} dimensions in the bins tensor for dimension 0"
        )
    if not shape[0]:
        raise RuntimeError(
            "torch.histogramdd: bins tensor should have at least 1 element, but got 0 "
            "elements in the bins tensor for dimension 0"
        )
    if bins.dtype is not x.dtype:
        raise RuntimeError(
            "torch.histogramdd: input tensor and bins tensors should have the same "
            f"dtype, but got input with dtype {x.dtype.cpp} and bins for dimension 0 "
            f"with dtype {bins.dtype.cpp}"
        )


def _check_weight(x: Tensor, weight: Tensor) -> None:
    if weight.dtype is not x.dtype:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided, input tensor and weight "
            f"tensor should have the same dtype, but got input({x.dtype.cpp}), and "
            f"weight({weight.dtype.cpp})"
        )
    if weight._aval.size != x._aval.size:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided it should have the same "
            "shape as the input tensor excluding its innermost dimension, but got "
            f"input with shape {[x._aval.size, 1]} and weight with shape "
            f"{[weight._aval.size]}"
        )
