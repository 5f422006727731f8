"""Primitives that move, copy or convert elements without arithmetic."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.primitive import Primitive, Sample, linear, shift_axis
from fgrad.trace import Tracer, record, type_of

Shape = tuple[int, ...]
SMALL = 4096  # elements up to which a broadcast is written out: cheaper than a view


def _sample(*shape: int, dtype: str = "float64", **params: Any) -> Sample:
    rng = np.random.default_rng(len(shape))
    return Sample((rng.uniform(-1, 1, shape).astype(dtype),), params)


def _full_numpy(*, shape: Shape, dtype: str, value: Any) -> Any:
    return np.full(shape, value, dtype)[()]


full: Primitive = Primitive(
    "full",
    _full_numpy,
    lambda *, shape, dtype, value: Aval(shape, dtype),
    jax=lambda xla, *, shape, dtype, value: xla.np.full(shape, value, dtype),
    samples=lambda: [Sample((), {"shape": (2,), "dtype": "float32", "value": 1.5})],
)


def zeros_in(anchor: Tracer, aval: Aval) -> Any:
    """Zeros of a type, recorded in the trace of ``anchor`` if it records constants."""
    params = {"shape": aval.shape, "dtype": aval.numpy_dtype.name, "value": 0}
    trace = anchor.scope
    if not trace.policy.constants:
        return full.numpy(**params)
    out = None if trace.abstract else full(**params)
    return record(trace, full, (), (), tuple(params.items()), out)


def _reshape_numpy(x: Any, *, shape: Shape) -> Any:
    return np.reshape(x, shape)


def dummy_of_types(x: Tracer) -> Any:
    """An array laid out as x is by the steps from memory in C order."""
    owner, steps = (x, ()) if x.origin is None else x.origin
    dummy = np.empty(owner.aval.shape, np.int8)
    for name, params, *operands in steps:
        if name not in ("real", "imag"):
            zeros = (0,) * len(operands[0] if operands else ())
            dummy = Primitive.registry[name].numpy(dummy, *zeros, **dict(params))
    return dummy


def _reshape_view(out: Any, x: Any, operands: Any, params: Any) -> Any:
    if isinstance(out, Tracer):
        is_view = out.origin is not None
    elif out is None:
        dummy = dummy_of_types(operands[0])
        is_view = np.may_share_memory(np.reshape(dummy, params["shape"]), dummy)
    else:
        is_view = np.may_share_memory(out, x)
    return ("reshape", tuple(params.items())) if is_view else None


reshape: Primitive = linear(
    "reshape",
    _reshape_numpy,
    lambda x, *, shape: Aval(shape, x.dtype),
    lambda ct, x, *, shape: (reshape(ct, shape=type_of(x).shape),),
    jax=lambda xla, x, *, shape: xla.lax.reshape(x, shape),
    moves=True,
    batch_params=lambda size, *, shape: {"shape": (size, *shape)},
    view_step=_reshape_view,
    depends_on_layout=True,
    expression="{0}.reshape({shape})",
    samples=lambda: [
        _sample(2, 3, shape=(3, 2)),
        _sample(2, 3, shape=(6,)),
        _sample(4, dtype="float32", shape=(2, 1, 2)),
    ],
)


def inverse_permutation(axes: Shape) -> Shape:
    """The permutation that undoes ``axes``."""
    return tuple(int(axis) for axis in np.argsort(axes))


def _transpose_lines(
    out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
) -> list[str]:
    axes = params["axes"]
    reverses = axes == tuple(range(len(axes)))[::-1]
    return [
        f"{out} = {ins[0]}.T" if reverses else f"{out} = {ins[0]}.transpose({axes})"
    ]


transpose: Primitive = linear(
    "transpose",
    lambda x, *, axes: np.transpose(x, axes),
    lambda x, *, axes: Aval([x.shape[axis] for axis in axes], x.dtype),
    lambda ct, x, *, axes: (transpose(ct, axes=inverse_permutation(axes)),),
    jax=lambda xla, x, *, axes: xla.lax.transpose(x, axes),
    moves=True,
    batch_params=lambda size, *, axes: {"axes": (0, *(axis + 1 for axis in axes))},
    view_step=lambda out, x, operands, params: ("transpose", tuple(params.items())),
    statements=_transpose_lines,
    samples=lambda: [_sample(2, 3, axes=(1, 0)), _sample(2, 3, 4, axes=(2, 0, 1))],
)


def _broadcast_lines(
    out: str, ins: Sequence[str], avals: Sequence[Aval], params: Any, in_place: bool
) -> list[str]:
    shape = params["shape"]
    if math.prod(shape) > SMALL:
        return [f"{out} = np.broadcast_to({ins[0]}, {shape})"]
    dtype = avals[0].numpy_dtype.name
    return [f"{out} = np.empty({shape}, {dtype!r})", f"{out}[...] = {ins[0]}"]


def _broadcast_batch(size: int, mapped: Any, x: Any, *, shape: Shape) -> Any:
    own = type_of(x).shape
    aligned = (size, *(1,) * (len(shape) + 1 - len(own)), *own[1:])
    x = x if aligned == own else reshape(x, shape=aligned)
    return broadcast_to(x, shape=(size, *shape))


broadcast_to: Primitive = linear(
    "broadcast_to",
    lambda x, *, shape: np.broadcast_to(x, shape),
    lambda x, *, shape: Aval(shape, x.numpy_dtype),
    lambda ct, x, *, shape: (ct,),
    jax=lambda xla, x, *, shape: xla.spread(xla.cast(x, xla.outs[0].numpy_dtype)),
    moves=True,
    batch=_broadcast_batch,
    view_step=lambda out, x, operands, params: ("broadcast_to", tuple(params.items())),
    statements=_broadcast_lines,
    samples=lambda: [
        _sample(3, shape=(2, 3)),
        _sample(2, 1, shape=(4, 2, 3)),
        _sample(shape=(2,)),
    ],
)


def unbroadcast(ct: Any, aval: Aval) -> Any:
    """Sum a cotangent over the axes along which its operand was broadcast."""
    shape = type_of(ct).shape
    if shape == aval.shape:
        return ct
    if len(shape) < aval.ndim:  # NumPy assigns values with leading axes of length 1
        ct = reshape(ct, shape=(1,) * (aval.ndim - len(shape)) + shape)
        return unbroadcast(ct, aval)
    lead = len(shape) - aval.ndim
    spread = [lead + k for k, n in enumerate(aval.shape) if n != shape[lead + k]]
    ct = Primitive.registry["sum"](ct, axis=(*range(lead), *spread))
    return ct if type_of(ct).shape == aval.shape else reshape(ct, shape=aval.shape)


def conform_to(ct: Any, aval: Aval) -> Any:
    """A cotangent made to fit its operand: summed to its shape, cast to its dtype.

    The cotangent of a real operand of a complex function is the real part (the pairing
    is ``Re(ct * t)``, JAX's convention).
    """
    if type_of(ct).shape != aval.shape:
        ct = unbroadcast(ct, aval)
    found = type_of(ct)
    if found.is_complex and not aval.is_complex:
        ct = Primitive.registry["real"](ct)
        found = type_of(ct)
    fits = found.dtype == aval.dtype and found.is_python <= aval.is_python
    return ct if fits else astype(ct, dtype=aval.numpy_dtype.name)


def _astype_numpy(x: Any, *, dtype: str, out: Any = None) -> Any:
    if out is not None:
        np.copyto(out, x, casting="unsafe")
        return out
    # A Python number becomes a NumPy scalar, an array is always copied.
    return x.astype(dtype) if hasattr(x, "astype") else np.asarray(x).astype(dtype)[()]


astype: Primitive = linear(
    "astype",
    _astype_numpy,
    lambda x, *, dtype: Aval(x.shape, dtype),
    lambda ct, x, *, dtype: (ct,),
    elementwise=True,
    jax=lambda xla, x, *, dtype: xla.cast(x, dtype),
    scales=(0,),
    takes_out=True,
    scalar=lambda dtype, **_: "{0}" if dtype == "float64" else None,
    samples=lambda: [
        Sample((np.ones((2, 3), "float32"),), {"dtype": "float64"}),
        Sample((np.linspace(0, 1, 4),), {"dtype": "float32"}),
        Sample((np.linspace(0, 1, 4),), {"dtype": "complex128"}),
        Sample((np.linspace(0, 9, 4),), {"dtype": "int64"}),
    ],
)


def _copy_numpy(x: Any, *, as_array: bool = False, out: Any = None) -> Any:
    if out is not None:
        np.copyto(out, x)
        return out
    if as_array:
        return np.array(x)
    return x.copy() if hasattr(x, "copy") else np.asarray(x)[()]


# The copy of a number is a number or, with as_array, an array without axes.
copy: Primitive = linear(
    "copy",
    _copy_numpy,
    lambda x, **params: Aval(x.shape, x.numpy_dtype),
    lambda ct, x, **params: (ct,),
    elementwise=True,
    jax=lambda xla, x, **params: x,
    scales=(0,),
    takes_out=True,
    scalar=lambda as_array=False: None if as_array else "{0}",
    samples=lambda: [_sample(2, 3), _sample()],
)


def _concatenate_aval(*parts: Aval, axis: int) -> Aval:
    shape = list(parts[0].shape)
    for part in parts[1:]:
        rest = [n for k, n in enumerate(part.shape) if k != axis]
        if rest != [n for k, n in enumerate(shape) if k != axis]:
            raise ValueError("all lengths but that of the joined axis must be equal")
    shape[axis] = sum(part.shape[axis] for part in parts)
    return Aval(shape, np.result_type(*(part.dtype for part in parts)))


def _concatenate_transpose(ct: Any, *parts: Any, axis: int) -> Any:
    index = Primitive.registry["index"]
    cts, start = [], 0
    for part in parts:
        aval = type_of(part)
        stop = start + aval.shape[axis]
        at = ((None, None, None),) * axis + ((start, stop, None),)
        cts.append(index(ct, at=at))
        start = stop
    return tuple(cts)


concatenate: Primitive = linear(
    "concatenate",
    lambda *parts, axis, out=None: np.concatenate(parts, axis=axis, out=out),
    _concatenate_aval,
    _concatenate_transpose,
    groups="all",
    takes_out=True,
    jax=lambda xla, *parts, axis: xla.np.concatenate(xla.cast_all(*parts), axis),
    batch_params=shift_axis,
    samples=lambda: [
        Sample((np.ones((2, 3)), np.zeros((1, 3))), {"axis": 0}),
        Sample((np.ones((2, 3)), np.zeros((2, 1), "float32")), {"axis": 1}),
    ],
)
