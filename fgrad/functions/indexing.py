"""Reading and writing with every NumPy index, and the functions built on it."""

from typing import Any

import numpy as np

from fgrad.fast import learn_slice, read_slice
from fgrad.functions.protocol import concrete, implements, written
from fgrad.inplace import assign, write
from fgrad.ir import PYTHON_AVALS
from fgrad.ops.at import slot_shape
from fgrad.ops.index import index, index_add
from fgrad.ops.select import where
from fgrad.ops.structure import astype, reshape
from fgrad.trace import Tracer, as_operand, record, refresh, type_of
from fgrad.tracer import is_dynamic

Parsed = tuple[tuple[Any, ...], list[Any]]
_BASIC = frozenset({int, slice, tuple})
_INT = PYTHON_AVALS[int]
_AT_INT = (("at", ("$",)),)
_STATIC = frozenset({int, type(None)})


def _static_int(value: Any) -> int | None:
    """A slice bound as a Python int; a traced one gives its value."""
    if value is None or type(value) is int:
        return value
    return int(concrete(value, "int")) if type(value) is Tracer else value.__index__()


def _has_static_bounds(key: slice) -> bool:
    types = _STATIC
    return type(key.start) in types and type(key.stop) in types and key.step is None


def _slice_entry(key: slice) -> tuple[int | None, int | None, int | None]:
    if _has_static_bounds(key):
        return key.start, key.stop, None
    start, stop, step = key.start, key.stop, key.step
    return _static_int(start), _static_int(stop), _static_int(step)


def parse_index(key: Any) -> Parsed:
    """An index as the static ``at`` and its operands (see `fgrad.ops.index`).

    Raises:
        IndexError: a component is not an index.
    """
    if type(key) is slice:
        return (_slice_entry(key),), []
    components = key if type(key) is tuple else (key,)
    at: list[Any] = []
    arrays: list[Any] = []
    for component in components:
        if type(component) is int:
            at.append("$")
            arrays.append(component)
        elif type(component) is slice:
            at.append(_slice_entry(component))
        elif component is None or component is Ellipsis:
            at.append(component)
        else:
            _parse_array(component, at, arrays)
    return tuple(at), arrays


def _parse_array(component: Any, at: list[Any], arrays: list[Any]) -> None:
    if type(component) is Tracer:
        if component.aval.numpy_dtype.kind not in "biu":
            raise IndexError(
                "arrays used as indices must be of integer or boolean type"
            )
        array = concrete(component) if component.aval.dtype == bool else component
    elif isinstance(component, list) and not component:
        array = np.zeros(0, np.intp)
    else:
        array = np.asarray(component)
    if type(array) is Tracer:
        at.append("$")
        arrays.append(array)
        return
    array = np.asarray(array)
    if array.dtype == bool:
        if array.ndim == 0:
            raise IndexError("a 0-d boolean index is not supported; use np.where")
        parts = array.nonzero()
        at.extend("$u" if array.ndim == 1 else "$" for _ in parts)
        arrays.extend(parts)
    elif array.dtype.kind not in "iu":
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and "
            "integer or boolean arrays are valid indices"
        )
    elif array.ndim == 0 and not isinstance(component, np.ndarray):
        at.append("$")
        arrays.append(int(array))
    else:
        at.append("$")
        arrays.append(array)


def getitem(x: Tracer, key: Any) -> Any:
    """``x[key]``"""
    trace = x.scope
    cls = type(key)
    is_static = cls is slice and _has_static_bounds(key)
    if is_static:
        found = read_slice(x, key)
        if found is not None:
            return found
    if x.origin is not None and x.version != x.origin[0].version:
        return _read_through(x, key)
    if cls in _BASIC and trace.direct:
        if cls is int:
            codes = (x.index, _INT)
            return record(trace, index, codes, (x, key), _AT_INT, x.value[key])
        at, arrays = parse_index(key)
        if not arrays:
            before = trace.path
            params = (("at", at),)
            out = record(trace, index, (x.index,), (x,), params, x.value[key])
            if is_static:
                learn_slice(x, key, before)
            return out
    if (
        type(key) is Tracer
        and key.aval.dtype == bool
        and key.aval.shape == x.aval.shape
    ):
        key = concrete(key)
    _check_mask(x, key)
    at, arrays = parse_index(key)
    return index(x, *arrays, at=at)


