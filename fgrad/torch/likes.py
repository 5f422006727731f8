"""Tensors in the shape, the dtype and the order in memory of another one."""

from __future__ import annotations

from typing import Any

import fgrad.numpy as fnp
from fgrad.torch.creation import filled, finish, plain
from fgrad.torch.dtypes import as_dtype
from fgrad.torch.in_order import ordered
from fgrad.torch.layouts import order_for
from fgrad.torch.random import Generator, drawn, randint
from fgrad.torch.registry import function
from fgrad.torch.tensor import Tensor, require_tensor


def _like(
    name: str, input: Any, dtype: Any, memory_format: Any
) -> tuple[Tensor, Any, Any]:
    """The tensor, the dtype that is wanted, and the order of the axes in memory."""
    x = require_tensor(name, input)
    wanted = x.dtype if dtype is None else as_dtype(dtype)
    return x, wanted, order_for(x, memory_format)


def _in_order(array: Any, order: Any) -> Any:
    """An array whose axes lie in memory in an order; None is C order."""
    return array if order is None else ordered(array, order)


@function("ones_like")
def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones in the shape, the dtype and the order in memory of another tensor.

    >>> torch.ones_like(torch.tensor([5, 6]))
    tensor([1, 1])
    """
    x, wanted, order = _like("ones_like", input, dtype, memory_format)
    array = _in_order(fnp.ones(x._aval.shape, wanted.numpy), order)
    return finish(array, requires_grad, device)


@function("zeros_like")
def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros in the shape, the dtype and the order in memory of another tensor.

    >>> torch.zeros_like(torch.tensor([5.0, 6.0]))
    tensor([0., 0.])
    """
    x, wanted, order = _like("zeros_like", input, dtype, memory_format)
    array = _in_order(fnp.zeros(x._aval.shape, wanted.numpy), order)
    return finish(array, requires_grad, device)


@function("empty_like")
def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor to be filled, as `zeros_like` gives it.

    >>> torch.empty_like(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """
    x, wanted, order = _like("empty_like", input, dtype, memory_format)
    array = _in_order(fnp.zeros(x._aval.shape, wanted.numpy), order)
    return finish(array, requires_grad, device)


@function("full_like")
def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """One value in the shape, the dtype and the order in memory of another tensor.

    >>> torch.full_like(torch.ones(2), 7)
    tensor([7., 7.])
    """
    x, wanted, order = _like("full_like", input, dtype, memory_format)
    array = filled(x._aval.shape, plain(fill_value), wanted.numpy)
    return finish(_in_order(array, order), requires_grad, device)


@function("rand_like")
def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """As `rand`, in the shape and dtype of another tensor.

    >>> torch.rand_like(torch.ones(2, 3, dtype=torch.float64)).dtype
    torch.float64
    """
    x, wanted, order = _like("rand_like", input, dtype, memory_format)
    array = drawn("rand", x.shape, wanted, generator)
    return finish(_in_order(array, order), requires_grad, device)


@function("randn_like")
def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """As `randn`, in the shape and dtype of another tensor.

    >>> torch.randn_like(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """
    x, wanted, order = _like("randn_like", input, dtype, memory_format)
    array = drawn("randn", x.shape, wanted, generator)
    return finish(_in_order(array, order), requires_grad, device)


@function("randint_like")
def randint_like(
    input: Tensor,
    *bounds: int,
    dtype: Any = None,
    memory_format: Any = None,
    **named: Any,
) -> Tensor:
    """As `randint`, in the shape and dtype of another tensor.

    >>> torch.randint_like(torch.zeros(2), 5, 6)
    tensor([5., 5.])
    """
    x, wanted, order = _like("randint_like", input, dtype, memory_format)
    found = randint(*bounds, size=tuple(x.shape), dtype=wanted, **named)
    return found if order is None else finish(ordered(found._array, order), False, None)
