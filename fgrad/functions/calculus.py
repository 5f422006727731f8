"""Interpolation, integrals, differences, convolution, polynomials, covariance."""

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from fgrad.functions.creation import asarray
from fgrad.functions.protocol import implements
from fgrad.functions.scan import as_type
from fgrad.ops.convolution import convolve as convolve_
from fgrad.ops.cut import stop_gradient
from fgrad.ops.index import index
from fgrad.ops.scan import flip, slice_along
from fgrad.ops.sorting import argsort
from fgrad.trace import as_operand, is_traced, type_of

# --- interpolation


def _pick(x: Any, positions: Any) -> Any:
    return index(x, positions, at=("$",))


@implements(np.interp)
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """Linear interpolation, differentiable in all arguments.

    At a point of ``xp`` the derivative in ``x`` is that to the right of it, at the last
    point that to the left.
    """
    dtype = np.complex128 if type_of(as_operand(fp)).is_complex else np.float64
    if type_of(as_operand(x)).is_complex or type_of(as_operand(xp)).is_complex:
        raise TypeError("np.interp takes real coordinates x and xp")
    x, xp, fp = as_type(x, np.float64), as_type(xp, np.float64), as_type(fp, dtype)
    if type_of(xp).ndim != 1 or type_of(fp).shape != type_of(xp).shape:
        raise ValueError("fp and xp are not of the same length")
    if period is not None:
        x, xp, fp = _wrap(x, xp, fp, abs(period))
        left = right = None
    last = type_of(xp).size - 1
    above = np.clip(np.searchsorted(xp, x, side="right"), min(1, last), last)
    below = np.maximum(above - 1, 0)
    x0, x1, f0, f1 = (_pick(a, k) for a in (xp, fp) for k in (below, above))
    width = np.where(x1 == x0, 1.0, x1 - x0)
    slope = (f1 - f0) / width
    # from the right end at the last point, which is exact there, else from the left one
    at_end = x == x1
    inside = slope * (x - np.where(at_end, x1, x0)) + np.where(at_end, f1, f0)
    first_x, last_x, first_f, last_f = xp[0], xp[-1], fp[0], fp[-1]
    outside = np.where(x < first_x, first_f if left is None else left, inside)
    return np.where(x > last_x, last_f if right is None else right, outside)


