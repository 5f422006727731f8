"""Sorting, searching and order statistics.

Positions are integers and have no derivative; elements in order carry theirs.
"""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from fgrad.errors import UnsupportedFunctionError
from fgrad.functions.protocol import cast, implements, written
from fgrad.functions.reduction import axes_of, finish
from fgrad.functions.scan import plain
from fgrad.ops import sorting as ops
from fgrad.ops.index import index
from fgrad.ops.reduce import kept_shape, reduced_shape
from fgrad.ops.scan import take_along
from fgrad.ops.structure import reshape, transpose
from fgrad.primitive import Primitive
from fgrad.trace import as_operand, is_traced, type_of

_UNSET = np._NoValue
_KINDS = {True: "stable", False: "quicksort", None: None}


def _line(a: Any, axis: Any) -> tuple[Any, int]:
    """An array and one of its axes; None is the only axis of the flattened array."""
    a = as_operand(a)
    if axis is None:
        return reshape(a, shape=(type_of(a).size,)), 0
    return a, normalize_axis_index(axis, type_of(a).ndim)


def _kth(kth: Any, length: int) -> Any:
    """The ranks of a partition as static, non-negative numbers."""
    ranks = np.asarray(kth)
    if ranks.size and not -length <= ranks.min() <= ranks.max() < length:
        raise ValueError(f"kth(={kth}) out of bounds ({length})")
    return tuple((ranks.ravel() % length).tolist())


@implements(np.sort)
def sort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    """Elements in ascending order, NaN last."""
    a, axis = _line(a, axis)
    return ops.sort(a, axis=axis)


@implements(np.argsort)
def argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    """The positions that sort."""
    a, axis = _line(a, axis)
    return ops.argsort(a, axis=axis, kind=kind or _KINDS[stable])


@implements(np.partition)
def partition(
    a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None
) -> Any:
    """Elements with those of ranks ``kth`` in their place, smaller ones before them."""
    a, axis = _line(a, axis)
    return ops.partition(a, kth=_kth(kth, type_of(a).shape[axis]), axis=axis)


@implements(np.argpartition)
def argpartition(
    a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None
) -> Any:
    """The positions that partition."""
    a, axis = _line(a, axis)
    return ops.argpartition(a, kth=_kth(kth, type_of(a).shape[axis]), axis=axis)


