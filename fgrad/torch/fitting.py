"""Whether shapes fit together, and PyTorch's complaints where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.tensor import Tensor

Shape = tuple[int, ...]


def shape_error(x: Any, y: Any) -> RuntimeError | None:
    """PyTorch's complaint about shapes that do not broadcast, if they do not."""
    return mismatch(*(getattr(z, "shape", ()) for z in (x, y)))


def check_shapes(*operands: Any) -> None:
    """Refuse tensors among operands whose shapes do not broadcast.

    Raises:
        RuntimeError: in PyTorch's words.
    """
    shape: tuple[int, ...] = ()
    for x in operands:
        if isinstance(x, Tensor) and x._aval.shape != shape:
            error = mismatch(shape, x._aval.shape)
            if error is not None:
                raise error
            shape = np.broadcast_shapes(shape, x._aval.shape)


def mismatch(first: Shape, second: Shape) -> RuntimeError | None:
    """PyTorch's complaint about two shapes that do not broadcast, if they do not."""
    ndim = max(len(first), len(second))
    for axis in reversed(range(ndim)):
        a, b = axis - ndim + len(first), axis - ndim + len(second)
        if a < 0 or b < 0 or first[a] == second[b] or 1 in (first[a], second[b]):
            continue
        return RuntimeError(
            f"The size of tensor a ({first[a]}) must match the size of tensor b "
            f"({second[b]}) at non-singleton dimension {axis}"
        )
    return None


def check_values(value: Tensor, slot: Shape, given: Shape | None = None) -> None:
    """Refuse values that do not broadcast to what index tensors select.

    Args:
        value: the values.
        slot: the shape of what is selected.
        given: the shape of the values, if some of their axes do not count.

    Raises:
        RuntimeError: they do not.
    """
    if not _fits(value._aval.shape if given is None else given, slot):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be "
            f"broadcast to indexing result of shape {list(slot)}"
        )


def check_expands(value: Tensor, slot: Shape) -> None:
    """Refuse a value that does not expand to the shape of a view.

    Raises:
        RuntimeError: it does not; the message is that of ``expand``.
    """
    given = without_ones(value._aval.shape, slot)
    if _fits(given, slot):
        return
    shared = range(-1, -min(len(given), len(slot)) - 1, -1)
    axis = next((k for k in shared if given[k] not in (1, slot[k])), 0)
    if len(given) > len(slot):
        raise RuntimeError(
            f"expand(torch.{value.dtype.kind}Tensor{{{list(value.shape)}}}, "
            f"size={list(slot)}): the number of sizes provided ({len(slot)}) must be "
            f"greater or equal to the number of dimensions in the tensor ({len(given)})"
        )
    raise RuntimeError(
        f"The expanded size of the tensor ({slot[axis]}) must match the existing size "
        f"({given[axis]}) at non-singleton dimension {len(slot) + axis}.  Target "
        f"sizes: {list(slot)}.  Tensor sizes: {list(given)}"
    )


def without_ones(given: Shape, slot: Shape) -> Shape:
    """A shape without the leading ones that a slot has no axes for."""
    while len(given) > len(slot) and given[0] == 1:
        given = given[1:]
    return given


def _fits(given: Shape, slot: Shape) -> bool:
    padded = (1,) * (len(slot) - len(given)) + given
    return len(padded) == len(slot) and all(
        n in (1, m) for n, m in zip(padded, slot, strict=True)
    )
