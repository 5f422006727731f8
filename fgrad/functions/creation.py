"""Creation functions that take part in the trace.

``zeros_like(t)`` and its kin belong to the trace of ``t``. Through the front door,
``fgrad.numpy.zeros(3)`` makes an array that can receive traced values later, and
``array([t0, t1])`` joins traced elements.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.functions.joining import stack
from fgrad.functions.protocol import FUNCTIONS, cast, implements
from fgrad.ir import PYTHON_NUMBERS
from fgrad.ops import structure as ops
from fgrad.trace import (
    Trace,
    Tracer,
    active_trace,
    as_operand,
    is_traced,
    record,
    type_of,
)


def _like(
    x: Tracer, value: Any, dtype: Any = None, shape: Any = None, **kwargs: Any
) -> Any:
    """A constant array of the trace of ``x``."""
    target = x.aval.shape if shape is None else shape
    params = {
        "shape": tuple(target) if np.iterable(target) else (target,),
        "dtype": np.dtype(x.aval.dtype if dtype is None else dtype).name,
    }
    if type_of(value).ndim or is_traced(value):
        return cast(np.broadcast_to(value, params["shape"]), params["dtype"])
    params["value"] = _number(value, params["dtype"])
    out = None if x.scope.abstract else np.full(params["shape"], value, params["dtype"])
    return record(x.scope, ops.full, (), (), tuple(params.items()), out)


@implements(np.zeros_like)
def zeros_like(a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """Zeros of the same shape; they can receive traced values."""
    return _like(a, 0, dtype, kwargs.get("shape"))


@implements(np.empty_like)
def empty_like(prototype: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """As `zeros_like`: traced arrays are never undefined."""
    return _like(prototype, 0, dtype, kwargs.get("shape"))


@implements(np.ones_like)
def ones_like(a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """Ones of the same shape; they can receive traced values."""
    return _like(a, 1, dtype, kwargs.get("shape"))


@implements(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """One value in the same shape."""
    if not is_traced(a):
        dtype = type_of(as_operand(a)).numpy_dtype if dtype is None else dtype
        shape = np.shape(a) if kwargs.get("shape") is None else kwargs["shape"]
        return cast(ops.copy(np.broadcast_to(fill_value, shape)), dtype)
    return _like(a, as_operand(fill_value), dtype, kwargs.get("shape"))


def _number(value: Any, dtype: Any) -> Any:
    """A fill value as the Python number that it is in the dtype."""
    number = np.asarray(value).astype(dtype).item()
    return number if type(number) in PYTHON_NUMBERS else float(number)


def _kinds_of(trace: Trace) -> str:
    """The kinds of dtypes that take part: integers where their values are not known."""
    return "biufc" if trace.abstract or trace.rule is not None else "fc"


def _lift(array: Any) -> Any:
    """An array as part of the trace that runs, so that it can receive traced values."""
    trace = active_trace()
    if trace is None or not isinstance(array, np.ndarray):
        return array
    if array.dtype.kind not in _kinds_of(trace):
        return array
    out = None if trace.abstract else array
    return record(trace, ops.copy, (type_of(array),), (array,), (), out)


def _lifted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A creation function of NumPy whose result takes part in the trace."""

    @functools.wraps(function)
    def create(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return result if is_traced(result) else _lift(result)

    return create


def _constant(shape: Any, value: Any, dtype: Any) -> Any:
    """An array of one value, as an equation of the trace that runs if there is one."""
    trace = active_trace()
    array = np.full(shape, value, dtype)
    if trace is None or array.dtype.kind not in _kinds_of(trace):
        return array
    params = {
        "shape": array.shape,
        "dtype": array.dtype.name,
        "value": _number(value, array.dtype),
    }
    out = None if trace.abstract else array
    return record(trace, ops.full, (), (), tuple(params.items()), out)


def zeros(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    """Zeros that can receive traced values.

    >>> import fgrad, fgrad.numpy as np
    >>> def f(x):
    ...     out = np.zeros(2)
    ...     out[0] = x * x
    ...     return np.sum(out)
    >>> fgrad.grad(f)(3.0)
    np.float64(6.0)
    """
    return _constant(shape, 0, dtype)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    """As `zeros`: arrays of the front door are never undefined."""
    return _constant(shape, 0, dtype)


def ones(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    """Ones that can receive traced values."""
    return _constant(shape, 1, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> Any:
    """One value, which may be traced, in a shape."""
    if is_traced(fill_value) or np.ndim(fill_value):
        filled = ops.copy(np.broadcast_to(fill_value, shape))
        return _lift(filled if dtype is None else cast(filled, dtype))
    return _constant(shape, fill_value, dtype)


@implements(np.linspace)
def _linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Evenly spaced numbers between traced bounds."""
    start, stop = as_operand(start), as_operand(stop)
    parts = num - 1 if endpoint else num
    step = (stop - start) / max(parts, 1)
    grid = np.arange(num).reshape((num,) + (1,) * type_of(step).ndim)
    result = np.moveaxis(start + step * grid, 0, axis)
    result = result if dtype is None else cast(result, dtype)
    return (result, step) if retstep else result


arange = _lifted(np.arange)
eye = _lifted(np.eye)
geomspace = _lifted(np.geomspace)
identity = _lifted(np.identity)
linspace = _lifted(np.linspace)
logspace = _lifted(np.logspace)
tri = _lifted(np.tri)


def _has_tracer(nested: Any) -> bool:
    if isinstance(nested, list | tuple):
        return any(map(_has_tracer, nested))
    return is_traced(nested)


def array(object: Any, dtype: Any = None, *, copy: Any = True, ndmin: int = 0) -> Any:
    """``np.array`` that also joins traced numbers and arrays in nested lists.

    >>> import fgrad, fgrad.numpy as np
    >>> fgrad.grad(lambda x: np.sum(np.array([x, x**2])))(3.0)
    np.float64(7.0)
    """
    if not _has_tracer(object):
        return _lift(np.array(object, dtype, copy=copy, ndmin=ndmin))
    result = _join(object, top=True) if copy or not is_traced(object) else object
    if dtype is not None and type_of(result).numpy_dtype != np.dtype(dtype):
        result = cast(result, dtype)
    missing = ndmin - type_of(result).ndim
    shape = type_of(result).shape
    return ops.reshape(result, shape=(1,) * missing + shape) if missing > 0 else result


def _join(nested: Any, top: bool = False) -> Any:
    if isinstance(nested, list | tuple):
        return stack([_join(element) for element in nested])
    if not top:
        return as_operand(nested)
    return ops.copy(nested) if type_of(nested).ndim else ops.copy(nested, as_array=True)


def asarray(a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """``np.asarray`` that keeps a tracer as it is and joins nested lists of them.

    Where values are not known an array becomes part of the trace, so that traced
    indices read it.
    """
    if _has_tracer(a):
        return array(a, dtype, copy=False)
    trace = active_trace()
    result = np.asarray(a, dtype)
    is_known = trace is None or not (trace.abstract or trace.rule is not None)
    return result if is_known else _lift(result)


@functools.cache
def joining(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function that also takes a list of traced numbers as first argument, and
    traced values where NumPy does not look for them (the indices of ``take``).
    """
    if function in _TAKE_LISTS:
        return function
    implementation = FUNCTIONS[function]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], list | tuple) and _has_tracer(args[0]):
            args = (array(args[0]), *args[1:])
        is_any_traced = any(map(is_traced, (*args, *kwargs.values())))
        return (implementation if is_any_traced else function)(*args, **kwargs)

    return call


_TAKE_LISTS = frozenset(
    {
        np.block,
        np.column_stack,
        np.concatenate,
        np.dstack,
        np.hstack,
        np.select,
        np.stack,
        np.vstack,
    }
)
