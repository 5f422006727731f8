"""New tensors like others: of their shape, dtype and order of axes in memory."""

from __future__ import annotations

from typing import Any

import fgrad.numpy as fnp
from fgrad.torch.creation import filled, finish, plain
from fgrad.torch.dtypes import as_dtype
from fgrad.torch.in_order import reordered
from fgrad.torch.known import is_traced
from fgrad.torch.pending import order_of_axes
from fgrad.torch.random import draw, randint
from fgrad.torch.registry import FUNCTIONS, function
from fgrad.torch.tensor import Tensor, require_tensor


def _like(name: str, input: Any, dtype: Any) -> tuple[Tensor, Any]:
    x = require_tensor(name, input)
    return x, x._aval.dtype if dtype is None else as_dtype(dtype).numpy


def as_laid_out(x: Tensor, array: Any, memory_format: Any) -> Any:
    """An array with its axes in memory as those of a tensor, or in C order."""
    order = order_of_axes(x)
    if order is None or memory_format is FUNCTIONS["contiguous_format"]:
        return array
    return array if is_traced(array) else reordered(array, order)


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
    """Ones in the shape and dtype of another tensor.

    >>> torch.ones_like(torch.tensor([5, 6]))
    tensor([1, 1])
    """
    x, wanted = _like("ones_like", input, dtype)
    array = as_laid_out(x, fnp.ones(x._aval.shape, wanted), memory_format)
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
    """Zeros in the shape and dtype of another tensor.

    >>> torch.zeros_like(torch.tensor([5.0, 6.0]))
    tensor([0., 0.])
    """
    x, wanted = _like("zeros_like", input, dtype)
    array = as_laid_out(x, fnp.zeros(x._aval.shape, wanted), memory_format)
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
    """A tensor to be filled, in the shape and dtype of another; zeros.

    >>> torch.empty_like(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """
    x, wanted = _like("empty_like", input, dtype)
    array = as_laid_out(x, fnp.zeros(x._aval.shape, wanted), memory_format)
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
    """One value in the shape and dtype of another tensor.

    >>> torch.full_like(torch.ones(2), 7)
    tensor([7., 7.])
    """
    x, wanted = _like("full_like", input, dtype)
    array = filled(x._aval.shape, plain(fill_value), wanted)
    return finish(as_laid_out(x, array, memory_format), requires_grad, device)


@function("rand_like")
def rand_like(
    input: Tensor,
    *,
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
    x = require_tensor("rand_like", input)
    wanted = x.dtype if dtype is None else as_dtype(dtype)
    array = as_laid_out(x, draw("rand", x.shape, wanted, None), memory_format)
    return finish(array, requires_grad, device)


@function("randn_like")
def randn_like(
    input: Tensor,
    *,
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
    x = require_tensor("randn_like", input)
    wanted = x.dtype if dtype is None else as_dtype(dtype)
    array = as_laid_out(x, draw("randn", x.shape, wanted, None), memory_format)
    return finish(array, requires_grad, device)


@function("randint_like")
def randint_like(
    input: Tensor, *bounds: int, dtype: Any = None, **named: Any
) -> Tensor:
    """As `randint`, in the shape and dtype of another tensor.

    >>> torch.randint_like(torch.zeros(2), 5, 6)
    tensor([5., 5.])
    """
    x = require_tensor("randint_like", input)
    wanted = x.dtype if dtype is None else dtype
    return randint(*bounds, size=tuple(x.shape), dtype=wanted, **named)
