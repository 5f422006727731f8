"""Reductions over axes. ``axis`` is a sorted tuple of axes; lengths are not kept."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.elementwise import divide
from fgrad.ops.logic import is_equal
from fgrad.ops.structure import astype, broadcast_to, reshape
from fgrad.primitive import Primitive, Sample, linear, shift_axis
from fgrad.trace import type_of

Axes = tuple[int, ...]


def kept_shape(shape: tuple[int, ...], axis: Axes) -> tuple[int, ...]:
    """The shape with the reduced axes kept at length 1."""
    return tuple(1 if k in axis else n for k, n in enumerate(shape))


def reduced_shape(shape: tuple[int, ...], axis: Axes) -> tuple[int, ...]:
    """The shape without the reduced axes."""
    return tuple(n for k, n in enumerate(shape) if k not in axis)


def expand(reduced: Any, x: Any, axis: Axes) -> Any:
    """The reduced array with its axes kept, to broadcast against ``x``."""
    shape = kept_shape(type_of(x).shape, axis)
    return reduced if type_of(reduced).shape == shape else reshape(reduced, shape=shape)


def reduction_samples(dtype: str = "float64", low: float = -1.0) -> list[Sample]:
    """Samples over no, one and several axes."""
    rng = np.random.default_rng(3)
    x = rng.uniform(low, 1, (2, 3, 4)).astype(dtype)
    small = rng.uniform(low, 1, 5).astype("float32")
    return [
        Sample((x,), {"axis": (1,)}),
        Sample((x,), {"axis": (0, 2)}),
        Sample((small,), {"axis": (0,)}),
    ]


def reduce_lines(function: str) -> Any:
    """The source of a reduction; over all axes NumPy takes None more quickly."""

    def lines(
        out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
    ) -> list[str]:
        axis = params["axis"]
        where = str(axis[0] if len(axis) == 1 else axis)
        where = "None" if axis and len(axis) == avals[0].ndim else where
        return [f"{out} = {function}({ins[0]}, {where})"]

    return lines


def _sum_aval(x: Aval, *, axis: Axes) -> Aval:
    dtype = np.add.reduce(np.ones(1, x.numpy_dtype)).dtype
    return Aval(reduced_shape(x.shape, axis), dtype)


sum_: Primitive = linear(
    "sum",
    lambda x, *, axis: np.add.reduce(x, axis=axis),
    _sum_aval,
    lambda ct, x, *, axis: (broadcast_to(expand(ct, x, axis), shape=type_of(x).shape),),
    batch_params=shift_axis,
    statements=reduce_lines("np.add.reduce"),
    samples=lambda: [*reduction_samples(), *reduction_samples("complex128")[:1]],
)


def _extremum_jvp(tangents: Any, outs: Any, x: Any, *, axis: Axes) -> Any:
    # ties share the derivative equally, as in JAX
    (t,) = tangents
    chosen = is_equal(x, expand(outs[0], x, axis))
    weights = astype(chosen, dtype=type_of(x).dtype.name)
    return divide(sum_(t * weights, axis=axis), sum_(weights, axis=axis))


def _reduced_aval(x: Aval, *, axis: Axes) -> Aval:
    return Aval(reduced_shape(x.shape, axis), x.dtype)


def _extremum(name: str, ufunc: Any) -> Primitive:
    return Primitive(
        name,
        lambda x, *, axis: ufunc.reduce(x, axis=axis),
        _reduced_aval,
        jvp=_extremum_jvp,
        batch_params=shift_axis,
        statements=reduce_lines(f"np.{ufunc.__name__}.reduce"),
        samples=reduction_samples,
    )


max_ = _extremum("max", np.maximum)
min_ = _extremum("min", np.minimum)


def _logical(name: str, ufunc: Any) -> Primitive:
    return Primitive(
        name,
        lambda x, *, axis: ufunc.reduce(x, axis=axis, dtype=bool),
        lambda x, *, axis: Aval(reduced_shape(x.shape, axis), bool),
        is_constant=True,
        batch_params=shift_axis,
        samples=lambda: reduction_samples("int64"),
    )


any_ = _logical("any", np.logical_or)
all_ = _logical("all", np.logical_and)
