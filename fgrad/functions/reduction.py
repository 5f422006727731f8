"""Reductions composed from the primitives sum, max, min, any, all, prod, cumsum."""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from fgrad.errors import UnsupportedFunctionError
from fgrad.fast import bind_static
from fgrad.functions.protocol import REDUCTIONS, cast, implements, written
from fgrad.ops import elementwise
from fgrad.ops import reduce as ops
from fgrad.ops.cut import stop
from fgrad.ops.structure import reshape
from fgrad.primitive import Primitive
from fgrad.trace import Tracer, as_operand, type_of

Axes = tuple[int, ...]
_UNSET = np._NoValue


def axes_of(x: Any, axis: Any) -> Axes:
    """The sorted, non-negative axes that ``axis`` names; None is all."""
    ndim = type_of(x).ndim
    if axis is None or (not ndim and axis in (0, -1)):
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    return tuple(sorted(normalize_axis_tuple(axis, ndim)))


def count(x: Any, axes: Axes) -> int:
    """How many elements are reduced into one."""
    shape = type_of(x).shape
    total = 1
    for k in axes:
        total *= shape[k]
    return total


def finish(result: Any, x: Any, axes: Axes, keepdims: Any, out: Any) -> Any:
    """The reduced axes kept at length 1 if asked for, written into ``out`` if given."""
    if keepdims and keepdims is not _UNSET:
        shape = ops.kept_shape(type_of(x).shape, axes)
        result = reshape(result, shape=shape)
    return written(result, out)


def _select(x: Any, where: Any, neutral: Any) -> Any:
    return x if where is True or where is _UNSET else np.where(where, x, neutral)


def reduce_with(prim: Primitive, x: Any, axes: Axes) -> Any:
    """A reduction over several axes at once."""
    if type(x) is Tracer:
        return bind_static(prim, x, (("axis", axes),))
    return prim(x, axis=axes)


@implements(np.sum)
def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = _UNSET,
    where: Any = True,
) -> Any:
    """The sum over axes."""
    if type(a) is not Tracer:
        a = as_operand(a)
    if dtype is not None:
        a = cast(a, dtype)
    if where is not True:
        a = _select(a, where, 0)
    axes = axes_of(a, axis)
    result = reduce_with(ops.sum_, a, axes)
    if initial is not _UNSET and initial is not None:
        result = result + cast(initial, type_of(result).numpy_dtype)
    if keepdims is False and out is None:
        return result
    return finish(result, a, axes, keepdims, out)


@implements(np.mean)
def mean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    *,
    where: Any = True,
) -> Any:
    """The arithmetic mean over axes."""
    a = as_operand(a)
    aval = type_of(a)
    axes = axes_of(a, axis)
    half = aval.numpy_dtype == np.float16
    if dtype is not None or not aval.is_inexact or half:
        a = cast(a, dtype or (np.float32 if half else np.float64))
    if where is True or where is _UNSET:
        total, number = ops.sum_(a, axis=axes), count(a, axes)
    else:
        total = ops.sum_(_select(a, where, 0), axis=axes)
        number = np.sum(np.broadcast_to(where, aval.shape), axis=axes)
    result = total / number
    result = cast(result, np.float16) if half and dtype is None else result
    return finish(result, a, axes, keepdims, out)


@implements(np.average)
def average(
    a: Any,
    axis: Any = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: Any = False,
) -> Any:
    """The weighted mean over axes."""
    a = as_operand(a)
    if weights is None:
        result = mean(a, axis, keepdims=keepdims)
        scale: Any = count(a, axes_of(a, axis)) + 0.0
    else:
        weights = as_operand(weights)
        if type_of(weights).shape != type_of(a).shape:
            (position,) = axes_of(a, axis)
            shape = [1] * type_of(a).ndim
            shape[position] = type_of(weights).size
            weights = np.reshape(weights, shape)
        weights = np.broadcast_to(weights, type_of(a).shape)
        scale = np.sum(weights, axis=axis, keepdims=keepdims)
        result = np.sum(a * weights, axis=axis, keepdims=keepdims) / scale
    return (result, np.broadcast_to(scale, np.shape(result))) if returned else result


