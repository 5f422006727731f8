"""Shapes and axes as PyTorch gives and names them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple that prints as PyTorch's.

    >>> torch.Size((2, 3)), torch.Size((2, 3)).numel()
    (torch.Size([2, 3]), 6)
    """

    __slots__ = ()

    def numel(self) -> int:
        """How many elements a tensor of this shape has."""
        return math.prod(self)

    def __getitem__(self, key: Any) -> Any:
        found = tuple.__getitem__(self, key)
        return Size(found) if isinstance(key, slice) else found

    def __add__(self, other: Any) -> Any:
        return Size(tuple.__add__(self, other))

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"


def size_arguments(function: str, size: Sequence[Any], given: Any = None) -> Size:
    """A shape given as ``f(2, 3)``, ``f((2, 3))`` or ``f(size=(2, 3))``.

    Raises:
        TypeError: no size, or one that does not consist of integers.
        RuntimeError: a length is negative.
    """
    if given is not None:
        size = (given,)
    for length in size:
        if type(length) is not int or length < 0:
            break
    else:
        if size:
            return Size(size)
    if not size:
        raise TypeError(f'{function}() missing 1 required positional arguments: "size"')
    if len(size) == 1 and isinstance(size[0], Sequence):
        size = size[0]
    try:
        lengths = Size(operator.index(length) for length in size)
    except TypeError:
        found = next(x for x in size if not hasattr(x, "__index__"))
        raise TypeError(
            f"{function}(): argument 'size' (position 1) must be tuple of ints, not "
            f"{type(found).__name__}"
        ) from None
    for length in lengths:
        if length < 0 and function == "zeros":
            raise RuntimeError("zeros: Dimension size must be non-negative.")
        if length < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {length}: "
                f"{list(lengths)}"
            )
    return lengths


def axis_of(dim: int, ndim: int) -> int:
    """The non-negative axis that ``dim`` names among ``ndim``; 0-d counts as one axis.

    Raises:
        IndexError: there is no such axis.
    """
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(
            "Dimension out of range (expected to be in range of "
            f"[{-bound}, {bound - 1}], but got {dim})"
        )
    return dim % bound


def axes_of(dim: Any, ndim: int) -> tuple[int, ...]:
    """The axes that ``dim`` (None, a number or a sequence) names; none named is all.

    Raises:
        IndexError: there is no such axis.
        RuntimeError: an axis is named twice.
    """
    if dim is None or dim == ():
        return tuple(range(ndim))
    named = dim if isinstance(dim, Sequence) else (dim,)
    axes = [axis_of(operator.index(each), ndim) for each in named]
    for axis in axes:
        if axes.count(axis) > 1:
            raise RuntimeError(f"dim {axis} appears multiple times in the list of dims")
    return tuple(axes) if ndim else ()
