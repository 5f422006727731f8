"""Calls of the host from a program that runs on XLA.

jax hands the values to Python in a thread of its own, where 64-bit types are enabled
only if the user's configuration says so; otherwise it would round them. So they travel
as pairs of 32-bit words.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.ir import Aval

WIDE = "dlqLQD"  # dtypes of 64-bit parts


def call_host(
    jax: Any,
    function: Callable[[list[Any]], Sequence[Any]],
    operands: Sequence[Any],
    outs: Sequence[Aval],
) -> list[Any]:
    """The results, of these types, of a pure function of NumPy values."""
    on_host, packed = _with_words(jax, function, operands)
    words = [
        jax.ShapeDtypeStruct(*_layout(aval.shape, aval.numpy_dtype)) for aval in outs
    ]
    found = jax.pure_callback(on_host, words, *packed)
    return [_unpacked(jax, x, aval) for x, aval in zip(found, outs, strict=True)]


def show_on_host(
    jax: Any, function: Callable[[list[Any]], None], operands: Sequence[Any]
) -> None:
    """Call a function of NumPy values for what it does, in the program's order."""

    def silent(values: list[Any]) -> tuple[()]:
        function(values)
        return ()

    on_host, packed = _with_words(jax, silent, operands)
    jax.debug.callback(on_host, *packed, ordered=True)


def _with_words(
    jax: Any, function: Callable[[list[Any]], Sequence[Any]], operands: Sequence[Any]
) -> tuple[Callable[..., list[Any]], list[Any]]:
    """A function of words, and the operands as words."""
    arrays = [jax.numpy.asarray(x) for x in operands]
    types = [(x.shape, np.dtype(x.dtype)) for x in arrays]

    def on_host(*words: Any) -> list[Any]:
        values = [
            np.asarray(x).reshape(-1).view(dtype).reshape(shape)[()]
            for x, (shape, dtype) in zip(words, types, strict=True)
        ]
        return [_host_words(np.asarray(out)) for out in function(values)]

    return on_host, [_packed(jax, x) for x in arrays]


def _layout(shape: tuple[int, ...], dtype: Any) -> tuple[tuple[int, ...], Any]:
    """Shape and dtype of an array as words."""
    if dtype.char not in WIDE:
        return shape, dtype
    return (*shape, dtype.itemsize // 4), np.dtype(np.uint32)


def _host_words(x: Any) -> Any:
    shape, dtype = _layout(x.shape, x.dtype)
    return np.ascontiguousarray(x).reshape(-1).view(dtype).reshape(shape)


def _packed(jax: Any, x: Any) -> Any:
    if x.dtype.char not in WIDE:
        return x
    if x.dtype.kind == "c":
        parts = (jax.lax.real(x), jax.lax.imag(x))
        return jax.numpy.concatenate([_packed(jax, part) for part in parts], -1)
    return jax.lax.bitcast_convert_type(x, np.uint32)


def _unpacked(jax: Any, x: Any, aval: Aval) -> Any:
    dtype = aval.numpy_dtype
    if dtype.char not in WIDE:
        return x
    if dtype.kind != "c":
        return jax.lax.bitcast_convert_type(x, dtype)
    halves = (
        jax.lax.bitcast_convert_type(half, np.float64)
        for half in (x[..., :2], x[..., 2:])
    )
    return jax.lax.complex(*halves)
