"""``vmap``: a function of one element becomes a function of a batch."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.errors import BatchAxisError
from fgrad.ops.batching import move_axis, spread
from fgrad.trace import Tracer, as_operand, is_traced, type_of
from fgrad.tracer import alias
from fgrad.transforms.vmap import run_mapped
from fgrad.xla.lazy import on_jax

Axes = Any  # an int, None, or nested containers of these


def vmap(
    f: Callable[..., Any],
    in_axes: Axes = 0,
    out_axes: Axes = 0,
    *,
    axis_size: int | None = None,
) -> Callable[..., Any]:
    """Map a function over an axis of its arguments.

    The function is called once; every operation in it runs on all elements at once. A
    Python ``if`` on a value that differs between elements raises; one on a value that
    does not (an argument with axis None) works.

    Args:
        f: a function of arrays or nested containers of them, returning the same.
        in_axes: the axis of the arguments that is mapped over; None for an argument
            that is the same for all elements; negative ones count from the end. An int,
            or a tuple with one entry for each positional argument, each of which may be
            a container as far as it is the upper part of the argument's. Keyword
            arguments are mapped over axis 0.
        out_axes: the axis of the results that the elements lie along, likewise; None
            for a result that is the same for all elements.
        axis_size: the length of the mapped axis; needed where all axes are None.

    Returns:
        A function of ``f``'s arguments with the mapped axes.

    Raises:
        BatchAxisError: mapped axes differ in length or do not exist, or a result with
            ``out_axes`` None differs between elements.
        TreeError: ``in_axes`` or ``out_axes`` does not match the arguments or results.
        ConcretizationError: Python branches on a value that differs between elements.

    >>> import numpy as np, fgrad
    >>> fgrad.vmap(np.dot, in_axes=(0, None))(np.eye(2), np.array([3.0, 4.0]))
    array([3., 4.])
    >>> fgrad.vmap(fgrad.grad(lambda x: x**2))(np.array([1.0, 2.0]))
    array([2., 4.])
    """

    @on_jax
    @functools.wraps(f)
    def mapped_function(*args: Any, **kwargs: Any) -> Any:
        leaves, treedef = tree.flatten((args, kwargs))
        axes = _input_axes(in_axes, args, kwargs)
        leaves = [as_operand(leaf) for leaf in leaves]
        size = _common_size(leaves, axes, axis_size)
        if size is None:
            size = _axis_size(leaves, axes, tree.paths((args, kwargs)), axis_size)
        values = [
            leaf if axis is None else _to_front(leaf, axis)
            for leaf, axis in zip(leaves, axes, strict=True)
        ]
        found: list[tree.TreeDef] = []

        def call(elements: list[Any]) -> list[Any]:
            new_args, new_kwargs = tree.unflatten(treedef, elements)
            outs, out_tree = tree.flatten(f(*new_args, **new_kwargs))
            found.append(out_tree)
            return outs

        flags = tuple(axis is not None for axis in axes)
        results = run_mapped(call, size, values, flags)
        out_tree = found[0]
        out_names = tree.unflatten(out_tree, [object()] * out_tree.num_leaves)
        wanted = tree.prefix_leaves(out_axes, out_names, "out_axes")
        pairs = zip(results, wanted, strict=True)
        outs = [
            (_to_axis(size, *result, axis), axis is not None) for result, axis in pairs
        ]
        return tree.unflatten(out_tree, _apart(outs))

    return mapped_function


def _input_axes(in_axes: Axes, args: Sequence[Any], kwargs: Any) -> list[Any]:
    """The mapped axis, or None, of each leaf of the arguments."""
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise BatchAxisError(
            f"in_axes has {len(in_axes)} entries for {len(args)} positional arguments"
        )
    axes = tree.prefix_leaves(in_axes, tuple(args), "in_axes")
    for axis in axes:
        if axis is not None and not isinstance(axis, int):
            raise BatchAxisError(f"in_axes holds {axis!r}: an axis is an int or None")
    return axes + tree.prefix_leaves(0, kwargs, "in_axes")


def _common_size(
    leaves: Sequence[Any], axes: Sequence[Any], given: int | None
) -> int | None:
    """The common length of the mapped axes; None where something is wrong."""
    sizes = set() if given is None else {given}
    for leaf, axis in zip(leaves, axes, strict=True):
        if axis is not None:
            shape = type_of(leaf).shape
            sizes.add(shape[axis] if -len(shape) <= axis < len(shape) else -1)
    return sizes.pop() if len(sizes) == 1 and -1 not in sizes else None


def _axis_size(
    leaves: Sequence[Any], axes: Sequence[Any], names: list[str], given: int | None
) -> int:
    """The common length of the mapped axes, or an error that names the arguments."""
    sizes: dict[int, str] = {}
    for leaf, axis, name in zip(leaves, axes, names, strict=True):
        if axis is None:
            continue
        shape = type_of(leaf).shape
        if not -len(shape) <= axis < len(shape):
            raise BatchAxisError(
                f"{_argument(name)} has no axis {axis} to map over: its shape is "
                f"{shape} (in_axes=None for arguments that are not mapped)"
            )
        sizes.setdefault(shape[axis], f"{_argument(name)} (axis {axis})")
    if given is not None:
        sizes.setdefault(given, "axis_size")
    if not sizes:
        raise BatchAxisError("nothing is mapped over: pass axis_size, or an axis")
    if len(sizes) > 1:
        listed = ", ".join(f"{name}: {size}" for size, name in sizes.items())
        raise BatchAxisError(f"the mapped axes differ in length: {listed}")
    return next(iter(sizes))


def _argument(path: str) -> str:
    """``[0][1]['w']`` as ``argument 1['w']``, ``[1]['k']`` as ``argument k``."""
    group, _, rest = path[1:].partition("]")
    name, _, rest = rest[1:].partition("]")
    return f"argument {name if group == '0' else name.strip(chr(39))}{rest}"


def _to_front(x: Any, axis: int) -> Any:
    return move_axis(x, axis, 0) if is_traced(x) else np.moveaxis(x, axis, 0)


def _to_axis(size: int, value: Any, is_mapped: bool, axis: int | None) -> Any:
    """A result with the batch along ``axis``."""
    if axis is None:
        if is_mapped:
            raise BatchAxisError(
                "out_axes=None for a result that differs between elements; give the "
                "axis that they shall lie along"
            )
        return value
    if not isinstance(axis, int):
        raise BatchAxisError(f"out_axes holds {axis!r}: an axis is an int or None")
    if not is_mapped:
        value = spread(size, as_operand(value), False)
    ndim = type_of(value).ndim
    if not -ndim <= axis < ndim:
        raise BatchAxisError(f"out_axes={axis} for a result with {ndim} axes")
    return move_axis(value, 0, axis)


def _apart(values: Sequence[tuple[Any, bool]]) -> list[Any]:
    """The results, sharing no memory with each other or with what the caller has."""
    fresh: set[int] = set()
    results = []
    for value, is_batch in values:
        if type(value) is Tracer:
            value = alias(value)
        elif isinstance(value, np.ndarray):
            if not (is_batch and value.flags.owndata) or id(value) in fresh:
                value = value.copy()
            fresh.add(id(value))
        results.append(value)
    return results
