"""Reading and writing parts of arrays: index, scatter, index_add, index_update.

An index is written as the static param ``at``, a tuple with one entry for each
component: ``None``, ``...``, ``(start, stop, step)`` for a slice, an int, or ``'$'``
for the next operand (a Python int or an integer array; ``'$u'`` for an array known to
have no repeats). ``path`` leads from an array to the view of it that is indexed, so
that a write through a view touches its slot only: a tuple of ``(primitive name,
params)``.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.elementwise import where
from fgrad.primitive import Primitive, Sample
from fgrad.trace import Tracer, type_of

At = tuple[Any, ...]
Steps = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]


def build_index(at: At, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """The NumPy index that ``at`` and its operands stand for."""
    operands = iter(arrays)
    index = []
    for entry in at:
        if type(entry) is tuple:
            index.append(slice(*entry))
        elif type(entry) is str:
            index.append(next(operands))
        else:
            index.append(entry)
    return tuple(index)


def follow(x: Any, path: Steps) -> Any:
    """The view of array ``x`` at the end of ``path``, sharing its memory."""
    for name, params in path:
        x = Primitive.registry[name].numpy(x, **dict(params))
    return x


def _dummy(aval: Aval) -> Any:
    return np.broadcast_to(np.zeros((), np.int8), aval.shape)


@functools.lru_cache(maxsize=4096)
def slot_shape(
    x: Aval, at: At, path: Steps, arrays: tuple[Aval, ...]
) -> tuple[int, ...]:
    """Shape of ``x[at]``, by NumPy's own rule, on an array without memory."""
    indices = tuple(0 if a.is_python else np.zeros(a.shape, np.intp) for a in arrays)
    slot = follow(_dummy(x), path)[build_index(at, indices)]
    return tuple(slot.shape)


def _has_repeats(at: At, arrays: Sequence[Any]) -> bool:
    """Whether the index may name an element more than once."""
    marks = [entry for entry in at if type(entry) is str]
    return any(
        mark == "$" and (array if type(array) is Aval else type_of(array)).ndim > 0
        for mark, array in zip(marks, arrays, strict=True)
    )


def _locate(
    x: Any, at: At, path: Steps, arrays: tuple[Any, ...]
) -> tuple[Any, tuple[Any, ...]]:
    """An array that shares memory with ``x``, and the index of the slot in it."""
    target = follow(x, path)
    slot = build_index(at, arrays)
    if not path or not target.size or np.may_share_memory(target, x):
        return target, slot
    # the layout of x does not allow the view, so address the slot by flat positions
    flat = x.reshape(-1)
    assert np.may_share_memory(flat, x)
    positions = follow(np.arange(x.size).reshape(x.shape), path)
    return flat, (positions[slot],)


def _in_c_order(x: Any, path: Steps) -> Any:
    """The array itself, or a copy where a path needs its memory in C order."""
    return np.asarray(x, order="C") if path else x


def _add_at(x: Any, v: Any, at: At, path: Steps, arrays: tuple[Any, ...]) -> None:
    target, slot = _locate(x, at, path, arrays)
    if _has_repeats(at, arrays):
        np.add.at(target, slot, v)
    else:
        target[slot] += v


def _index_numpy(x: Any, *arrays: Any, at: At, path: Steps = ()) -> Any:
    return follow(x, path)[build_index(at, arrays)]


def _index_aval(x: Aval, *arrays: Aval, at: At, path: Steps = ()) -> Aval:
    return Aval(slot_shape(x, at, path, arrays), x.dtype)


def _index_transpose(ct: Any, x: Any, *arrays: Any, **params: Any) -> Any:
    aval = type_of(x)
    dtype = aval.dtype.name
    out = scatter(ct, *arrays, shape=aval.shape, dtype=dtype, **params)
    return (out, *(None for _ in arrays))


def _index_view(out: Any, x: Any, operands: Any, params: Any) -> Any:
    """The static step of a basic index; None where the result is a copy or a scalar."""
    if any(type(a) is not int for a in operands[1:]):
        return None
    aval, at = type_of(operands[0]), params["at"]
    while type(x) is Tracer:  # of an enclosing trace
        x = x.value
    if not aval.ndim and not isinstance(x, np.ndarray):
        return None
    numbers = iter(operands[1:])
    static = tuple(next(numbers) if e == "$" else e for e in at)
    if Ellipsis not in at and not slot_shape(aval, static, params.get("path", ()), ()):
        return None
    path = (("path", params["path"]),) if "path" in params else ()
    return "index", (("at", static), *path)


