"""Convolution of two vectors.

Both primitives are linear in each operand, and each is the transpose of the other.
"""

from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.batching import Flags
from fgrad.ops.contract import matmul_batch
from fgrad.ops.index import index, scatter
from fgrad.ops.scan import flip
from fgrad.ops.structure import broadcast_to, reshape
from fgrad.primitive import Sample, linear
from fgrad.trace import type_of


def _draw(n: int, seed: int = 5) -> Any:
    return np.random.default_rng(seed).uniform(-1.5, 1.5, n)


def _overlap(mode: str, n: int, m: int) -> tuple[int, int]:
    """Where a mode's result starts in the full convolution, and its length."""
    short, long = min(n, m), max(n, m)
    if mode == "full":
        return 0, n + m - 1
    return ((short - 1) // 2, long) if mode == "same" else (short - 1, long - short + 1)


def _convolve_aval(a: Aval, v: Aval, *, mode: str) -> Aval:
    dtype = np.result_type(a.dtype, v.dtype)
    return Aval((_overlap(mode, a.size, v.size)[1],), dtype)


def _convolve_transpose(ct: Any, a: Any, v: Any, *, mode: str) -> Any:
    n, m = type_of(a).size, type_of(v).size
    start, length = _overlap(mode, n, m)
    if mode != "full":
        at, dtype = ((start, start + length, None),), type_of(ct).dtype.name
        ct = scatter(ct, at=at, shape=(n + m - 1,), dtype=dtype)
    return correlate_valid(ct, v), correlate_valid(ct, a)


def _windows(x: Any, count: int, width: int) -> Any:
    """``out[..., j, k] = x[..., j + k]`` for ``width`` j and ``count`` k.

    Copies of x in a row, read as rows of one more element, are shifted by one from row
    to row. Unlike a gather, this is cheap to transpose.
    """
    *lead, n = type_of(x).shape
    whole = ((None, None, None),) * len(lead)
    copies = broadcast_to(reshape(x, shape=(*lead, 1, n)), shape=(*lead, width + 1, n))
    flat = reshape(copies, shape=(*lead, (width + 1) * n))
    used = index(flat, at=(*whole, (None, width * (n + 1), None)))
    rows = reshape(used, shape=(*lead, width, n + 1))
    return index(rows, at=(*whole, (None, None, None), (None, count, None)))


def _correlate_batch(size: int, mapped: Flags, x: Any, v: Any) -> Any:
    width = type_of(v).shape[-1]
    windows = _windows(x, type_of(x).shape[-1] - width + 1, width)
    return matmul_batch(size, mapped[::-1], v, windows)


def _convolve_batch(size: int, mapped: Flags, a: Any, v: Any, *, mode: str) -> Any:
    n, m = type_of(a).shape[-1], type_of(v).shape[-1]
    if n < m:
        return _convolve_batch(size, mapped[::-1], v, a, mode=mode)
    start, length = _overlap(mode, n, m)
    lead = ((None, None, None),) * mapped[0]
    shape, dtype = type_of(a).shape[:-1], type_of(a).numpy_dtype.name
    at = (*lead, (m - 1, m - 1 + n, None))
    padded = scatter(a, at=at, shape=(*shape, n + 2 * (m - 1)), dtype=dtype)
    part = index(padded, at=(*lead, (start, start + length + m - 1, None)))
    return _correlate_batch(size, mapped, part, flip(v, int(mapped[1])))


convolve = linear(
    "convolve",
    lambda a, v, *, mode: np.convolve(a, v, mode),
    _convolve_aval,
    _convolve_transpose,
    batch=_convolve_batch,
    jax=lambda xla, a, v, *, mode: xla.np.convolve(*xla.cast_all(a, v), mode),
    groups=((0,), (1,)),
    samples=lambda: [
        Sample((_draw(5), _draw(3, seed=6)), {"mode": "full"}),
        Sample((_draw(2), _draw(5, seed=6)), {"mode": "same"}),
        Sample((_draw(5), _draw(4, seed=6)), {"mode": "same"}),
        Sample((_draw(5), _draw(2, seed=6) + 1j * _draw(2)), {"mode": "valid"}),
        Sample((_draw(3).astype("float32"), _draw(4)), {"mode": "full"}),
    ],
)


def _correlate_jax(xla: Any, x: Any, v: Any) -> Any:
    x, v = xla.cast_all(x, v)
    return xla.np.correlate(x, xla.np.conjugate(v), "valid")


def _correlate_transpose(ct: Any, x: Any, v: Any) -> Any:
    return convolve(ct, v, mode="full"), correlate_valid(x, ct)


# z_k = sum_j x_{k+j} v_j, for the k at which v lies inside x; not conjugated
correlate_valid = linear(
    "correlate_valid",
    lambda x, v: np.correlate(x, np.conjugate(v), "valid"),
    lambda x, v: Aval((x.size - v.size + 1,), np.result_type(x.dtype, v.dtype)),
    _correlate_transpose,
    batch=_correlate_batch,
    jax=_correlate_jax,
    groups=((0,), (1,)),
    samples=lambda: [
        Sample((_draw(5), _draw(3, seed=6))),
        Sample((_draw(4) + 1j * _draw(4, seed=7), _draw(4, seed=6))),
    ],
)
