"""In-place writes to tracers: functional updates of the handle that owns the memory.

A write through a view updates the owner at the slot only, and makes the owner's other
views stale; they are brought up to date when they are next read. The NumPy value is
overwritten where no one else needs its present content, and copied once where someone
does, so that one slot update costs O(slot).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.errors import ShapeError
from fgrad.ops.at import build_index, follow
from fgrad.ops.elementwise import imag, real
from fgrad.ops.index import index, index_update
from fgrad.ops.strided import strided
from fgrad.ops.structure import astype, broadcast_to, copy
from fgrad.primitive import Primitive
from fgrad.trace import Tracer, innermost, record, refresh, type_of
from fgrad.tracer import follow_steps, is_dynamic


def is_mutable(tracer: Tracer) -> bool:
    """Whether NumPy would let this value be changed: scalars are immutable."""
    if tracer.aval.ndim:
        return True
    if tracer.scope.rule is not None:
        return False  # one number of each element of a batch
    value = tracer.value
    if value is None:  # only the type is known: a view is an array
        return tracer.origin is not None
    return is_mutable(value) if type(value) is Tracer else isinstance(value, np.ndarray)


def write(target: Tracer, at: tuple[Any, ...], arrays: Sequence[Any], v: Any) -> None:
    """``target[at] = v``, seen through the owner of the memory and all its views."""
    owner, path = (target, ()) if target.origin is None else target.origin
    _check_writeable(path)
    if is_dynamic(path):
        _write_through_index(owner, path, at, arrays, v)
        return
    if any(step[0] == "imag" for step in path):
        _write_imaginary(owner, path, at, arrays, v)
        return
    operands = (owner, v, *arrays)
    trace = innermost(operands)
    assert trace is not None
    if trace is not owner.scope:
        _lift(owner, trace, v)
    params: dict[str, Any] = {"at": at}
    if path:
        params["path"] = path
    if trace.rule is not None:
        trace.rule.write(owner, v, arrays, params)
        return
    codes: list[Any] = []
    for x in operands:
        if type(x) is Tracer and x.scope is trace:
            if x.origin is not None:
                refresh(x)
            codes.append(x.index)
        else:
            codes.append(type_of(x))
    value = None if trace.abstract else _write_value(owner, path, at, arrays, v)
    updated = record(trace, index_update, codes, operands, tuple(params.items()), value)
    owner.index = updated.index
    owner.value = updated.value
    owner.aval = updated.aval
    owner.owned = True
    owner.version += 1


def _write_through_index(
    owner: Tracer, path: Any, at: tuple[Any, ...], arrays: Sequence[Any], v: Any
) -> None:
    """Write to a view by a traced index: to a copy of the slot, then the slot."""
    position = [len(step) > 2 for step in path].index(True)
    base = follow_steps(owner, path[:position])
    _, params, operands = path[position]
    slot = copy(index(base, *operands, **dict(params)))
    write(follow_steps(slot, path[position + 1 :]), at, arrays, v)
    outer = dict(params)
    if "path" in outer:
        base = follow_steps(base, outer["path"])
    write(base, outer["at"], operands, slot)


def _check_writeable(path: Any) -> None:
    if any(step[0] == "broadcast_to" for step in path):
        raise ValueError(
            "assignment destination is read-only: it is a broadcast or diagonal view"
        )


def unlocked(view: Tracer) -> Any:
    """The same view, but parts of expanded axes may be written to.

    NumPy has them read-only, until the user changes a flag of the array.
    """
    if view.origin is None:
        return view
    current, steps = view.origin
    for name, params, *operands in steps:
        arrays = operands[0] if operands else ()
        if name == "broadcast_to":
            own = current.aval.shape
            current = strided(current, **_spread_params(own, **dict(params)))
        else:
            current = Primitive.registry[name](current, *arrays, **dict(params))
    return current


def _spread_params(own: tuple[int, ...], shape: tuple[int, ...]) -> dict[str, Any]:
    """The params that expand an array as `broadcast_to` does."""
    new = len(shape) - len(own)
    steps = [(0,) * len(own) for _ in shape]
    for k, (n, m) in enumerate(zip(own, shape[new:], strict=True)):
        if n == m:
            steps[new + k] = tuple([int(k == j) for j in range(len(own))])
    return {"shape": shape, "start": (0,) * len(own), "steps": tuple(steps)}


def _write_imaginary(
    owner: Tracer, path: Any, at: tuple[Any, ...], arrays: Sequence[Any], v: Any
) -> None:
    """Write through ``z.imag``: its pairing has a sign that a path cannot express."""
    position = [name for name, _ in path].index("imag")
    whole: Any = owner
    for name, params in path[:position]:
        whole = Primitive.registry[name](whole, **dict(params))
    rest = {"path": path[position + 1 :]} if path[position + 1 :] else {}
    parts = index_update(copy(imag(whole)), v, *arrays, at=at, **rest)
    write(whole, (...,), (), copy(real(whole)) + 1j * parts)


def _lift(owner: Tracer, trace: Any, v: Any) -> None:
    """Writing an inner tracer into an outer one would lose its gradient."""
    raise ShapeError(
        "a value of an inner transform is written into an array of an outer one, which "
        "would lose its gradient; make the array inside the inner function (np.copy)"
    )


def _plain(x: Any, trace: Any) -> Any:
    return x.value if type(x) is Tracer and x.scope is trace else x


def _write_value(
    owner: Tracer, path: Any, at: tuple[Any, ...], arrays: Sequence[Any], v: Any
) -> Any:
    trace = owner.scope
    value = owner.value
    if not owner.owned:
        value = value.copy()
    plain_arrays = tuple(_plain(a, trace) for a in arrays)
    plain = _plain(v, trace)
    if type(value) is Tracer:
        target: Any = value
        for name, params in path:
            target = Primitive.registry[name](target, **dict(params))
        target[build_index(at, plain_arrays)] = plain
        return value
    if type(plain) is Tracer:
        # the array was a constant of the enclosing trace: it joins it now
        trace.nested = True
        params = {"at": at, "path": path} if path else {"at": at}
        return index_update(value, plain, *plain_arrays, **params)
    target = follow(value, path)
    if path and not np.may_share_memory(target, value):
        params = {"at": at, "path": path}
        return index_update.numpy(value, plain, *plain_arrays, **params)
    try:
        target[build_index(at, plain_arrays)] = plain
    except ValueError as error:
        shape = target[build_index(at, plain_arrays)].shape
        found = type_of(plain).shape
        raise ShapeError(
            f"cannot write a value of shape {found} into a slot of shape {shape}"
        ) from error
    return value


def assign(target: Tracer, result: Any) -> Tracer:
    """``target[...] = result`` for ``+=`` and ``out=``: shape and dtype are the
    target's.

    Raises:
        ShapeError: the result does not have the target's shape.
        TypeError: the cast is not of the same kind (NumPy's rule).
    """
    aval, found = target.aval, type_of(result)
    if found.shape != aval.shape:
        result = _spread(result, found.shape, aval.shape)
    if not np.can_cast(found.numpy_dtype, aval.numpy_dtype, "same_kind"):
        raise TypeError(
            f"cannot cast the result from {found.numpy_dtype} to {aval.numpy_dtype} in "
            "place (casting rule 'same_kind')"
        )
    if found.dtype != aval.dtype:
        result = astype(result, dtype=aval.numpy_dtype.name)
    is_bound_anew = aval.ndim and target.origin is None and _is_own(result, target)
    if not is_bound_anew:
        write(target, (...,), (), result)
        return target
    target.index = result.index
    target.value = result.value
    target.owned = result.owned and result.origin is None
    target.version += 1
    return target


def _is_own(result: Any, target: Tracer) -> bool:
    return (
        type(result) is Tracer
        and result.scope is target.scope
        and (result.origin is None)
    )


def _spread(result: Any, found: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """A result broadcast to the shape of the array that it is written into."""
    if len(found) > len(shape) or np.broadcast_shapes(found, shape) != shape:
        raise ShapeError(f"the output has shape {shape}, the result has shape {found}")
    return copy(broadcast_to(result, shape=shape))
