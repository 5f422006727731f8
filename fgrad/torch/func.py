"""``torch.func``: transforms of functions of tensors.

``grad``, ``vjp`` and the Jacobians call `fgrad.torch.autograd.grad`, so they nest and
mix with ``backward()``. `vmap` calls the function for each slice of the batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fgrad import tree
from fgrad.torch import jacobians
from fgrad.torch.autograd import grad as gradients_of
from fgrad.torch.creation import zeros_like
from fgrad.torch.graph import AccumulateGrad
from fgrad.torch.joining import stack as stacked
from fgrad.torch.modes import enable_grad
from fgrad.torch.tensor import Tensor

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "vjp",
    "vmap",
]

Function = Callable[..., Any]


def _leaves(x: Any) -> tuple[list[Any], Any]:
    return tree.flatten(x)


def _entered(x: Any) -> Any:
    """A tensor that depends on ``x`` alone, of which a gradient can be asked."""
    return x.view_as(x) if x._requires else x.detach().requires_grad_()


def grad_and_value(
    func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Function:
    """A function that returns the gradient and the value of another one.

    Args:
        func: returns a tensor of one element, or that and something else.
        argnums: the place of the argument, or several.
        has_aux: whether it returns something else.
    """

    @functools.wraps(func)
    def compute(*args: Any, **kwargs: Any) -> Any:
        places = argnums if isinstance(argnums, tuple) else (argnums,)
        flat, structure = _leaves(tuple(args[place] for place in places))
        with enable_grad():
            points = [_entered(x) for x in flat]
            entered = tree.unflatten(structure, points)
            values = list(args)
            for place, value in zip(places, entered, strict=True):
                values[place] = value
            result = func(*values, **kwargs)
            output, aux = result if has_aux else (result, None)
            _check_scalar(output)
            found = _all_gradients(output, points)
        keep = _has_other_leaves([*found, output], points)
        gradients = tree.unflatten(structure, [_left(g, keep) for g in found])
        first = gradients if isinstance(argnums, tuple) else gradients[0]
        value = tree.map_leaves(lambda x: _left(x, keep), (output, aux))
        value = value if has_aux else value[0]
        return first, value

    return compute


def _has_other_leaves(results: list[Any], points: list[Any]) -> bool:
    """Whether results depend on leaves other than the points of this transform.

    Then they stay in the graph: an outer transform, or ``backward()``, needs them.
    """
    own = {id(x) for x in points}
    if any(x.is_leaf and x._requires and id(x) not in own for x in results):
        return True
    stack = [x.grad_fn for x in results if x.grad_fn is not None]
    seen = set(map(id, stack))
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is None or id(node) in seen:
                continue
            if isinstance(node, AccumulateGrad):
                if id(node.variable) not in own:
                    return True
                continue
            seen.add(id(node))
            stack.append(node)
    return False


def _left(x: Any, keep: bool) -> Any:
    return x.detach() if isinstance(x, Tensor) and not keep else x


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
    """A function that returns the gradient of another one.

    >>> import fgrad.torch as torch
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
    """The result of a function, and its product with vectors from the left."""
    flat, structure = _leaves(primals)
    with enable_grad():
        points = [_entered(x) for x in flat]
        result = func(*tree.unflatten(structure, points))
    output, aux = result if has_aux else (result, None)
    outputs, _ = _leaves(output)

    def pull(cotangents: Any, retain_graph: bool = True) -> Any:
        seeds, _ = _leaves(cotangents)
        found = jacobians._gradients(tuple(outputs), points, seeds, True)
        keep = _has_other_leaves(list(found), points)
        return tree.unflatten(structure, [_left(g, keep) for g in found])

    keep = _has_other_leaves(outputs, points)
    shown = tree.map_leaves(lambda y: _left(y, keep), output)
    return (shown, pull, aux) if has_aux else (shown, pull)


def jvp(func: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """The result of a function, and its product with a vector from the right."""
    keep = any(x._requires for x in _leaves((primals, tangents))[0])
    return jacobians.jvp(func, tuple(primals), tuple(tangents), create_graph=keep)


def jacrev(func: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the Jacobian of another one."""

    @functools.wraps(func)
    def compute(*args: Any) -> Any:
        places = argnums if isinstance(argnums, tuple) else (argnums,)

        def of_points(*points: Any) -> Any:
            values = list(args)
            for place, point in zip(places, points, strict=True):
                values[place] = point
            return func(*values)

        given = tuple(args[place] for place in places)
        inputs = given if isinstance(argnums, tuple) else given[0]
        is_inner = any(x._requires for x in given)
        return jacobians.jacobian(of_points, inputs, create_graph=is_inner)

    return compute


jacfwd = jacrev  # the Jacobian is the same


def hessian(func: Function, argnums: int = 0) -> Function:
    """A function that returns the second derivatives of another one."""
    return jacrev(jacrev(func, argnums), argnums)


def _slice(x: Any, axis: Any, k: int) -> Any:
    return x if axis is None else x.select(axis, k)


def _sliced(arg: Any, axis: Any, k: int) -> Any:
    return tree.map_leaves(lambda x: _slice(x, axis, k), arg)


def vmap(func: Function, in_dims: Any = 0, out_dims: int = 0) -> Function:
    """A function of a batch: of the slices of its arguments along axes.

    Args:
        func: a function of tensors.
        in_dims: the axis of each argument, None for one that serves all.
        out_dims: where the batch is in the results.

    Raises:
        ValueError: no argument is mapped, or batches differ.
    """

    @functools.wraps(func)
    def compute(*args: Any, **kwargs: Any) -> Any:
        axes = in_dims if isinstance(in_dims, tuple) else (in_dims,) * len(args)
        sizes = {
            x.shape[axis]
            for arg, axis in zip(args, axes, strict=True)
            if axis is not None
            for x in _leaves(arg)[0]
        }
        if len(sizes) != 1:
            raise ValueError(
                f"vmap: Expected all tensors to have the same size in the mapped "
                f"dimension, got sizes {sorted(sizes)} for the mapped dimension"
            )
        results = []
        for k in range(sizes.pop()):
            pairs = zip(args, axes, strict=True)
            parts = [_sliced(arg, axis, k) for arg, axis in pairs]
            results.append(func(*parts, **kwargs))
        flat = [_leaves(result)[0] for result in results]
        structure = _leaves(results[0])[1]
        columns = zip(*flat, strict=True)
        return tree.unflatten(
            structure, [stacked(list(each), out_dims) for each in columns]
        )

    return compute


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: Any = None
) -> Any:
    """Call a module with other tensors in place of its parameters and buffers."""
    given = parameter_and_buffer_dicts
    merged: dict[str, Any] = {}
    for each in given if isinstance(given, list | tuple) else [given]:
        merged |= each
    places = []
    for name, value in merged.items():
        place, _, last = name.rpartition(".")
        owner = module.get_submodule(place)
        kind = "_parameters" if last in owner._parameters else "_buffers"
        fields = owner.__dict__[kind]
        places.append((fields, last, fields[last]))
        fields[last] = value
    inputs = args if isinstance(args, tuple) else () if args is None else (args,)
    try:
        return module(*inputs, **(kwargs or {}))
    finally:
        for fields, last, before in places:
            fields[last] = before
