"""Operations that run at once and are not recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fgrad.lower.quiet import quietly
from fgrad.torch.cuts import Cut
from fgrad.torch.in_order import in_order, models_of
from fgrad.torch.noting import check_forward
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.views import view_of
from fgrad.torch.watch import WATCH


def perform(
    name: str,
    function: Callable[..., Any],
    operands: Sequence[Any],
    view: bool = False,
    constants: Sequence[Any] = (),
    cut: Cut | None = None,
) -> Any:
    """Run a NumPy function on the values of operands.

    Args:
        name: of the node that it would have.
        function: plain NumPy code.
        operands: tensors, and constants of other types.
        view: the results may share memory with the first operand.
        constants: arrays, or tensors, that the function gets after the operands.
        cut: what keeps the results from requiring gradients.
    """
    arrays = [x._array if isinstance(x, Tensor) else x for x in (*operands, *constants)]
    out = quietly(function, *arrays)
    results = []
    is_several, count = isinstance(out, tuple), len(operands)
    models = models_of(name, arrays[:count], arrays[count:])
    for k, array in enumerate(out if is_several else (out,)):
        if view:
            number = k if is_several else None
            result = view_of(array, operands[0], function, number, name, False)
        else:
            result = make(in_order(name, array, models))
        result._cut = cut
        results.append(result)
    found: Any = tuple(results) if is_several else results[0]
    if WATCH.forward:
        check_forward(name, operands, found)
    return found
