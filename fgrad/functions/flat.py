"""``x.flat`` of a traced array."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fgrad.functions.indexing import getitem, setitem
from fgrad.ops.structure import reshape
from fgrad.trace import Tracer, as_operand, type_of


class Flat:
    """``x.flat``: the elements in C order, to read, write and iterate over."""

    def __init__(self, x: Tracer) -> None:
        self._x = x

    def _numbers(self, key: Any) -> Any:
        return np.arange(self._x.aval.size)[key]

    def __getitem__(self, key: Any) -> Any:
        numbers, shape = self._numbers(key), self._x.aval.shape
        if not shape:
            return getitem(reshape(self._x, shape=(1,)), numbers)
        return getitem(self._x, np.unravel_index(numbers, shape))

    def __setitem__(self, key: Any, v: Any) -> None:
        numbers, shape = self._numbers(key), self._x.aval.shape
        if shape:
            setitem(self._x, np.unravel_index(numbers, shape), v)
        elif numbers.size:  # the last value stays
            v = as_operand(v)
            size = type_of(v).size
            if type_of(v).ndim:
                v = reshape(v, shape=(size,))[(numbers.size - 1) % size]
            setitem(self._x, (), v)

    def __len__(self) -> int:
        return self._x.aval.size

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))
