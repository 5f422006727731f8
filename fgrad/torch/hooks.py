"""Hooks: functions of the user that `backward` calls on its way.

A hook on a tensor belongs to its edge: to the recorded operation and the variable that
gave the tensor, or to the leaf. So it stays with the old value where an in-place
operation gives the tensor a new one. ``pre`` and ``post`` hooks belong to the node.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from fgrad.torch.accumulation import accumulate
from fgrad.torch.dtypes import of_numpy
from fgrad.torch.handles import RemovableHandle
from fgrad.torch.modes import in_mode
from fgrad.torch.placement import place
from fgrad.torch.registry import METHODS, method
from fgrad.torch.tensor import Tensor, make

NOT_RECORDED = "cannot register a hook on a tensor that doesn't require gradient"
NOT_A_LEAF = "post accumulate grad hooks cannot be registered on non-leaf tensors"
REPLACED_NONE = "can't replace a None gradient with a non-None value"

Gradient = Tensor | None
Gradients = tuple[Gradient, ...]


class Hooks:
    """What is to happen while `backward` passes a node or a leaf.

    Attributes:
        tensor: for each variable the hooks of the tensors that it gave.
        pre: hooks of the node, called with the gradients that come in.
        post: hooks of the node, called with those that go out, and came in.
        accumulated: called with a leaf after its ``.grad`` changed.
        retained: for each variable the tensor whose ``.grad`` is to be filled.
        metadata: what users and the anomaly mode note at the node.
        packed: what was saved went through the user's ``saved_tensors_hooks``.
    """

    __slots__ = (
        "accumulated",
        "metadata",
        "packed",
        "post",
        "pre",
        "retained",
        "tensor",
    )

    def __init__(self) -> None:
        self.tensor: dict[int, OrderedDict[int, Any]] = {}
        self.pre: OrderedDict[int, Any] = OrderedDict()
        self.post: OrderedDict[int, Any] = OrderedDict()
        self.accumulated: OrderedDict[int, Any] = OrderedDict()
        self.retained: dict[int, weakref.ref[Tensor]] = {}
        self.metadata: dict[Any, Any] = {}
        self.packed = False

    @property
    def cuts(self) -> bool:
        """Whether a hook must see a gradient before `backward` goes on."""
        return bool(self.pre or self.post or any(self.tensor.values()))

    def retained_by(self, number: int) -> Tensor | None:
        """The tensor whose ``.grad`` is to be filled for a variable, if it lives."""
        reference = self.retained.get(number)
        return None if reference is None else reference()


def hooks_of(place: Any) -> Hooks:
    """The hooks of a node or a leaf, which are made where there are none."""
    if place._hooks is None:
        place._hooks = Hooks()
    found: Hooks = place._hooks
    return found


def _name(hook: Any) -> str:
    return str(getattr(hook, "__name__", "<unknown>"))


def _check_replacement(hook: Any, before: Gradient, after: Any) -> None:
    if after is None and before is not None:
        return  # no gradient from here on, which PyTorch allows in a tuple
    if not isinstance(after, Tensor | None):
        raise TypeError(
            f"expected Variable, but hook returned '{type(after).__name__}'"
        )
    if before is None:
        if after is not None:
            raise RuntimeError(REPLACED_NONE)
        return
    assert after is not None
    if after._aval.dtype != before._aval.dtype:
        kinds = [of_numpy(x._aval.dtype).kind for x in (before, after)]
        raise RuntimeError(
            f"hook '{_name(hook)}' has changed the type of value (was "
            f"torch.{kinds[0]}Tensor got torch.{kinds[1]}Tensor)"
        )
    if after._aval.shape != before._aval.shape:
        raise RuntimeError(f"hook '{_name(hook)}' has changed the size of value")


def run_tensor_hooks(
    hooks: OrderedDict[int, Any] | None, gradient: Gradient, recorded: bool
) -> Gradient:
    """The gradient after a tensor's hooks, each of which may return another one.

    Raises:
        TypeError: a hook returned something else.
        RuntimeError: a hook changed the type or the shape.
    """
    if not hooks:
        return gradient
    with in_mode(recorded):
        for hook in list(hooks.values()):
            found = hook(gradient)
            if found is not None:
                _check_replacement(hook, gradient, found)
                gradient = found
    return gradient


def run_node_hooks(
    hooks: OrderedDict[int, Any],
    gradients: Gradients,
    recorded: bool,
    *further: Gradients,
) -> Gradients:
    """The gradients after a node's hooks, each of which may return another tuple.

    Raises:
        TypeError: a hook returned something else.
        RuntimeError: a hook changed the number, the type or the shape.
    """
    if not hooks:
        return gradients
    with in_mode(recorded):
        for hook in list(hooks.values()):
            found = hook(gradients, *further)
            if found is None:
                continue
            if not isinstance(found, tuple):
                raise TypeError(
                    f"expected tuple, but hook returned '{type(found).__name__}'"
                )
            if len(found) != len(gradients):
                raise RuntimeError(
                    f"hook '{_name(hook)}' has returned an incorrect number of values "
                    f"(got {len(found)}, but expected {len(gradients)})"
                )
            for before, after in zip(gradients, found, strict=True):
                _check_replacement(hook, before, after)
            gradients = found
    return gradients


def retain(tensor: Tensor, gradient: Gradient) -> None:
    """Add to ``.grad`` of a tensor that is not a leaf; the gradient is not shared."""
    if gradient is None:
        return
    known = tensor._grad
    if known is None:
        tensor._grad = unshared(gradient)
        return
    with in_mode(known._requires or gradient._requires):
        tensor._grad = known + gradient  # type: ignore[operator]


def unshared(gradient: Tensor) -> Tensor:
    """A gradient in memory of its own, unless it is recorded."""
    if gradient._requires:
        return gradient
    return place(make(gradient._array.copy()), gradient._device)


def accumulate_at(leaf: Tensor, gradient: Gradient, recorded: bool) -> None:
    """Add a gradient to ``.grad`` of a leaf that has hooks, which are called.

    Raises:
        TypeError: a hook returned something.
    """
    hooks = hooks_of(leaf)
    given = run_node_hooks(hooks.pre, (gradient,), recorded)
    if given[0] is not None:
        accumulate(leaf, given[0] if given[0] is gradient else unshared(given[0]))
        with in_mode(recorded):
            for hook in list(hooks.accumulated.values()):
                found = hook(leaf)
                if found is not None:
                    kind = type(found).__name__
                    raise TypeError(f"expected Variable, but hook returned '{kind}'")
    run_node_hooks(hooks.post, (), recorded, given)


def _place(tensor: Tensor) -> tuple[Any, int]:
    return (tensor, 0) if tensor._node is None else (tensor._node, tensor._number)


@method("register_hook")
def register_hook(self: Tensor, hook: Callable[[Any], Any]) -> RemovableHandle:
    """Call ``hook(gradient)`` when `backward` knows the gradient of this tensor.

    The hook may return another gradient of the same type and shape, with which
    `backward` goes on. Hooks are called in the order in which they were registered.

    Raises:
        RuntimeError: the tensor does not require a gradient.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> y = x * 3
    >>> handle = y.register_hook(lambda gradient: gradient * 10)
    >>> y.sum().backward()
    >>> x.grad
    tensor([30., 30.])
    >>> handle.remove()
    """
    if not self._requires:
        raise RuntimeError(NOT_RECORDED)
    place, number = _place(self)
    hooks = hooks_of(place).tensor.setdefault(number, OrderedDict())
    return RemovableHandle(hooks, hook)


@method("register_post_accumulate_grad_hook")
def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[[Any], None]
) -> RemovableHandle:
    """Call ``hook(tensor)`` when `backward` has added to ``.grad`` of this leaf.

    The hook may use ``.grad`` and forget it: so a step of an optimiser can be made for
    each parameter as soon as its gradient is there.

    Raises:
        RuntimeError: the tensor does not require a gradient, or is not a leaf.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> handle = x.register_post_accumulate_grad_hook(lambda leaf: print(leaf.grad))
    >>> (x * 3).sum().backward()
    tensor([3., 3.])
    """
    if not self._requires:
        raise RuntimeError(NOT_RECORDED)
    if self._node is not None:
        raise RuntimeError(NOT_A_LEAF)
    return RemovableHandle(hooks_of(self).accumulated, hook)


def _backward_hooks(self: Tensor) -> Any:
    place, number = _place(self)
    return None if place._hooks is None else place._hooks.tensor.get(number)


METHODS["_backward_hooks"] = property(_backward_hooks)


class Hooked:
    """What nodes and the ends of the graph at leaves let users register.

    >>> y = torch.ones(1, requires_grad=True) * 2
    >>> handle = y.grad_fn.register_hook(lambda inputs, outputs: print(outputs))
    >>> y.backward()
    (tensor([1.]),)
    """

    __slots__ = ()

    def _owner(self) -> Any:
        """The node or leaf that holds the hooks."""
        return self

    def register_hook(
        self, hook: Callable[[Sequence[Any], Sequence[Any]], Any]
    ) -> RemovableHandle:
        """Call ``hook(grad_inputs, grad_outputs)`` after `backward` passed the node.

        The hook may return another tuple of the gradients of the operands. Where a
        tensor is an operand twice, its gradient is given at the first place, and None
        at the other ones.
        """
        return RemovableHandle(hooks_of(self._owner()).post, hook)

    def register_prehook(self, hook: Callable[[Sequence[Any]], Any]) -> RemovableHandle:
        """Call ``hook(grad_outputs)`` before; it may return another tuple of them."""
        return RemovableHandle(hooks_of(self._owner()).pre, hook)

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary for notes at the node."""
        return hooks_of(self._owner()).metadata
