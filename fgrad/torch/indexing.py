"""Reading and writing parts of tensors, by PyTorch's rules.

As PyTorch does, numbers, slices, None and ``...`` are applied first, as a view; index
tensors and masks then, in one gather. (NumPy takes numbers along with index arrays,
which gives other shapes for ``x[0, :, [0, 1]]``.)
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np

from fgrad.lower.quiet import quietly
from fgrad.torch.conversion import convert
from fgrad.torch.duplicates import repeats, write_at
from fgrad.torch.fitting import check_expands, check_values, without_ones
from fgrad.torch.history import (
    SHARED,
    check_changeable,
    is_shared,
    records,
    write,
)
from fgrad.torch.known import entered, examined, is_traced
from fgrad.torch.modes import STATE
from fgrad.torch.recording import apply
from fgrad.torch.registry import method
from fgrad.torch.tensor import Tensor, make

FULL = slice(None)
NOT_AN_INDEX = (
    "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables "
    "are valid indices (got {})"
)
NO_AXES = (
    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
    "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
)
NO_BOUND = "slice indices must be integers or None or have an __index__ method"
NO_SLICE = "slice() cannot be applied to a 0-dim tensor."
SEQUENCE = (
    "Using a non-tuple sequence for multidimensional indexing is deprecated and will "
    "be changed in pytorch 2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 "
    "this will be interpreted as tensor index, x[torch.tensor(seq)], which will result "
    "either in an error or a different result"
)
BYTES = (
    "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool "
    "instead."
)
EXPANDED = (
    "Use of {} on expanded tensors is deprecated. Please clone() the tensor before "
    "performing this operation. This also applies to advanced indexing e.g. tensor[{}"
)

Basic = tuple[Any, ...]


class Index:
    """An index in two steps: a basic one, and arrays for some axes of its result.

    Attributes:
        basic: numbers, slices, None and at most one ellipsis.
        arrays: for each axis of the basic result an index array or a full slice; empty
            where there are no arrays.
        has_mask: there are masks among these.
        node: PyTorch's name of the last basic step.
    """

    def __init__(self, shape: tuple[int, ...], key: Any) -> None:
        self._shape = shape
        components = _components(key)
        consumed = sum(map(_consumed, components))
        if not shape and isinstance(key, int | slice):
            raise IndexError(NO_AXES if isinstance(key, int) else NO_SLICE)
        if consumed > len(shape):
            raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
        components = _with_one_ellipsis(components, len(shape) - consumed)
        self.basic: Basic = ()
        self.arrays: tuple[Any, ...] = ()
        self.has_mask = False
        self.node = "AliasBackward0"
        self._axis = 0
        basic: list[Any] = []
        arrays: list[Any] = []
        for component in components:
            self._add(component, basic, arrays, len(shape) - consumed)
        # the ellipsis makes NumPy give a view also where a number would do
        self.basic = tuple(basic if Ellipsis in basic else [*basic, Ellipsis])
        given = [array for array in arrays if array is not FULL]
        if given:
            self.arrays = tuple(arrays)
        if len(given) > 1:
            _refuse_numbers(given)
        if isinstance(key, slice):
            self.node = "SliceBackward0"

    def _add(
        self, component: Any, basic: list[Any], arrays: list[Any], rest: int
    ) -> None:
        """Add a component; ``rest`` is the number of axes that ``...`` stands for."""
        if component is None:
            basic.append(None)
            arrays.append(FULL)
            self.node = "UnsqueezeBackward0"
        elif component is Ellipsis:
            basic.append(component)
            arrays += [FULL] * rest
            self._axis += rest
        elif isinstance(component, slice):
            length = self._shape[self._axis]
            basic.append(component)
            arrays.append(FULL)
            self._axis += 1
            if component.indices(length) != (0, length, 1):
                self.node = "SliceBackward0"
        elif isinstance(component, bool):
            basic.append(None)
            arrays.append(np.zeros(int(component), np.intp))
        elif isinstance(component, int):
            basic.append(self._checked(component))
            self._axis += 1
            self.node = "SelectBackward0"
        else:
            self._add_array(component, basic, arrays)

    def _checked(self, number: int) -> int:
        length = self._shape[self._axis]
        if not -length <= number < length:
            raise IndexError(
                f"index {number} is out of bounds for dimension {self._axis} with size "
                f"{length}"
            )
        return number

    def _add_array(self, array: Any, basic: list[Any], arrays: list[Any]) -> None:
        if array.dtype != bool:
            length = self._shape[self._axis]
            seen = examined(array)
            for number in seen[(seen < -length) | (seen >= length)].flat:
                self._checked(int(number))
            basic.append(FULL)
            arrays.append(array)
            self._axis += 1
            return
        end = self._axis + array.ndim
        for axis, length in enumerate(array.shape):
            if self._shape[self._axis + axis] != length:
                raise IndexError(
                    f"The shape of the mask {list(array.shape)} at index {axis} does "
                    f"not match the shape of the indexed tensor {list(self._shape)} at "
                    f"index {self._axis + axis}"
                )
        basic += [FULL] * array.ndim
        arrays += array.nonzero()
        self.has_mask = True
        self._axis = end

    @property
    def is_trivial(self) -> bool:
        """Whether the basic step changes nothing."""
        return self.node == "AliasBackward0" and None not in self.basic

    @property
    def is_whole(self) -> bool:
        """Whether the basic step keeps all elements where they are."""
        if not all(x is Ellipsis or isinstance(x, slice) for x in self.basic):
            return False
        return np.broadcast_to(np.int8(0), self._shape)[self.basic].shape == self._shape

    def writer(self, value: Tensor) -> str:
        """PyTorch's name of the operation that writes there."""
        if not self.is_whole:
            return "CopySlices"
        if self.arrays:
            return "IndexPutBackward0"
        return "CopyBackwards" if value._aval.ndim else "FillBackward3"


