"""``backward`` and ``grad``: gradients by the vjp of the recorded program."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from fgrad.torch.accumulation import accumulate
from fgrad.torch.backward import pull_back
from fgrad.torch.computing import differentiate
from fgrad.torch.creation import zeros_like
from fgrad.torch.cuts import explain_cut
from fgrad.torch.graph import edge_of
from fgrad.torch.hooks import accumulate_at
from fgrad.torch.modes import STATE
from fgrad.torch.registry import method
from fgrad.torch.remote import seen_from
from fgrad.torch.tensor import Tensor
from fgrad.torch.watch import WATCH

CYCLE = (
    "Using backward() with create_graph=True will create a reference cycle between the "
    "parameter and its gradient which can cause a memory leak. We recommend using "
    "autograd.grad when creating the graph to avoid this. If you have to use this "
    "function, make sure to reset the .grad fields of your parameters to None after "
    "use to break the cycle and avoid the leak."
)
INSIDE = (
    "backward() called inside a functorch transform. This is not supported, please use "
    "functorch.grad or functorch.vjp instead or call backward() outside of functorch "
    "transforms."
)
NO_GRADIENT = "One of the differentiated Tensors does not require grad"
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
            if output._aval.dtype.kind == "c":
                raise RuntimeError(
                    "grad can be implicitly created only for real scalar outputs but "
                    f"got {output.dtype}"
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
        elif "c" in (output._aval.dtype.kind, seed._aval.dtype.kind):
            _check_complex(number, output, seed)
    for number, output in enumerate(outputs):
        if not output._requires:
            raise RuntimeError(
                f"element {number} of tensors does not require grad and does not have "
                f"a grad_fn\n{explain_cut(output)}"
            )
    return list(seeds)


def _check_complex(number: int, output: Tensor, seed: Tensor) -> None:
    if output._aval.dtype != seed._aval.dtype:
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the "
            f"same dtype. Mismatch in dtype: grad_output[{number}] has a dtype of "
            f"{seed.dtype} and output[{number}] has a dtype of {output.dtype}."
        )


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

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.backward([x * x], [torch.tensor([1.0, 10.0])])
    >>> x.grad
    tensor([ 2., 40.])
    """
    if STATE.mapped:
        raise RuntimeError(INSIDE)
    outputs = _as_list(tensors)
    given = [None] * len(outputs) if grad_tensors is None else _as_list(grad_tensors)
    seeds = _checked_seeds(outputs, given)
    targets = None if inputs is None else _as_list(inputs)
    wanted = None if targets is None else [edge_of(x) for x in targets]
    for target in targets or ():
        if target._requires:
            target.retain_grad()
    if create_graph:
        warnings.warn(CYCLE, UserWarning, stacklevel=2)
    retain = create_graph if retain_graph is None else retain_graph
    for (leaf, _), gradient in pull_back(outputs, seeds, wanted, retain, create_graph):
        if not isinstance(leaf, Tensor) or not leaf._requires:
            continue
        if STATE.watch is not None and gradient is not None:
            STATE.watch.filled(leaf)
        if leaf._hooks is not None:
            accumulate_at(leaf, gradient, create_graph)
        elif gradient is not None:
            accumulate(leaf, gradient)


@method("backward")
def tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of the tensor to ``.grad`` of the leaves.

    A tensor of several elements needs ``gradient``, its cotangent of the same shape.
    Arguments and errors as of `fgrad.torch.autograd.backward`.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """
    aval = self._aval
    is_plain = gradient is None and inputs is None and aval.size == 1
    is_plain = is_plain and aval.dtype.kind != "c"
    is_plain = is_plain and not (retain_graph or create_graph or WATCH.anomaly)
    if is_plain and self._pending and differentiate(self):
        return
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

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.grad((x * x).sum(), x)
    (tensor([2., 4.]),)
    """
    results, sources = _as_list(outputs), _as_list(inputs)
    given = [None] * len(results) if grad_outputs is None else _as_list(grad_outputs)
    seeds = _checked_seeds(results, given)
    for x in sources:
        if not x._requires:
            raise RuntimeError(f"{NO_GRADIENT}\n{explain_cut(x)}")
    retain = create_graph if retain_graph is None else retain_graph
    wanted = [edge_of(x) for x in sources]
    by_edge = {
        (id(parent), number): gradient
        for (parent, number), gradient in pull_back(
            results, seeds, wanted, retain, create_graph
        )
    }
    found = [by_edge.get((id(parent), number)) for parent, number in wanted]
    found = [
        None if g is None else seen_from(x, g)
        for g, x in zip(found, sources, strict=True)
    ]
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
    """The legacy name: ``Variable(x, requires_grad=True)`` is a tensor.

    >>> torch.autograd.Variable(torch.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        """The tensor that shares the memory of ``data``."""
        return data.detach().requires_grad_(requires_grad)
