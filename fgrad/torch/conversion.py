"""Tensors as Python numbers, lists and NumPy arrays; conversion between dtypes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fgrad.lower.quiet import quietly
from fgrad.torch import dtypes
from fgrad.torch.cuts import cut_off, entering, leaving
from fgrad.torch.devices import CPU
from fgrad.torch.dtypes import as_dtype, dtype
from fgrad.torch.known import is_traced
from fgrad.torch.layouts import in_format
from fgrad.torch.modes import STATE
from fgrad.torch.recording import apply
from fgrad.torch.registry import METHODS, function, method, operation
from fgrad.torch.runs import end_learning
from fgrad.torch.size import axis_of
from fgrad.torch.storage import exposed, take_over
from fgrad.torch.tensor import Array, Tensor, make

CANNOT_NUMPY = (
    "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
    "instead."
)
CONVERTS = (
    "Converting a tensor with requires_grad=True to a scalar may lead to unexpected "
    "behavior.\nConsider using tensor.detach() first."
)


@method("item")
def item(self: Tensor) -> Any:
    """The one element as a Python number.

    Raises:
        RuntimeError: there is not exactly one element.

    >>> torch.tensor([2.5]).item()
    2.5
    """
    if self._aval.size != 1:
        raise RuntimeError(
            f"a Tensor with {self._aval.size} elements cannot be converted to Scalar"
        )
    end_learning()
    return leaving(self._array.item(), "item()", self)


@method("tolist")
def tolist(self: Tensor) -> Any:
    """The elements as nested lists of Python numbers.

    >>> torch.tensor([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    end_learning()
    return leaving(self._array.tolist(), "tolist()", self)


@method("numpy")
def numpy(self: Tensor) -> Array:
    """The array that holds the elements; changes of either are seen by both.

    Raises:
        TypeError: the tensor does not live on the CPU.
        RuntimeError: the tensor requires a gradient, which would be lost, outside
            ``no_grad``.

    >>> x = torch.zeros(2)
    >>> x.numpy()[0] = 1
    >>> x
    tensor([1., 0.])
    """
    if self._device is not CPU:
        raise TypeError(
            f"can't convert {self._device} device type tensor to numpy. Use "
            "Tensor.cpu() to copy the tensor to host memory first."
        )
    if self._requires and STATE.enabled:
        raise RuntimeError(CANNOT_NUMPY)
    end_learning()
    if is_traced(self._array):
        return self._array
    return leaving(exposed(self), "numpy()", self)  # type: ignore[no-any-return]


@function("from_numpy")
def from_numpy(ndarray: Any) -> Tensor:
    """A tensor that shares the memory of an array.

    Raises:
        TypeError: it is no array, or of a dtype that tensors do not have.

    >>> torch.from_numpy(np.array([1, 2]))
    tensor([1, 2])
    """
    if not isinstance(ndarray, np.ndarray) and not is_traced(ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    dtypes.of_numpy(ndarray.dtype)
    return take_over(entering(make(ndarray), ndarray))


@method("__array__")
def _array(self: Tensor, numpy_dtype: Any = None, copy: bool | None = None) -> Any:
    return np.array(numpy(self), numpy_dtype, copy=copy)


@method("__array_wrap__")
def _array_wrap(
    self: Tensor, array: Any, context: Any = None, return_scalar: bool = False
) -> Tensor:
    return make(array)


DISCARDS = "Casting complex values to real discards the imaginary part"


@method("__complex__")
def _complex(self: Tensor) -> complex:
    return complex(_number(self))


def _number(self: Tensor) -> Any:
    """The one element, for Python's conversions."""
    if self._aval.size != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    end_learning()
    return leaving(self._array.item(), "item()", self)


@method("__float__")
def _float(self: Tensor) -> float:
    if self._requires:
        warnings.warn(CONVERTS, UserWarning, stacklevel=2)
    _refuse_complex(self, "double")
    return leaving(float(_number(self)), "float()", self)  # type: ignore[no-any-return]


@method("__int__")
def _int(self: Tensor) -> int:
    _refuse_complex(self, "int64_t")
    return int(_number(self))


def _refuse_complex(self: Tensor, name: str) -> None:
    if self._aval.dtype.kind == "c" and self._aval.size == 1 and self._array.imag.any():
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")


@method("__index__")
def _index(self: Tensor) -> int:
    if self._aval.size != 1 or self._aval.dtype.kind in "fc":
        raise TypeError(
            "only integer tensors of a single element can be converted to an index"
        )
    return int(self._array.item())


@method("__bool__")
def _bool(self: Tensor) -> bool:
    if self._aval.size == 1:
        end_learning()
        return bool(self._array.item())
    found = "no values" if not self._aval.size else "more than one value"
    raise RuntimeError(f"Boolean value of Tensor with {found} is ambiguous")


@method("__len__")
def _len(self: Tensor) -> int:
    if not self._aval.ndim:
        raise TypeError("len() of a 0-d tensor")
    return self._aval.shape[0]


@method("__format__")
def _format(self: Tensor, spec: str) -> str:
    """A tensor without axes formats as its number."""
    return (
        object.__format__(self, spec) if self._aval.ndim else format(item(self), spec)
    )


@method("size")
def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the length of one axis.

    >>> torch.ones(2, 3).size(), torch.ones(2, 3).size(1)
    (torch.Size([2, 3]), 3)
    """
    return self.shape if dim is None else self.shape[axis_of(dim, self._aval.ndim)]


@method("dim", "ndimension")
def dim(self: Tensor) -> int:
    """The number of axes.

    >>> torch.ones(2, 3).dim()
    2
    """
    return self._aval.ndim


@operation("numel")
@method("nelement")
def numel(input: Tensor) -> int:
    """The number of elements.

    >>> torch.numel(torch.ones(2, 3))
    6
    """
    return input._aval.size


@method("element_size")
def element_size(self: Tensor) -> int:
    """Bytes of one element.

    >>> torch.tensor([1.0]).element_size()
    4
    """
    return self._array.itemsize


@function("is_tensor")
def is_tensor(obj: Any) -> bool:
    """Whether an object is a tensor.

    >>> torch.is_tensor(torch.ones(1)), torch.is_tensor([1.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


@operation("is_floating_point")
def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floating-point numbers.

    >>> torch.is_floating_point(torch.ones(1)), torch.is_floating_point(torch.tensor(1))
    (True, False)
    """
    return input.dtype.is_floating_point


def convert(input: Tensor, target: dtype) -> Tensor:
    """A tensor converted to a dtype; itself where it has it."""
    if input._aval.dtype == target.numpy:
        return input
    wanted = target.numpy
    if input._aval.dtype.kind == "c" and not target.is_complex:
        return _real_part(input, target)
    if target.category < 2:
        result = make(quietly(input._array.astype, wanted))
        return cut_off(result, f"the conversion to {target}", input)
    return apply("ToCopyBackward0", lambda x: x.astype(wanted), input)  # type: ignore[no-any-return]


def _real_part(input: Tensor, target: dtype) -> Tensor:
    """A complex tensor as real numbers."""
    if target is dtypes.bool_:
        return make(input._array != 0)
    warnings.warn(DISCARDS, UserWarning, stacklevel=3)
    wanted = target.numpy
    if target.category < 2:
        return make(input._array.real.astype(wanted))
    return apply("ToCopyBackward0", lambda x: x.real.astype(wanted), input)  # type: ignore[no-any-return]


@method("type")
def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The legacy name of the type, such as ``torch.FloatTensor``; or as `to`.

    >>> torch.ones(1).type(), torch.ones(1).type(torch.int64)
    ('torch.FloatTensor', tensor([1]))
    """
    if isinstance(dtype, str | type):
        name = dtype if isinstance(dtype, str) else dtype.__name__
        kinds: Any = {f"{each.kind}Tensor": each for each in dtypes.ALL}
        return convert(self, kinds.get(name.removeprefix("torch."), dtype))
    if dtype is not None:
        return convert(self, as_dtype(dtype))
    return f"torch.{self.dtype.kind}Tensor"


@method("type_as")
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """Converted to the dtype of another tensor.

    >>> torch.tensor([1, 2]).type_as(torch.ones(1))
    tensor([1., 2.])
    """
    return convert(self, other.dtype)


_CASTS = {
    "bool": dtypes.bool_,
    "byte": dtypes.uint8,
    "char": dtypes.int8,
    "short": dtypes.int16,
    "int": dtypes.int32,
    "long": dtypes.int64,
    "half": dtypes.float16,
    "float": dtypes.float32,
    "double": dtypes.float64,
    "cfloat": dtypes.complex64,
    "cdouble": dtypes.complex128,
}


def _cast(name: str, target: dtype) -> None:
    def cast(self: Tensor, memory_format: Any = None) -> Tensor:
        return in_format(convert(self, target), memory_format)

    cast.__name__ = name
    cast.__doc__ = f"""Converted to ``{target}``; the tensor itself where it has it.

    >>> torch.tensor([0, 1]).{name}().dtype
    {target}
    """
    METHODS[name] = cast


for _name, _target in _CASTS.items():
    _cast(_name, _target)
