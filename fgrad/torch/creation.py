"""New tensors from data, from shapes and from chance."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

import fgrad.numpy as fnp
from fgrad.lower.quiet import quietly
from fgrad.torch import dtypes
from fgrad.torch.cuts import cut_off, entering
from fgrad.torch.devices import CPU, DEFAULT, DEVICES, found
from fgrad.torch.dtypes import as_dtype, get_default_dtype, of_number
from fgrad.torch.known import is_traced
from fgrad.torch.registry import function
from fgrad.torch.size import size_arguments
from fgrad.torch.storage import take_over
from fgrad.torch.tensor import (
    Tensor,
    make,
    new_storage,
    set_array,
)
from fgrad.trace import active_trace

COPY_CONSTRUCT = (
    "To copy construct from a tensor, it is recommended to use "
    "sourceTensor.detach().clone() or "
    "sourceTensor.detach().clone().requires_grad_(True), rather than "
    "torch.tensor(sourceTensor)."
)

NUMBERS, SEQUENCES = {bool, int, float}, {list, tuple}


def finish(array: Any, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A new leaf, on a device.

    Raises:
        RuntimeError: integers are to require gradients.
    """
    result = make(array, new_storage() if requires_grad else None)
    if device is not None or (DEVICES.is_on and DEFAULT.where is not CPU):
        result._device = found(device)
    if requires_grad:
        if result._array.dtype.kind not in "fc":
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        result._requires = True
    return result


def _check_ragged(data: Any, depth: int = 0) -> None:
    """PyTorch's error for sequences of different lengths in one axis."""
    if not isinstance(data, Sequence):
        return
    nested = [element for element in data if isinstance(element, Sequence)]
    if nested and len(nested) < len(data):
        raise TypeError(
            "not a sequence" if data[0] is nested[0] else _no_number(nested)
        )
    for element in nested:
        if len(element) != len(nested[0]):
            raise ValueError(
                f"expected sequence of length {len(nested[0])} at dim {depth + 1} (got "
                f"{len(element)})"
            )
        _check_ragged(element, depth + 1)


def _no_number(nested: list[Any]) -> str:
    return f"'{type(nested[0]).__name__}' object cannot be interpreted as an integer"


def plain(data: Any) -> Any:
    """Nested sequences with tensors in them replaced by Python numbers."""
    if isinstance(data, Tensor):
        if data._aval.size != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars"
            )
        return data._array.item()
    if isinstance(data, list | tuple):
        return [plain(element) for element in data]
    return data


def _has_numpy(data: Any) -> bool:
    if isinstance(data, list | tuple):
        return any(map(_has_numpy, data))
    return isinstance(data, np.generic | np.ndarray)


def _is_regular(data: Any) -> bool:
    """Whether data are Python numbers, in nested sequences of equal lengths."""
    while type(data) in SEQUENCES:
        kinds = set(map(type, data))
        if kinds <= NUMBERS:
            return True
        if not kinds <= SEQUENCES or len(set(map(len, data))) > 1:
            return False
        data = list(itertools.chain.from_iterable(data))
    return type(data) in NUMBERS


def to_array(data: Any, dtype: Any) -> Any:
    wanted = None if dtype is None else as_dtype(dtype).numpy
    if is_traced(data):  # inside a transform of fgrad
        dtypes.of_numpy(data.dtype)
        return data.copy() if wanted is None else data.astype(wanted)
    if isinstance(data, np.ndarray | np.generic):
        array = np.array(data, wanted)
        dtypes.of_numpy(array.dtype)
        return array
    is_regular = _is_regular(data)
    if not is_regular:
        data = plain(data)
        if isinstance(data, str):
            raise TypeError("new(): invalid data type 'str'")
        _check_ragged(data)
    if isinstance(data, int) and not -(2**63) <= data < 2**63:
        raise ValueError("Overflow when unpacking long long")
    array = np.array(data)
    if array.dtype.kind not in "biufc":
        found = data
        while isinstance(found, Sequence) and found:
            found = found[0]
        raise RuntimeError(f"Could not infer dtype of {type(found).__name__}")
    if array.dtype.kind == "c" and wanted is not None and wanted.kind != "c":
        raise TypeError("must be real number, not complex")
    is_float = wanted is None and array.dtype.kind in "fc"
    if is_float and (is_regular or not _has_numpy(data)):
        wanted = of_number(array.dtype.type(0).item()).numpy
    return array if wanted is None else quietly(array.astype, wanted)


