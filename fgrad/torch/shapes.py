"""Views: the same elements under another shape."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch.dtypes import dtype
from fgrad.torch.known import share_memory
from fgrad.torch.pending import lies_in_order
from fgrad.torch.recording import apply
from fgrad.torch.registry import method, operation
from fgrad.torch.size import axes_of, axis_of
from fgrad.torch.tensor import Tensor, make, require_tensor

NOT_VIEWABLE = (
    "view size is not compatible with input tensor's size and stride (at least one "
    "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
)


def _target(shape: Sequence[Any], size: int) -> tuple[int, ...]:
    """A target shape with its -1 filled in.

    Raises:
        RuntimeError: it does not have ``size`` elements.
    """
    if len(shape) == 1 and isinstance(shape[0], Sequence):
        shape = shape[0]
    target = [operator.index(length) for length in shape]
    if target.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    rest = math.prod(length for length in target if length != -1)
    if -1 in target and rest and size % rest == 0:
        return tuple(size // rest if length == -1 else length for length in target)
    if -1 in target and rest == 0 and size == 0:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {target} because the "
            "unspecified dimension size -1 can be any value and is ambiguous"
        )
    if rest != size or -1 in target:
        raise RuntimeError(f"shape '{target}' is invalid for input of size {size}")
    return tuple(target)


def _is_viewable(x: Tensor, shape: tuple[int, ...]) -> bool:
    if x._pending and lies_in_order(x):
        return True
    array = x._array
    return not array.size or share_memory(np.reshape(array, shape), array)


def _reshaped(node: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    is_view = node != "UnsafeViewBackward0"
    return apply(node, lambda u: np.reshape(u, shape), x, view=is_view)  # type: ignore[no-any-return]


@method("view")
def view(self: Tensor, *shape: Any) -> Tensor:
    """Another shape for the same memory; one length may be -1.

    Raises:
        RuntimeError: the memory is not laid out for it, or the sizes differ.

    >>> torch.arange(6).view(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if len(shape) == 1 and isinstance(shape[0], dtype):
        return _as_bits(self, shape[0])
    target = _target(shape, self._aval.size)
    if not _is_viewable(self, target):
        raise RuntimeError(NOT_VIEWABLE)
    return _reshaped("ViewBackward0", self, target)


def _as_bits(self: Tensor, wanted: dtype) -> Tensor:
    """The same memory read as another dtype; it has no gradient, and is no view."""
    return make(self._array.view(wanted.numpy), self._storage)


@operation("reshape")
def reshape(input: Tensor, *shape: Any, **named: Any) -> Tensor:
    """Another shape: a view where the memory allows it, else a copy.

    One length may be -1: it follows from the others.

    Raises:
        RuntimeError: the sizes differ.

    >>> torch.reshape(torch.arange(6), (3, -1))
    tensor([[0, 1],
            [2, 3],
            [4, 5]])
    """
    x = require_tensor("reshape", input)
    target = _target(shape or (named["shape"],), x._aval.size)
    node = "UnsafeViewBackward0"
    if _is_viewable(x, target):
        node = "ViewBackward0" if lies_in_order(x) else "ReshapeAliasBackward0"
    return _reshaped(node, x, target)


@operation("flatten")
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Consecutive axes as one: all by default.

    Raises:
        RuntimeError: the first comes after the last.

    >>> torch.flatten(torch.ones(2, 3, 4), start_dim=1).shape
    torch.Size([2, 12])
    """
    x = require_tensor("flatten", input)
    shape = x._aval.shape
    first, last = axis_of(start_dim, len(shape)), axis_of(end_dim, len(shape))
    if first > last:
        raise RuntimeError(
            "flatten() has invalid args: start_dim cannot come after end_dim"
        )
    if not shape:
        return reshape(x, 1)
    if first == last:
        return x
    length = math.prod(shape[first : last + 1])
    return reshape(x, *shape[:first], length, *shape[last + 1 :])


@operation("ravel")
def ravel(input: Tensor) -> Tensor:
    """All elements in one axis.

    >>> torch.ravel(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 2, 3, 4])
    """
    x = require_tensor("ravel", input)
    return reshape(x, -1)


@method("expand")
def expand(self: Tensor, *size: Any) -> Tensor:
    """A view with axes of length 1 (and new ones in front) repeated; -1 keeps a length.

    Raises:
        RuntimeError: an axis has another length than 1.

    >>> torch.tensor([[1], [2]]).expand(2, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    flat = size[0] if len(size) == 1 and isinstance(size[0], Sequence) else size
    lengths = [operator.index(n) for n in flat]
    own = self._aval.shape
    if len(lengths) < len(own):
        raise RuntimeError(
            f"expand(torch.{self.dtype.kind}Tensor{{{list(own)}}}, size={lengths}): "
            f"the number of sizes provided ({len(lengths)}) must be greater or equal "
            f"to the number of dimensions in the tensor ({len(own)})"
        )
    new = len(lengths) - len(own)
    target = tuple(
        own[k - new] if n == -1 and k >= new else n for k, n in enumerate(lengths)
    )
    for k in reversed(range(len(own))):
        if own[k] not in (1, target[k + new]):
            raise RuntimeError(
                f"The expanded size of the tensor ({target[k + new]}) must match the "
                f"existing size ({own[k]}) at non-singleton dimension {k + new}.  "
                f"Target sizes: {lengths}.  Tensor sizes: {list(own)}"
            )
    return apply(  # type: ignore[no-any-return]
        "ExpandBackward0", lambda u: np.broadcast_to(u, target), self, view=True
    )


@operation("broadcast_to")
def broadcast_to(input: Tensor, *size: Any) -> Tensor:
    """A view of a shape, in which axes of length 1 are repeated; as ``expand``.

    >>> torch.broadcast_to(torch.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand(require_tensor("broadcast_to", input), *size)


@method("expand_as")
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Expanded to the shape of another tensor.

    >>> torch.tensor([[1], [2]]).expand_as(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """
    return expand(self, other._aval.shape)


@method("view_as")
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory in the shape of another tensor.

    >>> torch.arange(6).view_as(torch.zeros(2, 3))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    return view(self, other._aval.shape)


@method("reshape_as")
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """The elements in the shape of another tensor.

    >>> torch.arange(6).reshape_as(torch.zeros(2, 3))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    return reshape(self, other._aval.shape)


@operation("narrow")
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of ``length`` slices along an axis.

    Raises:
        RuntimeError: they are more than there are.

    >>> torch.narrow(torch.arange(6), 0, 2, 3)
    tensor([2, 3, 4])
    """
    x = require_tensor("narrow", input)
    if not x._aval.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    axis = axis_of(dim, x._aval.ndim)
    total, first = x._aval.shape[axis], int(start)
    if first + length > total:
        raise RuntimeError(
            f"start ({first}) + length ({length}) exceeds dimension size ({total})."
        )
    first = first if first >= 0 else first + total
    where = (*(slice(None),) * axis, slice(first, first + length))
    return apply("SliceBackward0", lambda u: u[where], x, view=True)  # type: ignore[no-any-return]


@operation("select")
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of one slice along an axis.

    Raises:
        IndexError: there is no such slice.

    >>> torch.select(torch.tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    x = require_tensor("select", input)
    if not x._aval.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = axis_of(dim, x._aval.ndim)
    length = x._aval.shape[axis]
    if not -length <= index < length:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size "
            f"{list(x.shape)} at dimension {axis}"
        )
    where = (*(slice(None),) * axis, index)
    return apply("SelectBackward0", lambda u: u[(*where, ...)], x, view=True)  # type: ignore[no-any-return]


@operation("squeeze")
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """A view without axes of length 1: all, or those of them that are named.

    >>> x = torch.ones(1, 2, 1)
    >>> torch.squeeze(x).shape, torch.squeeze(x, 0).shape
    (torch.Size([2]), torch.Size([2, 1]))
    """
    x = require_tensor("squeeze", input)
    shape = x._aval.shape
    is_several = isinstance(dim, Sequence)
    if dim is None:
        gone = tuple(range(len(shape)))
    else:
        gone = () if is_several and not dim else axes_of(dim, len(shape))
    kept = tuple(n for k, n in enumerate(shape) if n != 1 or k not in gone)
    number = 0 if dim is None else 2 if is_several else 1
    return _reshaped(f"SqueezeBackward{number}", x, kept)


@operation("unsqueeze")
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view with a new axis of length 1, before axis ``dim``.

    >>> torch.unsqueeze(torch.tensor([1, 2]), 1)
    tensor([[1],
            [2]])
    """
    x = require_tensor("unsqueeze", input)
    shape = list(x._aval.shape)
    shape.insert(axis_of(dim, len(shape) + 1), 1)
    return _reshaped("UnsqueezeBackward0", x, tuple(shape))


@operation("unbind")
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis.

    Raises:
        IndexError: there is no axis.

    >>> torch.unbind(torch.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    x = require_tensor("unbind", input)
    if not x._aval.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    lead = (slice(None),) * axis_of(dim, x._aval.ndim)
    count = x._aval.shape[len(lead)]

    def slices(u: Any) -> tuple[Any, ...]:
        return tuple(u[(*lead, k, ...)] for k in range(count))

    return apply("UnbindBackward0", slices, x, view=True)  # type: ignore[no-any-return]


@method("__iter__")
def _iterate(self: Tensor) -> Any:
    if not self._aval.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(unbind(self))
