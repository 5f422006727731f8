"""Functions applied along axes, selections by number, polynomials that are fitted."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fgrad.errors import UnsupportedFunctionError
from fgrad.functions.protocol import implements, written
from fgrad.trace import as_operand, type_of


@implements(np.apply_along_axis)
def apply_along_axis(
    func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any
) -> Any:
    """A function of vectors, called for each vector along an axis."""
    arr = as_operand(arr)
    axis = normalize_axis_index(axis, type_of(arr).ndim)
    rows = np.moveaxis(arr, axis, -1)
    lead = type_of(rows).shape[:-1]
    if not math.prod(lead):
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    vectors = np.reshape(rows, (math.prod(lead), -1))
    found = [func1d(vector, *args, **kwargs) for vector in vectors]
    whole = np.stack([as_operand(result) for result in found])
    shape = type_of(whole).shape[1:]
    whole = np.reshape(whole, (*lead, *shape))
    last = range(len(lead), len(lead) + len(shape))
    return np.moveaxis(whole, list(last), [axis + k for k in range(len(shape))])


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    """A function that removes an axis, applied to each axis of several, which stay."""
    found, ndim = as_operand(a), type_of(as_operand(a)).ndim
    for axis in axes if isinstance(axes, Sequence) else (axes,):
        result = func(found, axis)
        if type_of(result).ndim < ndim:
            result = np.expand_dims(result, axis)
        if type_of(result).ndim != ndim:
            raise ValueError("function is not returning an array of the correct shape")
        found = result
    return found


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """The elements in another shape, repeated as often as needed."""
    a = as_operand(a)
    shape = (new_shape,) if isinstance(new_shape, int) else tuple(new_shape)
    size, own = math.prod(shape), type_of(a).size
    if any(n < 0 for n in shape):
        raise ValueError("all elements of `new_shape` must be non-negative")
    if not size or not own:
        return np.zeros(shape, type_of(a).numpy_dtype)
    line = np.concatenate([np.ravel(a)] * -(-size // own))
    return np.reshape(line[:size], shape)


@implements(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """For each element the one of the choice with its number."""
    parts = [as_operand(choice) for choice in choices]
    count = len(parts)
    numbers = as_operand(a)
    if mode == "wrap":
        numbers = numbers % count
    elif mode == "clip":
        numbers = np.clip(numbers, 0, count - 1)
    elif bool(np.any((numbers < 0) | (numbers >= count))):
        raise ValueError("invalid entry in choice array")
    numbers, *parts = np.broadcast_arrays(numbers, *parts)
    stacked = np.stack(parts)
    found = np.take_along_axis(stacked, np.expand_dims(numbers, 0), 0)[0]
    return written(found, out)


@implements(np.polyfit)
def polyfit(
    x: Any,
    y: Any,
    deg: Any,
    rcond: float | None = None,
    full: bool = False,
    w: Any = None,
    cov: Any = False,
) -> Any:
    """The coefficients of the polynomial of a degree with the least squared errors.

    Raises:
        UnsupportedFunctionError: more than the coefficients is wanted.
    """
    if full or cov or np.ndim(deg):
        raise UnsupportedFunctionError(
            "numpy.polyfit of traced values gives the coefficients only, for one "
            "degree; np.linalg.lstsq of np.vander(x, deg + 1) gives the rest"
        )
    x, y = as_operand(x) + 0.0, as_operand(y) + 0.0
    columns = np.vander(x, int(deg) + 1)
    if w is not None:
        weights = np.expand_dims(as_operand(w), -1)
        columns = columns * weights
        y = y * (weights if type_of(y).ndim == 2 else weights[..., 0])
    if rcond is None:
        rcond = len(x) * np.finfo(type_of(x).numpy_dtype).eps
    scale = np.sqrt(np.sum(columns * columns, axis=0))
    found = np.linalg.lstsq(columns / scale, y, rcond)[0]
    return (found.T / scale).T


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The coefficients of an antiderivative of a polynomial."""
    if m < 0:
        raise ValueError("Order of integral must be positive (see polyder)")
    constants = np.zeros(m) if k is None else np.atleast_1d(k)
    if len(constants) == 1 and m > 1:
        constants = constants[0] * np.ones(m)
    if len(constants) < m:
        raise ValueError("k must be a scalar or a rank-1 array of length 1 or >m.")
    p = as_operand(p)
    for number in range(m):
        degrees = np.arange(len(p), 0, -1)
        p = np.concatenate([p / degrees, np.reshape(constants[number], (1,))])
    return p


@implements(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """The coefficients of the polynomial with these zeros.

    Raises:
        UnsupportedFunctionError: the zeros are to be those of a matrix.
    """
    zeros = np.atleast_1d(as_operand(seq_of_zeros))
    if type_of(zeros).ndim != 1:
        raise UnsupportedFunctionError(
            "numpy.poly of a traced matrix has no rule; pass its eigenvalues"
        )
    found: Any = np.ones(1, type_of(zeros).numpy_dtype)
    for zero in zeros:
        found = np.convolve(found, np.stack([zero * 0 + 1, -zero]))
    return found
