"""Running operations: at once where nothing is recorded, else as part of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fgrad.lower.quiet import quietly
from fgrad.torch.calls import record_in_run
from fgrad.torch.modes import STATE, cut_by_mode
from fgrad.torch.noting import check_forward
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.views import view_of
from fgrad.torch.watch import WATCH


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
        constants: new arrays that the function gets after the operands, such as masks;
            they are no operands for PyTorch, which does not show them.

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
    arrays = [x._array if isinstance(x, Tensor) else x for x in operands]
    out = quietly(function, *arrays, *constants)
    results = []
    is_several = isinstance(out, tuple)
    for k, array in enumerate(out if is_several else (out,)):
        if view:
            number = k if is_several else None
            result = view_of(array, operands[0], function, number, name, False)
        else:
            result = make(array)
        result._cut = cut
        results.append(result)
    found: Any = tuple(results) if is_several else results[0]
    if WATCH.forward:
        check_forward(name, operands, found)
    return found


one: Callable[..., Tensor] = apply
several: Callable[..., tuple[Tensor, ...]] = apply
