"""Jacobians, Hessians and products with them, composed from vjp and linearize."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.api import Function, grad, jvp, linearize, vjp
from fgrad.arguments import Argnames, Argnums, Selection
from fgrad.errors import ComplexGradientError
from fgrad.ops.structure import concatenate, reshape
from fgrad.trace import as_operand, is_traced, type_of


def _basis(leaves: Sequence[Any], number: int) -> list[list[Any]]:
    """For each element of leaf ``number``, leaves that are zero but for a one there."""
    avals = [type_of(as_operand(leaf)) for leaf in leaves]
    rows = []
    for element in range(avals[number].size):
        arrays = [np.zeros(aval.shape, aval.numpy_dtype) for aval in avals]
        arrays[number].reshape(-1)[element] = 1
        rows.append([array[()] for array in arrays])
    return rows


def _stack(rows: Sequence[Any], shape: tuple[int, ...], axis: int, like: Any) -> Any:
    """Arrays like ``like`` joined along a new axis, which is split into ``shape``."""
    aval = type_of(as_operand(like))
    inner = aval.shape
    full = (*shape, *inner) if axis == 0 else (*inner, *shape)
    if not rows:
        return np.zeros(full, aval.numpy_dtype)
    if not any(map(is_traced, rows)):
        return np.stack(rows, axis=axis).reshape(full)[()]
    unit = (1, *inner) if axis == 0 else (*inner, 1)
    position = 0 if axis == 0 else len(inner)
    parts = [reshape(row, shape=unit) for row in rows]
    return reshape(concatenate(*parts, axis=position), shape=full)


def _partial(
    f: Function, selection: Selection, args: Any, kwargs: Any, has_aux: bool
) -> tuple[Function, Any]:
    """``f`` as a function of the chosen arguments only, and those arguments."""
    chosen, put = selection.take(f, args, kwargs)

    def call(values: Any) -> Any:
        new_args, new_kwargs = put(values)
        out = f(*new_args, **new_kwargs)
        return out if has_aux else (out, None)

    return call, chosen


def jacrev(
    f: Function,
    argnums: Argnums = 0,
    *,
    argnames: Argnames = None,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Function:
    """The Jacobian of ``f``, one row at a time, by reverse mode.

    Best where the result has fewer elements than the arguments.

    Args:
        f: a function of NumPy arrays or nested containers, returning the same.
        argnums, argnames: the arguments to differentiate, as in `grad`.
        has_aux: ``f`` returns ``(value, aux)``; the result is ``(jacobian, aux)``.
        holomorphic: ``f`` is complex and holomorphic.

    Returns:
        A function that returns, in the structure of the result, for each of its leaves
        the structure of the argument, with arrays of shape ``out.shape + in.shape``.

    Raises:
        ComplexGradientError: a complex result without ``holomorphic``.

    >>> import numpy as np, fgrad
    >>> fgrad.jacrev(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    selection = Selection(argnums, argnames)

    @functools.wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        call, chosen = _partial(f, selection, args, kwargs, has_aux)
        out, pullback, aux = vjp(call, chosen, has_aux=True)
        leaves, out_tree = tree.flatten(out)
        _check_complex(leaves, holomorphic, "jacfwd")
        blocks = []
        for number, leaf in enumerate(leaves):
            rows = [
                tree.flatten(pullback(tree.unflatten(out_tree, row))[0])[0]
                for row in _basis(leaves, number)
            ]
            shape = type_of(as_operand(leaf)).shape
            inputs, in_tree = tree.flatten(chosen)
            columns = [
                _stack([row[k] for row in rows], shape, 0, like)
                for k, like in enumerate(inputs)
            ]
            blocks.append(tree.unflatten(in_tree, columns))
        jacobian = tree.unflatten(out_tree, blocks)
        return (jacobian, aux) if has_aux else jacobian

    return jacobian_of


def _check_complex(leaves: Sequence[Any], holomorphic: bool, other: str) -> None:
    if not holomorphic and any(type_of(as_operand(x)).is_complex for x in leaves):
        raise ComplexGradientError(
            f"a complex Jacobian needs holomorphic=True, or real arguments with {other}"
        )


def jacfwd(
    f: Function,
    argnums: Argnums = 0,
    *,
    argnames: Argnames = None,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Function:
    """The Jacobian of ``f``, one column at a time, by forward mode.

    Best where the arguments have fewer elements than the result. Arguments, result and
    errors are those of `jacrev`, but that complex *arguments* need ``holomorphic``.

    >>> import numpy as np, fgrad
    >>> fgrad.jacfwd(lambda x: np.stack([x, x**2, x**3]))(2.0)
    array([ 1.,  4., 12.])
    """
    selection = Selection(argnums, argnames)

    @functools.wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        call, chosen = _partial(f, selection, args, kwargs, has_aux)
        out, f_jvp, aux = linearize(call, chosen, has_aux=True)
        leaves, in_tree = tree.flatten(chosen)
        _check_complex(leaves, holomorphic, "jacrev")
        out_leaves, out_tree = tree.flatten(out)
        columns = []  # for each input leaf, for each output leaf
        for number, leaf in enumerate(leaves):
            moved = [
                tree.flatten(f_jvp(tree.unflatten(in_tree, column)))[0]
                for column in _basis(leaves, number)
            ]
            shape = type_of(as_operand(leaf)).shape
            columns.append(
                [
                    _stack([row[k] for row in moved], shape, -1, like)
                    for k, like in enumerate(out_leaves)
                ]
            )
        blocks = [
            tree.unflatten(in_tree, [column[k] for column in columns])
            for k in range(len(out_leaves))
        ]
        jacobian = tree.unflatten(out_tree, blocks)
        return (jacobian, aux) if has_aux else jacobian

    return jacobian_of


jacobian = jacrev


def hessian(
    f: Function,
    argnums: Argnums = 0,
    *,
    argnames: Argnames = None,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Function:
    """The matrix of second derivatives of ``f``, forward over reverse.

    Args and errors are those of `jacrev`. The result has shape
    ``out.shape + in.shape + in.shape`` for one array.

    >>> import numpy as np, fgrad
    >>> fgrad.hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    options: dict[str, Any] = {"argnames": argnames, "holomorphic": holomorphic}
    inner = jacrev(f, argnums, has_aux=has_aux, **options)
    return jacfwd(inner, argnums, has_aux=has_aux, **options)


def hvp(f: Callable[..., Any], argnums: int = 0) -> Function:
    """The product of the Hessian of ``f`` with a vector, without the Hessian.

    Args:
        f: a function that returns one real number.
        argnums: the argument to differentiate twice.

    Returns:
        A function of ``f``'s arguments and, last, a vector with the structure and
        shapes of the chosen argument. It fits SciPy's ``hessp=``.

    >>> import numpy as np, fgrad
    >>> fgrad.hvp(lambda x: np.sum(x**3))(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    array([6., 0.])
    """
    gradient = grad(f, argnums)
    selection = Selection(argnums, None)

    @functools.wraps(f)
    def product(*args: Any, **kwargs: Any) -> Any:
        *primals, vector = args
        call, chosen = _partial(gradient, selection, primals, kwargs, True)
        return jvp(call, (chosen,), (vector,))[1]

    return product
