"""Reductions that pass over NaN: gradients are finite, and zero at NaN elements."""

from typing import Any

import numpy as np

from fgrad.functions.protocol import REDUCTIONS, cast, implements, written
from fgrad.ops.elementwise import square
from fgrad.trace import as_operand, type_of

_UNSET = np._NoValue


def replace_nan(a: Any, value: Any) -> tuple[Any, Any]:
    """``a`` with its NaN elements replaced, and where they are (None for integers)."""
    a = as_operand(a)
    if not type_of(a).is_inexact:
        return a, None
    mask = np.isnan(a)
    return np.where(mask, value, a), mask


def _optional(**kwargs: Any) -> dict[str, Any]:
    """The arguments that were given."""
    return {key: value for key, value in kwargs.items() if value is not _UNSET}


@implements(np.nansum)
def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = _UNSET,
    where: Any = True,
) -> Any:
    """The sum over axes with NaN as zero."""
    kwargs = _optional(keepdims=keepdims, initial=initial, where=where)
    return np.sum(replace_nan(a, 0)[0], axis=axis, dtype=dtype, out=out, **kwargs)


@implements(np.nanprod)
def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = _UNSET,
    where: Any = True,
) -> Any:
    """The product over axes with NaN as one."""
    kwargs = _optional(keepdims=keepdims, initial=initial, where=where)
    return np.prod(replace_nan(a, 1)[0], axis=axis, dtype=dtype, out=out, **kwargs)


def _in_type_of(x: Any, result: Any) -> Any:
    """A result in the dtype of ``x``, as if NumPy had written it there."""
    dtype = type_of(x).numpy_dtype
    return result if type_of(result).numpy_dtype == dtype else cast(result, dtype)


def _divide(total: Any, count: Any) -> Any:
    with np.errstate(all="ignore"):
        return _in_type_of(total, total / count)


def _require_inexact(**dtypes: Any) -> None:
    for name, dtype in dtypes.items():
        if dtype is not None and not np.issubdtype(dtype, np.inexact):
            raise TypeError(f"If a is inexact, then {name} must be inexact")


def _finish(out: Any, result: Any) -> Any:
    return written(result, out)


@implements(np.nanmean)
def nanmean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    *,
    where: Any = True,
) -> Any:
    """The mean over axes of the elements that are not NaN."""
    a, mask = replace_nan(a, 0)
    kwargs = _optional(axis=axis, keepdims=keepdims, where=where)
    if mask is None:
        return np.mean(a, dtype=dtype, out=out, **kwargs)
    _require_inexact(dtype=dtype, out=None if out is None else out.dtype)
    count = np.sum(~mask, dtype=np.intp, **kwargs)
    return _finish(out, _divide(np.sum(a, dtype=dtype, **kwargs), count))


@implements(np.nanvar)
def nanvar(
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
    """The variance over axes of the elements that are not NaN."""
    ddof = ddof if correction is _UNSET else correction
    a, mask = replace_nan(a, 0)
    if mask is None:
        kwargs = _optional(keepdims=keepdims, where=where, mean=mean)
        return np.var(a, axis=axis, dtype=dtype, out=out, ddof=ddof, **kwargs)
    _require_inexact(dtype=dtype, out=None if out is None else out.dtype)
    if where is not True and where is not _UNSET:
        mask = mask | ~np.asarray(where)
        a = np.where(where, a, 0)
    if mean is _UNSET:
        count = np.sum(~mask, axis=axis, dtype=np.intp, keepdims=True)
        mean = _divide(np.sum(a, axis=axis, dtype=dtype, keepdims=True), count)
    shifted = np.where(mask, 0, _in_type_of(a, a - mean))
    if type_of(shifted).is_complex:
        squares = np.real(shifted * np.conjugate(shifted))
    else:
        squares = square(shifted)
    kwargs = _optional(axis=axis, keepdims=keepdims)
    total = np.sum(squares, dtype=dtype, **kwargs)
    freedom = np.sum(~mask, dtype=np.intp, **kwargs) - ddof
    return _finish(out, np.where(freedom <= 0, np.nan, _divide(total, freedom)))


@implements(np.nanstd)
def nanstd(a: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The standard deviation over axes of the elements that are not NaN."""
    return np.sqrt(nanvar(a, axis, *args, **kwargs))


def _nan_extremum(
    reduce: Any, fill: float, a: Any, axis: Any, out: Any, kwargs: dict[str, Any]
) -> Any:
    a, mask = replace_nan(a, fill)
    if mask is None:
        return reduce(a, axis=axis, out=out, **kwargs)
    result = reduce(a, axis=axis, **kwargs)
    if "initial" not in kwargs:
        keepdims = bool(kwargs.get("keepdims", False))
        result = np.where(np.all(mask, axis=axis, keepdims=keepdims), np.nan, result)
    return _finish(out, result)


@implements(np.nanmax)
def nanmax(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: Any = _UNSET,
    initial: Any = _UNSET,
    where: Any = _UNSET,
) -> Any:
    """The largest element over axes that is not NaN; ties share the derivative."""
    kwargs = _optional(keepdims=keepdims, initial=initial, where=where)
    return _nan_extremum(np.max, -np.inf, a, axis, out, kwargs)


@implements(np.nanmin)
def nanmin(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: Any = _UNSET,
    initial: Any = _UNSET,
    where: Any = _UNSET,
) -> Any:
    """The smallest element over axes that is not NaN; ties share the derivative."""
    kwargs = _optional(keepdims=keepdims, initial=initial, where=where)
    return _nan_extremum(np.min, np.inf, a, axis, out, kwargs)


REDUCTIONS |= {np.fmax: nanmax, np.fmin: nanmin}