@function("tensor")
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with a copy of the data: numbers, nested sequences, arrays.

    Integers become int64, other numbers the default dtype; arrays keep theirs.

    >>> torch.tensor([[1, 2], [3, 4]]), torch.tensor(0.5).dtype
    (tensor([[1, 2],
            [3, 4]]), torch.float32)
    """
    if isinstance(data, Tensor):
        warnings.warn(COPY_CONSTRUCT, UserWarning, stacklevel=2)
        made = finish(to_array(data._array, dtype), requires_grad, device)
        return cut_off(made, "torch.tensor()", data)
    return entering(finish(to_array(data, dtype), requires_grad, device), data)


@function("as_tensor")
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of the data, sharing memory where that is possible.

    >>> array = np.zeros(2)
    >>> torch.as_tensor(array)[0] = 1.0
    >>> array
    array([1., 0.])
    """
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)  # type: ignore[no-any-return]
    if isinstance(data, np.ndarray) or is_traced(data):
        wanted = data.dtype if dtype is None else as_dtype(dtype).numpy
        dtypes.of_numpy(wanted)
        made = finish(data.astype(wanted, copy=False), False, device)
        if made._device is CPU:
            take_over(made)
        else:
            set_array(made, made._array.copy())
        return entering(made, data)
    return entering(finish(to_array(data, dtype), False, device), data)


def dtype_or_default(dtype: Any) -> Any:
    return (get_default_dtype() if dtype is None else as_dtype(dtype)).numpy


def _ones(shape: tuple[int, ...], dtype: Any) -> Any:
    wanted = dtype_or_default(dtype)
    if active_trace() is not None:  # a buffer of the transform
        return fnp.ones(shape, wanted)
    array = np.empty(shape, wanted)
    array.fill(1)  # in a third of the time of np.ones
    return array


@function("ones")
def ones(
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **kw: Any,
) -> Tensor:
    """Ones of a shape, given as numbers or as one sequence.

    >>> torch.ones(2, 3)
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    shape = size_arguments("ones", size, kw.get("size"))
    return finish(_ones(shape, dtype), requires_grad, device)


@function("zeros")
def zeros(
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **kw: Any,
) -> Tensor:
    """Zeros of a shape, given as numbers or as one sequence.

    >>> torch.zeros(2, 3, dtype=torch.int64)
    tensor([[0, 0, 0],
            [0, 0, 0]])
    """
    shape = size_arguments("zeros", size, kw.get("size"))
    return finish(fnp.zeros(shape, dtype_or_default(dtype)), requires_grad, device)


@function("empty")
def empty(
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **kw: Any,
) -> Tensor:
    """A tensor to be filled; the elements are zeros.

    >>> torch.empty(2, 3).shape
    torch.Size([2, 3])
    """
    shape = size_arguments("empty", size, kw.get("size"))
    return finish(fnp.zeros(shape, dtype_or_default(dtype)), requires_grad, device)


@function("full")
def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value in a shape; its type decides on the dtype.

    >>> torch.full((2, 2), 7)
    tensor([[7, 7],
            [7, 7]])
    """
    if not isinstance(size, Sequence):
        raise TypeError(
            "full(): argument 'size' (position 1) must be tuple of ints, not "
            f"{type(size).__name__}"
        )
    value = plain(fill_value)
    wanted = of_number(value) if dtype is None else as_dtype(dtype)
    shape = size_arguments("full", (size,))
    return finish(filled(shape, value, wanted.numpy), requires_grad, device)


def filled(shape: Any, value: Any, wanted: Any) -> Any:
    if type(value) is complex and wanted.kind != "c":
        name = dtypes.of_numpy(wanted).cpp
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")
    return fnp.full(shape, np.asarray(value).astype(wanted)[()], wanted)


@function("eye")
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The identity matrix, with m columns if given.

    >>> torch.eye(2, 3)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    return finish(np.eye(n, m, dtype=dtype_or_default(dtype)), requires_grad, device)


@function("scalar_tensor")
def scalar_tensor(
    s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor without axes of a number, in the default dtype.

    >>> torch.scalar_tensor(3)
    tensor(3.)
    """
    return finish(np.array(s, dtype_or_default(dtype)), requires_grad, device)