def _wrap(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """The points within one period, in order, with a neighbour at each end."""
    x, xp = x % period, xp % period
    order = argsort(xp, axis=0, kind=None)
    xp, fp = index(xp, order, at=("$u",)), index(fp, order, at=("$u",))
    xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
    return x, xp, np.concatenate([fp[-1:], fp, fp[:1]])


@implements(np.unwrap)
def unwrap(
    p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * math.pi
) -> Any:
    """Jumps of more than half a period removed; the derivative is that of ``p``."""
    p = as_operand(p)
    axis = normalize_axis_index(axis, type_of(p).ndim)
    tail = slice_along(axis, 1, None)
    # the correction is piecewise constant
    fixed = stop_gradient(p)
    dtype = np.result_type(
        type_of(p).dtype, type_of(period).dtype if is_traced(period) else period
    )
    p = as_type(p, dtype)
    if type_of(p).shape[axis] < 2:
        return p
    steps = index(fixed, at=tail) - index(fixed, at=slice_along(axis, None, -1))
    if dtype.kind in "iu":
        high, rest = divmod(period, 2)
        is_ambiguous = rest == 0
    else:
        high, is_ambiguous = period / 2, True
    low = -high
    wrapped = np.mod(steps - low, period) + low
    if is_ambiguous:
        wrapped = np.where((wrapped == low) & (steps > 0), high, wrapped)
    jumps = period / 2 if discont is None else discont
    correction = np.where(abs(steps) < jumps, 0, wrapped - steps)
    moved = index(p, at=tail) + np.cumsum(correction, axis)
    first = index(p, at=slice_along(axis, None, 1))
    return np.concatenate([first, as_type(moved, dtype)], axis)


# --- integrals and differences


def _along(values: Any, ndim: int, axis: int) -> Any:
    """A vector shaped to broadcast along one of ``ndim`` axes."""
    return np.reshape(values, tuple(-1 if k == axis else 1 for k in range(ndim)))


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral along an axis by the trapezoidal rule."""
    y = as_operand(y)
    ndim = type_of(y).ndim
    axis = normalize_axis_index(axis, ndim)
    if x is None:
        d = dx
    elif type_of(as_operand(x)).ndim == 1:
        d = _along(np.diff(x), ndim, axis)
    else:
        d = np.diff(x, axis=axis - ndim)
    after = index(y, at=slice_along(axis, 1, None))
    before = index(y, at=slice_along(axis, None, -1))
    return np.sum(d * (after + before) / 2.0, axis=axis)


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences, one-sided at the ends, along each axis."""
    f = as_operand(f)
    ndim = type_of(f).ndim
    axes = range(ndim) if axis is None else normalize_axis_tuple(axis, ndim)
    if len(varargs) not in (0, 1, len(axes)):
        raise TypeError("invalid number of arguments")
    if len(varargs) == 1 and np.ndim(varargs[0]) and len(axes) != 1:
        raise TypeError("invalid number of arguments")
    if edge_order > 2:
        raise ValueError("'edge_order' greater than 2 not supported")
    given = varargs or (1.0,)
    spacings = given * len(axes) if len(given) == 1 else given
    # as in NumPy, integers would wrap around
    f = as_type(f, np.float64) if type_of(f).numpy_dtype.kind in "iu" else f
    results = [
        _gradient_along(f, _steps(spacing, f, k), k, edge_order)
        for k, spacing in zip(axes, spacings, strict=True)
    ]
    return results[0] if len(results) == 1 else tuple(results)


def _steps(spacing: Any, f: Any, axis: int) -> Any:
    """The distance of neighbours: one number, or the differences of coordinates."""
    spacing = as_operand(spacing)
    if not type_of(spacing).ndim:
        return spacing
    if type_of(spacing).shape != (type_of(f).shape[axis],):
        raise ValueError(
            "when 1d, distances must match the length of the corresponding dimension"
        )
    if not type_of(spacing).is_inexact:
        spacing = as_type(spacing, np.float64)
    steps = np.diff(spacing)
    # traced coordinates each have their derivative, also where they are evenly spaced
    is_uniform = not is_traced(steps) and bool(np.all(steps == steps[0]))
    return steps[0] if is_uniform else steps


def _gradient_along(f: Any, steps: Any, axis: int, edge_order: int) -> Any:
    aval = type_of(f)
    if aval.shape[axis] < edge_order + 1:
        raise ValueError(
            "Shape of array too small to calculate a numerical gradient, at least "
            "(edge_order + 1) elements are required."
        )
    is_uniform = not type_of(steps).ndim

    def part(start: int | None, stop: int | None) -> Any:
        return index(f, at=slice_along(axis, start, stop))

    def edge(*rows: int) -> tuple[Any, ...]:
        return tuple(part(row, row + 1 or None) for row in rows)

    def combine(weights: Any, parts: Any) -> Any:
        (a, b, c), (x, y, z) = weights, parts
        return a * x + b * y + c * z

    if is_uniform:
        first_step = last_step = steps
        inner = (part(2, None) - part(None, -2)) / (2.0 * steps)
    else:
        first_step, last_step = steps[0], steps[-1]
        weights = _central(steps[:-1], steps[1:])
        spread = [_along(weight, aval.ndim, axis) for weight in weights]
        inner = combine(spread, (part(None, -2), part(1, -1), part(2, None)))
    if edge_order == 1:
        (low, next_low), (next_high, high) = edge(0, 1), edge(-2, -1)
        first, last = (next_low - low) / first_step, (high - next_high) / last_step
    elif is_uniform:
        first = combine((-1.5 / steps, 2.0 / steps, -0.5 / steps), edge(0, 1, 2))
        last = combine((0.5 / steps, -2.0 / steps, 1.5 / steps), edge(-3, -2, -1))
    else:
        first = combine(_first_edge(steps[0], steps[1]), edge(0, 1, 2))
        last = combine(_last_edge(steps[-2], steps[-1]), edge(-3, -2, -1))
    return as_type(np.concatenate([first, inner, last], axis), aval.dtype)


# The derivatives of the parabola through three points, at each of them, as weights of
# the function values; d and e are the distances of the points.


def _first_edge(d: Any, e: Any) -> tuple[Any, Any, Any]:
    return -(2.0 * d + e) / (d * (d + e)), (d + e) / (d * e), -d / (e * (d + e))


def _central(d: Any, e: Any) -> tuple[Any, Any, Any]:
    return -e / (d * (d + e)), (e - d) / (d * e), d / (e * (d + e))


def _last_edge(d: Any, e: Any) -> tuple[Any, Any, Any]:
    return e / (d * (d + e)), -(e + d) / (d * e), (2.0 * e + d) / (e * (d + e))


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of neighbours in the flattened array, with values at the ends."""
    ary = np.ravel(as_operand(ary))
    parts = [ary[1:] - ary[:-1]]
    for values, position in ((to_begin, 0), (to_end, len(parts) + 1)):
        if values is not None:
            _require_same_kind(values, ary)
            parts.insert(position, as_type(np.ravel(values), type_of(ary).dtype))
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _require_same_kind(values: Any, ary: Any) -> None:
    found, dtype = type_of(as_operand(values)).numpy_dtype, type_of(ary).numpy_dtype
    if not np.can_cast(found, dtype, "same_kind"):
        raise TypeError(
            f"values of dtype {found} at the ends must be compatible with {dtype} "
            "under the `same_kind` rule."
        )


# --- convolution and polynomials (coefficients from the highest power down)


def _vector(x: Any, name: str) -> Any:
    x = np.atleast_1d(as_operand(x))
    if type_of(x).ndim > 1:
        raise ValueError(f"{name} must be a vector, got shape {type_of(x).shape}")
    if not type_of(x).size:
        raise ValueError(f"{name} cannot be empty")
    return x


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """The discrete convolution of two vectors: ``full``, ``same`` or ``valid``."""
    return convolve_(_vector(a, "a"), _vector(v, "v"), mode=mode)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """The cross-correlation of two vectors, the second conjugated."""
    a, v = _vector(a, "a"), _vector(v, "v")
    if type_of(a).size < type_of(v).size:
        return _conjugate(correlate(v, a, mode))[::-1]
    return convolve_(a, flip(_conjugate(v), 0), mode=mode)


def _conjugate(x: Any) -> Any:
    return np.conjugate(x) if type_of(x).is_complex else x


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """The value of a polynomial, by Horner's rule."""
    x = as_operand(x)
    y = np.zeros_like(x)
    for coefficient in asarray(p):
        y = y * x + coefficient
    return y


def _aligned(a1: Any, a2: Any) -> tuple[Any, Any]:
    """Coefficients of the same powers, the shorter filled up with zeros."""
    a1, a2 = np.atleast_1d(asarray(a1)), np.atleast_1d(asarray(a2))
    length = max(type_of(a1).size, type_of(a2).size)
    first, second = (np.pad(a, (length - type_of(a).size, 0)) for a in (a1, a2))
    return first, second


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of two polynomials."""
    first, second = _aligned(a1, a2)
    return first + second


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """The difference of two polynomials."""
    first, second = _aligned(a1, a2)
    return first - second


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """The product of two polynomials, leading zeros left out."""
    first, second = (np.trim_zeros(np.atleast_1d(asarray(a)), "f") for a in (a1, a2))
    if not type_of(first).size or not type_of(second).size:
        dtype = np.result_type(type_of(first).dtype, type_of(second).dtype)
        return np.zeros(max(type_of(first).size, type_of(second).size, 1), dtype)
    return convolve(first, second)


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """The derivative of order ``m`` of a polynomial."""
    if m < 0:
        raise ValueError("Order of derivative must be positive (see polyint)")
    p = asarray(p)
    for _ in range(int(m)):
        p = p[:-1] * np.arange(type_of(p).size - 1, 0, -1)
    return p


@implements(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers of each element of a vector as rows, the highest first."""
    x = as_operand(x)
    if type_of(x).ndim != 1:
        raise ValueError("x must be a one-dimensional array or sequence.")
    rows = type_of(x).size
    columns = rows if N is None else N
    dtype = np.promote_types(type_of(x).dtype, int)
    x = as_type(x, dtype)
    if not columns:
        return np.ones((rows, 0), dtype)
    repeated = np.broadcast_to(np.reshape(x, (rows, 1)), (rows, columns - 1))
    powers = np.cumprod(repeated, axis=1)
    powers = np.concatenate([np.ones((rows, 1), dtype), powers], axis=1)
    return powers if increasing else powers[:, ::-1]


# --- covariance


@implements(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """The covariance matrix of variables, differentiable in ``aweights``, too."""
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    given = [as_operand(x) for x in (m, y) if x is not None]
    if any(type_of(x).ndim > 2 for x in given):
        raise ValueError("m or y has more than 2 dimensions")
    if dtype is None:
        dtype = np.result_type(*(type_of(x).dtype for x in given), np.float64)
    rows, *more = (as_type(np.atleast_2d(x), dtype) for x in given)
    if not rowvar and type_of(given[0]).ndim != 1:
        rows = rows.T
    if more and not rowvar and type_of(more[0]).shape[0] != 1:
        more = [more[0].T]
    rows = np.concatenate([rows, *more], axis=0) if more else rows
    ddof = int(not bias) if ddof is None else ddof
    weights = [as_type(w, np.float64) for w in (fweights, aweights) if w is not None]
    weight = math.prod(weights[1:], start=weights[0]) if weights else None
    mean, total = np.average(rows, axis=1, weights=weight, returned=True)
    if weight is None:
        freedom: Any = type_of(rows).shape[1] - ddof
    elif ddof == 0:
        freedom = total[0]
    elif aweights is None:
        freedom = total[0] - ddof
    else:
        freedom = total[0] - ddof * np.sum(weight * weights[-1]) / total[0]
    centred = rows - np.reshape(mean, (-1, 1))
    other = centred if weight is None else centred * weight
    with np.errstate(all="ignore"):
        scale = np.true_divide(1, np.maximum(freedom, 0.0))
    return np.squeeze(as_type(np.dot(centred, _conjugate(other.T)) * scale, dtype))


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """The matrix of correlation coefficients of variables."""
    c = cov(x, y, rowvar, dtype=dtype)
    if not type_of(c).ndim:
        return c / c
    deviation = np.sqrt(np.real(np.diag(c)))
    c = c / np.reshape(deviation, (-1, 1)) / np.reshape(deviation, (1, -1))
    real = np.clip(np.real(c), -1, 1)
    return real + 1j * np.clip(np.imag(c), -1, 1) if type_of(c).is_complex else real
