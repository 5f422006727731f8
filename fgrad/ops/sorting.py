"""Sorting along an axis, and the integer results of comparing elements.

The derivative of a sort is the permutation that sorts; the positions themselves
(argsort, argmax, searchsorted) do not vary.
"""

import math
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.batching import Flags, spread
from fgrad.ops.index import index
from fgrad.ops.logic import is_less
from fgrad.ops.reduce import any_
from fgrad.ops.scan import take_along
from fgrad.ops.select import where
from fgrad.ops.structure import concatenate, reshape
from fgrad.primitive import Primitive, Sample, shift_axis
from fgrad.trace import type_of


def _distinct(*shape: int, dtype: str = "float64") -> Any:
    """Distinct numbers in random order."""
    values = np.linspace(-1, 1, int(np.prod(shape)))
    return np.random.default_rng(4).permutation(values).reshape(shape).astype(dtype)


def _samples(**params: Any) -> list[Sample]:
    return [
        Sample((_distinct(2, 4, 3),), {"axis": 1, **params}),
        Sample((_distinct(3, 5),), {"axis": 1, **params}),
        Sample((_distinct(6, dtype="float32"),), {"axis": 0, **params}),
    ]


# --- positions


def _positions_like(x: Aval, **params: Any) -> Aval:
    return Aval(x.shape, np.intp)


argsort = Primitive(
    "argsort",
    lambda x, *, axis, kind: np.argsort(x, axis=axis, kind=kind),
    _positions_like,
    jax=lambda xla, x, *, axis, kind: xla.np.argsort(x, axis=axis, stable=True),
    is_constant=True,
    batch_params=shift_axis,
    samples=lambda: _samples(kind="stable"),
)
argpartition = Primitive(
    "argpartition",
    lambda x, *, kth, axis: np.argpartition(x, kth, axis=axis),
    _positions_like,
    # sorted is partitioned, for each kth
    jax=lambda xla, x, *, kth, axis: xla.np.argsort(x, axis=axis),
    is_constant=True,
    batch_params=shift_axis,
    samples=lambda: _samples(kth=(1,)),
)
lexsort = Primitive(
    "lexsort",
    lambda *keys, axis: np.lexsort(keys, axis=axis),
    lambda *keys, axis: Aval(keys[0].shape, np.intp),
    jax=lambda xla, *keys, axis: xla.np.lexsort(keys, axis=axis),
    is_constant=True,
    batch_params=shift_axis,
    samples=lambda: [Sample((_distinct(3, 4), _distinct(3, 4)), {"axis": 1})],
)


def _extreme_position(xla: Any, x: Any, axis: int, largest: bool) -> Any:
    """The position of the first of the largest (smallest) elements; NaN leads.

    jax's own argmax is put together while jax lowers, where its configuration holds and
    may say that there are no 64-bit types.
    """
    np = xla.np

    def leads(x: Any, y: Any) -> Any:
        if x.dtype.kind != "c":
            return (x > y) if largest else (x < y)
        real, imag = leads(x.real, y.real), leads(x.imag, y.imag)
        return real | ((x.real == y.real) & imag)

    def first(left: Any, right: Any) -> Any:
        (x, i), (y, j) = left, right
        x_is_nan, y_is_nan = x != x, y != y
        is_tie = (x == y) | (x_is_nan & y_is_nan)
        wins = leads(x, y) & ~y_is_nan | x_is_nan & ~y_is_nan | is_tie & (i < j)
        return np.where(wins, x, y), np.where(wins, i, j)

    places = xla.lax.broadcasted_iota(xla.outs[0].dtype, x.shape, axis)
    worst = _worst(np, x.dtype, largest)
    initial = worst, np.asarray(x.shape[axis], places.dtype)
    return xla.lax.reduce((x, places), initial, first, (axis,))[1]


def _worst(np: Any, dtype: Any, largest: bool) -> Any:
    """What no element is behind."""
    if dtype.kind == "b":
        return np.asarray(not largest)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        return np.asarray(bounds.min if largest else bounds.max, dtype)
    infinity = -np.inf if largest else np.inf
    return np.asarray(infinity * (1 + 1j) if dtype.kind == "c" else infinity, dtype)


def _extreme_number(xla: Any, x: Any, axis: int, largest: bool) -> Any:
    """The position among the elements that are not NaN; -1 where there are none."""
    np = xla.np
    is_nan = x != x
    rest = np.where(is_nan, _worst(np, x.dtype, largest), x)
    found = _extreme_position(xla, rest, axis, largest)
    return np.where(np.all(is_nan, axis=axis), -1, found)


def _position(name: str, numpy: Any, jax: Any, largest: bool) -> Primitive:
    """The position of one element of each line."""

    def aval(x: Aval, *, axis: int) -> Aval:
        return Aval(x.shape[:axis] + x.shape[axis + 1 :], np.intp)

    return Primitive(
        name,
        lambda x, *, axis: numpy(x, axis=axis),
        aval,
        is_constant=True,
        batch_params=shift_axis,
        jax=lambda xla, x, *, axis: jax(xla, x, axis, largest),
        samples=_samples,
    )


