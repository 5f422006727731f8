"""Numbers in a row: ``arange``, ``linspace``, ``logspace``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fgrad.torch.creation import dtype_or_default, finish, plain
from fgrad.torch.dtypes import as_dtype, get_default_dtype
from fgrad.torch.registry import function
from fgrad.torch.tensor import Tensor


@function("arange")
def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from ``start`` (0 if only the end is given) to before ``end``.

    Of integers int64, else of the default dtype.

    Raises:
        RuntimeError: the step is zero, or leads away from the end.

    >>> torch.arange(1, 2.5, 0.5)
    tensor([1.0000, 1.5000, 2.0000])
    """
    start, end = (0, start) if end is None else (start, end)
    start, end, step = map(plain, (start, end, step))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) / step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    is_whole = all(isinstance(x, int) for x in (start, end, step))
    if dtype is None:
        wanted = np.dtype(np.int64) if is_whole else get_default_dtype().numpy
    else:
        wanted = as_dtype(dtype).numpy
        if wanted.kind == "c":
            kind = as_dtype(dtype).kind
            raise NotImplementedError(f"\"arange_cpu\" not implemented for '{kind}'")
    if is_whole:
        array = np.arange(start, end, step)
    else:
        array = start + np.arange(math.ceil((end - start) / step)) * step
    return finish(array.astype(wanted), requires_grad, device)


@function("linspace")
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``steps`` numbers in equal distances from ``start`` to ``end``, both included.

    Raises:
        RuntimeError: ``steps`` is negative.

    >>> torch.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    wanted = dtype_or_default(dtype)
    array = _line(plain(start), plain(end), steps, wanted)
    return finish(array, requires_grad, device)


def _line(start: Any, end: Any, steps: int, wanted: Any) -> Any:
    """As PyTorch: steps in the dtype itself, the second half counted from the end."""
    if wanted.kind != "f" or steps < 2:
        return np.linspace(start, end, steps).astype(wanted)
    kind = wanted.type if wanted.itemsize > 2 else np.float32
    first, last = kind(start), kind(end)
    # products and sums are rounded once, as in a fused multiply-add
    step = np.longdouble((last - first) / kind(steps - 1))
    k = np.arange(steps)
    rising, falling = first + step * k, last - step * k[::-1]
    return np.where(k < steps // 2, rising, falling).astype(wanted)


@function("logspace")
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``base ** x`` for ``x`` as of `linspace`.

    >>> torch.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    wanted = dtype_or_default(dtype)
    exponents = np.linspace(plain(start), plain(end), steps)
    return finish((base**exponents).astype(wanted), requires_grad, device)
