"""Indexing on jax arrays, which never change: a write gives a new array.

XLA raises no errors: a read beyond the end gives the last element, a write there is
dropped. Where an index names an element twice XLA says nothing about the order of
writes; here the last write wins, as in NumPy, on every device.
"""

import math
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.at import (
    At,
    Steps,
    advanced_position,
    build_index,
    dummy,
    follow,
    has_repeats,
    index_axes,
    slot_shape,
)
from fgrad.ops.diagonal_jax import with_diagonal
from fgrad.ops.lattice import elements
from fgrad.ops.structure import inverse_permutation


def index_jax(xla: Any, x: Any, *arrays: Any, at: At, path: Steps = ()) -> Any:
    for name, params in path:
        x = xla.apply(name, x, **dict(params))
    window = _window(at, x.shape)
    if window is None:
        return x[build_index(at, arrays)]
    starts, lengths, steps = window
    pairs = zip(starts, lengths, steps, strict=True)
    stops = [start + (n - 1) * step + 1 if n else start for start, n, step in pairs]
    part = xla.lax.slice(x, starts, stops, steps)
    return xla.lax.reshape(part, xla.outs[0].shape)


def add_jax(xla: Any, x: Any, v: Any, *arrays: Any, at: At, path: Steps = ()) -> Any:
    return _write(xla, xla.np.asarray(x), v, arrays, at, path, adds=True)


def update_jax(xla: Any, x: Any, v: Any, *arrays: Any, at: At, path: Steps = ()) -> Any:
    return _write(xla, xla.np.asarray(x), v, arrays, at, path, adds=False)


def scatter_jax(
    xla: Any, v: Any, *arrays: Any, at: At, shape: Any, dtype: Any, path: Steps = ()
) -> Any:
    if _is_padding(shape, path, at):
        return _among_zeros(xla, xla.cast(v, dtype), shape, path, at)
    return _write(xla, xla.np.zeros(shape, dtype), v, arrays, at, path, adds=True)


def _write(
    xla: Any, x: Any, v: Any, arrays: Any, at: At, path: Steps, adds: bool
) -> Any:
    """``x`` after ``x[path][at] = v``, or ``+= v``."""
    if path:
        if adds and _is_padding(x.shape, path, at, 1 / LARGE_SLOT):
            return x + _among_zeros(xla, xla.cast(v, x.dtype), x.shape, path, at)
        (name, params), *rest = path
        view = xla.apply(name, x, **dict(params))
        if adds and name == "strided":  # what falls on one element is added up
            zeros = xla.np.zeros(view.shape, view.dtype)
            part = _write(xla, zeros, v, arrays, at, tuple(rest), adds)
            return x.at[elements(**dict(params))].add(part)
        if name == "strided":  # elements that overlap are put back where written only
            rows = xla.np.zeros(view.shape, bool)
            written = _write(xla, rows, True, arrays, at, tuple(rest), adds)
            view = _write(xla, view, v, arrays, at, tuple(rest), adds)
            flat = np.ravel_multi_index(elements(**dict(params)), x.shape)
            places = xla.np.where(written, flat, x.size)  # past the end: dropped
            return x.reshape(-1).at[places].set(view, mode="drop").reshape(x.shape)
        view = _write(xla, view, v, arrays, at, tuple(rest), adds)
        return _put_back(xla, x, view, name, dict(params))
    window = _window(at, x.shape)
    if window is not None and (adds or all(step == 1 for step in window[2])):
        return _write_window(xla, x, v, at, window, adds)
    repeats = has_repeats(at, xla.ins[len(xla.ins) - len(arrays) :])
    if repeats and not adds:
        arrays = _without_repeats(xla, arrays, at, x.shape)
    slot = x.at[build_index(at, arrays)]
    v = xla.np.asarray(xla.cast(v, x.dtype))
    shape = xla.jax.eval_shape(slot.get).shape
    if v.ndim > len(shape):  # NumPy ignores leading axes of length 1
        v = v.reshape(v.shape[v.ndim - len(shape) :])
    unique = not repeats
    if adds:
        return slot.add(v, unique_indices=unique)
    return slot.set(v, unique_indices=unique)


# A slot of an eighth of the array and more is added to by a padded sum, which XLA fuses
# and compiles faster; a smaller one by an update of the slot alone.
LARGE_SLOT = 8
Window = tuple[list[int], list[int], list[int]]


def _window(at: At, shape: tuple[int, ...]) -> Window | None:
    """Where a static index starts along each axis, its length there, and its step.

    None where the index is not static, or runs backwards.
    """
    if any(type(entry) is str for entry in at):
        return None
    rows = [(0, n, 1) for n in shape]
    for entry, axis in zip(at, index_axes(at, len(shape)), strict=True):
        if axis is None:
            continue
        if type(entry) is int:
            rows[axis] = (entry % shape[axis], 1, 1)
            continue
        start, stop, step = slice(*entry).indices(shape[axis])
        if step < 0:
            return None
        rows[axis] = (start, len(range(start, stop, step)), step)
    starts, lengths, steps = ([row[k] for row in rows] for k in range(3))
    return starts, lengths, steps


def _fitted(xla: Any, v: Any, at: At, shape: tuple[int, ...], window: Window) -> Any:
    """A value as it is written to a window, with all axes of the array."""
    slot = slot_shape(Aval(shape, v.dtype), at, (), ())
    v = xla.np.asarray(v)
    if v.ndim > len(slot):  # NumPy ignores leading axes of length 1
        v = v.reshape(v.shape[v.ndim - len(slot) :])
    return xla.lax.reshape(xla.np.broadcast_to(v, slot), tuple(window[1]))


