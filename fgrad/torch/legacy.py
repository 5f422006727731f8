"""Names of older scripts: ``torch.FloatTensor(2, 3)``, ``torch.LongTensor([1, 2])``."""

from __future__ import annotations

from typing import Any

from fgrad.torch import dtypes
from fgrad.torch.creation import tensor, zeros
from fgrad.torch.devices import DEFAULT
from fgrad.torch.registry import FUNCTIONS, function
from fgrad.torch.tensor import Tensor, make

NAMES = {
    "FloatTensor": dtypes.float32,
    "DoubleTensor": dtypes.float64,
    "HalfTensor": dtypes.float16,
    "LongTensor": dtypes.int64,
    "IntTensor": dtypes.int32,
    "ShortTensor": dtypes.int16,
    "CharTensor": dtypes.int8,
    "ByteTensor": dtypes.uint8,
    "BoolTensor": dtypes.bool_,
}


class _TensorType(type):
    """``isinstance(x, torch.FloatTensor)`` asks for the dtype."""

    wanted: dtypes.dtype

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, Tensor) and x.dtype is cls.wanted

    def __call__(cls, *data: Any) -> Tensor:
        if len(data) == 1 and not isinstance(data[0], int):
            given = data[0]
            if isinstance(given, Tensor):
                return make(given._array)
            return tensor(given, dtype=cls.wanted)
        return zeros(*(data or (0,)), dtype=cls.wanted)


_DOC = """Tensors of ``{}``: of a size, or of data; also for ``isinstance``.

    >>> isinstance(torch.{}([1, 0]), torch.{})
    True
    """


def _tensor_type(name: str, wanted: dtypes.dtype) -> _TensorType:
    fields = {"wanted": wanted, "__doc__": _DOC.format(wanted, name, name)}
    return _TensorType(name, (), {"__module__": "torch", **fields})


for _name, _dtype in NAMES.items():
    FUNCTIONS[_name] = _tensor_type(_name, _dtype)


@function("set_default_tensor_type")
def set_default_tensor_type(t: Any) -> None:
    """Change the default dtype to that of a legacy type such as ``DoubleTensor``.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     torch.set_default_tensor_type(torch.FloatTensor)
    >>> torch.get_default_dtype()
    torch.float32
    """
    name = t if isinstance(t, str) else t.__name__
    dtypes.set_default_dtype(NAMES[name.removeprefix("torch.")])


@function("get_default_device")
def get_default_device() -> Any:
    """Where this thread makes new tensors.

    >>> torch.get_default_device()
    device(type='cpu')
    """
    return DEFAULT.where