argmax = _position("argmax", np.argmax, _extreme_position, True)
argmin = _position("argmin", np.argmin, _extreme_position, False)
nanargmax = _position("nanargmax", np.nanargmax, _extreme_number, True)
nanargmin = _position("nanargmin", np.nanargmin, _extreme_number, False)


def _ranks(lines: Any) -> Any:
    order = argsort(lines, axis=1, kind="stable")
    return argsort(order, axis=1, kind="stable")


def _searchsorted_batch(size: int, mapped: Flags, a: Any, v: Any, *, side: str) -> Any:
    """The rank of v among both less its rank in v alone is the place of v in a."""
    if not mapped[0]:
        return searchsorted(a, v, side=side)
    n, v = type_of(a).shape[1], spread(size, v, mapped[1])
    shape = type_of(v).shape
    count = math.prod(shape[1:])
    values = reshape(v, shape=(size, count))
    both = (values, a) if side == "left" else (a, values)
    start = 0 if side == "left" else n
    at = ((None, None, None), (start, start + count, None))
    places = index(_ranks(concatenate(*both, axis=1)), at=at) - _ranks(values)
    return reshape(places, shape=shape)


searchsorted = Primitive(
    "searchsorted",
    lambda a, v, *, side: np.searchsorted(a, v, side=side),
    lambda a, v, *, side: Aval(v.shape, np.intp),
    is_constant=True,
    batch=_searchsorted_batch,
    jax=lambda xla, a, v, *, side: xla.np.searchsorted(*xla.promoted(a, v), side=side),
    samples=lambda: [
        Sample((np.linspace(0, 1, 5), np.array([[0.1, 0.25]])), {"side": "left"}),
        Sample((np.linspace(0, 1, 5), np.float64(0.25)), {"side": "right"}),
    ],
)


def _digitize_batch(size: int, mapped: Flags, x: Any, bins: Any, *, right: bool) -> Any:
    """Mapped bins are taken to be monotonic: no error says that they are not."""
    if not mapped[1]:
        return digitize(x, bins, right=right)
    side, flags = ("left" if right else "right"), (True, mapped[0])
    found = _searchsorted_batch(size, flags, sort(bins, axis=1), x, side=side)
    whole = (None, None, None)
    later, earlier = (
        index(bins, at=(whole, part)) for part in ((1, None, None), (None, -1, None))
    )
    falls = any_(is_less(later, earlier), axis=(1,))
    falls = reshape(falls, shape=(size, *(1,) * (type_of(found).ndim - 1)))
    return where(falls, type_of(bins).shape[1] - found, found)


digitize = Primitive(
    "digitize",
    lambda x, bins, *, right: np.digitize(x, bins, right=right),
    lambda x, bins, *, right: Aval(x.shape, np.intp),
    is_constant=True,
    batch=_digitize_batch,
    jax=lambda xla, x, bins, *, right: xla.np.digitize(
        *xla.promoted(x, bins), right=right
    ),
    samples=lambda: [
        Sample((np.array([0.1, 0.25]), np.linspace(0, 1, 5)), {"right": True}),
        Sample((np.array([0.1, 0.25]), np.linspace(1, 0, 5)), {"right": False}),
    ],
)

# --- elements in order


def _same(x: Aval, **params: Any) -> Aval:
    return x


def _order(x: Any, axis: int) -> Any:
    """The permutation that sorts; of equal elements the first comes first, NaN last."""
    return argsort(x, axis=axis, kind="stable")


def _sort_jvp(tangents: Any, outs: Any, x: Any, *, axis: int) -> Any:
    return take_along(tangents[0], _order(x, axis), axis, "$u")


sort = Primitive(
    "sort",
    lambda x, *, axis: np.sort(x, axis=axis),
    _same,
    jvp=_sort_jvp,
    batch_params=shift_axis,
    samples=_samples,
)


def _partition_jvp(tangents: Any, outs: Any, x: Any, *, kth: Any, axis: int) -> Any:
    # the element of a given rank comes from the place of that rank in x: np.partition
    # and np.argpartition may arrange elements differently
    ranks = _order(_order(outs[0], axis), axis)
    origins = take_along(_order(x, axis), ranks, axis, "$u")
    return take_along(tangents[0], origins, axis, "$u")


partition = Primitive(
    "partition",
    lambda x, *, kth, axis: np.partition(x, kth, axis=axis),
    _same,
    jvp=_partition_jvp,
    jax=lambda xla, x, *, kth, axis: xla.np.sort(x, axis=axis),
    batch_params=shift_axis,
    samples=lambda: _samples(kth=(1,)),
)
