"""Keys of functions: equal for functions that compute the same of equal operands.

The façade gives each operation a NumPy function, often one that closes over options
(axes, shapes, names of reductions) and over arrays (indices, masks). Two such functions
are the same if their code is, and the options; the arrays are taken out and become
operands (`Lifted`), so that they may differ from one time to the next. What a key holds
is kept alive by the function itself, which the structure remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CellType, FunctionType
from typing import Any

import numpy as np

from fgrad.torch.dtypes import dtype
from fgrad.torch.size import Size

UNKEYED: Any = object()  # of a function that closes over other objects
_ARRAY: Any = object()  # in place of an array

_AS_THEY_ARE = {type(None), str, bytes, type(Ellipsis), np.ufunc, BuiltinFunctionType}
_AS_THEY_ARE |= {dtype, type, type(np.float64), type(np.sum)}
_TAGGED = (bool, int)
_SEQUENCES = (tuple, Size)

Arrays = list[Any]
Maker = Callable[[Iterator[Any]], Any]


def function_key(function: Any, arrays: Arrays) -> Any:
    """The key of a function, or ``UNKEYED``; closed-over arrays are added to a list."""
    if type(function) is not FunctionType:
        return part_key(function, arrays)
    closure = function.__closure__
    if closure is None and function.__defaults__ is None:
        return function if "<locals>" not in function.__qualname__ else _code(function)
    parts = [_code(function)]
    for cell in closure or ():
        parts.append(part_key(cell.cell_contents, arrays))
    for value in function.__defaults__ or ():
        parts.append(part_key(value, arrays))
    for value in (function.__kwdefaults__ or {}).values():
        parts.append(part_key(value, arrays))
    return UNKEYED if UNKEYED in parts else tuple(parts)


def _code(function: Any) -> int:
    """What tells code from other code: it lives as long as the function around it."""
    return id(function.__code__)


def part_key(value: Any, arrays: Arrays | None = None) -> Any:
    """The key of something that a function closes over, or ``UNKEYED``.

    Without a list for them, arrays have no key.
    """
    cls = type(value)
    if cls in _AS_THEY_ARE or isinstance(value, np.dtype):
        return value
    if cls in _TAGGED:
        return cls, value
    if cls is float:
        return float, value.hex()
    if cls in _SEQUENCES:
        parts = tuple([part_key(each, arrays) for each in value])
        return UNKEYED if UNKEYED in parts else parts
    if cls is list:
        return part_key((list, *value), arrays)
    if cls is slice:
        return part_key((slice, value.start, value.stop, value.step), arrays)
    if cls is np.ndarray:
        if arrays is None or value.dtype.hasobject:
            return UNKEYED
        arrays.append(value)
        return _ARRAY
    if cls is FunctionType:
        return UNKEYED if arrays is None else function_key(value, arrays)
    if isinstance(value, np.generic):
        return cls, value.tobytes()
    return UNKEYED


class Lifted:
    """A function whose last arguments are the arrays that another closes over."""

    __closure__ = ()  # what it depends on is not in its arguments alone

    def __init__(self, function: Any, count: int) -> None:
        self._make, self._count = _maker(function), count

    def __call__(self, *arguments: Any) -> Any:
        """The result of the function with these arrays in place of its own."""
        split = len(arguments) - self._count
        return self._make(iter(arguments[split:]))(*arguments[:split])


def _maker(value: Any) -> Maker:
    """What gives a value anew, with other arrays in it."""
    cls = type(value)
    if cls is np.ndarray:
        return next
    if cls in _SEQUENCES and not _is_constant(value):
        makers = [_maker(each) for each in value]
        return lambda arrays: tuple([make(arrays) for make in makers])
    if cls is list and not _is_constant(value):
        make_tuple = _maker(tuple(value))
        return lambda arrays: list(make_tuple(arrays))
    if cls is FunctionType and not _is_constant(value):
        return _function_maker(value)
    return lambda arrays: value


def _is_constant(value: Any) -> bool:
    arrays: Arrays = []
    part_key(value, arrays)
    return not arrays


def _function_maker(function: Any) -> Maker:
    makers = [_maker(cell.cell_contents) for cell in function.__closure__ or ()]
    defaults = [_maker(value) for value in function.__defaults__ or ()]
    named = {k: _maker(value) for k, value in (function.__kwdefaults__ or {}).items()}
    code, scope, name = function.__code__, function.__globals__, function.__name__

    def make(arrays: Iterator[Any]) -> Any:
        closure = tuple([CellType(make_one(arrays)) for make_one in makers])
        values = tuple([make_one(arrays) for make_one in defaults])
        made = FunctionType(code, scope, name, values or None, closure)
        made.__kwdefaults__ = {k: make_one(arrays) for k, make_one in named.items()}
        return made

    return make