def _read(x: Any, key: Any) -> Any:
    """``x[key]``, where x or an array of the index is traced."""
    if type(x) is Tracer:
        return getitem(x, key)
    at, arrays = parse_index(key)
    return index(x, *arrays, at=at)


def _read_through(x: Tracer, key: Any) -> Any:
    """``x[key]`` of a stale view: read at the slot only, from the memory's owner."""
    assert x.origin is not None
    owner, path = x.origin
    if is_dynamic(path) or any(n in ("imag", "broadcast_to") for n, _ in path):
        refresh(x)
        return getitem(x, key)
    _check_mask(x, key)
    at, arrays = parse_index(key)
    return index(owner, *arrays, at=at, path=path)


def _check_mask(x: Any, key: Any) -> None:
    """NumPy's error for a mask of the wrong shape, which nonzero() would hide."""
    if isinstance(key, np.ndarray) and key.dtype == bool:
        shape = type_of(x).shape[: key.ndim]
        if key.shape != shape:
            raise IndexError(
                f"boolean index of shape {key.shape} does not match the indexed array "
                f"of shape {type_of(x).shape}"
            )


def setitem(x: Tracer, key: Any, v: Any) -> None:
    """``x[key] = v``: x and all its views change, arrays of the caller do not."""
    v = as_operand(v)
    if _is_same_slot(x, key, v):
        return  # the second half of `x[key] += ...`, which wrote through the view
    v = _cast_to(v, x)
    if _is_leading_mask(x, key) and not type_of(v).ndim:
        mask: Any = key if type(key) is Tracer else np.asarray(key)
        missing = x.aval.ndim - mask.ndim
        if missing:
            mask = reshape(mask, shape=mask.shape + (1,) * missing)
        assign(x, where(mask, v, x))
        return
    _check_mask(x, key)
    at, arrays = parse_index(key)
    write(x, at, arrays, v)


def _is_leading_mask(x: Tracer, key: Any) -> bool:
    """Whether ``key`` is a mask for all axes of x, or one that is traced for some."""
    if type(key) not in (np.ndarray, Tracer) or key.dtype != bool or not key.ndim:
        return False
    is_whole = key.ndim == x.aval.ndim or type(key) is Tracer
    return is_whole and bool(key.shape == x.aval.shape[: key.ndim])


def _is_same_slot(x: Tracer, key: Any, v: Any) -> bool:
    """Whether ``v`` is the view ``x[key]`` itself, up to date."""
    if type(v) is not Tracer or v.origin is None:
        return False
    owner, path = (x, ()) if x.origin is None else x.origin
    if v.origin[0] is not owner or len(v.origin[1]) != len(path) + 1:
        return False
    at, arrays = parse_index(key)
    *rest, last = v.origin[1]
    if len(last) > 2:
        same = all(a is b for a, b in zip(arrays, last[2], strict=False))
        return tuple(rest) == path and dict(last[1]) == {"at": at} and same
    if any(type(array) is not int for array in arrays):
        return False
    numbers = iter(arrays)
    static = tuple(next(numbers) if entry == "$" else entry for entry in at)
    return bool(v.origin[1] == (*path, ("index", (("at", static),))))


def _cast_to(v: Any, x: Tracer) -> Any:
    """The value in the array's dtype, as NumPy casts on assignment."""
    found, aval = type_of(v), x.aval
    if found.is_python or found.dtype == aval.dtype:
        return v
    if found.is_complex and not aval.is_complex:
        raise TypeError(
            "a complex value is written into a real array, which would discard its "
            "imaginary part; write np.real(v)"
        )
    return astype(v, dtype=aval.numpy_dtype.name) if type(v) is Tracer else v


