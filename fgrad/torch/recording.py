"""Running operations: at once where nothing is recorded, else as part of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fgrad.torch.calls import Call, record_in_run, record_on_device
from fgrad.torch.cuts import cut_of
from fgrad.torch.devices import CPU, DEVICES
from fgrad.torch.modes import STATE, cut_by_mode
from fgrad.torch.performing import perform
from fgrad.torch.placement import device_within, flat
from fgrad.torch.tensor import Tensor


def apply(
    name: str,
    function: Callable[..., Any],
    *operands: Any,
    view: bool = False,
    constants: Sequence[Any] = (),
) -> Any:
    """Run a NumPy function on tensors, and record it where a gradient is required.

    Args:
        name: PyTorch's name of the operation's node, such as ``AddBackward0``; a text
            after a colon is the error that `backward` raises at this node.
        function: plain NumPy code that returns one array or a tuple of arrays. It may
            run again, later, for other operands, so it must depend on nothing but its
            arguments and what it closes over.
        operands: tensors, and constants of other types, which are passed on.
        view: the results may share memory with the first operand.
        constants: new arrays that the function gets after the operands, such as masks,
            and tensors that have no gradients; they are no operands for PyTorch, which
            does not show them.

    Returns:
        A tensor, or a tuple of tensors.
    """
    cut = None
    for x in operands:
        if isinstance(x, Tensor):
            if x._requires:
                if STATE.enabled:
                    return record_in_run(name, function, operands, view, constants)
                cut = STATE.off or cut_by_mode()
            elif x._cut is not None:
                cut = x._cut
    for x in operands:
        if cut is None and type(x) is float:
            cut = cut_of(x)
    if DEVICES.is_on:
        where = device_within(operands)
        if where is not CPU and _is_recordable(operands, view):
            call = Call(name, function, operands, view, constants, False)
            results = record_on_device(call, where)
            for result in flat([results]):
                result._cut = cut
            return results
    return perform(name, function, operands, view, constants, cut)


def _is_recordable(operands: Sequence[Any], view: bool) -> bool:
    """Whether what requires no gradient may wait: not for views of what is known."""
    first = operands[0]
    return not view or (first._pending and not first._requires)


one: Callable[..., Tensor] = apply
several: Callable[..., tuple[Tensor, ...]] = apply
