"""The context of a `Function`: what ``forward`` leaves for ``backward``."""

from __future__ import annotations

import weakref
from typing import Any

from fgrad.torch.autograd.saved import Saved
from fgrad.torch.tensor import Tensor
from fgrad.torch.versions import SECOND_TIME


class FunctionCtx:
    """What ``forward`` leaves for ``backward``; users may set any attributes.

    Attributes:
        needs_input_grad: for each argument whether its gradient is needed.
        materialize_grads: gradients that nothing depends on are zeros, not None.

    >>> class Scaled(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x, factor):
    ...         ctx.factor = factor
    ...         return x * factor
    ...     @staticmethod
    ...     def backward(ctx, gradient):
    ...         return gradient * ctx.factor, None
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> torch.autograd.grad(Scaled.apply(x, 10.0), x)
    (tensor(10.),)
    """

    __module__ = "torch.autograd.function"
    needs_input_grad: tuple[bool, ...] = ()
    materialize_grads = True
    to_save: tuple[Any, ...] = ()
    saved_for_forward: tuple[Any, ...] = ()
    dirty_tensors: tuple[Any, ...] = ()
    non_differentiable: tuple[Any, ...] = ()
    _saved: tuple[Saved | None, ...] | None = ()
    _node: weakref.ref[Any] | None = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors (or None) for ``backward``: operands, results, others.

        Unlike attributes they are watched for in-place changes, freed by `backward`,
        and given to ``saved_tensors_hooks``.
        """
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for ``jvp``."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Say which operands ``forward`` changes in place, and returns."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say which results are not to be differentiated."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that nothing depends on are zeros; else None."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept.

        Raises:
            RuntimeError: it was freed, or changed in place.
        """
        if self._saved is None:
            raise RuntimeError(SECOND_TIME)
        node = None if self._node is None else self._node()
        return tuple([x if x is None else x.tensor(node) for x in self._saved])

    saved_variables = saved_tensors
