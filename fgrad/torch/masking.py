"""Reading and writing where a mask is true: masked_*."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.conversion import convert
from fgrad.torch.fitting import check_shapes
from fgrad.torch.gathering import changeable
from fgrad.torch.recording import one
from fgrad.torch.registry import operation
from fgrad.torch.tensor import Array, Tensor, require_tensor


def _mask(message: str, mask: Any) -> Array:
    if not isinstance(mask, Tensor) or mask._aval.dtype not in (bool, np.uint8):
        found = mask.dtype.cpp if isinstance(mask, Tensor) else type(mask).__name__
        raise RuntimeError(message.format(found))
    return mask._array.astype(bool, copy=False)


@operation("masked_fill")
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy with a number where the mask is true.

    Raises:
        RuntimeError: the mask does not consist of booleans, or the value is not one
            number.

    >>> torch.masked_fill(torch.tensor([1, 2, 3]), torch.tensor([True, False, True]), 0)
    tensor([0, 2, 0])
    """
    x = require_tensor("masked_fill", input)
    chosen = _mask(
        "masked_fill_ only supports boolean masks, but got mask with dtype {}", mask
    )
    is_tensor = isinstance(value, Tensor)
    if is_tensor and value._aval.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor "
            f"with {value._aval.ndim} dimension(s)."
        )
    check_shapes(mask, x)
    filling = convert(value, x.dtype) if is_tensor else value
    wanted = x._aval.dtype

    def compute(u: Any, v: Any) -> Any:
        return np.where(chosen, v, u).astype(wanted, copy=False)

    return one(f"MaskedFillBackward{int(is_tensor)}", compute, x, filling)


@operation("masked_select")
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask is true, as a vector.

    >>> torch.masked_select(torch.tensor([1, 2, 3]), torch.tensor([True, False, True]))
    tensor([1, 3])
    """
    x = require_tensor("masked_select", input)
    chosen = _mask("masked_select: expected BoolTensor for mask", mask)
    shape = np.broadcast_shapes(x._aval.shape, chosen.shape)
    where = np.broadcast_to(chosen, shape).nonzero()
    node = "MaskedSelectBackward0"
    return one(node, lambda u: np.broadcast_to(u, shape)[where].reshape(-1), x)


@operation("masked_scatter")
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with consecutive elements of another tensor where the mask is true.

    >>> mask = torch.tensor([True, False, True])
    >>> torch.masked_scatter(torch.tensor([1, 2, 3]), mask, torch.tensor([70, 80]))
    tensor([70,  2, 80])
    """
    x = require_tensor("masked_scatter", input)
    chosen = _mask("masked_scatter_ only supports boolean masks, but got {}", mask)
    where = np.broadcast_to(chosen, x._aval.shape).nonzero()
    count = where[0].size if where else 1

    def compute(u: Any, v: Any) -> Any:
        changed = changeable(u)
        changed[where] = np.ravel(v)[:count]
        return changed

    return one("MaskedScatterBackward0", compute, x, source)
