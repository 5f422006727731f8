"""Running sums and products along an axis, the product over axes, sums in bins."""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fgrad.errors import UnsupportedFunctionError
from fgrad.functions.nans import replace_nan
from fgrad.functions.protocol import (
    ACCUMULATIONS,
    REDUCTIONS,
    cast,
    concrete,
    implements,
    written,
)
from fgrad.functions.reduction import axes_of, finish
from fgrad.ops import scan as ops
from fgrad.ops.index import index, scatter
from fgrad.ops.structure import reshape
from fgrad.primitive import Primitive
from fgrad.trace import as_operand, is_traced, type_of

_UNSET = np._NoValue


def as_type(x: Any, dtype: Any) -> Any:
    """An operand in a dtype; itself where ``dtype`` is None or its own."""
    x = as_operand(x)
    is_same = dtype is None or type_of(x).dtype == np.dtype(dtype)
    return x if is_same else cast(x, dtype)


def plain(x: Any) -> Any:
    """The NumPy value of an operand, without its derivative."""
    return concrete(x) if is_traced(x) else np.asarray(x)


def _accumulate(
    prim: Primitive, a: Any, axis: Any, dtype: Any, out: Any, **params: Any
) -> Any:
    """A running operation along one axis; over all elements where ``axis`` is None."""
    a = as_type(a, dtype)
    if axis is None or not type_of(a).ndim:
        axis = 0 if axis is None else normalize_axis_index(axis, 1)
        a = reshape(a, shape=(type_of(a).size,))
    axis = normalize_axis_index(axis, type_of(a).ndim)
    result = prim(a, axis=axis, **params)
    return written(result, out)


@implements(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """The sums of the elements up to each one, along an axis or of all."""
    return _accumulate(ops.cumsum, a, axis, dtype, out, reverse=False)


@implements(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """The products of the elements up to each one; exact gradient where some are 0."""
    return _accumulate(ops.cumprod, a, axis, dtype, out)


def _cummax(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    return _accumulate(ops.cummax, a, axis, dtype, out)


def _cummin(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    return _accumulate(ops.cummin, a, axis, dtype, out)


@implements(np.nancumsum)
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """`cumsum` with NaN as zero."""
    return cumsum(replace_nan(a, 0)[0], axis, dtype, out)


@implements(np.nancumprod)
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """`cumprod` with NaN as one."""
    return cumprod(replace_nan(a, 1)[0], axis, dtype, out)


def _cumulative(
    scan: Any, identity: int, x: Any, axis: Any, dtype: Any, out: Any, initial: bool
) -> Any:
    x = np.atleast_1d(x)
    if axis is None and type_of(x).ndim > 1:
        raise ValueError(
            "For arrays which have more than one dimension ``axis`` argument is "
            "required."
        )
    axis = normalize_axis_index(0 if axis is None else axis, type_of(x).ndim)
    result = scan(x, axis, dtype)
    if initial:
        aval = type_of(result)
        shape = tuple(1 if k == axis else n for k, n in enumerate(aval.shape))
        first = np.full(shape, identity, aval.numpy_dtype)
        result = np.concatenate([first, result], axis)
    return written(result, out)


@implements(np.cumulative_sum)
def cumulative_sum(
    x: Any,
    /,
    *,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    include_initial: bool = False,
) -> Any:
    """`cumsum` of the array API: ``include_initial`` starts it with 0."""
    return _cumulative(cumsum, 0, x, axis, dtype, out, include_initial)


@implements(np.cumulative_prod)
def cumulative_prod(
    x: Any,
    /,
    *,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    include_initial: bool = False,
) -> Any:
    """`cumprod` of the array API: ``include_initial`` starts it with 1."""
    return _cumulative(cumprod, 1, x, axis, dtype, out, include_initial)


@implements(np.prod)
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = _UNSET,
    where: Any = True,
) -> Any:
    """The product over axes; the gradient is exact where elements are zero."""
    a = as_type(a, dtype)
    if where is not True and where is not _UNSET:
        a = np.where(where, a, 1)
    axes = axes_of(a, axis)
    result = ops.prod(a, axis=axes)
    if initial is not _UNSET and initial is not None:
        result = result * as_type(initial, type_of(result).dtype)
    return finish(result, a, axes, keepdims, out)


# --- sums in bins


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """How often each non-negative integer occurs, or the sum of the weights there."""
    x = plain(x)
    if weights is None or not is_traced(weights):
        return np.bincount(x, weights, minlength)
    counts = np.bincount(x, minlength=minlength)  # checks x, and gives the length
    weights = weights if type_of(weights).dtype == float else cast(weights, float)
    return scatter(weights, x, at=("$",), shape=counts.shape, dtype="float64")


@implements(np.histogram)
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    """Counts (constants), or sums of weights (with their derivative), and bin edges."""
    if is_traced(bins) or (np.ndim(bins) == 0 and range is None and is_traced(a)):
        raise UnsupportedFunctionError(
            "the bin edges of np.histogram would depend on a traced value and lose its "
            "gradient: give range= or an array of bins, or histogram "
            "fgrad.stop_gradient(x)"
        )
    a = plain(a).ravel()
    counts, edges = np.histogram(a, bins, range)
    if is_traced(weights):
        inside = np.flatnonzero((a >= edges[0]) & (a <= edges[-1]))
        bin_of = np.searchsorted(edges, a[inside], side="right") - 1
        bin_of = np.minimum(bin_of, len(counts) - 1)
        flat = reshape(weights, shape=(type_of(weights).size,))
        kept = index(flat, inside, at=("$u",))
        shape = {"shape": counts.shape, "dtype": type_of(weights).dtype.name}
        counts = scatter(kept, bin_of, at=("$",), **shape)
    elif weights is not None:
        counts = np.histogram(a, edges, weights=np.asarray(weights).ravel())[0]
    if density:
        widths = np.diff(edges).astype(float)
        counts = counts / widths / np.sum(counts)
    return counts, edges


REDUCTIONS[np.multiply] = prod
ACCUMULATIONS |= {
    np.add: cumsum,
    np.multiply: cumprod,
    np.maximum: _cummax,
    np.minimum: _cummin,
}
