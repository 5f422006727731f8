"""Tensors in the dtype of another one: `new_tensor` and its relatives."""

from __future__ import annotations

from typing import Any

from fgrad.torch.creation import empty, finish, full, ones, to_array, zeros
from fgrad.torch.registry import METHODS, method
from fgrad.torch.tensor import Tensor


def _new_dtype(self: Tensor, dtype: Any) -> Any:
    return self.dtype if dtype is None else dtype


@method("new_tensor")
def new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor with a copy of the data, in the dtype of this one.

    >>> torch.ones(1, dtype=torch.float64).new_tensor([1, 2])
    tensor([1., 2.], dtype=torch.float64)
    """
    data = data._array if isinstance(data, Tensor) else data
    array = to_array(data, _new_dtype(self, dtype))
    return finish(array, requires_grad, device)


@method("new_full")
def new_full(self: Tensor, size: Any, fill_value: Any, **named: Any) -> Tensor:
    """As `full`, in the dtype of this tensor.

    >>> torch.ones(1, dtype=torch.int64).new_full((2,), 7)
    tensor([7, 7])
    """
    return full(
        size, fill_value, dtype=_new_dtype(self, named.pop("dtype", None)), **named
    )


def _new(name: str, create: Any) -> None:
    def new(self: Tensor, *size: Any, **named: Any) -> Tensor:
        named["dtype"] = _new_dtype(self, named.get("dtype"))
        return create(*size, **named)  # type: ignore[no-any-return]

    new.__name__ = new.__qualname__ = f"new_{name}"
    new.__doc__ = f"""As `{name}`, in the dtype of this tensor.

    >>> torch.ones(1, dtype=torch.int64).new_{name}(2).dtype
    torch.int64
    """
    METHODS[new.__name__] = new


for _name, _create in (("zeros", zeros), ("ones", ones), ("empty", empty)):
    _new(_name, _create)


@method("new")
def new(self: Tensor, *data: Any) -> Tensor:
    """A legacy constructor, in the dtype of this tensor: of a size, or of data.

    >>> torch.ones(1).new([1, 2])
    tensor([1., 2.])
    """
    if len(data) == 1 and not isinstance(data[0], int):
        return new_tensor(self, data[0])
    return zeros(*(data or (0,)), dtype=self.dtype)