def _refuse_numbers(arrays: list[Any]) -> None:
    """A traced number beside arrays: PyTorch takes it first, so it must be known."""
    for array in arrays:
        if not array.ndim:
            int(array)


def _consumed(component: Any) -> int:
    """How many axes a component takes."""
    if component is None or component is Ellipsis or isinstance(component, bool):
        return 0
    is_mask = isinstance(component, np.ndarray) and component.dtype == bool
    return component.ndim if is_mask else 1


def _components(key: Any) -> list[Any]:
    if _is_tuple_in_disguise(key):
        warnings.warn(SEQUENCE, UserWarning, stacklevel=4)
        key = tuple(key)
    return [_component(each) for each in (key if isinstance(key, tuple) else (key,))]


def _with_one_ellipsis(components: list[Any], rest: int) -> list[Any]:
    """The components without further ellipses, which PyTorch ignores at the end.

    Raises:
        IndexError: another component follows, where an ellipsis stands for axes.
    """
    places = [k for k, component in enumerate(components) if component is Ellipsis]
    if len(places) < 2:
        return components
    second = places[1]
    left = [component for component in components[second:] if component is not Ellipsis]
    if left and rest:
        raise IndexError(f"nothing is left to index with {left[0]} after two ellipses")
    return [*components[:second], *left]


def _is_tuple_in_disguise(key: Any) -> bool:
    """PyTorch takes short sequences that hold sequences, slices or None as tuples."""
    return (
        isinstance(key, list | str)
        and len(key) < 32
        and any(
            each is None or isinstance(each, list | tuple | slice | str | EllipsisType)
            for each in key
        )
    )


def _component(each: Any) -> Any:
    """A component as None, ``...``, a slice, a bool, an int or an index array.

    Raises:
        IndexError: it is none of these.
    """
    if each is None or each is Ellipsis or isinstance(each, bool):
        return each
    if isinstance(each, slice):
        return _slice(each)
    if isinstance(each, Tensor):
        return _index_array(each._array)
    if isinstance(each, np.ndarray | np.bool_):
        return _index_array(np.asarray(each))
    if isinstance(each, str):
        raise TypeError("new(): invalid data type 'str'")
    if isinstance(each, float | np.floating):
        raise IndexError(NOT_AN_INDEX.format(type(each).__name__))
    if isinstance(each, Sequence):
        return _index_array(np.array(each, dtype=None if len(each) else np.int64))
    try:
        return operator.index(each)
    except TypeError:
        raise IndexError(NOT_AN_INDEX.format(type(each).__name__)) from None


