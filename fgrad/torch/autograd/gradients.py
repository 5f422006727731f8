"""``backward`` and ``grad``: gradients by the vjp of the recorded program."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from fgrad.torch.accumulation import accumulate
from fgrad.torch.autograd.graph import GradientEdge
from fgrad.torch.backward import pull_back
from fgrad.torch.computing import differentiate
from fgrad.torch.cuts import explain_cut
from fgrad.torch.graph import AccumulateGrad, Edge, edge_of
from fgrad.torch.hooks import accumulate_at
from fgrad.torch.joining import stack
from fgrad.torch.likes import zeros_like
from fgrad.torch.modes import STATE
from fgrad.torch.pullbacks import rename
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
VARIABLES = "`grad_variables` is deprecated. Use `grad_tensors` instead."
TWICE = (
    "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
    "`backward()`. Please only use `grad_tensors`."
)
ONLY_INPUTS = (
    "only_inputs argument is deprecated and is ignored now (defaults to True). To "
    "accumulate gradient for other parts of the graph, please use "
    "torch.autograd.backward."
)
NOT_ALLOWED = (
    "Expected allow_unused to be True or not passed when materialize_grads=True, but "
    "got: allow_unused=False."
)
BATCHED = (
    "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
    "as the batch dimension. The sizes of the remaining dimensions are expected to "
    "match the shape of corresponding output, but a mismatch was detected: "
    "grad_output[{}] has a shape of {} and output[{}] has a shape of {}. If you only "
    "want some tensors in `grad_output` to be considered batched, consider using vmap."
)
NO_TENSOR = "all inputs have to be Tensors or GradientEdges, but got {}"
NO_ZEROS = "materialize_grads cannot be used when the given input is a GradientEdge"
UNUSED = (
    "The differentiated Tensor at index {} appears to not have been used in the graph. "
    "Set allow_unused=True if this is the desired behavior."
)


def _as_list(given: Any) -> list[Any]:
    return [given] if isinstance(given, Tensor | GradientEdge) else list(given)


def _seeds_of(given: Any, count: int) -> list[Any]:
    """The cotangents that were given for outputs."""
    return [None] * count if given is None else _as_list(given)


def _sources_of(inputs: Any, caller: str) -> list[Any]:
    """The tensors that gradients are asked for.

    Raises:
        RuntimeError: there are none, or something else is among them.
        TypeError: a mapping other than a dict.
    """
    if isinstance(inputs, Mapping) and type(inputs) is not dict:
        raise TypeError(
            f"`inputs` argument to `{caller}()` must be a dict, not "
            f"{type(inputs).__name__}. Other Mapping types are not supported."
        )
    found = _as_list(inputs.values() if type(inputs) is dict else inputs)
    if not found:
        raise RuntimeError(f"`inputs` argument to `{caller}()` cannot be empty.")
    for x in found:
        if not isinstance(x, Tensor | GradientEdge):
            raise RuntimeError(NO_TENSOR.format(type(x).__name__))
    return found


def _edge(x: Tensor | GradientEdge) -> Edge:
    """Where a gradient arrives."""
    if isinstance(x, Tensor):
        return edge_of(x)
    if isinstance(x.node, AccumulateGrad):
        return x.node.variable, 0
    return x.node, x.node.outs[x.output_nr]


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
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradients of the sum of tensors to ``.grad`` of the leaves.

    Args:
        tensors: a tensor or several.
        grad_tensors: their cotangents; may be left out for tensors of one element.
        retain_graph: keep what was saved, for another call.
        create_graph: record the gradients, too, so that they can be differentiated.
        grad_variables: an older name of ``grad_tensors``.
        inputs: only these get gradients; a tensor, several, or a dict of them.

    Raises:
        RuntimeError: in PyTorch's words.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.backward([x * x], [torch.tensor([1.0, 10.0])])
    >>> x.grad
    tensor([ 2., 40.])
    """
    if STATE.mapped:
        raise RuntimeError(INSIDE)
    if grad_variables is not None:
        warnings.warn(VARIABLES, FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError(TWICE)
        grad_tensors = grad_variables
    targets = None if inputs is None else _sources_of(inputs, "backward")
    outputs = _as_list(tensors)
    seeds = _checked_seeds(outputs, _seeds_of(grad_tensors, len(outputs)))
    wanted = None if targets is None else list(map(_edge, targets))
    for target in targets or ():
        if isinstance(target, Tensor) and target._requires:
            target.retain_grad()
    if create_graph:
        warnings.warn(CYCLE, UserWarning, stacklevel=2)
    retain = create_graph if retain_graph is None else retain_graph
    for (leaf, _), gradient in pull_back(outputs, seeds, wanted, retain, create_graph):
        if not isinstance(leaf, Tensor) or not leaf._requires:
            continue
        if STATE.watch is not None and gradient is not None:
            STATE.watch.filled(leaf)
        if create_graph and gradient is not None and leaf._grad is None:
            _copied(gradient)
        if leaf._hooks is not None:
            accumulate_at(leaf, gradient, create_graph)
        elif gradient is not None:
            accumulate(leaf, gradient)


def _copied(gradient: Tensor) -> None:
    """Show a gradient as the copy that PyTorch puts into ``.grad``."""
    if gradient._requires:
        rename([gradient], "CopyBackwards")


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
    backward([self], [gradient], retain_graph, create_graph, inputs=inputs)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The gradients of the sum of outputs, one for each input; no ``.grad`` changes.

    Args:
        outputs: a tensor or several.
        inputs: a tensor or several, leaves or not; for a dict the result is one.
        grad_outputs: cotangents of the outputs.
        retain_graph: keep what was saved, for another call.
        create_graph: record the gradients, too.
        only_inputs: has no effect; false warns.
        allow_unused: give None for an input that no output depends on.
        is_grads_batched: the cotangents have a first axis more, and so has the result.
        materialize_grads: give zeros for such an input.

    Raises:
        RuntimeError: in PyTorch's words.
        ValueError: ``materialize_grads`` where ``allow_unused`` is false.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.grad((x * x).sum(), x)
    (tensor([2., 4.]),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(NOT_ALLOWED)
    results, sources = _as_list(outputs), _sources_of(inputs, "grad")
    if not only_inputs:
        warnings.warn(ONLY_INPUTS, FutureWarning, stacklevel=2)
    seeds = _seeds_of(grad_outputs, len(results))
    retain = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        found = _batched(results, sources, seeds, retain, create_graph)
    else:
        found = _gradients(results, sources, seeds, retain, create_graph)
    for number, gradient in enumerate(found):
        if gradient is None and not (allow_unused or materialize_grads):
            raise RuntimeError(UNUSED.format(number))
    if materialize_grads:
        pairs = list(zip(found, sources, strict=True))
        if any(g is None and not isinstance(x, Tensor) for g, x in pairs):
            raise RuntimeError(NO_ZEROS)
        found = [zeros_like(x) if g is None else g for g, x in pairs]
    if type(inputs) is dict:
        return dict(zip(inputs, found, strict=True))
    return tuple(found)


def _gradients(
    outputs: list[Any],
    sources: list[Any],
    given: list[Any],
    retain: bool,
    create_graph: bool,
) -> list[Tensor | None]:
    """The gradients of sources; None where no output depends on one."""
    seeds = _checked_seeds(outputs, given)
    for x in sources:
        if isinstance(x, Tensor) and not x._requires:
            raise RuntimeError(f"{NO_GRADIENT}\n{explain_cut(x)}")
    wanted = list(map(_edge, sources))
    by_edge = {
        (id(parent), number): gradient
        for (parent, number), gradient in pull_back(
            outputs, seeds, wanted, retain, create_graph
        )
    }
    found = [by_edge.get((id(parent), number)) for parent, number in wanted]
    return [
        seen_from(x, g) if isinstance(x, Tensor) and g is not None else g
        for g, x in zip(found, sources, strict=True)
    ]


def _batched(
    outputs: list[Any],
    sources: list[Any],
    seeds: list[Any],
    retain: bool,
    create_graph: bool,
) -> list[Tensor | None]:
    """As `_gradients`, for each of a batch of cotangents.

    Raises:
        RuntimeError: the cotangents do not fit the outputs.
    """
    for number, (x, seed) in enumerate(zip(outputs, seeds, strict=False)):
        if (seed is not None and seed.shape[1:] != x.shape) or seed.ndim == 0:
            shapes = number, seed.shape[1:], number, x.shape
            raise RuntimeError(BATCHED.format(*shapes))
    count = max(len(seed) for seed in seeds)
    each = [
        _gradients(
            outputs,
            sources,
            [seed[k] for seed in seeds],
            retain or k < count - 1,
            create_graph,
        )
        for k in range(count)
    ]
    return [None if g[0] is None else stack(g) for g in zip(*each, strict=True)]


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
