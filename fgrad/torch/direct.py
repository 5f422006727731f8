"""In-place arithmetic where nothing is recorded: NumPy writes into the memory itself.

Optimisers consist of it. The result is that of the in-place variants of `inplace`,
which remain for everything else: other dtypes, broadcasting, recorded operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.lower.quiet import quietly
from fgrad.torch.modes import STATE
from fgrad.torch.registry import METHODS
from fgrad.torch.storage import writing
from fgrad.torch.tensor import Array, Tensor

Variant = Callable[..., Any]


def _fitting(self: Tensor, others: tuple[Any, ...]) -> list[Any] | None:
    """The operands as arrays and numbers, if they need no care."""
    array = self._array
    if type(array) is not np.ndarray or array.dtype.kind != "f":
        return None
    if not array.flags.writeable or 0 in array.strides:
        return None
    if STATE.enabled and (self._requires or self._base is not None):
        return None
    if self._storage.is_inference:
        return None
    writing(self)
    found: list[Any] = []
    for other in others:
        if isinstance(other, Tensor):
            own = other._array
            if type(own) is not np.ndarray:  # inside a transform of fgrad
                return None
            if own.shape != array.shape or own.dtype != array.dtype:
                return None
            if STATE.enabled and other._requires:
                return None
            found.append(own)
        elif type(other) is float or type(other) is int:
            found.append(other)
        else:
            return None
    return found


def _direct(name: str, count: int, option: str, write: Callable[..., None]) -> Variant:
    """The variant ``name``, which takes ``count`` operands and perhaps an option."""
    careful = METHODS[name]

    def change(self: Tensor, *others: Any, **options: Any) -> Any:
        factor = options.get(option, 1) if options else 1
        is_known = len(options) == (option in options) and len(others) == count
        operands = _fitting(self, (*others, factor)) if is_known else None
        if operands is None:
            return careful(self, *others, **options)
        quietly(write, self._array, *operands)
        if STATE.enabled:
            for other in others:
                if isinstance(other, Tensor) and other._cut is not None:
                    self._cut = other._cut
        self._storage.changed()
        return self

    change.__name__ = name
    change.__doc__ = careful.__doc__
    return change


def _scaled(x: Any, factor: Any) -> Any:
    return x if factor == 1 else x * factor


def _add(x: Array, y: Any, factor: Any) -> None:
    np.add(x, _scaled(y, factor), x)


def _sub(x: Array, y: Any, factor: Any) -> None:
    np.subtract(x, _scaled(y, factor), x)


def _mul(x: Array, y: Any, _: Any) -> None:
    np.multiply(x, y, x)


def _div(x: Array, y: Any, _: Any) -> None:
    np.true_divide(x, y, x)


def _addcmul(x: Array, y: Any, z: Any, factor: Any) -> None:
    np.add(x, _scaled(y, factor) * z, x)


def _addcdiv(x: Array, y: Any, z: Any, factor: Any) -> None:
    np.add(x, _scaled(y / z, factor), x)


def _lerp(x: Array, y: Any, weight: Any, _: Any) -> None:
    np.add(x, weight * (y - x), x)


_VARIANTS: list[tuple[str, int, str, Callable[..., None]]] = [
    ("add_", 1, "alpha", _add),
    ("sub_", 1, "alpha", _sub),
    ("mul_", 1, "", _mul),
    ("div_", 1, "", _div),
    ("addcmul_", 2, "value", _addcmul),
    ("addcdiv_", 2, "value", _addcdiv),
    ("lerp_", 2, "", _lerp),
]
_OPERATORS = {"add_": "__iadd__", "sub_": "__isub__", "mul_": "__imul__"}
_OPERATORS["div_"] = "__itruediv__"


def add_direct_variants() -> None:
    """Put the direct variants before the careful ones."""
    for name, count, option, write in _VARIANTS:
        METHODS[name] = _direct(name, count, option, write)
        operator = _OPERATORS.get(name)
        if operator is not None:
            METHODS[operator] = _direct(operator, count, "", write)