def _array(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(-1, 1, shape)


_I = np.array([2, 0, 2])
_INDICES: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {"at": ((1, None, None), (None, None, -1))}),
    ((), {"at": (..., None, 1)}),
    ((1,), {"at": ("$",)}),
    ((0, -1), {"at": ("$", "$")}),
    ((_I,), {"at": ("$",)}),
    ((_I, np.array([1, 1, 1])), {"at": ("$", "$")}),
    ((np.array([[0], [3]]),), {"at": ((None, None, 2), "$")}),
    ((np.array([3, 1]),), {"at": ((0, 2, None), "$u")}),
    ((), {"at": ((1, 3, None),), "path": (("transpose", (("axes", (1, 0)),)),)}),
    ((2,), {"at": ("$",), "path": (("reshape", (("shape", (12,)),)),)}),
]


def _index_text(at: At, names: Sequence[str]) -> str:
    """The source text of an index, such as ``1:, i, ...``"""
    operands = iter(names)
    parts = []
    for entry in at:
        if type(entry) is tuple:
            start, stop, step = ("" if bound is None else bound for bound in entry)
            parts.append(f"{start}:{stop}" + (f":{step}" if step != "" else ""))
        elif type(entry) is str:
            parts.append(next(operands))
        else:
            parts.append("..." if entry is Ellipsis else repr(entry))
    return ", ".join(parts) or "()"


def _index_lines(
    out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
) -> list[str] | None:
    if "path" in params:
        return None
    return [f"{out} = {ins[0]}[{_index_text(params['at'], ins[1:])}]"]


def _scatter_lines(
    out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
) -> list[str] | None:
    if "path" in params:
        return None
    slot = _index_text(params["at"], ins[1:])
    zeros = f"{out} = np.zeros({params['shape']}, {params['dtype']!r})"
    if _has_repeats(params["at"], avals[1:]):
        return [zeros, f"np.add.at({out}, np.s_[{slot}], {ins[0]})"]
    return [zeros, f"{out}[{slot}] = {ins[0]}"]


def _write_lines(assignment: str) -> Any:
    def lines(
        out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
    ) -> list[str] | None:
        if "path" in params:
            return None
        slot = _index_text(params["at"], ins[2:])
        start = [] if in_place else [f"{out} = np.array({ins[0]})"]
        if assignment == "+=" and _has_repeats(params["at"], avals[2:]):
            return [*start, f"np.add.at({out}, np.s_[{slot}], {ins[1]})"]
        return [*start, f"{out}[{slot}] {assignment} {ins[1]}"]

    return lines


def _slot(arrays: Any, params: Any) -> Any:
    return _index_numpy(_array(3, 4, seed=1), *arrays, **params)


def _index_samples() -> list[Sample]:
    return [Sample((_array(3, 4), *arrays), params) for arrays, params in _INDICES]


def _scatter_samples() -> list[Sample]:
    shape = {"shape": (3, 4), "dtype": "float64"}
    return [Sample((_slot(a, p), *a), {**shape, **p}) for a, p in _INDICES]


def _update_samples() -> list[Sample]:
    samples = [Sample((_array(3, 4), _slot(a, p), *a), p) for a, p in _INDICES]
    return [*samples, Sample((_array(3, 4), 0.5, 1), {"at": ("$",)})]


index: Primitive = Primitive(
    "index",
    _index_numpy,
    _index_aval,
    linear=((0,),),
    transpose=_index_transpose,
    moves=True,
    view_step=_index_view,
    statements=_index_lines,
    samples=_index_samples,
)


def _scatter_numpy(
    v: Any, *arrays: Any, at: At, shape: Any, dtype: Any, path: Steps = ()
) -> Any:
    out = np.zeros(shape, dtype)
    _add_at(out, v, at, path, arrays)
    return out


def _scatter_aval(
    v: Aval, *arrays: Aval, shape: Any, dtype: Any, **params: Any
) -> Aval:
    return Aval(shape, dtype)


def _scatter_transpose(
    ct: Any, v: Any, *arrays: Any, shape: Any, dtype: Any, **params: Any
) -> Any:
    return (index(ct, *arrays, **params), *(None for _ in arrays))


def _index_add_numpy(x: Any, v: Any, *arrays: Any, **params: Any) -> Any:
    return _index_add_in_place(np.array(x), v, *arrays, **params)


def _index_add_in_place(x: Any, v: Any, *arrays: Any, at: At, path: Steps = ()) -> Any:
    x = _in_c_order(x, path)
    _add_at(x, v, at, path, arrays)
    return x


def _like_first(x: Aval, *rest: Aval, **params: Any) -> Aval:
    return x


