"""Views that step through an array: windows of it, and any strides of its memory.

Each axis of the view advances the index of the array by a constant vector. So what is
read does not depend on how the array lies in memory, and in NumPy it is always a view,
in which one element of the array may appear several times.
"""

from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.index import scatter
from fgrad.ops.lattice import Vector, elements
from fgrad.primitive import Primitive, Sample, linear
from fgrad.trace import type_of


def _strided_numpy(
    x: Any, *, shape: Vector, start: Vector, steps: tuple[Vector, ...]
) -> Any:
    if 0 in shape:
        return np.empty(shape, x.dtype)
    corner = x[(*[slice(first, None) for first in start], ...)]
    strides = [
        sum(count * stride for count, stride in zip(step, x.strides, strict=True))
        for step in steps
    ]
    return np.lib.stride_tricks.as_strided(corner, shape, strides)


def _strided_transpose(ct: Any, x: Any, **params: Any) -> tuple[Any]:
    aval = type_of(x)
    path = (("strided", tuple(params.items())),)
    whole = {"shape": aval.shape, "dtype": aval.dtype.name}
    return (scatter(ct, at=(...,), path=path, **whole),)


def _batched(
    size: int, *, shape: Vector, start: Vector, steps: tuple[Vector, ...]
) -> dict[str, Any]:
    along_batch = (1, *(0 for _ in start))
    return {
        "shape": (size, *shape),
        "start": (0, *start),
        "steps": (along_batch, *((0, *step) for step in steps)),
    }


def _strided_jax(xla: Any, x: Any, *, shape: Any, start: Any, steps: Any) -> Any:
    return x[elements(shape, start, steps)]


def _samples() -> list[Sample]:
    line, matrix = np.linspace(-1, 1, 7), np.linspace(-1, 1, 12).reshape(3, 4)
    kinds: list[tuple[Any, Vector, Vector, tuple[Vector, ...]]] = [
        (line, (3, 3), (0,), ((2,), (1,))),  # windows that overlap
        (line, (2, 2), (6,), ((-3,), (-1,))),
        (matrix, (3, 2, 2), (0, 1), ((1, 0), (0, 1), (0, 1))),
        (matrix.T.astype("float32"), (3,), (0, 0), ((1, 1),)),
        (matrix, (2, 3), (1, 0), ((0, 0), (0, 1))),
    ]
    return [
        Sample((x,), {"shape": shape, "start": start, "steps": steps})
        for x, shape, start, steps in kinds
    ]


strided: Primitive = linear(
    "strided",
    _strided_numpy,
    lambda x, *, shape, **params: Aval(shape, x.numpy_dtype),
    _strided_transpose,
    moves=True,
    batch_params=_batched,
    view_step=lambda out, x, operands, params: ("strided", tuple(params.items())),
    jax=_strided_jax,
    samples=_samples,
)
