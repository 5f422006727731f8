"""Loops composed from `scan` and `while_loop`: ``fori_loop``, ``map``,
``associative_scan``.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.control.closing import apart, as_value, known_value
from fgrad.control.loops import close_loop, scan_as
from fgrad.control.while_loop import while_loop
from fgrad.errors import CarryTypeError, LoopError
from fgrad.ir import Aval
from fgrad.ops.batching import move_axis
from fgrad.ops.index import index, index_update, scatter
from fgrad.ops.structure import concatenate
from fgrad.trace import type_of


def fori_loop(
    lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init: Any
) -> Any:
    """Run ``carry = body_fun(i, carry)`` for i from ``lower`` up to ``upper``.

    Args:
        lower, upper: integers; ``upper`` is not reached. Where one is traced and its
            value not known, the loop is a `while_loop`.
        body_fun: takes the number of the step and the carry; returns the next carry, of
            the same structure, shapes and dtypes.
        init: the first carry: arrays or nested containers of them.

    Returns:
        The last carry; ``init`` where there are no steps.

    Raises:
        CarryTypeError: the carry changes its structure, a shape or a dtype.
        LoopError: a bound is not one integer.

    >>> import numpy as np, fgrad
    >>> fgrad.fori_loop(0, 3, lambda i, x: x * 2.0 + i, 1.0)
    np.float64(12.0)
    """
    bounds = [known_value(_bound(bound)) for bound in (lower, upper)]
    if None in bounds:
        return _loop_to(lower, upper, body_fun, init)
    numbers = np.arange(*(operator.index(bound) for bound in bounds))
    if numbers.size:
        step = lambda carry, i: (body_fun(i, carry), None)  # noqa: E731
        return scan_as("fori_loop", step, init, numbers)[0]
    return _first_carry(body_fun, init, Aval((), numbers.dtype))


def _first_carry(body_fun: Any, init: Any, number: Aval) -> Any:
    """The carry before the first step, with the types that the body keeps."""
    leaves, treedef = tree.flatten(init)
    values = [as_value(leaf) for leaf in leaves]

    def body(elements: list[Any]) -> Any:
        return body_fun(elements[-1], tree.unflatten(treedef, elements[:-1])), None

    _, first = close_loop(body, leaves, values, [number], init, treedef, "fori_loop")
    return tree.unflatten(treedef, apart(first))


def _bound(bound: Any) -> Any:
    value = as_value(bound)
    if value.shape != () or value.dtype.kind not in "iu":
        raise LoopError(
            f"fori_loop counts from one integer to another, got {type_of(value)}"
        )
    return value


def _loop_to(lower: Any, upper: Any, body_fun: Any, init: Any) -> Any:
    first = as_value(lower)
    init = _first_carry(body_fun, init, type_of(first))
    step = lambda carry: (carry[0] + 1, body_fun(*carry))  # noqa: E731
    return while_loop(lambda carry: carry[0] < upper, step, (first, init))[1]


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Apply ``f`` to each slice of ``xs`` along the first axis, one after the other.

    Unlike `vmap` it holds the intermediate values of one slice at a time.

    Args:
        f: a function of one slice.
        xs: arrays, or nested containers of them, whose first axes have one length.

    Returns:
        The results, stacked along a new first axis.

    Raises:
        LoopError: there are no slices, or the axes differ in length.

    >>> import numpy as np, fgrad
    >>> fgrad.map(np.sum, np.ones((2, 3)))
    array([3., 3.])
    """
    return scan_as("map", lambda carry, x: (carry, f(x)), None, xs)[1]


