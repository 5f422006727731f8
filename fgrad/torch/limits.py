"""What scripts ask about types and layouts: ``finfo``, ``iinfo``, ``can_cast``."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.creation import as_tensor, finish
from fgrad.torch.devices import CPU, DEFAULT, found
from fgrad.torch.dtypes import as_dtype, dtype, get_default_dtype
from fgrad.torch.random import default_generator
from fgrad.torch.registry import FUNCTIONS, METHODS, function, operation
from fgrad.torch.size import Size
from fgrad.torch.tensor import Tensor


@function("finfo")
class finfo:
    """The limits of a floating-point dtype; of a complex one those of its parts.

    >>> torch.finfo(torch.float32).eps
    1.1920928955078125e-07
    """

    __module__ = "torch"

    def __init__(self, type: dtype | None = None) -> None:
        given = get_default_dtype() if type is None else type
        if given.category < 2:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to"
                " handle 'torch.finfo'"
            )
        limits = np.finfo(given.to_real().numpy)
        self.bits = limits.bits
        self.dtype = given.to_real().name
        self.eps, self.max = float(limits.eps), float(limits.max)
        self.min, self.tiny = float(limits.min), float(limits.tiny)
        self.smallest_normal = self.tiny
        self.resolution = 10.0**-limits.precision

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        shown = [f"{name}={getattr(self, name):g}" for name in names]
        return f"finfo({', '.join(shown)}, dtype={self.dtype})"


@function("iinfo")
class iinfo:
    """The limits of an integer dtype.

    >>> torch.iinfo(torch.int8).max
    127
    """

    __module__ = "torch"

    def __init__(self, type: dtype) -> None:
        if type.category > 1:
            raise TypeError(
                "torch.iinfo() requires an integer input type. Use torch.finfo to "
                "handle 'torch.iinfo'"
            )
        if type is dtypes.bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        limits = np.iinfo(type.numpy)
        self.bits, self.dtype = limits.bits, type.name
        self.min, self.max = int(limits.min), int(limits.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


@function("can_cast")
def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether a result may be written into a dtype: not into a lower category.

    >>> torch.can_cast(torch.float64, torch.int32)
    False
    """
    if to is dtypes.bool_:
        return from_ is dtypes.bool_
    return from_.category <= to.category


@function("broadcast_shapes")
def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of given shapes broadcast to.

    Raises:
        RuntimeError: they do not.

    >>> torch.broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    known: list[int] = []
    for number, shape in enumerate(shapes):
        given = [shape] if isinstance(shape, int) else list(shape)
        for k in range(-1, -len(given) - 1, -1):
            if -k > len(known):
                known.insert(0, given[k])
            elif known[k] == 1:
                known[k] = given[k]
            elif given[k] not in (1, known[k]):
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {given[k]} at {k}! "
                    f"Mismatching argument at index {number} had {tuple(given)}; but "
                    f"expected shape should be broadcastable to {known}"
                )
    return Size(known)


class _Named:
    """A constant that prints as its name, such as ``torch.strided``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


class layout(_Named):
    """How a tensor lies in memory: ``torch.strided``, for ``isinstance``.

    >>> isinstance(torch.strided, torch.layout)
    True
    """

    __module__ = "torch"


class memory_format(_Named):
    """The order of axes in memory, such as ``torch.contiguous_format``.

    >>> isinstance(torch.channels_last, torch.memory_format)
    True
    """

    __module__ = "torch"


strided = layout("strided")
for _name in ("contiguous_format", "preserve_format", "channels_last"):
    FUNCTIONS[_name] = memory_format(_name)
FUNCTIONS["channels_last_3d"] = memory_format("channels_last_3d")
FUNCTIONS["legacy_contiguous_format"] = FUNCTIONS["contiguous_format"]
FUNCTIONS["strided"] = strided
FUNCTIONS["layout"], FUNCTIONS["memory_format"] = layout, memory_format
FUNCTIONS["default_generator"] = default_generator
METHODS["layout"] = property(lambda self: strided)
METHODS["output_nr"] = property(
    lambda self: 0 if self._node is None else self._node.outs.index(self._number)
)


def _lives_on(kind: str, tensor: Tensor) -> bool:
    return tensor._device.type == kind


for _name in ("meta", "mps", "quantized", "xpu", "nested", "mkldnn"):
    METHODS[f"is_{_name}"] = property(lambda self: False)
for _name in ("cpu", "cuda", "xla"):
    METHODS[f"is_{_name}"] = property(partial(_lives_on, _name))


@operation("get_device")
def get_device(input: Tensor) -> int:
    """The number of the device that holds a tensor; -1 for the CPU.

    >>> torch.get_device(torch.ones(1))
    -1
    """
    index = input._device.index
    return -1 if index is None else index


@function("asarray")
def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of data, sharing memory where that is possible and ``copy`` is not set.

    Raises:
        ValueError: ``copy=False``, and a copy is needed.

    >>> array = np.zeros(2)
    >>> torch.asarray(array)[0] = 1.0
    >>> array
    array([1., 0.])
    """
    found = as_tensor(obj, dtype, device)
    shares = isinstance(obj, Tensor) and obj is found
    if isinstance(obj, np.ndarray):
        shares = np.may_share_memory(obj, found._array)
    if copy is False and not shares:
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    if copy and shares:
        found = found.clone()
    return found.requires_grad_() if requires_grad else found


@function("frombuffer")
def frombuffer(
    buffer: Any,
    *,
    dtype: Any,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor that shares the memory of a buffer such as a ``bytearray``.

    Args:
        buffer: the bytes.
        dtype: how they are read.
        count: how many elements; all by default.
        offset: how many bytes are left out first.
        requires_grad: whether operations on it are recorded.

    >>> torch.frombuffer(bytearray([1, 2, 3]), dtype=torch.uint8)
    tensor([1, 2, 3], dtype=torch.uint8)
    """
    array = np.frombuffer(buffer, as_dtype(dtype).numpy, count, offset)
    return finish(array, requires_grad)


def _accepted(name: str, given: str, result: Any, doc: str) -> None:
    """A function that always returns the same; its docstring shows a call."""

    def accept(*args: Any, **kwargs: Any) -> Any:
        return result

    shown = "" if result is None else f"    {result!r}\n"
    accept.__name__ = name
    accept.__doc__ = f"{doc}\n\n    >>> torch.{name}({given})\n{shown}    "
    FUNCTIONS[name] = accept


_NO_EFFECT = "Accepted, without effect: there is one way of computing."
_accepted("set_float32_matmul_precision", "'high'", None, _NO_EFFECT)
_accepted("set_num_interop_threads", "1", None, _NO_EFFECT)
_accepted("set_flush_denormal", "True", None, _NO_EFFECT)
_accepted(
    "set_warn_always", "True", None, "Accepted, without effect: warnings are Python's."
)
_accepted("get_float32_matmul_precision", "", "highest", "How matrices are multiplied.")
_accepted("get_num_interop_threads", "", 1, "How many threads PyTorch would use: one.")
_accepted("are_deterministic_algorithms_enabled", "", True, "All algorithms are.")
for _name in ("has_lapack", "has_mkl", "has_openmp", "has_spectral"):
    FUNCTIONS[_name] = True


@function("set_default_device")
def set_default_device(device: Any) -> None:
    """Set where this thread makes new tensors; None is the CPU.

    Raises:
        RuntimeError: the device is not there.

    >>> torch.set_default_device("cpu")
    """
    DEFAULT.where = CPU if device is None else found(device)
