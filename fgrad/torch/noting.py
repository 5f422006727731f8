"""What is noted of each recorded operation while an anomaly mode is on, and checked.

The anomaly mode keeps with each node the lines of the user's program that led to it, so
that an error in `backward` can name them. Hooks for saved tensors get what was saved.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from typing import Any

import numpy as np

from fgrad.sites import at_site, is_library_file, user_site
from fgrad.torch.hooks import hooks_of
from fgrad.torch.modes import in_mode
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.views import bare_name
from fgrad.torch.watch import LOCAL, WATCH

TRACEBACK = "traceback_"  # PyTorch's keys of what is noted
PARENT = "parent_"


def user_lines() -> list[str]:
    """The lines of the user's program that are running, as in a traceback."""
    frames = [
        (frame, line)
        for frame, line in traceback.walk_stack(sys._getframe(1))
        if not is_library_file(frame.f_code.co_filename)
    ]
    frames.reverse()
    return traceback.StackSummary.extract(iter(frames)).format()


def note(node: Any) -> None:
    """Note of a new node what the modes that are on want to know."""
    if WATCH.anomaly:
        metadata = hooks_of(node).metadata
        metadata[TRACEBACK] = user_lines()
        if LOCAL.node is not None:
            metadata[PARENT] = LOCAL.node
    if LOCAL.savers and node.trace is not None:
        _pack(node)


class Packed:
    """What hooks for saved tensors made of one value.

    Attributes:
        value: what the pack hook returned.
    """

    __slots__ = ("_aval", "_unpack", "value")

    def __init__(self, tensor: Tensor, hooks: Any) -> None:
        pack, self._unpack = hooks
        self._aval = tensor._aval
        with in_mode(False):
            self.value = pack(tensor)

    def tensor(self) -> Tensor:
        """What the unpack hook makes of it again.

        Raises:
            TypeError: it does not return a tensor.
            RuntimeError: it returns a tensor of another type or shape.
        """
        with in_mode(False):
            found = self._unpack(self.value)
        if not isinstance(found, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got "
                f"result of type {type(found).__name__}"
            )
        if found._aval is not self._aval:
            raise RuntimeError(
                f"saved tensor unpack_hook returned a tensor of type {found._aval} for "
                f"one of type {self._aval}"
            )
        return found


def _pack(node: Any) -> None:
    """Have hooks keep the arrays that a node saved."""
    trace = node.trace
    packed = [
        Packed(make(x), LOCAL.savers[-1])
        if isinstance(x, np.ndarray | np.generic)
        else x
        for x in trace.saved
    ]
    if any(type(x) is Packed for x in packed):
        trace.saved = packed
        trace.constants = None
        node.guards = ()
        hooks_of(node).packed = True


def saved_values(node: Any) -> list[Any]:
    """What a node saved, unpacked."""
    saved: list[Any] = node.trace.saved
    if node._hooks is None or not node._hooks.packed:
        return saved
    return [x.tensor()._array[()] if type(x) is Packed else x for x in saved]


def explain(node: Any, error: Exception) -> None:
    """Say that `backward` failed at a node, and which lines recorded it.

    A warning shows all lines, as PyTorch's does; the error gets the last one as a note.
    """
    metadata = node.metadata
    name = node.name()
    if TRACEBACK not in metadata:
        text = (
            f"Error detected in {name}. No forward pass information available. Enable "
            "detect anomaly during forward pass for more information."
        )
        warnings.warn(text, UserWarning, stacklevel=2)
        return
    lines = "".join(metadata[TRACEBACK])
    last = "".join(metadata[TRACEBACK][-1:]).rstrip()
    error.add_note(f"{name} was recorded here:\n{last}")
    text = (
        f"Error detected in {name}. Traceback of forward call that caused the error:\n"
        f"{lines}"
    )
    warnings.warn(text, UserWarning, stacklevel=2)
    parent = metadata.get(PARENT)
    while parent is not None:
        noted = parent.metadata
        lines = "".join(noted.get(TRACEBACK, ()))
        text = (
            f"\n\nPrevious calculation was induced by {parent.name()}. Traceback of "
            f"forward call that induced the previous calculation:\n{lines}"
        )
        warnings.warn(text, UserWarning, stacklevel=2)
        parent = noted.get(PARENT)


def check_gradients(node: Any, gradients: tuple[Tensor | None, ...]) -> None:
    """Refuse NaN among the gradients of the operands of a node.

    Raises:
        RuntimeError: in PyTorch's words.
    """
    for number, gradient in enumerate(gradients):
        if gradient is not None and np.isnan(gradient._array).any():
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {number}th "
                "output."
            )


def check_forward(name: str, operands: Any, results: Any) -> None:
    """Refuse NaN, or infinities, that an operation made of operands without them.

    Raises:
        RuntimeError: it names the operation, the element and the user's line.
    """
    kinds = {"nan": np.isnan, "inf": np.isinf} if WATCH.infinite else {"nan": np.isnan}
    for kind, test in kinds.items():
        if any(_has(test, x) for x in operands):
            continue
        for result in results if isinstance(results, tuple) else (results,):
            if _has(test, result):
                place = [int(k) for k in np.argwhere(test(result._array))[0]]
                where = f"element {place} of the result" if place else "the result"
                raise RuntimeError(
                    f"{bare_name(name)} gave {kind} in {where}, though no operand has "
                    f"one{at_site(user_site())}"
                )


def _has(test: Any, x: Any) -> bool:
    array = x._array if isinstance(x, Tensor) else x
    if isinstance(array, np.ndarray | np.generic | float):
        return np.asarray(array).dtype.kind == "f" and bool(np.any(test(array)))
    return False
