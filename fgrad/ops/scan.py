"""Running sums, products and extrema along an axis, products over axes.

Derivatives of products are exact where elements are zero: they are composed of products
of the other elements and never divide by an element.
"""

from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.index import index, index_add, scatter
from fgrad.ops.reduce import Axes, reduced_shape, sum_
from fgrad.ops.structure import astype, concatenate, reshape, transpose, zeros_in
from fgrad.primitive import Primitive, Sample, linear, shift_axis
from fgrad.trace import type_of


def slice_along(axis: int, *bounds: int | None) -> tuple[Any, ...]:
    """The static index of a slice ``start, stop[, step]`` along one axis."""
    start, stop, step = bounds if len(bounds) == 3 else (*bounds, None)
    return ((None, None, None),) * axis + ((start, stop, step),)


def flip(x: Any, axis: int) -> Any:
    """The elements in reverse order along an axis."""
    return index(x, at=slice_along(axis, None, None, -1))


def _scan_aval(ufunc: Any) -> Any:
    def aval(x: Aval, *, axis: int, **params: Any) -> Aval:
        return Aval(x.shape, ufunc.accumulate(np.ones(1, x.numpy_dtype)).dtype)

    return aval


def _draw(*shape: int, seed: int = 5) -> Any:
    return np.random.default_rng(seed).uniform(-1.5, 1.5, shape)


def _with_zeros() -> Any:
    x = _draw(2, 4, 3)
    x[0, 1, 0] = x[0, 3, 0] = x[1, 0, 2] = x[1, 2, 1] = 0
    return x


# --- sums


def _cumsum_numpy(x: Any, *, axis: int, reverse: bool) -> Any:
    if not reverse:
        return np.add.accumulate(x, axis=axis)
    backwards = (slice(None),) * axis + (slice(None, None, -1),)
    out = np.empty(x.shape, np.add.accumulate(np.zeros(1, x.dtype)).dtype)
    np.add.accumulate(x[backwards], axis=axis, out=out[backwards])
    return out


def _cumsum_transpose(ct: Any, x: Any, *, axis: int, reverse: bool) -> Any:
    return (cumsum(ct, axis=axis, reverse=not reverse),)


cumsum = linear(
    "cumsum",
    _cumsum_numpy,
    _scan_aval(np.add),
    _cumsum_transpose,
    batch_params=shift_axis,
    jax=lambda xla, x, *, axis, reverse: xla.lax.cumsum(
        *xla.cast_all(x), axis=axis, reverse=reverse
    ),
    samples=lambda: [
        Sample((_draw(2, 4, 3),), {"axis": 1, "reverse": False}),
        Sample((_draw(2, 4, 3),), {"axis": 2, "reverse": True}),
        Sample((_draw(4).astype("float32"),), {"axis": 0, "reverse": False}),
        Sample((_draw(3, 2) + 1j * _draw(3, 2),), {"axis": 0, "reverse": True}),
        Sample((np.array([True, False, True]),), {"axis": 0, "reverse": False}),
    ],
)

# --- y_k = a_k y_{k-1} + b_k


def _solve_recurrence(a: Any, b: Any, axis: int) -> Any:
    """The solution by doubling: linear in b, in 2 + log2(n) passes over the arrays.

    With the product f_k of the last w factors at k, ``y_k += f_k y_{k-w}`` extends the
    terms that y holds from w to 2w (Hillis and Steele, "Data parallel algorithms",
    1986). Composed of products, so it is differentiable to any order.
    """
    length = type_of(b).shape[axis]
    factors = index(a, at=slice_along(axis, 1, None))
    width = 1
    while width < length:
        earlier = index(b, at=slice_along(axis, None, -width))
        b = index_add(b, factors * earlier, at=slice_along(axis, width, None))
        if 2 * width < length:
            older = index(factors, at=slice_along(axis, None, -width))
            factors = index(factors, at=slice_along(axis, width, None)) * older
        width *= 2
    return b


def _recurrence_aval(a: Aval, b: Aval, *, axis: int) -> Aval:
    if a.shape != b.shape:
        raise ValueError("the factors and the terms of a recurrence have one shape")
    return Aval(b.shape, np.result_type(a.dtype, b.dtype))


def _recurrence_numpy(a: Any, b: Any, *, axis: int) -> Any:
    b = np.array(b, np.result_type(a, b))
    before = (slice(None),) * axis
    length, width = b.shape[axis], 1
    with np.errstate(all="ignore"):
        factors = a[(*before, slice(1, None))]
        while width < length:
            b[(*before, slice(width, None))] += factors * b[(*before, slice(-width))]
            if 2 * width < length:
                older = factors[(*before, slice(-width))]
                factors = factors[(*before, slice(width, None))] * older
            width *= 2
    return b


