"""Questions about arrays, answered as NumPy answers them: by a bool or a dtype.

What depends on values is a Python branch: under ``jit`` it specialises the program.
"""

from typing import Any

import numpy as np

from fgrad.functions.protocol import implements, written
from fgrad.trace import Tracer, as_operand, type_of


@implements(np.allclose)
def allclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are equal within tolerances."""
    return bool(np.all(np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    """Whether two arrays have the same shape and elements."""
    x, y = as_operand(a1), as_operand(a2)
    if type_of(x).shape != type_of(y).shape:
        return False
    same = x == y
    if equal_nan:
        same = same | ((x != x) & (y != y))
    return bool(np.all(same))


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> bool:
    """Whether two arrays are equal where one is broadcast to the other."""
    x, y = as_operand(a1), as_operand(a2)
    try:
        np.broadcast_shapes(type_of(x).shape, type_of(y).shape)
    except ValueError:
        return False
    return bool(np.all(x == y))


@implements(np.isin)
def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    kind: str | None = None,
) -> Any:
    """For each element whether it is one of others; the other keywords are hints."""
    x, others = as_operand(element), np.ravel(as_operand(test_elements))
    found = np.any(np.expand_dims(x, -1) == others, axis=-1)
    return np.logical_not(found) if invert else found


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex."""
    return type_of(x).is_complex


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex."""
    return not type_of(x).is_complex


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """For each element whether it has an imaginary part."""
    return np.imag(x) != 0


@implements(np.isposinf)
def isposinf(x: Any, out: Any = None) -> Any:
    """For each element whether it is infinity."""
    return written(x == np.inf, out)


@implements(np.isneginf)
def isneginf(x: Any, out: Any = None) -> Any:
    """For each element whether it is the negative of infinity."""
    return written(x == -np.inf, out)


def _typed(x: Any) -> Any:
    """What has the type of a traced value: a dtype, or a Python number."""
    if type(x) is not Tracer:
        return x
    return x.aval.dtype(1) if x.aval.is_python else x.aval.dtype


@implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> Any:
    """The dtype to which operands are promoted."""
    return np.result_type(*map(_typed, arrays_and_dtypes))


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """Whether a dtype, or that of an array, can be cast to another."""
    return np.can_cast(_typed(from_), to, casting)


@implements(np.common_type)
def common_type(*arrays: Any) -> Any:
    """The inexact scalar type that arrays have in common."""
    return np.common_type(*(np.empty(0, type_of(x).numpy_dtype) for x in arrays))


@implements(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """The array in a dtype."""
    return x.astype(dtype, copy=copy)
