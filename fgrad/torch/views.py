"""Views: tensors that share the memory of another one, their base.

A view remembers the functions that lead to it from its base. After a write to the
memory the base has another history, and so has the view: these functions, applied to
what the base is now. `fgrad.torch.history` records that when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fgrad.torch.known import share_memory
from fgrad.torch.memory import unlocked
from fgrad.torch.modes import STATE
from fgrad.torch.tensor import Tensor, make

Step = tuple[Callable[[Any], Any], int | None]  # a function, and which of its results

PLAIN, SEVERAL, NO_GRAD = range(3)
WRITTEN = "is being modified inplace"
WRITTEN_ELSEWHERE = "its base or another view of its base has been modified inplace"
_REASONS = {
    SEVERAL: (
        " This view is the output of a function that returns multiple views. Such "
        "functions do not allow the output views to be modified inplace. You should "
        "replace the inplace operation by an out-of-place one."
    ),
    NO_GRAD: (
        " Given that this use case is ambiguous and error-prone, it is forbidden. You "
        "can clarify your code by moving both the view and the inplace either both "
        "inside the no_grad block (if you don't want the inplace to be tracked) or "
        "both outside (if you want the inplace to be tracked)."
    ),
}
# PyTorch composes these of functions that return one view
_ONE_BY_ONE = {"SliceBackward0"}


class View:
    """How a view comes from its base.

    Attributes:
        steps: the functions that lead to it from the base.
        node: the name of the operation that gave it; empty where none was recorded.
        number: which of the operation's results it is.
        kind: SEVERAL or NO_GRAD where PyTorch does not let it be written to while
            operations are recorded: it is one of several results, or was made in
            ``no_grad``, or is a view of such a view.
    """

    __slots__ = ("kind", "node", "number", "steps")

    def __init__(
        self, steps: tuple[Step, ...], node: str, number: int, kind: int
    ) -> None:
        self.steps = steps
        self.node = node
        self.number = number
        self.kind = kind

    def of(self, base: Any) -> Any:
        """The view of a base: of its memory, or of what traces it."""
        for function, number in self.steps:
            base = function(base)
            if number is not None:
                base = base[number]
        return base

    def refusal(self, done: str) -> str:
        """PyTorch's error: `WRITTEN` or `WRITTEN_ELSEWHERE` was done to the view."""
        mode = " with grad mode enabled"
        if not self.node:
            start = "A view was created in no_grad mode"
        else:
            start = f"Output {self.number} of {bare_name(self.node)} is a view"
            if self.kind == SEVERAL:
                mode = ""
            else:
                start += " of a view which was created in no_grad mode"
        return f"{start} and {done}{mode}.{_REASONS[self.kind]}"


def bare_name(node: str) -> str:
    """The name of an operation in PyTorch's messages: without its last part.

    >>> bare_name("MulBackward0"), bare_name("SumBackward1"), bare_name("ScaleBackward")
    ('Mul', 'Sum1', 'Scale')
    """
    return re.sub(r"Backward(0?$|(?=\d+$))", "", node)


def view_of(
    array: Any,
    base: Tensor,
    function: Any,
    number: int | None,
    name: str,
    is_recorded: bool,
) -> Tensor:
    """A result of an operation, which is a view if it shares the operand's memory.

    Args:
        array: the elements.
        base: the operand.
        function: the operation, in NumPy.
        number: which of its results this is; None where there is one.
        name: the name of the operation's node.
        is_recorded: whether there is such a node.
    """
    if array.size and not share_memory(array, base._array):
        return make(array)
    view = make(unlocked(array, base._array), base._storage)
    kind = kind_of(name, number) if is_recorded or STATE.enabled else NO_GRAD
    make_view(view, base, ((function, number),), name if is_recorded else "", kind)
    view._requires = base._requires  # in no_grad, too; there the view is a leaf
    return view


def kind_of(name: str, number: int | None) -> int:
    """The kind of a view that is one result (by number) of an operation."""
    return PLAIN if number is None or name in _ONE_BY_ONE else SEVERAL


def make_view(
    view: Tensor, base: Tensor, steps: tuple[Step, ...], node: str, kind: int
) -> None:
    """Have a tensor that shares the memory of another one know that it is a view."""
    number = steps[-1][1] or 0
    root = base
    if base._base is not None:
        steps = base._view.steps + steps
        kind = kind or base._view.kind
        root = base._base
    view._base = root
    view._view = View(steps, node, number, kind)
    base._storage.add_view(view)