def associative_scan(
    fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """Running results of an associative operation along an axis.

    They are computed in about 2 log2(n) applications of ``fn`` to many elements at
    once, in place of n - 1 to one each (G. Blelloch, "Prefix sums and their
    applications", 1990).

    Args:
        fn: takes two trees of arrays like ``elems``, of any length along the axis, and
            combines them element by element; it must be associative.
        elems: arrays or nested containers of them, with one length along ``axis``.
        reverse: run from the last element to the first.
        axis: the axis to run along.

    Returns:
        A tree like ``elems``: at position k the elements up to k, combined.

    Raises:
        LoopError: there is nothing to scan, or the axes differ in length.
        CarryTypeError: ``fn`` changes a shape or a dtype.

    >>> import numpy as np, fgrad
    >>> fgrad.associative_scan(np.multiply, np.array([1.0, 2.0, 3.0, 4.0]))
    array([ 1.,  2.,  6., 24.])
    """
    leaves, treedef = tree.flatten(elems)
    names = [f"elems{path}" for path in tree.paths(elems)]
    values = [as_value(leaf) for leaf in leaves]
    length = _length_along(axis, values, names)
    values = [move_axis(x, axis, 0) for x in values]

    def combine(x: list[Any], y: list[Any]) -> list[Any]:
        out = fn(tree.unflatten(treedef, x), tree.unflatten(treedef, y))
        outs = tree.flatten_like(treedef, out, "the result of fn", "the elements")
        outs = [as_value(out) for out in outs]
        _check_combined(outs, x, names)
        return outs

    flip = (None, None, -1)
    if reverse:
        values = [_part(x, flip) for x in values]
    scanned = _scan_pairs(combine, values, length)
    if reverse:
        scanned = [_part(x, flip) for x in scanned]
    return tree.unflatten(treedef, [move_axis(x, 0, axis) for x in scanned])


def _length_along(axis: int, values: Sequence[Any], names: Sequence[str]) -> int:
    lengths: dict[int, str] = {}
    for x, name in zip(values, names, strict=True):
        shape = type_of(x).shape
        if not -len(shape) <= axis < len(shape):
            raise LoopError(f"{name} has no axis {axis} to scan: its shape is {shape}")
        lengths.setdefault(shape[axis], name)
    if len(lengths) != 1:
        listed = ", ".join(f"{name}: {n}" for n, name in lengths.items())
        raise LoopError(
            f"associative_scan needs elements of one length, got {listed or 'none'}"
        )
    return next(iter(lengths))


def _check_combined(
    outs: Sequence[Any], like: Sequence[Any], names: Sequence[str]
) -> None:
    for out, x, name in zip(outs, like, names, strict=True):
        if type_of(out) is not type_of(x):
            raise CarryTypeError(
                f"fn of associative_scan makes {type_of(out)} of two {type_of(x)}, "
                f"for {name}; it must keep shape and dtype (astype)"
            )


def _part(x: Any, bounds: tuple[int | None, ...]) -> Any:
    return index(x, at=(bounds,))


def _scan_pairs(combine: Any, xs: list[Any], length: int) -> list[Any]:
    """Scan the combined pairs, which gives every other result, and fill the gaps."""
    if length < 2:
        return apart(xs)
    first = [_part(x, (None, -1, 2)) for x in xs]
    second = [_part(x, (1, None, 2)) for x in xs]
    odd = _scan_pairs(combine, combine(first, second), length // 2)
    before = [_part(x, (None, -1, None)) for x in odd] if length % 2 == 0 else odd
    later = [_part(x, (2, None, 2)) for x in xs]
    start = [_part(x, (None, 1, None)) for x in xs]
    even = combine(before, later) if length > 2 else None
    joined = [
        head if even is None else concatenate(head, rest, axis=0)
        for head, rest in zip(start, even or start, strict=True)
    ]
    return [_interleaved(a, b) for a, b in zip(joined, odd, strict=True)]


def _interleaved(even: Any, odd: Any) -> Any:
    """The elements of two arrays in turn."""
    aval, more = type_of(even), type_of(odd)
    shape = (aval.shape[0] + more.shape[0], *aval.shape[1:])
    dtype = np.result_type(aval.dtype, more.dtype).name
    spaced = scatter(even, at=((None, None, 2),), shape=shape, dtype=dtype)
    return index_update(spaced, odd, at=((1, None, 2),))