def _slice(given: slice) -> slice:
    bounds = (given.start, given.stop, given.step)
    if any(isinstance(x, float | str) for x in bounds):
        raise TypeError(NO_BOUND)
    start, stop, step = (None if x is None else operator.index(x) for x in bounds)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if step is not None and step < 0:
        raise ValueError("step must be greater than zero")
    return slice(start, stop, step)


def _index_array(array: Any) -> Any:
    if array.dtype == np.uint8:
        warnings.warn(BYTES, UserWarning, stacklevel=6)
        array = array.astype(bool)
    if array.dtype.kind not in "bi":
        raise IndexError(
            "tensors used as indices must be long, int, byte or bool tensors"
        )
    if array.ndim == 0 and (not is_traced(array) or array.dtype == bool):
        return bool(array) if array.dtype == bool else int(array)
    return array


@functools.lru_cache(4096)
def _at_number(shape: tuple[int, ...], key: int) -> Index:
    return Index(shape, key)


@method("__getitem__")
def getitem(self: Tensor, key: Any) -> Tensor:
    """``self[key]``: a view for numbers, slices and None, else a copy."""
    shape = self._aval.shape
    index = _at_number(shape, key) if type(key) is int else Index(shape, key)
    basic, arrays = index.basic, index.arrays
    result = self
    if not arrays or not index.is_trivial:
        result = apply(index.node, lambda x: x[basic], self, view=True)
    if arrays:
        result = apply("IndexBackward0", lambda x: entered(x, arrays)[arrays], result)
    return result


@method("__setitem__")
def setitem(self: Tensor, key: Any, value: Any) -> None:
    """``self[key] = value``"""
    index = Index(self._aval.shape, key)
    if not isinstance(value, Tensor | int | float | np.generic):
        raise TypeError(
            f"can't assign a {type(value).__name__} to a torch.{self.dtype.kind}Tensor"
        )
    source = value if isinstance(value, Tensor) else make(np.asarray(value))
    slot = _slot_shape(self._aval.shape, index)
    if index.arrays:
        check_changeable(self, value, as_view=not index.is_trivial)
        check_values(source, slot, without_ones(source._aval.shape, slot))
    else:
        check_expands(source, slot)
        check_changeable(self, value, as_view=not index.is_whole)
    put(self, index, source, index.writer(source))


def put(self: Tensor, index: Index, source: Tensor, node: str) -> None:
    """Write a tensor that fits into a slot; ``node`` is its name where recorded."""
    is_recorded = STATE.enabled and records(self, (source,))
    shares = is_shared(self._array) and is_shared(self._array[index.basic])
    if shares:
        _complain(index, source)
    if is_recorded:
        source = convert(source, self.dtype)
        shape = np.broadcast_to(np.int8(0), self._aval.shape)[index.basic].shape
        twice = repeats(index.arrays, shape, source) and not index.has_mask
        write(self, source, lambda x, v: _assign(x, index, v, twice), node, shares)
        return
    new = quietly(source._array.astype, self._aval.dtype)
    _assign(self._array, index, new)
    self._cut = source._cut or self._cut
    self._storage.changed()


def _slot_shape(shape: tuple[int, ...], index: Index) -> tuple[int, ...]:
    slot = np.broadcast_to(np.int8(0), shape)[index.basic]
    return slot[index.arrays].shape if index.arrays else slot.shape


def _complain(index: Index, value: Tensor) -> None:
    """Warn where elements that are written to share memory.

    Raises:
        RuntimeError: there are no index tensors, for which PyTorch only warns.
    """
    if not index.arrays:
        raise RuntimeError(SHARED)
    warnings.warn(EXPANDED.format("index_put_", "indices] = tensor"), stacklevel=4)
    if index.has_mask and value._aval.size == 1:
        warnings.warn(EXPANDED.format("masked_fill_", "mask] = scalar"), stacklevel=4)


def _assign(array: Any, index: Index, value: Any, has_repeats: bool = False) -> None:
    if not index.arrays:
        array[index.basic] = value
        return
    part = array if index.is_trivial else array[index.basic]
    write_at(part, index.arrays, value, has_repeats)
