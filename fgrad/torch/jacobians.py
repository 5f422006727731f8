"""``torch.autograd.functional``: derivatives of functions of tensors.

They call `fgrad.torch.autograd.grad`, once for each element of an output where a whole
Jacobian is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fgrad.torch.autograd import grad
from fgrad.torch.joining import stack
from fgrad.torch.likes import ones_like, zeros_like
from fgrad.torch.modes import enable_grad
from fgrad.torch.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _as_tuple(given: Any, name: str, function: str = "") -> tuple[Tensor, ...]:
    if function and not isinstance(given, tuple | Tensor):
        raise TypeError(
            f"The {name} given to {function} must be either a Tensor or a tuple of "
            f"Tensors but the given {name} has type {type(given)}."
        )
    values = given if isinstance(given, tuple) else (given,)
    for place, value in enumerate(values):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"The {name} given to the function should be either a Tensor or a "
                f"tuple of Tensors, but the value at index {place} has type "
                f"{type(value)}"
            )
    return values


def _entered(inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Any, ...]:
    """Inputs of which gradients can be asked: of a graph, or new leaves."""
    return tuple(
        x.view_as(x) if create_graph and x._requires else x.detach().requires_grad_()
        for x in inputs
    )


def _leave(values: Any, create_graph: bool) -> Any:
    if isinstance(values, tuple):
        return tuple(_leave(value, create_graph) for value in values)
    return values if create_graph else values.detach()


def _one_if_one(values: tuple[Any, ...], is_tuple: bool) -> Any:
    return values if is_tuple else values[0]


def _gradients(
    outputs: Any, inputs: Any, seeds: Any = None, create_graph: bool = False
) -> tuple[Any, ...]:
    """Gradients, zeros where an output does not depend on an input."""
    pairs = [
        (y, None if seeds is None else seed)
        for y, seed in zip(outputs, seeds or outputs, strict=True)
        if y._requires
    ]
    if not pairs:
        return tuple(zeros_like(x) for x in inputs)
    found = grad(
        [y for y, _ in pairs],
        inputs,
        [seed for _, seed in pairs],
        create_graph=create_graph,
        retain_graph=True,
        allow_unused=True,
    )
    pairs_of = zip(found, inputs, strict=True)
    return tuple(zeros_like(x) if g is None else g for g, x in pairs_of)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivatives of all elements of the outputs by all of the inputs.

    Args:
        func: a function of tensors; returns a tensor or a tuple of them.
        inputs: a tensor or a tuple of them.
        create_graph: record the result, so that it can be differentiated.
        strict: has no effect.
        vectorize: has no effect.
        strategy: has no effect.

    Returns:
        A tensor of the output's shape followed by the input's; tuples of them where
        there are several outputs or inputs.

    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.jacobian(lambda x: x * x, x)
    tensor([[2., 0.],
            [0., 4.]])
    """
    given = _as_tuple(inputs, "inputs", "jacobian")
    with enable_grad():
        points = _entered(given, create_graph)
        results = func(*points)
        outputs = _as_tuple(results, "outputs")
        rows = tuple(_jacobian_of(y, points, create_graph) for y in outputs)
    blocks = tuple(_one_if_one(row, isinstance(inputs, tuple)) for row in rows)
    return _leave(_one_if_one(blocks, isinstance(results, tuple)), create_graph)


def _jacobian_of(
    output: Any, points: tuple[Any, ...], create_graph: bool
) -> tuple[Any, ...]:
    flat = output.reshape(-1)
    rows = [
        _gradients((flat[k],), points, None, create_graph) for k in range(len(flat))
    ]
    shape = tuple(output.shape)
    return tuple(
        stack([row[k] for row in rows]).reshape(*shape, *x.shape)
        if rows
        else x.new_zeros(*shape, *x.shape)
        for k, x in enumerate(points)
    )


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function that returns one number.

    Arguments as of `jacobian`; the result has the input's shape twice.

    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), x)
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    is_tuple = isinstance(inputs, tuple)

    def gradient(*points: Any) -> Any:
        value = func(*points)
        _check_scalar(value)
        return _gradients((value,), points, None, True)

    found = jacobian(gradient, _as_tuple(inputs, "inputs"), create_graph)
    return found if is_tuple else found[0][0]


def _check_scalar(value: Any) -> None:
    if not isinstance(value, Tensor) or value._aval.size != 1:
        raise RuntimeError(
            "The Tensor returned by the function given to hessian should contain a "
            "single element"
        )


def _seeds(v: Any, values: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    if v is None:
        if len(values) != 1 or values[0]._aval.size != 1:
            raise RuntimeError(
                f"The vector v can only be None if the {what} a single Tensor with a "
                "single element."
            )
        return (ones_like(values[0]),)
    return _as_tuple(v, "v")


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs, and the product of a vector with the Jacobian.

    ``v`` has the shape of the outputs; it may be missing for one number.

    >>> x, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 10.0])
    >>> torch.autograd.functional.vjp(lambda x: x * x, x, v)
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    given = _as_tuple(inputs, "inputs")
    with enable_grad():
        points = _entered(given, create_graph)
        results = func(*points)
        outputs = _as_tuple(results, "outputs")
        seeds = _seeds(v, outputs, "user-provided function returns")
        found = _gradients(outputs, points, seeds, create_graph)
    shown = _one_if_one(found, isinstance(inputs, tuple))
    return _leave(results, create_graph), _leave(shown, create_graph)


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs, and the product of the Jacobian with a vector.

    ``v`` has the shape of the inputs. The product with the transpose is linear in the
    seeds; this is its own transpose.

    >>> x, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 10.0])
    >>> torch.autograd.functional.jvp(lambda x: x * x, x, v)
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    given = _as_tuple(inputs, "inputs")
    with enable_grad():
        points = _entered(given, create_graph)
        tangents = _seeds(v, given, "input to the function")
        results = func(*points)
        outputs = _as_tuple(results, "outputs")
        seeds = tuple(zeros_like(y).requires_grad_() for y in outputs)
        pulled = _gradients(outputs, points, seeds, True)
        found = _gradients(pulled, seeds, tangents, create_graph)
    shown = _one_if_one(found, isinstance(results, tuple))
    return _leave(results, create_graph), _leave(shown, create_graph)


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The output, and the product of a vector with the Hessian.

    The function returns one number; ``v`` has the shape of the inputs.

    >>> x, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0])
    >>> torch.autograd.functional.vhp(lambda x: (x**3).sum(), x, v)
    (tensor(9.), tensor([6., 0.]))
    """
    given = _as_tuple(inputs, "inputs")
    with enable_grad():
        points = _entered(given, create_graph)
        value = func(*points)
        _check_scalar(value)
        first = _gradients((value,), points, None, True)
        seeds = _seeds(v, given, "input to the function")
        found = _gradients(first, points, seeds, create_graph)
    shown = _one_if_one(found, isinstance(inputs, tuple))
    return _leave(value, create_graph), _leave(shown, create_graph)


hvp = vhp  # the Hessian is symmetric