@implements(np.take)
def take(
    a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise"
) -> Any:
    """Elements (or slices along an axis) at integer positions."""
    a = as_operand(a)
    if axis is None:
        a, axis = reshape(a, shape=(type_of(a).size,)), 0
    axis = axis % type_of(a).ndim
    positions: Any = indices if type(indices) is Tracer else np.asarray(indices)
    length = type_of(a).shape[axis]
    if mode == "wrap":
        positions = positions % length
    elif mode == "clip":
        positions = np.clip(positions, 0, length - 1)
    result = _read(a, (slice(None),) * axis + (positions,))
    return written(result, out)


@implements(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Any:
    """Slices along an axis where a condition holds."""
    return take(a, np.flatnonzero(condition), axis)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """Elements where a condition holds, flat."""
    return take(arr, np.flatnonzero(condition))


def _along_axis(arr: Any, indices: Any, axis: int) -> tuple[Any, ...]:
    shape = np.broadcast_shapes(
        tuple(1 if k == axis else n for k, n in enumerate(type_of(arr).shape)),
        tuple(1 if k == axis else n for k, n in enumerate(indices.shape)),
    )
    grids = np.ogrid[tuple(slice(n) for n in shape)]
    key = list(grids)
    key[axis] = indices
    return tuple(key)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """Elements at positions along an axis, one array of positions for each line."""
    arr = as_operand(arr)
    if axis is None:
        arr, axis = reshape(arr, shape=(type_of(arr).size,)), 0
    axis = axis % type_of(arr).ndim
    indices = indices if type(indices) is Tracer else np.asarray(indices)
    return getitem(arr, _along_axis(arr, indices, axis))


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    """Write at positions along an axis."""
    if axis is None:
        put(arr, indices, values)
        return
    axis = axis % type_of(arr).ndim
    setitem(arr, _along_axis(arr, np.asarray(indices), axis), values)


@implements(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Write elements at flat positions; too few values are repeated."""
    ind = np.asarray(ind).ravel()
    if mode == "wrap":
        ind = ind % a.size
    elif mode == "clip":
        ind = np.clip(ind, 0, a.size - 1)
    v = as_operand(v)
    if type_of(v).ndim:
        flat = reshape(v, shape=(type_of(v).size,))
        v = index(flat, np.arange(ind.size) % type_of(v).size, at=("$",))
    a.flat[ind] = v


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """Write all elements, or those where a condition holds."""
    if type(dst) is not Tracer:
        np.asarray(src)  # raises, and says what to use
    if where is True:
        dst[...] = src
    else:
        dst[...] = np.where(where, src, dst)


@implements(np.putmask, np.place)
def putmask(a: Any, mask: Any, values: Any) -> None:
    """Write where a mask holds, repeating the values."""
    positions = np.flatnonzero(mask)
    values = as_operand(values)
    if type_of(values).ndim:
        values = values[positions % type_of(values).size]
    a.flat[positions] = values


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Write the main diagonal."""
    if wrap:
        raise ValueError("wrap=True is not supported for traced arrays")
    count = min(a.shape)
    positions = np.arange(count)
    val = as_operand(val)
    if type_of(val).ndim:
        val = reshape(val, shape=(type_of(val).size,))[positions % type_of(val).size]
    setitem(a, (positions,) * a.ndim, val)


@implements(np.add.at)
def add_at(target: Tracer, key: Any, values: Any) -> None:
    """``np.add.at``: in-place addition that counts repeated indices."""
    at, arrays = parse_index(key)
    values = as_operand(values)
    shape = slot_shape(target.aval, at, (), tuple(map(type_of, arrays)))
    if type_of(values).ndim and type_of(values).shape != shape:
        # NumPy 2.4's own reads past the end of values that it should broadcast
        values = np.broadcast_to(values, shape)
    assign(target, index_add(target, values, *arrays, at=at))


@implements(np.nonzero)
def nonzero(a: Any) -> Any:
    """Positions of the elements that are not zero, as plain integers."""
    return np.nonzero(concrete(a))


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    """Flat positions of the elements that are not zero."""
    return np.flatnonzero(concrete(a))


@implements(np.argwhere)
def argwhere(a: Any) -> Any:
    """Positions of the elements that are not zero, one row each."""
    return np.argwhere(concrete(a))


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """How many elements are not zero."""
    return np.sum(a != 0, axis=axis, keepdims=keepdims)
