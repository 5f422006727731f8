"""`jacfwd`, `jacrev` and `hessian`: whole Jacobians of functions of tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fgrad import tree
from fgrad.torch import jacobians
from fgrad.torch.directional import check_tangent, leaves_of, recorded
from fgrad.torch.forward import Forward
from fgrad.torch.leaves import has_other_leaves, left
from fgrad.torch.tensor import Tensor

Function = Callable[..., Any]


def jacfwd(
    func: Function,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Function:
    """A function that returns the Jacobian of another one, by forward mode.

    Args:
        func: a function of tensors.
        argnums: the place of the argument, or several.
        has_aux: whether it returns something else, too.
        chunk_size: has no effect.
        randomness: has no effect: the function is called once.

    >>> torch.func.jacfwd(torch.sin)(torch.zeros(2))
    tensor([[1., 0.],
            [0., 1.]])
    """

    @functools.wraps(func)
    def compute(*args: Any) -> Any:
        of_points, primals = _restricted(func, args, argnums)
        for x in leaves_of(primals)[0]:
            check_tangent(x, x)
        _, aux, outputs, out_structure, points = recorded(of_points, primals, has_aux)
        keep = has_other_leaves(outputs, points)
        columns = _columns(outputs, points, keep)
        blocks = [
            _arranged([column[k] for column in columns], points, y, primals, argnums)
            for k, y in enumerate(outputs)
        ]
        found = tree.unflatten(out_structure, blocks)
        return (
            (found, tree.map_leaves(lambda y: left(y, keep), aux)) if has_aux else found
        )

    return compute


def _columns(outputs: list[Any], points: list[Any], keep: bool) -> list[list[Tensor]]:
    """For each point the Jacobians of all outputs, the axis of its elements first."""
    varying = [y for y in outputs if y._requires]
    forward = Forward(varying, points) if varying else None
    columns = []
    for number, x in enumerate(points):
        found = iter(forward.columns(number, keep) if forward else ())
        columns.append(
            [
                next(found) if y._requires else y.new_zeros(x._aval.size, *y.shape)
                for y in outputs
            ]
        )
    return columns


def _arranged(
    column: list[Any], points: list[Any], y: Any, primals: Any, argnums: Any
) -> Any:
    """Jacobians of one output in the structure of the arguments."""
    blocks = [
        jacobian.movedim(0, -1).reshape(*y.shape, *x.shape)
        for jacobian, x in zip(column, points, strict=True)
    ]
    found = tree.unflatten(leaves_of(primals)[1], blocks)
    return found if isinstance(argnums, tuple) else found[0]


def _restricted(
    func: Function, args: tuple[Any, ...], argnums: int | tuple[int, ...]
) -> tuple[Function, tuple[Any, ...]]:
    """The function of some of its arguments, and these."""
    places = argnums if isinstance(argnums, tuple) else (argnums,)
    for place in places:
        if not -len(args) <= place < len(args):
            raise RuntimeError(
                f"Got argnum={place}, but only {len(args)} positional inputs"
            )

    def of_points(*points: Any) -> Any:
        values = list(args)
        for place, point in zip(places, points, strict=True):
            values[place] = point
        return func(*values)

    return of_points, tuple(args[place] for place in places)


def jacrev(
    func: Function,
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Function:
    """A function that returns the Jacobian of another one, by reverse mode.

    Args:
        func: a function of tensors.
        argnums: the place of the argument, or several.
        has_aux: whether it returns something else, too.
        chunk_size: has no effect.

    Returns:
        A function whose result has the output's shape, then the input's.

    >>> torch.func.jacrev(torch.cumsum)(torch.zeros(2), 0)
    tensor([[1., 0.],
            [1., 1.]])
    """

    @functools.wraps(func)
    def compute(*args: Any) -> Any:
        of_points, primals = _restricted(func, args, argnums)
        _, aux, outputs, out_structure, points = recorded(of_points, primals, has_aux)
        keep = has_other_leaves(outputs, points)
        structure = leaves_of(primals)[1]
        blocks = []
        for y in outputs:
            rows = jacobians._jacobian_of(y, tuple(points), keep)
            row = tree.unflatten(structure, [left(x, keep) for x in rows])
            blocks.append(row if isinstance(argnums, tuple) else row[0])
        found = tree.unflatten(out_structure, blocks)
        return (
            (found, tree.map_leaves(lambda y: left(y, keep), aux)) if has_aux else found
        )

    return compute


def hessian(func: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the second derivatives of another one.

    >>> torch.func.hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
