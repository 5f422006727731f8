"""Functions as programs: ``make_program``, ``eval_shape``, ``linear_transpose``."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.bodies import tighten
from fgrad.control.closing import as_value, close, typed
from fgrad.errors import TreeError
from fgrad.ir import Aval, Program, evaluate
from fgrad.record import trace_program
from fgrad.trace import as_operand, is_traced, type_of
from fgrad.transforms.tape import zeros
from fgrad.transforms.vjp import transpose

Function = Callable[..., Any]


def make_program(f: Function) -> Callable[..., Program]:
    """A function that traces ``f`` and returns its program.

    The arguments are values, or ``fgrad.Aval``s where only shapes and dtypes are known
    (then Python control flow on values raises ``ConcretizationError``). With values,
    the program holds the branches that these values took.

    >>> import numpy as np, fgrad
    >>> print(fgrad.make_program(lambda x: np.sum(np.sin(x) * 2.0))(np.ones(3)))
    { lambda ; a:f64[3] . let
        b:f64[3] = sin a
        c:f64[3] = multiply b 2.0
        d:f64[] = sum[axis=(0,)] c
      in (d,) }
    """

    @functools.wraps(f)
    def trace(*args: Any, **kwargs: Any) -> Program:
        leaves, treedef = tree.flatten((args, kwargs))
        is_abstract = any(isinstance(leaf, Aval) for leaf in leaves)
        values = [x if isinstance(x, Aval) else _as_array(x) for x in leaves]
        avals = [x if isinstance(x, Aval) else type_of(x) for x in values]

        def flat(*tracers: Any) -> list[Any]:
            new_args, new_kwargs = tree.unflatten(treedef, tracers)
            outs, _ = tree.flatten(f(*new_args, **new_kwargs))
            return [as_operand(out) for out in outs]

        return tighten(trace_program(flat, avals, None if is_abstract else values))

    return trace


def _as_array(leaf: Any) -> Any:
    """A leaf as NumPy sees it: a Python number becomes a NumPy scalar."""
    operand = as_operand(leaf)
    return operand if is_traced(operand) else np.asarray(operand)[()]


def _type_of_leaf(leaf: Any) -> Aval:
    """The type of an array, a number, or anything with a shape and a dtype."""
    if isinstance(leaf, Aval):
        return leaf
    return type_of(as_value(leaf))


def eval_shape(f: Function, *args: Any, **kwargs: Any) -> Any:
    """The types of what ``f`` returns, without computing it.

    Args:
        f: a function of arrays or nested containers of them, returning the same.
        args, kwargs: its arguments: arrays, or ``fgrad.Aval``s in their place.

    Returns:
        The result with an ``Aval`` for each array.

    Raises:
        ConcretizationError: Python branches on a value.

    >>> import numpy as np, fgrad
    >>> fgrad.eval_shape(np.matmul, fgrad.Aval((2, 3), "float32"), np.ones((3, 4)))
    f64[2,4]
    """
    leaves, treedef = tree.flatten((args, kwargs))

    def call(elements: list[Any]) -> Any:
        new_args, new_kwargs = tree.unflatten(treedef, elements)
        return f(*new_args, **new_kwargs)

    closed = close(call, list(map(_type_of_leaf, leaves)))
    return tree.unflatten(closed.treedef, map(typed, closed.out_avals))


def linear_transpose(f: Function, *primals: Any) -> Function:
    """The transpose of a linear function.

    Args:
        f: a function that is linear in all its arguments: arrays or nested containers.
        primals: its arguments, or ``fgrad.Aval``s in their place: only their types are
            used.

    Returns:
        A function of a cotangent, which has the structure, shapes and dtypes of ``f``'s
        result. It returns a tuple with one cotangent for each argument.

    Raises:
        DerivativeError: ``f`` is not linear.
        TreeError: a cotangent does not have the structure or shapes of the result.

    >>> import numpy as np, fgrad
    >>> x = fgrad.Aval((3,), "float64")
    >>> pull = fgrad.linear_transpose(lambda x: x[:2] * 3.0, x)
    >>> pull(np.array([1.0, 2.0]))
    (array([3., 6., 0.]),)
    """
    leaves, treedef = tree.flatten(primals)
    avals = list(map(_type_of_leaf, leaves))
    closed = close(lambda elements: f(*tree.unflatten(treedef, elements)), avals)
    count = len(closed.operands)
    every = (True,) * len(closed.program.outs)
    what = f"{getattr(f, '__name__', 'the function')} is not linear in its arguments"
    backward, given = transpose(closed.program, count, every, what)

    def pull(ct: Any) -> Any:
        cts = tree.flatten_like(closed.treedef, ct, "a cotangent", "f's result")
        values = [_fitted(x, a) for x, a in zip(cts, closed.out_avals, strict=True)]
        results = iter(evaluate(backward, [*closed.operands, *values]))
        pairs = zip(avals, given, strict=True)
        outs = [next(results) if is_given else zeros(aval) for aval, is_given in pairs]
        return tree.unflatten(treedef, outs)

    return pull


def _fitted(ct: Any, aval: Aval) -> Any:
    value = as_value(ct)
    if value.shape != aval.shape:
        raise TreeError(
            f"a cotangent must have the shape of f's result: expected {aval.shape}, "
            f"got {value.shape}"
        )
    return value if is_traced(value) else np.asarray(value, aval.numpy_dtype)[()]
