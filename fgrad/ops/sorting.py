"""Sorting along an axis, and the integer results of comparing elements.

The derivative of a sort is the permutation that sorts; the positions themselves
(argsort, argmax, searchsorted) do not vary.
"""

from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.scan import take_along
from fgrad.primitive import Primitive, Sample


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
    is_constant=True,
    samples=lambda: _samples(kind="stable"),
)
argpartition = Primitive(
    "argpartition",
    lambda x, *, kth, axis: np.argpartition(x, kth, axis=axis),
    _positions_like,
    is_constant=True,
    samples=lambda: _samples(kth=(1,)),
)
lexsort = Primitive(
    "lexsort",
    lambda *keys, axis: np.lexsort(keys, axis=axis),
    lambda *keys, axis: Aval(keys[0].shape, np.intp),
    is_constant=True,
    samples=lambda: [Sample((_distinct(3, 4), _distinct(3, 4)), {"axis": 1})],
)


def _position(name: str, numpy: Any) -> Primitive:
    """The position of one element of each line."""

    def aval(x: Aval, *, axis: int) -> Aval:
        return Aval(x.shape[:axis] + x.shape[axis + 1 :], np.intp)

    return Primitive(
        name,
        lambda x, *, axis: numpy(x, axis=axis),
        aval,
        is_constant=True,
        samples=_samples,
    )


argmax = _position("argmax", np.argmax)
argmin = _position("argmin", np.argmin)
nanargmax = _position("nanargmax", np.nanargmax)
nanargmin = _position("nanargmin", np.nanargmin)

searchsorted = Primitive(
    "searchsorted",
    lambda a, v, *, side: np.searchsorted(a, v, side=side),
    lambda a, v, *, side: Aval(v.shape, np.intp),
    is_constant=True,
    samples=lambda: [
        Sample((np.linspace(0, 1, 5), np.array([[0.1, 0.25]])), {"side": "left"}),
        Sample((np.linspace(0, 1, 5), np.float64(0.25)), {"side": "right"}),
    ],
)
digitize = Primitive(
    "digitize",
    lambda x, bins, *, right: np.digitize(x, bins, right=right),
    lambda x, bins, *, right: Aval(x.shape, np.intp),
    is_constant=True,
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
    samples=lambda: _samples(kth=(1,)),
)
