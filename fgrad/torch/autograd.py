"""``torch.autograd``: gradients of tensors by the vjp of the recorded program."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from fgrad.torch.backward import pull_back
from fgrad.torch.creation import zeros_like
from fgrad.torch.graph import edge_of
from fgrad.torch.modes import (
    enable_grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from fgrad.torch.registry import method
from fgrad.torch.tensor import Tensor, accumulate

__all__ = [
    "Variable",
    "backward",
    "enable_grad",
    "grad",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
UNUSED = (
    "The differentiated Tensor at index {} appears to not have been used in the graph. "
    "Set allow_unused=True if this is the desired behavior."
)


def _as_list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, Sequence) else [given]


def _checked_seeds(
    outputs: Sequence[Tensor], seeds: Sequence[Any]
) -> list[Tensor | None]:
    """The cotangents of the outputs; None stands for a one.

    Raises:
        RuntimeError: one is missing where it must be given, or has another shape.
        TypeError: one is not a tensor.
    """
    if len(seeds) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(seeds)} gradients")
    for number, (output, seed) in enumerate(zip(outputs, seeds, strict=True)):
        if seed is None:
            if output._requires and output._aval.size != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs"
                )
        elif not isinstance(seed, Tensor):
            raise TypeError(
                "gradients can be either Tensors or None, but got "
                f"{type(seed).__name__}"
            )
        elif seed._aval.shape != output._aval.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{number}] has a shape of {seed.shape} "
                f"and output[{number}] has a shape of {output.shape}."
            )
    for number, output in enumerate(outputs):
        if not output._requires:
            raise RuntimeError(
                f"element {number} of tensors does not require grad and does not have "
                "a grad_fn"
            )
    return list(seeds)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of the sum of tensors to ``.grad`` of the leaves.

    Args:
        tensors: a tensor or several.
        grad_tensors: their cotangents; may be left out for tensors of one element.
        retain_graph: keep what was saved, for another call.
        create_graph: record the gradients, too, so that they can be differentiated.
        inputs: only these get gradients.

    Raises:
        RuntimeError: in PyTorch's words.
    """
    outputs = _as_list(tensors)
    given = [None] * len(outputs) if grad_tensors is None else _as_list(grad_tensors)
    seeds = _checked_seeds(outputs, given)
    targets = None if inputs is None else _as_list(inputs)
    wanted = None if targets is None else [edge_of(x) for x in targets]
    retain = create_graph if retain_graph is None else retain_graph
    by_target = (
        {}
        if targets is None
        else dict(
            zip(
                [(id(parent), number) for parent, number in wanted or []],
                targets,
                strict=True,
            )
        )
    )
    for edge, gradient in pull_back(outputs, seeds, wanted, retain, create_graph):
        parent, number = edge
        target = by_target.get((id(parent), number))
        if target is None and isinstance(parent, Tensor):
            target = parent
        elif target is None:
            target = parent.retained_by(number)
        if target is not None and target._requires and gradient is not None:
            accumulate(target, gradient)


@method("backward")
def tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of the tensor to ``.grad`` of the leaves; see `backward`.

    >>> import fgrad.torch as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """
    backward([self], [gradient], retain_graph, create_graph, inputs)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of outputs, one for each input; no ``.grad`` changes.

    Args:
        outputs: a tensor or several.
        inputs: a tensor or several, leaves or not.
        grad_outputs: cotangents of the outputs.
        retain_graph: keep what was saved, for another call.
        create_graph: record the gradients, too.
        allow_unused: give None for an input that no output depends on.
        materialize_grads: give zeros for such an input.

    Raises:
        RuntimeError: in PyTorch's words.
    """
    results, sources = _as_list(outputs), _as_list(inputs)
    given = [None] * len(results) if grad_outputs is None else _as_list(grad_outputs)
    seeds = _checked_seeds(results, given)
    if not all(x._requires for x in sources):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    retain = create_graph if retain_graph is None else retain_graph
    wanted = [edge_of(x) for x in sources]
    found = [g for _, g in pull_back(results, seeds, wanted, retain, create_graph)]
    if materialize_grads:
        pairs = zip(found, sources, strict=True)
        return tuple(zeros_like(x) if g is None else g for g, x in pairs)
    for number, gradient in enumerate(found):
        if gradient is None and not allow_unused:
            raise RuntimeError(UNUSED.format(number))
    return tuple(found)


class _VariableType(type):
    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, Tensor)


class Variable(metaclass=_VariableType):
    """The legacy name: ``Variable(x, requires_grad=True)`` is a tensor."""

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        """The tensor that shares the memory of ``data``."""
        return data.detach().requires_grad_(requires_grad)


def __getattr__(name: str) -> Any:
    if name == "functional":
        return importlib.import_module("fgrad.torch.jacobians")
    raise AttributeError(f"module 'fgrad.torch.autograd' has no attribute '{name}'")
