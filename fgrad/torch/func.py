"""``torch.func``: transforms of functions of tensors.

``grad``, ``vjp`` and the Jacobians call `fgrad.torch.autograd.grad`, so they nest and
mix with ``backward()``. `vmap` runs the function once, in
a mapped trace.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fgrad import tree
from fgrad.torch import jacobians
from fgrad.torch.autograd import grad as gradients_of
from fgrad.torch.directional import entered, jvp, leaves_of, linearize
from fgrad.torch.func_jacobians import hessian, jacfwd, jacrev
from fgrad.torch.leaves import has_other_leaves, left
from fgrad.torch.likes import zeros_like
from fgrad.torch.mapping import vmap
from fgrad.torch.modes import enable_grad
from fgrad.torch.stateless import functional_call, stack_module_state
from fgrad.torch.tensor import Tensor

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]


def __dir__() -> list[str]:
    return __all__


Function = Callable[..., Any]


def grad_and_value(
    func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Function:
    """A function that returns the gradient and the value of another one.

    Args:
        func: returns a tensor of one element, or that and something else.
        argnums: the place of the argument, or several.
        has_aux: whether it returns something else.

    Raises:
        RuntimeError: the function returns something else.

    >>> torch.func.grad_and_value(torch.sin)(torch.tensor(0.0))
    (tensor(1.), tensor(0.))
    """

    @functools.wraps(func)
    def compute(*args: Any, **kwargs: Any) -> Any:
        places = argnums if isinstance(argnums, tuple) else (argnums,)
        flat, structure = leaves_of(tuple(args[place] for place in places))
        with enable_grad():
            points = [entered(x) for x in flat]
            arguments = tree.unflatten(structure, points)
            values = list(args)
            for place, value in zip(places, arguments, strict=True):
                values[place] = value
            result = func(*values, **kwargs)
            output, aux = result if has_aux else (result, None)
            _check_scalar(output)
            found = _all_gradients(output, points)
        keep = has_other_leaves([*found, output], points)
        gradients = tree.unflatten(structure, [left(g, keep) for g in found])
        first = gradients if isinstance(argnums, tuple) else gradients[0]
        value = tree.map_leaves(lambda x: left(x, keep), (output, aux))
        value = value if has_aux else value[0]
        return first, value

    return compute


def _all_gradients(output: Any, points: list[Any]) -> list[Any]:
    if not output._requires:
        return [zeros_like(x) for x in points]
    found = gradients_of(output, points, create_graph=True, allow_unused=True)
    pairs = zip(found, points, strict=True)
    return [zeros_like(x) if g is None else g for g, x in pairs]


def _check_scalar(output: Any) -> None:
    if not isinstance(output, Tensor):
        raise RuntimeError(
            "Expected f(*args) to return one tensor, got "
            f"{type(output).__name__}; with has_aux=True it may return something else, "
            "too"
        )
    if output._aval.ndim:
        raise RuntimeError(
            "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, "
            f"got tensor with {output._aval.ndim} dims. Maybe you wanted to use the "
            "vjp or jacrev APIs instead?"
        )


def grad(
    func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Function:
    """A function that returns the gradient of another one, which gives one number.

    Arguments as of `grad_and_value`.

    >>> torch.func.grad(torch.func.grad(torch.sin))(torch.tensor(0.5))
    tensor(-0.4794)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def compute(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return compute


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """The result of a function, and its product with vectors from the left.

    The product is a function of the vectors, one for each output; it gives a tuple of
    one tensor for each of the ``primals``.

    >>> value, pull = torch.func.vjp(torch.sin, torch.tensor([0.0, 1.0]))
    >>> pull(torch.tensor([1.0, 2.0]))
    (tensor([1.0000, 1.0806]),)
    """
    flat, structure = leaves_of(primals)
    with enable_grad():
        points = [entered(x) for x in flat]
        result = func(*tree.unflatten(structure, points))
    output, aux = result if has_aux else (result, None)
    outputs, _ = leaves_of(output)

    def pull(cotangents: Any, retain_graph: bool = True) -> Any:
        seeds, _ = leaves_of(cotangents)
        found = jacobians._gradients(tuple(outputs), points, seeds, True)
        keep = has_other_leaves(list(found), points)
        return tree.unflatten(structure, [left(g, keep) for g in found])

    keep = has_other_leaves(outputs, points)
    shown = tree.map_leaves(lambda y: left(y, keep), output)
    return (shown, pull, aux) if has_aux else (shown, pull)
