"""``torch.autograd.graph``: nodes, and hooks for what they save."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from fgrad.torch.graph import AccumulateGrad, edge_of
from fgrad.torch.handles import RemovableHandle
from fgrad.torch.hooks import Hooked, register_hook
from fgrad.torch.tensor import Tensor
from fgrad.torch.watch import LOCAL, WATCH

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]

Node = Hooked  # what `grad_fn` is an instance of


class saved_tensors_hooks:
    """A block in which what is saved for `backward` goes through the user's functions.

    What is saved need not be what PyTorch saves: the values are those that the derived
    pullback reads.

    Args:
        pack_hook: is called with each tensor that is saved, and returns what is kept.
        unpack_hook: is called with that in `backward`, and returns the tensor.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> pack, unpack = torch.Tensor.tolist, torch.tensor
    >>> with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
    ...     y = x * x
    >>> y.sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    def __init__(
        self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if LOCAL.refusal is not None:
            raise RuntimeError(LOCAL.refusal)
        LOCAL.savers.append((self.pack_hook, self.unpack_hook))
        with WATCH.lock:
            WATCH.savers += 1
            WATCH.update()

    def __exit__(self, *exception: object) -> None:
        LOCAL.savers.pop()
        with WATCH.lock:
            WATCH.savers -= 1
            WATCH.update()


class save_on_cpu(saved_tensors_hooks):
    """What is saved is kept in the memory of the CPU, where it is: nothing changes.

    Args:
        pin_memory, device_type: accepted, and of no effect.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> with torch.autograd.graph.save_on_cpu():
    ...     y = x * x
    >>> y.sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda x: x, lambda x: x)


class disable_saved_tensors_hooks:
    """A block in which hooks for saved tensors may not be set.

    Args:
        error_message: of the error that is raised then.

    >>> with torch.autograd.graph.disable_saved_tensors_hooks("not here"):
    ...     try:
    ...         torch.autograd.graph.saved_tensors_hooks(len, len).__enter__()
    ...     except RuntimeError as error:
    ...         print(error)
    not here
    """

    def __init__(self, error_message: str) -> None:
        self._message = error_message
        self._before: list[str | None] = []

    def __enter__(self) -> None:
        self._before.append(LOCAL.refusal)
        LOCAL.refusal = self._message

    def __exit__(self, *exception: object) -> None:
        LOCAL.refusal = self._before.pop()


class GradientEdge(NamedTuple):
    """Where a gradient goes: a node, and which of its results it belongs to.

    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.autograd.graph.get_gradient_edge(x * 2).output_nr
    0
    """

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge at which the gradient of a tensor arrives.

    Raises:
        RuntimeError: the tensor does not require a gradient.

    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.autograd.graph.get_gradient_edge(x * 2).node.name()
    'MulBackward0'
    """
    if not tensor._requires:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not "
            "require gradients"
        )
    place, number = edge_of(tensor)
    if isinstance(place, Tensor):
        return GradientEdge(AccumulateGrad(place), 0)
    return GradientEdge(place, place.outs.index(number))


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Note that the memory of tensors was changed by other means.

    >>> x = torch.ones(2)
    >>> torch.autograd.graph.increment_version(x)
    >>> x._version
    1
    """
    for x in (tensor,) if isinstance(tensor, Tensor) else tensor:
        x._storage.changed()


class _SeveralHandles(RemovableHandle):
    """Removes several hooks at once."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self._handles = tuple(handles)

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()


class _Collector:
    """The gradients of several tensors that a pass has come to so far."""

    def __init__(self, tensors: Sequence[Tensor], function: Any, at_once: bool) -> None:
        self._places = [weakref.ref(edge_of(x)[0]) for x in tensors]
        self._function = function
        self._at_once = at_once
        self._passes: Any = weakref.WeakKeyDictionary()

    def arrive(self, position: int, gradient: Any) -> None:
        """Note a gradient, and call the function if it is the last (or first) one."""
        found = self._passes.setdefault(LOCAL.passing, {})
        found[position] = gradient
        if self._at_once:
            if len(found) == 1:
                self._function(gradient)
            return
        places = [place() for place in self._places]
        if len(found) == sum(LOCAL.passing.reaches(place) for place in places):
            self._function([found.get(k) for k in range(len(places))])


def register_multi_grad_hook(
    tensors: Sequence[Tensor],
    fn: Callable[[Any], None],
    *,
    mode: Literal["all", "any"] = "all",
) -> RemovableHandle:
    """Call a function when `backward` knows the gradients of several tensors.

    Args:
        tensors: they require gradients.
        fn: is called with the list of gradients, None for those that this `backward`
            does not come to; with ``mode="any"``, with the first gradient alone.
        mode: whether to wait for ``"all"``, or for ``"any"`` of them.

    Raises:
        ValueError: the mode is another one.

    >>> x, y = torch.tensor([[1.0], [2.0]], requires_grad=True).unbind()
    >>> handle = torch.autograd.graph.register_multi_grad_hook((x, y), print)
    >>> (x * y).backward()
    [tensor([2.]), tensor([1.])]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    collector = _Collector(tensors, fn, mode == "any")

    def hook_at(position: int) -> Callable[[Any], None]:
        return lambda gradient: collector.arrive(position, gradient)

    return _SeveralHandles(
        [register_hook(x, hook_at(k)) for k, x in enumerate(tensors)]
    )