@implements(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The positions that sort by several keys, the last key first."""
    operands = [as_operand(key) for key in keys]
    axis = normalize_axis_index(axis, type_of(operands[0]).ndim)
    return ops.lexsort(*operands, axis=axis)


def _position(prim: Primitive, a: Any, axis: Any, out: Any, keepdims: Any) -> Any:
    a = as_operand(a)
    lines, number = _line(a, axis)
    return finish(prim(lines, axis=number), a, axes_of(a, axis), keepdims, out)


@implements(np.argmax)
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    """The position of the first of the largest elements."""
    return _position(ops.argmax, a, axis, out, keepdims)


@implements(np.argmin)
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    """The position of the first of the smallest elements."""
    return _position(ops.argmin, a, axis, out, keepdims)


@implements(np.nanargmax)
def nanargmax(
    a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False
) -> Any:
    """`argmax` of the elements that are not NaN."""
    return _position(ops.nanargmax, a, axis, out, keepdims)


@implements(np.nanargmin)
def nanargmin(
    a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False
) -> Any:
    """`argmin` of the elements that are not NaN."""
    return _position(ops.nanargmin, a, axis, out, keepdims)


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Positions at which elements keep a sorted array in order."""
    a = as_operand(a)
    if sorter is not None:
        a = index(a, as_operand(sorter), at=("$",))
    return ops.searchsorted(a, as_operand(v), side=side)


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The number of the bin of each element."""
    return ops.digitize(as_operand(x), as_operand(bins), right=bool(right))


@implements(np.unique)
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """The distinct elements in order, each as it first occurs."""
    ar = as_operand(ar)
    flags: Any = (True, return_inverse, return_counts, axis)
    _, first, *rest = np.unique(plain(ar), *flags, equal_nan=equal_nan)
    lines, number = _line(ar, axis)
    values = index(lines, first, at=((None, None, None),) * number + ("$u",))
    extra = ([first] if return_index else []) + rest
    return (values, *extra) if extra else values


# --- order statistics


def _lines(a: Any, axes: tuple[int, ...]) -> Any:
    """The axes joined into the first one."""
    shape = type_of(a).shape
    kept = tuple(k for k in range(len(shape)) if k not in axes)
    count = int(np.prod([shape[k] for k in axes]))
    lines = transpose(a, axes=(*axes, *kept))
    return reshape(lines, shape=(count, *(shape[k] for k in kept)))


def _spread_nan(result: Any, lines: Any) -> Any:
    """NaN wherever a line holds one, which sorting has put last."""
    if not type_of(lines).is_inexact:
        return result
    last = lines[-1]
    return np.where(np.isnan(last), last, result)


@implements(np.median)
def median(
    a: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    keepdims: Any = False,
) -> Any:
    """The middle element over axes, or the mean of the middle two."""
    a = as_operand(a)
    axes = axes_of(a, axis)
    lines = ops.sort(_lines(a, axes), axis=0)
    count = type_of(lines).shape[0]
    result = np.mean(lines[max(count - 1, 0) // 2 : count // 2 + 1], axis=0)
    result = _spread_nan(result, lines) if count else result
    return finish(result, a, axes, keepdims, out)


@implements(np.nanmedian)
def nanmedian(
    a: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    keepdims: Any = False,
) -> Any:
    """`median` of the elements that are not NaN."""
    a = as_operand(a)
    axes = axes_of(a, axis)
    if not type_of(a).is_inexact or not type_of(a).size:
        return median(a, axis, out, keepdims=keepdims)
    lines = ops.sort(_lines(a, axes), axis=0)
    count = np.sum(~np.isnan(lines), axis=0, keepdims=True)
    middle = [take_along(lines, k, 0) for k in ((count - 1) // 2, count // 2)]
    result = np.mean(np.concatenate(middle, 0), axis=0)
    return finish(result, a, axes, keepdims, out)


def _hyndman_fan(alpha: float, beta: float) -> Any:
    # "Sample quantiles in statistical packages", The American Statistician 50 (1996)
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


def _step_position(position: Any, is_lower: Any) -> Any:
    below = np.floor(position)
    chosen = np.where(is_lower(position - below, below), below, below + 1)
    return np.maximum(cast(chosen, np.intp), 0)


# For each method: the rank in n sorted elements, counted from 0, that belongs to q.
# A rank that is an integer is that of an element; others are interpolated.
RANKS: dict[str, Any] = {
    "linear": lambda n, q: (n - 1) * q,
    "lower": lambda n, q: cast(np.floor((n - 1) * q), np.intp),
    "higher": lambda n, q: cast(np.ceil((n - 1) * q), np.intp),
    "nearest": lambda n, q: cast(np.around((n - 1) * q), np.intp),
    "midpoint": lambda n, q: 0.5 * (np.floor((n - 1) * q) + np.ceil((n - 1) * q)),
    "inverted_cdf": lambda n, q: _step_position(n * q - 1, lambda rest, _: rest == 0),
    "closest_observation": lambda n, q: _step_position(
        n * q - 1 - 0.5, lambda rest, below: (rest == 0) & (below % 2 == 1)
    ),
    "averaged_inverted_cdf": lambda n, q: n * q - 1.0,
    "interpolated_inverted_cdf": _hyndman_fan(0, 1),
    "hazen": _hyndman_fan(0.5, 0.5),
    "weibull": _hyndman_fan(0, 0),
    "median_unbiased": _hyndman_fan(1 / 3.0, 1 / 3.0),
    "normal_unbiased": _hyndman_fan(3 / 8.0, 3 / 8.0),
}
# The weight of the upper neighbour; for other methods it is the fractional part.
WEIGHTS: dict[str, Any] = {
    "averaged_inverted_cdf": lambda rest: np.where(rest == 0, 0.5, 1.0),
    "midpoint": lambda rest: np.where(rest == 0, 0.0, 0.5),
}


def _between(lines: Any, count: Any, rank: Any, method: str, is_weak: bool) -> Any:
    """Interpolated between the elements at the ranks around ``rank``, as NumPy does."""
    below = np.clip(cast(np.floor(rank), np.intp), 0, np.maximum(count - 1, 0))
    above = np.minimum(below + (rank >= 0), np.maximum(count - 1, 0))
    dtype = type_of(rank).dtype
    weight = rank - cast(below, dtype)
    weight = cast(WEIGHTS[method](weight), dtype) if method in WEIGHTS else weight
    rest, is_upper = 1 - weight, weight >= 0.5
    if is_weak and type_of(lines).is_inexact:
        dtype = type_of(lines).dtype
        weight, rest = cast(weight, dtype), cast(rest, dtype)
    low, high = _pick(lines, below), _pick(lines, above)
    step = high - low
    return np.where(is_upper, high - step * rest, low + step * weight)


def _pick(lines: Any, ranks: Any) -> Any:
    """The elements of each line at ranks, whose last axes are those of the lines."""
    shape = type_of(lines).shape[1:]
    found = type_of(ranks).shape
    lead = found[: len(found) - len(shape)]
    if all(n == 1 for n in found[len(lead) :]):
        return index(lines, reshape(ranks, shape=lead), at=("$",))
    grids = np.ogrid[tuple(slice(n) for n in shape)]
    return index(lines, ranks, *grids, at=("$",) * (1 + len(shape)))


def _weighted_ranks(a: Any, q: Any, axis: Any, weights: Any) -> Any:
    """NumPy's weighted quantile of the ranks is the rank of the element it picks."""
    a, weights, axes = plain(a), plain(weights), axes_of(a, axis)
    if weights.shape == a.shape:
        weights = _lines(weights, axes)
    else:
        order = np.argsort(normalize_axis_tuple(axis, a.ndim))
        weights = weights.transpose(order).reshape(-1)
    ranks = np.argsort(np.argsort(_lines(a, axes), axis=0), axis=0)
    options: dict[str, Any] = {"method": "inverted_cdf", "weights": weights}
    return np.quantile(ranks, plain(q), axis=0, **options)


def _quantile(
    a: Any,
    q: Any,
    axis: Any,
    out: Any,
    method: str,
    keepdims: Any,
    weights: Any,
    is_weak: bool,
    skip_nan: bool,
) -> Any:
    a = as_operand(a)
    if type_of(a).is_complex:
        raise TypeError("a must be an array of real numbers")
    if method not in RANKS:
        raise ValueError(f"{method!r} is not a valid method. Use one of: {[*RANKS]}")
    if not is_traced(q) and not np.all((q >= 0) & (q <= 1)):
        raise ValueError("Quantiles must be in the range [0, 1]")
    if weights is not None and (method != "inverted_cdf" or skip_nan):
        raise UnsupportedFunctionError(
            "quantiles with weights= need method='inverted_cdf', and no NaN to skip"
        )
    axes = axes_of(a, axis)
    lines = ops.sort(_lines(a, axes), axis=0)
    kept = reduced_shape(type_of(a).shape, axes)
    lead = type_of(q).shape
    q = reshape(q, shape=(*lead, *(1 for _ in kept)))
    skip_nan = skip_nan and type_of(a).is_inexact
    count = np.sum(~np.isnan(lines), axis=0) if skip_nan else type_of(lines).shape[0]
    rank = (
        RANKS[method](count, q)
        if weights is None
        else _weighted_ranks(a, reshape(q, shape=lead), axis, weights)
    )
    if type_of(rank).is_inexact:
        result = _between(lines, count, rank, method, is_weak)
    else:
        result = _pick(lines, rank)
    if not skip_nan:
        result = _spread_nan(result, lines)
    if keepdims and keepdims is not _UNSET:
        shape = kept_shape(type_of(a).shape, axes)
        result = reshape(result, shape=(*lead, *shape))
    return written(result, out)


def _fraction(q: Any, scale: int) -> tuple[Any, bool]:
    """``q / scale`` as an operand, and whether it is a Python number, which is weak."""
    is_weak = type(q) in (int, float)
    q = q if is_traced(q) else np.asarray(q)
    return (q if scale == 1 else np.true_divide(q, scale)), is_weak


def _define(function: Any, scale: int, skip_nan: bool) -> None:
    """Register one of the four functions that return quantiles."""

    def quantiles(
        a: Any,
        q: Any,
        axis: Any = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = False,
        *,
        weights: Any = None,
    ) -> Any:
        """The quantiles at ``q`` over axes, differentiable in ``a`` and in ``q``."""
        q, is_weak = _fraction(q, scale)
        return _quantile(a, q, axis, out, method, keepdims, weights, is_weak, skip_nan)

    implements(function)(quantiles)


_define(np.quantile, 1, False)
_define(np.percentile, 100, False)
_define(np.nanquantile, 1, True)
_define(np.nanpercentile, 100, True)
