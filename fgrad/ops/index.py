"""Reading and writing parts of arrays: index, scatter, index_add, index_update.

How an index is written as params says `fgrad.ops.at`.
"""

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
from fgrad.ops.batched_index import batched_path, batched_slot, element
from fgrad.ops.batching import spread
from fgrad.ops.index_jax import add_jax, index_jax, is_last_jax, scatter_jax, update_jax
from fgrad.ops.index_source import index_lines, scatter_lines, write_lines
from fgrad.ops.select import where
from fgrad.primitive import Primitive, Sample
from fgrad.trace import Tracer, type_of


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
    if has_repeats(at, arrays, path):
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
    """The step of a basic index; None where the result is a copy or a scalar.

    An integer that is traced stays an operand of the step.
    """
    if not all(type(a) is int or _is_traced_int(a) for a in operands[1:]):
        return None
    aval, at = type_of(operands[0]), params["at"]
    while type(x) is Tracer:  # of an enclosing trace
        x = x.value
    is_array = isinstance(x, np.ndarray)
    if x is None:  # only the type is known: a view is an array
        is_array = operands[0].origin is not None
    if not aval.ndim and not is_array:
        return None
    numbers = iter(operands[1:])
    is_static = all(type(a) is int for a in operands[1:])
    static = tuple(next(numbers) if e == "$" and is_static else e for e in at)
    if not is_static:
        avals = tuple(map(type_of, operands[1:]))
        is_view = Ellipsis in at or slot_shape(aval, at, params.get("path", ()), avals)
        step = "index", tuple(params.items()), tuple(operands[1:])
        return step if is_view else None
    if Ellipsis not in at and not slot_shape(aval, static, params.get("path", ()), ()):
        return None
    path = (("path", params["path"]),) if "path" in params else ()
    return "index", (("at", static), *path)


def _is_traced_int(a: Any) -> bool:
    return type(a) is Tracer and not a.aval.ndim and a.aval.numpy_dtype.kind in "iu"


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


def _index_batch(size: int, mapped: Any, x: Any, *arrays: Any, **params: Any) -> Any:
    slot = batched_slot(size, mapped, element(x, mapped[0]), arrays, **params)
    return slot.ordered(index(x, *slot.arrays, **slot.params))


def _index_batch_params(size: int, *, at: At, path: Steps = ()) -> dict[str, Any]:
    """Those of a basic index without operands, as a step of a path."""
    path = batched_path(size, path)
    at = ((None, None, None), *at)
    return {"at": at, "path": path} if path else {"at": at}


index: Primitive = Primitive(
    "index",
    _index_numpy,
    _index_aval,
    linear=((0,),),
    transpose=_index_transpose,
    moves=True,
    batch=_index_batch,
    batch_params=_index_batch_params,
    view_step=_index_view,
    jax=index_jax,
    statements=index_lines,
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


def write_batch(
    size: int, mapped: Any, x: Any, v: Any, *arrays: Any, **at: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The operands and params that write to the slot of each element."""
    own = element(x, mapped[0])
    x = spread(size, x, mapped[0])
    slot = batched_slot(size, (True, *mapped[2:]), own, arrays, **at)
    avals = tuple(element(a, m) for a, m in zip(arrays, mapped[2:], strict=True))
    ndim = len(slot_shape(own, at["at"], at.get("path", ()), avals))
    return (x, slot.as_slot(size, v, mapped[1], ndim), *slot.arrays), slot.params


def _index_add_batch(
    size: int, mapped: Any, x: Any, v: Any, *arrays: Any, **params: Any
) -> Any:
    operands, params = write_batch(size, mapped, x, v, *arrays, **params)
    return index_add(*operands, **params)


def _index_update_batch(
    size: int, mapped: Any, x: Any, v: Any, *arrays: Any, **params: Any
) -> Any:
    operands, params = write_batch(size, mapped, x, v, *arrays, **params)
    return index_update(*operands, **params)


def _scatter_batch(
    size: int, mapped: Any, v: Any, *arrays: Any, shape: Any, dtype: Any, **params: Any
) -> Any:
    zeros = Aval((size, *shape), dtype)
    own = Aval(shape, dtype)
    slot = batched_slot(size, (True, *mapped[1:]), own, arrays, **params)
    avals = tuple(element(a, m) for a, m in zip(arrays, mapped[1:], strict=True))
    ndim = len(slot_shape(own, params["at"], params.get("path", ()), avals))
    v = slot.as_slot(size, spread(size, v, mapped[0]), True, ndim)
    where = {"shape": zeros.shape, "dtype": dtype}
    return scatter(v, *slot.arrays, **where, **slot.params)


index_add: Primitive = Primitive(
    "index_add",
    _index_add_numpy,
    _like_first,
    linear=((0, 1),),
    transpose=_index_add_transpose,
    batch=_index_add_batch,
    in_place=_index_add_in_place,
    jax=add_jax,
    statements=write_lines("+="),
    samples=_update_samples,
)

scatter: Primitive = Primitive(
    "scatter",
    _scatter_numpy,
    _scatter_aval,
    linear=((0,),),
    transpose=_scatter_transpose,
    jax=scatter_jax,
    slot=0,
    statements=scatter_lines,
    batch=_scatter_batch,
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
    if has_repeats(params["at"], arrays):
        # x[[0, 0]] = v keeps the last value only, so only that one has a cotangent
        aval, path = type_of(x), params.get("path", ())
        lengths = follow(dummy(aval), path).shape
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
    batch=_index_update_batch,
    in_place=_index_update_in_place,
    jax=update_jax,
    slot=1,
    statements=write_lines("="),
    samples=_update_samples,
)


def _is_last_write_numpy(
    *arrays: Any, at: At, shape: tuple[int, ...], lengths: tuple[int, ...]
) -> Any:
    """For each element of the slot, whether no later element writes to its place.

    ``shape`` is that of the slot, ``lengths`` that of the array which is written to.
    """
    axes = index_axes(at, len(lengths))
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
    position = advanced_position(at, len(lengths))
    tail = len(shape) - position - parts[0].ndim
    mask = last.reshape((1,) * position + parts[0].shape + (1,) * tail)
    return np.broadcast_to(mask, shape).copy()


def _is_last_write_batch(
    size: int, mapped: Any, *arrays: Any, at: At, shape: Any, lengths: Any
) -> Any:
    own = Aval(lengths, bool)
    slot = batched_slot(size, (True, *mapped), own, arrays, at)
    order = slot.order
    whole = (size, *shape)
    raw = whole if order is None else tuple(whole[k] for k in np.argsort(order))
    params = {**slot.params, "shape": raw, "lengths": (size, *lengths)}
    return slot.ordered(is_last_write(*slot.arrays, **params))


is_last_write: Primitive = Primitive(
    "is_last_write",
    _is_last_write_numpy,
    lambda *arrays, at, shape, lengths: Aval(shape, bool),
    is_constant=True,
    batch=_is_last_write_batch,
    jax=is_last_jax,
    samples=lambda: [Sample((_I,), {"at": ("$",), "shape": (3, 4), "lengths": (3, 4)})],
)
