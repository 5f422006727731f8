"""Tensors whose values are not computed yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrad.torch.in_order import order_of
from fgrad.torch.known import is_traced
from fgrad.torch.tensor import Tensor

if TYPE_CHECKING:
    from fgrad.torch.runs import Run
    from fgrad.torch.steps import Step

_new = Tensor.__new__


def pending_tensor(run: Run, number: int, step: Step) -> Tensor:
    """The only result of a step: other attributes appear when they are asked for."""
    tensor = _new(Tensor)
    tensor._place = (run, number, step)
    tensor._aval = step.aval
    tensor._requires = step.is_required
    tensor._pending = True
    return tensor


def part_of(run: Run, step: Step, number: int) -> Tensor:
    """One of several results of a step."""
    tensor = pending_tensor(run, number, step)
    tensor._aval = step.avals[number - step.first]
    tensor._requires = step.requires[number - step.first]
    return tensor


def order_of_axes(tensor: Tensor) -> tuple[int, ...] | None:
    """The order of the axes in memory; None for C order."""
    if tensor._pending:
        _, number, step = tensor._place
        return step.orders[number - step.first]  # type: ignore[no-any-return]
    return None if is_traced(tensor._array) else order_of(tensor._array)


def lies_in_order(tensor: Tensor) -> bool:
    """Whether the elements lie in memory in order."""
    return order_of_axes(tensor) is None