def _index_add_transpose(ct: Any, x: Any, v: Any, *arrays: Any, **params: Any) -> Any:
    return (ct, index(ct, *arrays, **params), *(None for _ in arrays))


index_add: Primitive = Primitive(
    "index_add",
    _index_add_numpy,
    _like_first,
    linear=((0, 1),),
    transpose=_index_add_transpose,
    in_place=_index_add_in_place,
    statements=_write_lines("+="),
    samples=_update_samples,
)

scatter: Primitive = Primitive(
    "scatter",
    _scatter_numpy,
    _scatter_aval,
    linear=((0,),),
    transpose=_scatter_transpose,
    statements=_scatter_lines,
    accumulate=(index_add, ("at", "path")),
    samples=_scatter_samples,
)


def _index_update_numpy(x: Any, v: Any, *arrays: Any, **params: Any) -> Any:
    return _index_update_in_place(np.array(x), v, *arrays, **params)


def _index_update_in_place(
    x: Any, v: Any, *arrays: Any, at: At, path: Steps = ()
) -> Any:
    x = _in_c_order(x, path)
    target, slot = _locate(x, at, path, arrays)
    target[slot] = v
    return x


def _index_update_transpose(
    ct: Any, x: Any, v: Any, *arrays: Any, **params: Any
) -> Any:
    read = index(ct, *arrays, **params)
    if _has_repeats(params["at"], arrays):
        # x[[0, 0]] = v keeps the last value only, so only that one has a cotangent
        aval, path = type_of(x), params.get("path", ())
        lengths = follow(_dummy(aval), path).shape
        sizes = {"shape": type_of(read).shape, "lengths": lengths}
        last = is_last_write(*arrays, at=params["at"], **sizes)
        read = where(last, read, 0.0)
    cleared = index_update(ct, 0, *arrays, **params)
    return (cleared, read, *(None for _ in arrays))


index_update: Primitive = Primitive(
    "index_update",
    _index_update_numpy,
    _like_first,
    linear=((0, 1),),
    transpose=_index_update_transpose,
    in_place=_index_update_in_place,
    statements=_write_lines("="),
    samples=_update_samples,
)


def _index_axes(at: At, ndim: int) -> list[int | None]:
    """For each entry of ``at`` the axis that it indexes (None for newaxis and ...)."""
    used = sum(entry is not None and entry is not Ellipsis for entry in at)
    axes: list[int | None] = []
    axis = 0
    for entry in at:
        if entry is Ellipsis:
            axes.append(None)
            axis += ndim - used
        else:
            axes.append(None if entry is None else axis)
            axis += entry is not None
    return axes


def _is_last_write_numpy(
    *arrays: Any, at: At, shape: tuple[int, ...], lengths: tuple[int, ...]
) -> Any:
    """For each element of the slot, whether no later element writes to its place.

    ``shape`` is that of the slot, ``lengths`` that of the array which is written to.
    """
    axes = _index_axes(at, len(lengths))
    marked = [axis for entry, axis in zip(at, axes, strict=True) if type(entry) is str]
    positions = [
        np.asarray(array) % lengths[axis]
        for array, axis in zip(arrays, marked, strict=True)
        if axis is not None
    ]
    parts = np.broadcast_arrays(*positions)
    rows = np.stack([part.ravel() for part in parts], axis=1)
    if rows.shape[0] == 0:
        return np.ones(shape, bool)
    _, first_from_end = np.unique(rows[::-1], axis=0, return_index=True)
    last = np.zeros(rows.shape[0], bool)
    last[rows.shape[0] - 1 - first_from_end] = True
    position = _advanced_position(at, len(lengths))
    tail = len(shape) - position - parts[0].ndim
    mask = last.reshape((1,) * position + parts[0].shape + (1,) * tail)
    return np.broadcast_to(mask, shape).copy()


def _advanced_position(at: At, ndim: int) -> int:
    """The axis of the result at which NumPy puts the axes of the index arrays."""
    advanced = [k for k, entry in enumerate(at) if type(entry) in (str, int)]
    if advanced[-1] - advanced[0] + 1 != len(advanced):
        return 0
    before = at[: advanced[0]]
    if Ellipsis not in before:
        return len(before)
    used = sum(entry is not None and entry is not Ellipsis for entry in at)
    return len(before) - 1 + ndim - used


is_last_write: Primitive = Primitive(
    "is_last_write",
    _is_last_write_numpy,
    lambda *arrays, at, shape, lengths: Aval(shape, bool),
    is_constant=True,
    samples=lambda: [Sample((_I,), {"at": ("$",), "shape": (3, 4), "lengths": (3, 4)})],
)