def _recurrence_jax(xla: Any, a: Any, b: Any, *, axis: int) -> Any:
    def solve(leaves: Any) -> Any:
        a, b = leaves
        return [_solve_recurrence(a, _as_dtype(b, dtype), axis)]

    dtype = xla.outs[0].dtype.name
    return xla.inline(solve, (a, b))[0]


def _recurrence_jvp(tangents: Any, outs: Any, a: Any, b: Any, *, axis: int) -> Any:
    # dy_k = a_k dy_{k-1} + (da_k y_{k-1} + db_k)
    t_a, t_b = tangents
    aval = type_of(outs[0])
    dtype = aval.dtype.name
    drive = None if t_b is None else _as_dtype(t_b, dtype)
    if t_a is not None:
        tail = slice_along(axis, 1, None)
        before = index(outs[0], at=slice_along(axis, None, -1))
        term = index(t_a, at=tail) * before
        if drive is None:
            drive = scatter(term, at=tail, shape=aval.shape, dtype=dtype)
        else:
            drive = index_add(drive, term, at=tail)
    return _solve_recurrence(a, drive, axis)


def _as_dtype(x: Any, dtype: str) -> Any:
    return x if type_of(x).dtype == dtype else astype(x, dtype=dtype)


linear_recurrence = Primitive(
    "linear_recurrence",
    _recurrence_numpy,
    _recurrence_aval,
    jvp=_recurrence_jvp,
    batch_params=shift_axis,
    jax=_recurrence_jax,
    samples=lambda: [
        Sample((_with_zeros(), _draw(2, 4, 3, seed=6)), {"axis": 1}),
        Sample((_draw(3, 5), _draw(3, 5, seed=7)), {"axis": 1}),
        Sample((_draw(6), _draw(6, seed=8).astype("float32")), {"axis": 0}),
        Sample((_draw(1, 2), _draw(1, 2, seed=9)), {"axis": 0}),
    ],
)

# --- products


def _ones_like_first(x: Any, axis: int) -> Any:
    """Ones of the shape of one slice of a traced array along an axis."""
    aval = type_of(x)
    shape = tuple(1 if k == axis else n for k, n in enumerate(aval.shape))
    return zeros_in(x, Aval(shape, aval.dtype)) + 1


def _shifted(products: Any, axis: int) -> Any:
    """Running products moved by one place: at k that of the elements before k."""
    kept = index(products, at=slice_along(axis, None, -1))
    return concatenate(_ones_like_first(products, axis), kept, axis=axis)


def _cumprod_jvp(tangents: Any, outs: Any, x: Any, *, axis: int) -> Any:
    # y_k = x_k y_{k-1}, so dy_k = x_k dy_{k-1} + dx_k y_{k-1}
    (t,) = tangents
    if type_of(x).shape[axis] <= 1:
        return t
    return linear_recurrence(x, t * _shifted(outs[0], axis), axis=axis)


cumprod = Primitive(
    "cumprod",
    lambda x, *, axis: np.multiply.accumulate(x, axis=axis),
    _scan_aval(np.multiply),
    jvp=_cumprod_jvp,
    batch_params=shift_axis,
    jax=lambda xla, x, *, axis: xla.lax.cumprod(*xla.cast_all(x), axis=axis),
    samples=lambda: [
        Sample((_with_zeros(),), {"axis": 1}),
        Sample((_with_zeros(),), {"axis": 2}),
        Sample((_draw(4).astype("float32"),), {"axis": 0}),
        Sample((_draw(3, 2) + 1j * _draw(3, 2),), {"axis": 0}),
        Sample((_draw(1),), {"axis": 0}),
    ],
)


def _as_lines(x: Any, axis: Axes) -> Any:
    """The axes joined into one, which is the last."""
    shape = type_of(x).shape
    kept = tuple(k for k in range(len(shape)) if k not in axis)
    lines = transpose(x, axes=(*kept, *axis))
    count = int(np.prod([shape[k] for k in axis]))
    return reshape(lines, shape=(*reduced_shape(shape, axis), count))


def _prod_jvp(tangents: Any, outs: Any, x: Any, *, axis: Axes) -> Any:
    # the sum of t times the product of the others: those before and those after
    (t,) = tangents
    lines = _as_lines(x, axis)
    last = type_of(lines).ndim - 1
    if not type_of(lines).shape[last]:
        return None
    before = _shifted(cumprod(lines, axis=last), last)
    after = flip(_shifted(cumprod(flip(lines, last), axis=last), last), last)
    return sum_(_as_lines(t, axis) * (before * after), axis=(last,))