def _padded(xla: Any, v: Any, shape: tuple[int, ...], window: Window) -> Any:
    """Zeros of a shape with a value in a window."""
    if not v.size:
        return xla.np.zeros(shape, v.dtype)
    edges = [
        (start, length - (start + (n - 1) * step + 1), step - 1)
        for start, n, step, length in zip(*window, shape, strict=True)
    ]
    return xla.lax.pad(v, np.zeros((), v.dtype), edges)


def _is_padding(
    shape: tuple[int, ...], path: Steps, at: At, least: float = 0.0
) -> bool:
    """Whether a slot is a window of windows and diagonals.

    ``least``: the part of the elements around it that each window has at least.
    """
    for name, params in path:
        inner = follow(dummy(Aval(shape, bool)), ((name, params),)).shape
        if name == "index":
            own = dict(params)
            if not _is_padding(shape, own.get("path", ()), own["at"], least):
                return False
        elif name not in ("reshape", "transpose", "diagonal"):
            return False
        shape = inner
    window = _window(at, shape)
    return window is not None and math.prod(window[1]) >= least * math.prod(shape)


def _among_zeros(xla: Any, v: Any, shape: tuple[int, ...], path: Steps, at: At) -> Any:
    """Zeros of a shape with a value in the slot that `_is_padding` describes."""
    if not path:
        window = _window(at, shape)
        assert window is not None
        return _padded(xla, _fitted(xla, v, at, shape, window), shape, window)
    (name, step), *rest = path
    params = dict(step)
    inner = follow(dummy(Aval(shape, bool)), ((name, step),)).shape
    v = _among_zeros(xla, v, inner, tuple(rest), at)
    match name:
        case "reshape":
            return xla.lax.reshape(v, shape)
        case "transpose":
            return xla.lax.transpose(v, inverse_permutation(params["axes"]))
        case "diagonal":
            return with_diagonal(xla, np.zeros((), v.dtype), v, **params)
    return _among_zeros(xla, v, shape, params.get("path", ()), params["at"])


def _write_window(xla: Any, x: Any, v: Any, at: At, window: Window, adds: bool) -> Any:
    v = _fitted(xla, xla.cast(v, x.dtype), at, x.shape, window)
    starts, lengths, steps = window
    is_large = v.size * LARGE_SLOT >= x.size
    if adds and (is_large or any(step != 1 for step in steps)):
        return x + _padded(xla, v, x.shape, window)
    if adds:
        pairs = zip(starts, lengths, strict=True)
        v = xla.lax.slice(x, starts, [start + n for start, n in pairs]) + v
    return xla.lax.dynamic_update_slice(x, v, tuple(map(np.int32, starts)))


def _put_back(xla: Any, x: Any, view: Any, name: str, params: dict[str, Any]) -> Any:
    """``x`` with other elements where a step leads to: the step's inverse."""
    match name:
        case "reshape":
            return view.reshape(x.shape)
        case "transpose":
            return xla.np.transpose(view, inverse_permutation(params["axes"]))
        case "index":
            return _write(xla, x, view, (), params["at"], params.get("path", ()), False)
        case "diagonal":
            return with_diagonal(xla, x, view, **params)
        case "real":
            is_complex = x.dtype.kind == "c"
            return xla.lax.complex(view, xla.np.imag(x)) if is_complex else view
    raise xla.unsupported(f"a write through a view made by {name}")


def _places(xla: Any, arrays: Any, at: At, lengths: Any) -> tuple[Any, list[int]]:
    """The index arrays, broadcast and not negative, and the lengths of their axes."""
    axes = index_axes(at, len(lengths))
    marked = [
        lengths[axis]
        for entry, axis in zip(at, axes, strict=True)
        if type(entry) is str and axis is not None
    ]
    moved = [
        xla.np.where(xla.np.less(array, 0), xla.np.add(array, length), array)
        for array, length in zip(arrays, marked, strict=True)
    ]
    return xla.np.broadcast_arrays(*moved), marked


def _is_last(xla: Any, places: Any, lengths: list[int]) -> Any:
    """For each place of the index arrays, whether no later one is the same."""
    flat = xla.np.zeros(places[0].shape, np.int64)
    for place, length in zip(places, lengths, strict=True):
        flat = flat * length + place
    flat = flat.ravel()
    order = xla.np.arange(flat.size)
    latest = xla.np.zeros(math.prod(lengths), np.int64).at[flat].max(order)
    return (latest[flat] == order).reshape(places[0].shape)


def _without_repeats(xla: Any, arrays: Any, at: At, lengths: Any) -> list[Any]:
    """The index arrays with all but the last of equal places behind the end.

    What is written there is dropped.
    """
    places, marked = _places(xla, arrays, at, lengths)
    is_last = _is_last(xla, places, marked)
    first = xla.np.where(is_last, places[0], marked[0])
    return [first, *places[1:]]


def is_last_jax(
    xla: Any,
    *arrays: Any,
    at: At,
    shape: tuple[int, ...],
    lengths: tuple[int, ...],
) -> Any:
    places, marked = _places(xla, arrays, at, lengths)
    is_last = _is_last(xla, places, marked)
    position = advanced_position(at, len(lengths))
    tail = len(shape) - position - is_last.ndim
    mask = is_last.reshape((1,) * position + is_last.shape + (1,) * tail)
    return xla.np.broadcast_to(mask, shape)
