"""Results of a `Function` as tensors of the graph, and gradients that fit operands."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.torch.dtypes import of_numpy
from fgrad.torch.graph import Node, attach
from fgrad.torch.hooks import Gradient
from fgrad.torch.placement import place
from fgrad.torch.tensor import Tensor, make

DIRTY_LEAF = (
    "a leaf Variable that requires grad has been used in an in-place operation."
)
NOT_RETURNED = (
    "Some elements marked as dirty during the forward method were not returned as "
    "output. The inputs that are modified inplace must all be outputs of the Function."
)
NO_INPUT = (
    "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that "
    "have been mutated should be passed to ctx.mark_dirty()."
)
DIRTY_VIEW = (
    "a custom Function that changes a view of a tensor in place does not carry "
    "gradients in fgrad.torch yet; give it a clone() of the view"
)
VIEW = (
    "Output {} of {} is a view and is being modified inplace. This view was created "
    "inside a custom Function (or because an input was returned as-is) and the "
    "autograd logic to handle view+inplace would override the custom backward "
    "associated with the custom Function, leading to incorrect gradients. This "
    "behavior is forbidden. You can fix this by cloning the output of the custom "
    "Function."
)
VIEWS = (
    "Output {} of {} is a view and is being modified inplace. This view is the output "
    "of a function that returns multiple views. Such functions do not allow the output "
    "views to be modified inplace. You should replace the inplace operation by an "
    "out-of-place one."
)


def as_alias(tensor: Tensor, node: Node | None, number: int | None) -> Tensor:
    """Another tensor of the same memory, which is a result of a node."""
    base = tensor if tensor._base is None else tensor._base
    alias = place(make(tensor._array, tensor._storage, base), tensor._device)
    tensor._storage.add_view(alias)
    if node is not None:
        attach(alias, node, number)
    return alias


class Results:
    """What ``forward`` returned, and what the context says of it."""

    def __init__(self, given: tuple[Any, ...], args: Sequence[Any], ctx: Any) -> None:
        for x in ctx.dirty_tensors:
            if not isinstance(x, Tensor):
                raise RuntimeError(
                    "mark_dirty can only accept variables, but argument "
                )
        for x in ctx.non_differentiable:
            if not isinstance(x, Tensor):
                raise RuntimeError(
                    "mark_non_differentiable only accepts variable arguments, but got "
                )
        self._given = given
        self._inputs = {id(x) for x in args if isinstance(x, Tensor)}
        self._arrays = [x._array for x in args if isinstance(x, Tensor)]
        self._dirty = {id(x) for x in ctx.dirty_tensors}
        self._constant = {id(x) for x in ctx.non_differentiable}
        self._check_dirty()

    def _check_dirty(self) -> None:
        if not self._dirty:
            return
        if self._dirty - {id(x) for x in self._given}:
            raise RuntimeError(NOT_RETURNED)
        if self._dirty - self._inputs:
            warnings.warn(NO_INPUT, UserWarning, stacklevel=4)
        for x in self._given:
            if id(x) in self._dirty:
                x._storage.changed()

    def numbers(self) -> tuple[int | None, ...]:
        """For each result its number, None where it cannot be differentiated."""
        return tuple(
            [k if self._varies(x) else None for k, x in enumerate(self._given)]
        )

    def _varies(self, x: Any) -> bool:
        is_float = isinstance(x, Tensor) and x._aval.dtype.kind == "f"
        return is_float and id(x) not in self._constant

    def plain(self) -> list[Any]:
        """The results where nothing is recorded."""
        return [self._plain(x) for x in self._given]

    def _plain(self, x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        if id(x) in self._inputs and id(x) not in self._dirty:
            return as_alias(x, None, None)
        return x

    def recorded(self, node: Node) -> list[Any]:
        """The results of a node.

        Raises:
            RuntimeError: a leaf was changed in place.
        """
        shared = [x for x in self._given if self._varies(x) and self._is_view(x)]
        text = VIEWS if len(shared) > 1 else VIEW
        name = node.name().removesuffix("Backward")
        results = []
        for number, x in enumerate(self._given):
            if not self._varies(x):
                results.append(self._unrecorded(x))
            elif id(x) in self._dirty:
                _check_dirty_operand(x)
                attach(x, node, number)
                results.append(x)
            elif id(x) in self._inputs:
                results.append(as_alias(x, node, number))
                results[-1]._refusal = text.format(number, name)
            else:
                if self._is_view(x):
                    x._refusal = text.format(number, name)
                attach(x, node, number)
                results.append(x)
        return results

    def _unrecorded(self, x: Any) -> Any:
        result = self._plain(x)
        if isinstance(result, Tensor) and result._requires:
            result._node, result._requires = None, False
        return result

    def _is_view(self, x: Tensor) -> bool:
        """Whether a result that is not changed in place shares an operand's memory."""
        if id(x) in self._dirty:
            return False
        return any(np.may_share_memory(x._array, array) for array in self._arrays)


def _check_dirty_operand(x: Tensor) -> None:
    if x._requires and x._node is None:
        raise RuntimeError(DIRTY_LEAF)
    if x._base is not None:
        raise NotImplementedError(DIRTY_VIEW)


def fitted(
    name: str, gradient: Any, position: int, aval: Aval, is_needed: bool
) -> Gradient:
    """A gradient that the user returned, in the type of the operand.

    Raises:
        RuntimeError: it is not a tensor, or its shape does not fit.
    """
    if gradient is None:
        return None
    if not isinstance(gradient, Tensor):
        kind = type(gradient).__name__
        raise RuntimeError(f"expected Variable or None (got {kind})")
    if not is_needed:
        return gradient  # only hooks see it
    if gradient._aval.shape != aval.shape:
        if not _is_expanded(gradient._aval.shape, aval.shape):
            raise RuntimeError(
                f"Function {name} returned an invalid gradient at index {position} - "
                f"got {list(gradient.shape)} but expected shape compatible with "
                f"{list(aval.shape)}"
            )
        gradient = gradient.sum_to_size(*aval.shape)
    if gradient._aval.dtype != aval.dtype:
        gradient = gradient.to(of_numpy(aval.dtype))
    return gradient  # type: ignore[no-any-return]


def _is_expanded(shape: tuple[int, ...], of: tuple[int, ...]) -> bool:
    """Whether a shape comes from another one by broadcasting."""
    if len(of) > len(shape):
        return False
    last = shape[len(shape) - len(of) :]
    return all(n in (1, m) for n, m in zip(of, last, strict=True))