def _prod_aval(x: Aval, *, axis: Axes) -> Aval:
    dtype = np.multiply.reduce(np.ones(1, x.numpy_dtype)).dtype
    return Aval(reduced_shape(x.shape, axis), dtype)


prod = Primitive(
    "prod",
    lambda x, *, axis: np.multiply.reduce(x, axis=axis),
    _prod_aval,
    jvp=_prod_jvp,
    batch_params=shift_axis,
    jax=lambda xla, x, *, axis: xla.np.prod(*xla.cast_all(x), axis=axis),
    samples=lambda: [
        Sample((_with_zeros(),), {"axis": (1,)}),
        Sample((_with_zeros(),), {"axis": (0, 2)}),
        Sample((_draw(4).astype("float32"),), {"axis": (0,)}),
        Sample((_draw(2, 2) + 1j * _draw(2, 2),), {"axis": (0,)}),
        Sample((_draw(2, 1),), {"axis": ()}),
    ],
)

# --- extrema


def take_along(x: Any, positions: Any, axis: int, mark: str = "$") -> Any:
    """``x`` at positions along an axis; mark ``'$u'`` says that none is repeated."""
    shape = type_of(x).shape
    if len(shape) == 1:
        return index(x, positions, at=(mark,))
    grids: list[Any] = list(np.ogrid[tuple(slice(n) for n in shape)])
    grids[axis] = positions
    return index(x, *grids, at=(mark,) * len(shape))


def _accumulate(xla: Any, ufunc: Any, x: Any, axis: int) -> Any:
    run = xla.lax.cummax if ufunc is np.maximum else xla.lax.cummin
    return run(x, axis=axis)


def _running_argument(name: str, ufunc: Any) -> Primitive:
    """Position of the first of the largest (smallest) elements so far; NaN leads."""

    def numpy(x: Any, *, axis: int) -> Any:
        lines = np.moveaxis(ufunc.accumulate(x, axis=axis), axis, -1)
        earlier, later = lines[..., :-1], lines[..., 1:]
        is_new = (earlier != later) & ((earlier == earlier) | (later == later))
        positions = np.zeros(lines.shape, np.intp)
        positions[..., 1:] = np.where(is_new, np.arange(1, lines.shape[-1]), 0)
        leaders = np.maximum.accumulate(positions, axis=-1)
        return np.ascontiguousarray(np.moveaxis(leaders, -1, axis))

    def jax(xla: Any, x: Any, *, axis: int) -> Any:
        np, running = xla.np, xla.lax.cummax
        so_far = _accumulate(xla, ufunc, x, axis)
        earlier, later = (
            xla.lax.slice_in_dim(so_far, *bounds, axis=axis)
            for bounds in ((0, x.shape[axis] - 1), (1, x.shape[axis]))
        )
        is_new = (earlier != later) & ((earlier == earlier) | (later == later))
        count = xla.lax.broadcasted_iota(xla.outs[0].dtype, later.shape, axis) + 1
        first = np.zeros((*x.shape[:axis], 1, *x.shape[axis + 1 :]), count.dtype)
        positions = np.concatenate([first, np.where(is_new, count, 0)], axis)
        return running(positions, axis=axis)

    return Primitive(
        name,
        numpy,
        lambda x, *, axis: Aval(x.shape, np.intp),
        is_constant=True,
        batch_params=shift_axis,
        jax=jax,
        samples=lambda: [Sample((_draw(2, 4, 3),), {"axis": 1})],
    )


running_argmax = _running_argument("running_argmax", np.maximum)
running_argmin = _running_argument("running_argmin", np.minimum)


def _running_extremum(name: str, ufunc: Any, argument: Primitive) -> Primitive:
    def jvp(tangents: Any, outs: Any, x: Any, *, axis: int) -> Any:
        # the whole derivative goes to the first of equal elements
        return take_along(tangents[0], argument(x, axis=axis), axis)

    return Primitive(
        name,
        lambda x, *, axis: ufunc.accumulate(x, axis=axis),
        _scan_aval(ufunc),
        jvp=jvp,
        batch_params=shift_axis,
        jax=lambda xla, x, *, axis: _accumulate(xla, ufunc, x, axis),
        samples=lambda: [
            Sample((_draw(2, 4, 3),), {"axis": 1}),
            Sample((_draw(2, 4, 3),), {"axis": 0}),
            Sample((_draw(6).astype("float32"),), {"axis": 0}),
        ],
    )


cummax = _running_extremum("cummax", np.maximum, running_argmax)
cummin = _running_extremum("cummin", np.minimum, running_argmin)
