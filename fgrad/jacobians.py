"""Jacobians, Hessians and products with them: one batched sweep each."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.api import Function, check_number, grad, jvp, linear_arguments, tape_of
from fgrad.arguments import Argnames, Argnums, Selection, inputs_of, restore
from fgrad.errors import ComplexGradientError
from fgrad.ir import Aval
from fgrad.ops.batching import move_axis
from fgrad.ops.structure import reshape
from fgrad.trace import as_operand, type_of
from fgrad.transforms.tape import Tape
from fgrad.xla.lazy import on_jax


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    return x if type_of(x).shape == shape else reshape(x, shape=shape)


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
    """The Jacobian of ``f``, all rows in one batched sweep of reverse mode.

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

    @on_jax
    @functools.wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        call, chosen = _partial(f, selection, args, kwargs, has_aux)
        tape, in_tree, count, out_tree, _, aux = tape_of(call, (chosen,), True, False)
        leaves = tape.results[:count]
        _check_complex(leaves, holomorphic, "jacfwd")
        block_tree = in_tree.child(0)
        blocks = []
        for number, leaf in enumerate(leaves):
            rows = _rows(tape, number, type_of(as_operand(leaf)))
            blocks.append(tree.unflatten(block_tree, rows))
        jacobian = tree.unflatten(out_tree, blocks)
        return (jacobian, aux) if has_aux else jacobian

    return jacobian_of


def _rows(tape: Tape, number: int, aval: Aval) -> list[Any]:
    """The Jacobian of one leaf of the result, for each leaf of the arguments."""
    shapes = [(*aval.shape, *own.shape) for own in tape.avals]
    if tape.outs[number] is None:
        pairs = zip(shapes, tape.avals, strict=True)
        return [np.zeros(shape, own.dtype) for shape, own in pairs]
    if not aval.ndim:
        return tape.pull_back({number: aval.numpy_dtype.type(1)})
    rows = tape.pull_back_units(number)
    return [_reshaped(row, shape) for row, shape in zip(rows, shapes, strict=True)]


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
    """The Jacobian of ``f``, all columns in one batched sweep of forward mode.

    Best where the arguments have fewer elements than the result. Arguments, result and
    errors are those of `jacrev`, but that complex *arguments* need ``holomorphic``.

    >>> import numpy as np, fgrad
    >>> fgrad.jacfwd(lambda x: np.stack([x, x**2, x**3]))(2.0)
    array([ 1.,  4., 12.])
    """
    selection = Selection(argnums, argnames)

    @on_jax
    @functools.wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        call, chosen = _partial(f, selection, args, kwargs, has_aux)
        leaves, block_tree = tree.flatten(chosen)
        _check_complex(leaves, holomorphic, "jacrev")
        tape, _, count, out_tree, _, aux = tape_of(call, (chosen,), True, False)
        columns = [_columns(tape, number, count) for number in range(len(leaves))]
        blocks = [
            tree.unflatten(block_tree, [column[k] for column in columns])
            for k in range(count)
        ]
        jacobian = tree.unflatten(out_tree, blocks)
        return (jacobian, aux) if has_aux else jacobian

    return jacobian_of


def _columns(tape: Tape, number: int, count: int) -> list[Any]:
    """The Jacobian with respect to one leaf of the arguments, for each result."""
    aval = tape.avals[number]
    moving = tuple(k for k in range(count) if tape.outs[k] is not None)
    if aval.ndim:
        found = tape.push_forward_units(number, moving)
        found = [move_axis(x, 0, type_of(x).ndim - 1) for x in found]
    else:
        found = tape.push_forward({number: aval.numpy_dtype.type(1)}, moving)
    results = dict(zip(moving, found, strict=True))
    columns = []
    for k, leaf in enumerate(tape.results[:count]):
        own = type_of(as_operand(leaf))
        shape = (*own.shape, *aval.shape)
        fixed = k not in results
        columns.append(
            np.zeros(shape, own.numpy_dtype) if fixed else _reshaped(results[k], shape)
        )
    return columns


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
    twice = jacfwd(inner, argnums, has_aux=has_aux, **options)
    if has_aux or holomorphic:
        return twice
    selection = Selection(argnums, argnames)

    @on_jax
    @functools.wraps(f)
    def hessian_of(*args: Any, **kwargs: Any) -> Any:
        call, chosen = _partial(f, selection, args, kwargs, False)
        tape, in_tree, count, out_tree, _, _ = tape_of(call, (chosen,), True, False)
        if count != 1 or not _is_curved(tape):
            return twice(*args, **kwargs)
        block_tree = in_tree.child(0)
        columns = [_curvature(tape, number) for number in range(len(tape.avals))]
        rows = [
            tree.unflatten(block_tree, list(row)) for row in zip(*columns, strict=True)
        ]
        return tree.unflatten(out_tree, [tree.unflatten(block_tree, rows)])

    return hessian_of


def _is_curved(tape: Tape) -> bool:
    """Whether the first result is a real number that varies, by a short program."""
    aval = tape.out_avals[0]
    is_number = aval is not None and aval.shape == () and not aval.is_complex
    return is_number and tape.has_curvature


def _curvature(tape: Tape, number: int) -> list[Any]:
    """Second derivatives with respect to one leaf, for each leaf of the gradient."""
    aval = tape.avals[number]
    if not aval.ndim:
        return tape.curve({number: aval.numpy_dtype.type(1)})
    found = tape.curve_units(number)
    moved = [move_axis(x, 0, type_of(x).ndim - 1) for x in found]
    pairs = zip(moved, tape.avals, strict=True)
    return [_reshaped(x, (*own.shape, *aval.shape)) for x, own in pairs]


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

    @on_jax
    @functools.wraps(f)
    def product(*args: Any, **kwargs: Any) -> Any:
        *primals, vector = args
        call, chosen = _partial(f, selection, primals, kwargs, False)
        values, treedef = inputs_of(chosen)
        tape = Tape(lambda tracers: call(restore(treedef, tracers))[0], values)
        check_number(tape, tape.treedef, False)
        if not _is_curved(tape):
            call, chosen = _partial(gradient, selection, primals, kwargs, True)
            return jvp(call, (chosen,), (vector,))[1]
        leaves = [vector] if treedef is None else _leaves_like(treedef, vector)
        tangents = linear_arguments(leaves, list(tape.avals), "tangent")
        return restore(treedef, tape.curve(tangents))

    return product


def _leaves_like(treedef: tree.TreeDef, vector: Any) -> list[Any]:
    return tree.flatten_like(treedef, vector, "the vector", "the argument")
