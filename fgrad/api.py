"""The functional core: gradients and products with Jacobians.

Complex numbers follow JAX's convention: the gradient of a real function f of z = x + iy
is ``df/dx - i df/dy``, and products with Jacobians pair ``ct`` and ``t`` as ``Re(sum(ct
* t))``.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.arguments import Argnames, Argnums, Selection, inputs_of, restore
from fgrad.errors import ComplexGradientError, NonScalarOutputError, TreeError
from fgrad.ir import Aval
from fgrad.trace import as_operand, is_traced, type_of
from fgrad.transforms.tape import Tape, zeros
from fgrad.xla.lazy import has_jax, on_jax, on_saved, record_on_jax

Function = Callable[..., Any]


def value_and_grad(
    f: Function,
    argnums: Argnums = 0,
    *,
    argnames: Argnames = None,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Function:
    """A function that returns ``f``'s value and its gradient.

    Args:
        f: a function of NumPy arrays (or nested containers of them) that returns one
            real number; with ``has_aux`` a pair of that and anything else.
        argnums: position, or tuple of positions, of the arguments to differentiate;
            negative ones count from the end.
        argnames: names of arguments to differentiate, in addition to ``argnums`` (in
            place of it where ``argnums`` is left at its default).
        has_aux: ``f`` returns ``(value, aux)``; the result is ``((value, aux), grad)``.
        holomorphic: ``f`` is complex and holomorphic; the gradient is ``df/dz``.

    Returns:
        A function of ``f``'s arguments. The gradient has the structure, shapes and
        dtypes of the chosen argument, a tuple of those for several. A chosen Python
        float counts as a float64, so that its product with a float32 array is one: pass
        ``np.float32(x)`` where the value is to be a float32.

    Raises:
        NonScalarOutputError: ``f`` returns more than one number.
        IntegerInputError: a chosen argument is an integer.
        ComplexGradientError: ``f`` returns a complex number without ``holomorphic``.

    >>> import numpy as np, fgrad
    >>> value, gradient = fgrad.value_and_grad(lambda x: np.sum(x**2))(np.arange(3.0))
    >>> float(value), gradient
    (5.0, array([0., 2., 4.]))
    """
    selection = Selection(argnums, argnames)

    @on_jax
    @functools.wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        chosen, put = selection.take(f, args, kwargs)
        values, treedef = inputs_of(chosen)
        if holomorphic:
            _require_complex(values)

        def call(tracers: Any) -> Any:
            new_args, new_kwargs = put(restore(treedef, tracers))
            out = f(*new_args, **new_kwargs)
            return _split_aux(out) if has_aux else out

        tape = Tape(call, values)
        main = tape.treedef.child(0) if has_aux else tape.treedef
        check_number(tape, main, holomorphic)
        aux = tree.unflatten(tape.treedef, tape.results)[1] if has_aux else None
        if tape.outs[0] is None:
            gradients = [zeros(aval) for aval in tape.avals]
        else:
            gradients = tape.gradient()
        value = (tape.results[0], aux) if has_aux else tape.results[0]
        return value, restore(treedef, gradients)

    return value_and_gradient


def _split_aux(out: Any) -> tuple[Any, Any]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(
            "with has_aux=True the function must return a pair (value, aux), got "
            f"{type(out).__name__}"
        )
    return out


def _require_complex(values: list[Any]) -> None:
    for value in values:
        if not type_of(value).is_complex:
            raise ComplexGradientError(
                f"holomorphic=True needs complex arguments, got {type_of(value)}"
            )


def check_number(tape: Tape, main: tree.TreeDef, holomorphic: bool) -> None:
    """The main result must be one number, real unless ``holomorphic``."""
    if not main.is_leaf():
        raise NonScalarOutputError(
            f"grad needs a function that returns one number, this one returned {main}"
        )
    aval = tape.out_avals[0]
    if aval is None:
        aval = type_of(as_operand(tape.results[0]))
    if aval.shape != ():
        raise NonScalarOutputError(
            f"grad needs a function that returns one number, this one returned shape "
            f"{aval.shape}; reduce it (np.sum, np.mean), or use fgrad.jacobian"
        )
    if aval.is_complex and not holomorphic:
        raise ComplexGradientError(
            "grad of a complex result: pass holomorphic=True if the function is "
            "holomorphic, or reduce it to a real number (np.abs, np.real)"
        )


def grad(
    f: Function,
    argnums: Argnums = 0,
    *,
    argnames: Argnames = None,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Function:
    """A function that returns the gradient of ``f``.

    Arguments and errors are those of `value_and_grad`. With ``has_aux`` the result is
    ``(gradient, aux)``.

    >>> import numpy as np, fgrad
    >>> fgrad.grad(np.tanh)(0.0)
    np.float64(1.0)
    >>> fgrad.grad(lambda p: np.sum(p["w"] * p["b"]))({"w": np.ones(2), "b": 3.0})
    {'w': array([3., 3.]), 'b': np.float64(2.0)}
    """
    both = value_and_grad(
        f, argnums, argnames=argnames, has_aux=has_aux, holomorphic=holomorphic
    )

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, result = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return gradient


def _flat_call(f: Function, treedef: Any, has_aux: bool) -> Function:
    def call(tracers: Any) -> Any:
        out = f(*tree.unflatten(treedef, tracers))
        return _split_aux(out) if has_aux else (out, None)

    return call


def tape_of(
    f: Function, primals: tuple[Any, ...], has_aux: bool, protect: bool
) -> tuple[Tape, tree.TreeDef, int, tree.TreeDef, Any, Any]:
    """Record ``f``.

    Returns the tape, the tree of the arguments, the number of the result's leaves, its
    tree, the result, and what ``f`` returned beside it.
    """
    if has_jax(*primals):
        record = functools.partial(_tape_of, f, has_aux=has_aux, protect=False)
        return record_on_jax(record, primals)
    return _tape_of(f, primals, has_aux, protect)


def _tape_of(
    f: Function, primals: tuple[Any, ...], has_aux: bool, protect: bool
) -> tuple[Tape, tree.TreeDef, int, tree.TreeDef, Any, Any]:
    values, treedef = inputs_of(primals)
    assert treedef is not None
    tape = Tape(_flat_call(f, treedef, has_aux), values, protect)
    out, aux = tree.unflatten(tape.treedef, tape.results)
    leaves, out_tree = tree.flatten(out)
    return tape, treedef, len(leaves), out_tree, out, aux


def linear_arguments(
    leaves: list[Any], avals: list[Aval | None], what: str
) -> dict[int, Any]:
    """Check tangents or cotangents against their primals; number -> array."""
    result = {}
    for number, (leaf, aval) in enumerate(zip(leaves, avals, strict=True)):
        if aval is None:
            continue
        found = type_of(as_operand(leaf))
        if found.shape != aval.shape:
            raise TreeError(
                f"a {what} must have the shape of its primal: expected {aval.shape}, "
                f"got {found.shape}"
            )
        if found.is_complex and not aval.is_complex:
            raise TreeError(f"a complex {what} was given for a real primal ({aval})")
        result[number] = leaf if is_traced(leaf) else _cast(leaf, aval)
    return result


def _cast(leaf: Any, aval: Aval) -> Any:
    return np.asarray(leaf, aval.numpy_dtype)[()]


def vjp(f: Function, *primals: Any, has_aux: bool = False) -> Any:
    """The value of ``f`` and the function that pulls cotangents back.

    Args:
        f: a function of NumPy arrays or nested containers, returning the same.
        primals: the point at which ``f`` is differentiated.
        has_aux: ``f`` returns ``(value, aux)``.

    Returns:
        ``(value, pullback)``, or ``(value, pullback, aux)``. ``pullback(ct)`` takes a
        cotangent with the structure and shapes of the value and returns a tuple with
        one cotangent for each primal. It may be called any number of times.

    Raises:
        TreeError: a cotangent's structure or shape is not that of the value.

    >>> import numpy as np, fgrad
    >>> value, pullback = fgrad.vjp(np.sin, np.zeros(2))
    >>> pullback(np.array([1.0, 2.0]))
    (array([1., 2.]),)
    """
    tape, treedef, count, out_tree, out, aux = tape_of(
        f, primals, has_aux, protect=True
    )
    out_avals = tape.out_avals[:count]

    def pull(tape: Tape, ct: Any) -> Any:
        leaves = tree.flatten_like(out_tree, ct, "a cotangent", "the function's value")
        seeds = linear_arguments(leaves, out_avals, "cotangent")
        return tree.unflatten(treedef, tape.pull_back(seeds))

    is_on_jax = has_jax(*primals)

    def pullback(ct: Any) -> Any:
        return on_saved(pull, tape, ct) if is_on_jax else pull(tape, ct)

    return (out, pullback, aux) if has_aux else (out, pullback)


def linearize(f: Function, *primals: Any, has_aux: bool = False) -> Any:
    """The value of ``f`` and its derivative as a linear function of the tangents.

    Args:
        f: a function of NumPy arrays or nested containers, returning the same.
        primals: the point at which ``f`` is differentiated.
        has_aux: ``f`` returns ``(value, aux)``.

    Returns:
        ``(value, f_jvp)``, or ``(value, f_jvp, aux)``. ``f_jvp(*tangents)`` returns the
        tangent of the value; it may be called any number of times at the cost of the
        linear part only.

    Raises:
        TreeError: a tangent's structure or shape is not that of its primal.

    >>> import numpy as np, fgrad
    >>> value, f_jvp = fgrad.linearize(np.sin, 0.0)
    >>> f_jvp(3.0)
    np.float64(3.0)
    """
    return _linearize(f, primals, has_aux, protect=True)


def _linearize(
    f: Function, primals: tuple[Any, ...], has_aux: bool, protect: bool
) -> Any:
    tape, treedef, count, out_tree, out, aux = tape_of(f, primals, has_aux, protect)

    def push(tape: Tape, tangents: Any) -> Any:
        leaves = tree.flatten_like(treedef, tangents, "the tangents", "the primals")
        given = linear_arguments(leaves, list(tape.avals), "tangent")
        moving = tuple(k for k in range(count) if tape.outs[k] is not None)
        results = iter(tape.push_forward(given, moving))
        outs = [
            next(results) if k in moving else np.zeros(aval.shape, aval.numpy_dtype)
            for k, aval in enumerate(fixed)
        ]
        return tree.unflatten(out_tree, outs)

    fixed = [type_of(as_operand(leaf)) for leaf in tape.results[:count]]
    is_on_jax = has_jax(*primals)

    def f_jvp(*tangents: Any) -> Any:
        return on_saved(push, tape, tangents) if is_on_jax else push(tape, tangents)

    return (out, f_jvp, aux) if has_aux else (out, f_jvp)


def jvp(
    f: Function,
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    has_aux: bool = False,
) -> Any:
    """The value of ``f`` and its derivative along ``tangents``.

    Args:
        f: a function of NumPy arrays or nested containers, returning the same.
        primals: tuple of arguments.
        tangents: tuple with the structure and shapes of ``primals``.
        has_aux: ``f`` returns ``(value, aux)``.

    Returns:
        ``(value, tangent)``, or ``(value, tangent, aux)``.

    Raises:
        TreeError: a tangent's structure or shape is not that of its primal.

    >>> import numpy as np, fgrad
    >>> fgrad.jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):
        raise TreeError("jvp takes a tuple of primals and a tuple of tangents")
    return _jvp(f, tuple(primals), tuple(tangents), has_aux)


@on_jax
def _jvp(
    f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...], has_aux: bool
) -> Any:
    linear = _linearize(f, primals, has_aux, protect=False)
    value, f_jvp, *aux = linear
    return (value, f_jvp(*tangents), *aux)