@implements(np.var)
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = _UNSET,
    correction: Any = _UNSET,
) -> Any:
    """The variance over axes."""
    if where is not True:
        raise UnsupportedFunctionError("np.var(where=) has no rule; use np.where")
    ddof = ddof if correction is _UNSET else correction
    a = as_operand(a) if dtype is None else cast(a, dtype)
    centre = np.mean(a, axis=axis, keepdims=True) if mean is _UNSET else mean
    shifted = a - centre
    if type_of(shifted).is_complex:
        squares = np.real(shifted * np.conjugate(shifted))
    else:
        squares = elementwise.square(shifted)
    axes = axes_of(a, axis)
    result = ops.sum_(squares, axis=axes) / max(count(a, axes) - ddof, 0)
    return finish(result, a, axes, keepdims, out)


@implements(np.std)
def std(a: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The standard deviation over axes."""
    return np.sqrt(var(a, axis, *args, **kwargs))


def _extremum(
    prim: Primitive,
    combine: Any,
    a: Any,
    axis: Any,
    out: Any,
    keepdims: Any,
    initial: Any,
    where: Any,
) -> Any:
    a = as_operand(a)
    given = initial is not _UNSET and initial is not None
    if where is not True and where is not _UNSET:
        if not given:
            raise ValueError("a reduction with where= needs initial=")
        a = np.where(where, a, initial)
    axes = axes_of(a, axis)
    if not count(a, axes) and not given:
        raise ValueError(f"zero-size array to reduction operation {prim.name}")
    if not count(a, axes):
        shape = ops.reduced_shape(type_of(a).shape, axes)
        return finish(np.full(shape, initial, type_of(a).dtype), a, axes, keepdims, out)
    result = reduce_with(prim, a, axes)
    return finish(combine(result, initial) if given else result, a, axes, keepdims, out)


@implements(np.max, np.amax)
def max_(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = _UNSET,
    where: Any = True,
) -> Any:
    """The largest element over axes; ties share the derivative."""
    return _extremum(ops.max_, np.maximum, a, axis, out, keepdims, initial, where)


@implements(np.min, np.amin)
def min_(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = _UNSET,
    where: Any = True,
) -> Any:
    """The smallest element over axes; ties share the derivative."""
    return _extremum(ops.min_, np.minimum, a, axis, out, keepdims, initial, where)


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """Largest minus smallest element over axes."""
    result = max_(a, axis, keepdims=keepdims) - min_(a, axis, keepdims=keepdims)
    return written(result, out)


def _logical(prim: Primitive, a: Any, axis: Any, out: Any, keepdims: Any) -> Any:
    a = as_operand(a)
    axes = axes_of(a, axis)
    return finish(reduce_with(prim, a, axes), a, axes, keepdims, out)


@implements(np.any)
def any_(
    a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **kw: Any
) -> Any:
    """Whether an element is not zero, over axes."""
    return _logical(ops.any_, a, axis, out, keepdims)


@implements(np.all)
def all_(
    a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **kw: Any
) -> Any:
    """Whether all elements are not zero, over axes."""
    return _logical(ops.all_, a, axis, out, keepdims)


def logsumexp(
    a: Any, axis: Any = None, keepdims: Any = False, out: Any = None, **kwargs: Any
) -> Any:
    """``log(sum(exp(a)))`` over axes without overflow: ``np.logaddexp.reduce``."""
    if kwargs:
        raise UnsupportedFunctionError(f"np.logaddexp.reduce({', '.join(kwargs)}=)")
    a = as_operand(a)
    axes = axes_of(a, axis)
    largest = stop(ops.max_(a, axis=axes))
    shift = np.where(np.isfinite(largest), largest, 0.0)
    shape = ops.kept_shape(type_of(a).shape, axes)
    terms = np.exp(a - np.reshape(shift, shape))
    result = np.log(ops.sum_(terms, axis=axes)) + shift
    return finish(result, a, axes, keepdims, out)


REDUCTIONS |= {
    np.logaddexp: logsumexp,
    np.add: sum,
    np.maximum: max_,
    np.minimum: min_,
    np.logical_or: any_,
    np.logical_and: all_,
}
