"""The history of a tensor that is written to, of its base and of its views.

A write to a tensor gives it the history of what was written. A write through a view is
recorded as one of its base, at the view's place: ``CopySlices``. Views of a tensor
that was written to get their history anew when they are asked for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad.numpy
from fgrad.inplace import unlocked
from fgrad.torch.graph import Node, node_type, record
from fgrad.torch.guards import RESULT
from fgrad.torch.known import is_traced
from fgrad.torch.modes import STATE
from fgrad.torch.registry import method
from fgrad.torch.storage import writing
from fgrad.torch.tensor import Tensor, set_array
from fgrad.torch.views import WRITTEN, WRITTEN_ELSEWHERE
from fgrad.trace import Tracer

LEAF = "a leaf Variable that requires grad is being used in an in-place operation."
INFERENCE = (
    "Inplace update to inference tensor outside InferenceMode is not allowed.You can "
    "make a clone to get a normal tensor before doing inplace update.See "
    "https://github.com/pytorch/rfcs/pull/17 for more details."
)
SHARED = (
    "unsupported operation: more than one element of the written-to tensor refers to a "
    "single memory location. Please clone() the tensor before performing the operation."
)


READ_ONLY = (
    "the tensor has the memory of a NumPy array that is read-only; copy that array "
    "before it becomes a tensor, or call clone()"
)


def check_writable(tensor: Tensor, *operands: Any) -> None:
    """Refuse what would lose the gradient of a leaf, and what PyTorch refuses.

    Args:
        tensor: is to be written to, element by element.
        operands: what is written depends on these.

    Raises:
        RuntimeError: as `check_changeable`; or it is an expanded tensor.
    """
    check_changeable(tensor, *operands)
    check_separate(tensor._array)


def check_separate(array: Any) -> None:
    """Refuse a write to elements that share memory.

    Raises:
        RuntimeError: some do, since an axis was expanded.
    """
    if is_shared(array):
        raise RuntimeError(SHARED)


def is_shared(array: Any) -> bool:
    """Whether elements share one place of memory since an axis was expanded."""
    if is_traced(array) or 0 not in array.strides or not array.size:
        return False
    pairs = zip(array.shape, array.strides, strict=True)
    return any(n > 1 and not step for n, step in pairs)


def check_changeable(tensor: Tensor, *operands: Any, as_view: bool = False) -> None:
    """As `check_writable`, where elements may share memory.

    Args:
        tensor: is to be written to.
        operands: what is written depends on these.
        as_view: PyTorch writes to a view of the tensor, which its message mentions.

    Raises:
        RuntimeError: a leaf that requires a gradient, or a view of one, is changed
            while operations are recorded; or the memory cannot be written to; or it is
            a view that PyTorch protects.
    """
    if STATE.enabled:
        _check_history(tensor, operands, as_view)
    if not is_traced(tensor._array) and not tensor._array.flags.writeable:
        raise RuntimeError(READ_ONLY)
    if tensor._storage.is_inference and not STATE.inference:
        raise RuntimeError(INFERENCE)
    writing(tensor)


def _check_history(tensor: Tensor, operands: tuple[Any, ...], as_view: bool) -> None:
    if tensor._refusal:
        raise RuntimeError(tensor._refusal)
    base = tensor._base
    if base is not None:
        if tensor._view.kind and records(tensor, operands):
            raise RuntimeError(tensor._view.refusal(WRITTEN))
        if base._node is None and (tensor._requires or base._requires):
            raise RuntimeError(f"a view of {LEAF}")
    if tensor._requires and tensor._node is None:
        raise RuntimeError(f"a view of {LEAF}" if as_view else LEAF)


def records(tensor: Tensor, operands: tuple[Any, ...]) -> bool:
    """Whether an operation on a tensor and others is recorded in grad mode."""
    return tensor._requires or any(
        isinstance(x, Tensor) and x._requires for x in operands
    )


def bind(tensor: Tensor, node: Node, number: int) -> None:
    """Make a tensor a result of another operation than before."""
    tensor._node, tensor._number = node, number
    tensor._requires = True
    if tensor._retains:
        node.retain(tensor)


def rebind(tensor: Tensor, result: Tensor) -> None:
    """Make a tensor, which is no view, what a recorded operation gave."""
    if tensor._node is not None:
        tensor._node.forget(tensor)
    node = result._node
    if node is None:
        tensor._node, tensor._number = None, 0
        tensor._requires = result._requires
        return
    bind(tensor, node, result._number)
    tensor._storage.writer = node.name()


def guard_written(tensor: Tensor, result: Tensor) -> None:
    """Have backward refuse another write where it reads what was written, as PyTorch's.

    (What it reads is in memory of its own, but PyTorch has just the tensor's.)
    """
    node, storage = result._node, tensor._storage
    if node is None or not node.guards:
        return
    node.guards = tuple(
        (storage, storage.version, *guard[2:])
        if guard[3] == RESULT and guard[0] is result._storage
        else guard
        for guard in node.guards
    )


def write(
    target: Tensor, value: Any, place: Any, node: str, is_shared: bool = False
) -> None:
    """Write to a place of a tensor, as a recorded operation where one is needed.

    Args:
        target: the tensor, which may be a view.
        value: a tensor, of the dtype of the target, or an array.
        place: ``place(x, v)`` writes ``v`` into ``x``, in NumPy.
        node: the name of the operation; of a view's base it is ``CopySlices``.
        is_shared: elements that are written to share memory, so that `backward` cannot
            write their gradients; it raises PyTorch's error.
    """
    view = target._base is not None
    base = target if target._base is None else target._base
    of = target._view.of if view else _itself

    def written(x: Any, v: Any) -> Any:
        """The base after the write: the same memory, where a tracer stands for it."""
        if type(x) is Tracer:
            x.owned = True
            changed: Any = x
        else:
            changed = fgrad.numpy.zeros(x.shape, x.dtype)
            changed[...] = x
        part = of(changed)
        place(unlocked(part) if type(part) is Tracer else part, v)
        return changed

    old = base if base._requires else base._array
    if isinstance(value, Tensor) and not value._requires:
        value = value._array  # as no tensor: it may change after this
    # at once: it writes to the memory
    name = "CopySlices" if view else node
    name = f"{name}:{SHARED}" if is_shared else name
    result = record(name, written, (old, value))
    if result._array is not base._array:
        np.copyto(base._array, result._array)
    rebind(base, result)
    base._storage.changed()


def _itself(x: Any) -> Any:
    return x


def reshape_to(target: Tensor, result: Tensor, nodes: dict[str, str]) -> None:
    """Give a tensor the shape of a view of it; its other views stay what they are.

    Args:
        target: the tensor.
        result: a view of it, by one step, of the same size.
        nodes: the names of operations in place, by those that give views.
    """
    array = result._array  # which is computed now, if it was not
    if target._base is not None:
        target._view.steps = result._view.steps
    elif result._base is target:
        back = _inverse(target._aval.shape, result)
        for reference in target._storage.views or ():
            view = reference()
            if view is not None and view is not result and view._base is target:
                view._view.steps = ((back, None), *view._view.steps)
    node, number = result._node, result._number
    set_array(target, array)
    target._storage.changed()
    if node is None:
        return
    node.__class__ = node_type(nodes.get(node.name(), node.name()))
    target._node, target._number = node, number  # what is retained stays, as PyTorch's
    target._requires = True
    if target._base is not None:
        target._storage.add_view(target)
    else:
        target._storage.writer = node.name()


def _inverse(shape: tuple[int, ...], result: Tensor) -> Any:
    """The step from a transposed or reshaped tensor back to what it was."""
    ((function, _),) = result._view.steps
    if result._array.size and sorted(shape) != sorted(result._aval.shape):
        return lambda x: np.reshape(x, shape)
    return function  # an exchange of axes


def fill_place(x: Any, v: Any) -> None:
    """Write to all elements."""
    x[...] = v


@method("_renew")
def renew(self: Tensor) -> None:
    """Record again how a view comes from its base, which has a new history.

    Raises:
        RuntimeError: it is a view that PyTorch protects.
    """
    base, view = self._base, self._view
    assert base is not None
    if view.kind:
        raise RuntimeError(view.refusal(WRITTEN_ELSEWHERE))
    fresh = record("AsStridedBackward0", view.of, (base,))
    self._node, self._number = None, 0
    self._requires = fresh._requires
    if fresh._node is not None:
        bind(self, fresh._node, fresh._number)
    self._storage.add_view(self)
