"""What the functions of ``torch.fft`` share: transforms of some axes, and their checks.

The transform is one linear primitive, which is its own transpose; the rest is slicing,
conjugates and scales around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.functions.shape import fitted
from fgrad.ops.fourier import dft
from fgrad.torch import dtypes
from fgrad.torch.conversion import convert
from fgrad.torch.recording import one
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Tensor, require_tensor

Lengths = Sequence[int] | None
Axes = list[tuple[int, int]]  # axes, and how many points each has


def _scale(norm: str | None, n: int, inverse: bool) -> float:
    """The factor beside that of the primitive, which is ``1 / n`` for the inverse."""
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return math.sqrt(n) if inverse else 1 / math.sqrt(n)
    if norm == "forward":
        return float(n) if inverse else 1 / n
    return 1.0


def _transformed(
    x: Any, n: int, axis: int, norm: str | None, inverse: bool, wanted: Any
) -> Any:
    if x.dtype != wanted:
        x = x.astype(wanted)
    found = dft(fitted(x, n, axis), axis=axis, inverse=inverse)
    scale = _scale(norm, n, inverse)
    return found if scale == 1 else found * scale


def _half(x: Any, n: int, axis: int) -> Any:
    return x[(slice(None),) * axis + (slice(n // 2 + 1),)]


def _hermitian(x: Any, n: int, axis: int) -> Any:
    """All of the transform of real numbers, of its first half."""
    x = fitted(x, n // 2 + 1, axis)
    lead = (slice(None),) * axis
    rest = np.flip(x[(*lead, slice(1, (n + 1) // 2))], axis)
    return np.concatenate([x, np.conjugate(rest)], axis)


def operand(name: str, input: Any, real: bool = False) -> Tensor:
    """The tensor to transform; integers become the default dtype.

    Raises:
        TypeError: it is no tensor.
        RuntimeError: it is complex where it must be real.
    """
    x = require_tensor(f"fft_{name}", input)
    if real and x._aval.dtype.kind == "c":
        text = {
            "ihfftn": "Only supports floating-point dtypes, but found: {1}",
            "rfftn": "{0} expects a real-valued input tensor, but got {1}",
        }.get(name, "{0} expects a real input tensor, but got {1}")
        raise RuntimeError(text.format(name, x.dtype.kind))
    if x._aval.dtype.kind not in "fc":
        x = convert(x, dtypes.get_default_dtype())
    return x


def _points(n: int) -> int:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


def single_axis(x: Tensor, n: int | None, dim: int, last: int = 0) -> Axes:
    """The axis to transform, with its length; ``last`` as of `several_axes`.

    Raises:
        IndexError: there is no such axis.
        RuntimeError: the length is not positive.
    """
    if not x._aval.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    axis = axis_of(dim, x._aval.ndim)
    own = x._aval.shape[axis]
    return [(axis, _points((2 * (own - 1) if last else own) if n is None else n))]


def several_axes(
    x: Tensor, s: Lengths, dim: Any, last: int = 0, name: str | None = None
) -> Axes:
    """The axes to transform, and the length of each.

    Args:
        x: the tensor.
        s: the lengths; by default those of the tensor.
        dim: the axes; by default the last ones, or all.
        last: whether the last axis has half a transform of even length by default.
        name: that of a function which needs at least one axis.

    Raises:
        RuntimeError: a length is not positive, there are not as many lengths as axes,
            or no axes.
    """
    if dim is None:
        count = x._aval.ndim if s is None else len(s)
        dim = tuple(range(x._aval.ndim - count, x._aval.ndim))
    given = (dim,) if isinstance(dim, int) else tuple(dim)
    axes = tuple([axis_of(axis, x._aval.ndim) for axis in given])
    if len({*axes}) < len(axes):
        raise RuntimeError("FFT dims must be unique")
    if s is not None and len(s) != len(axes):
        raise RuntimeError(
            "When given, dim and shape arguments must have the same length"
        )
    if name is not None and not axes:
        raise RuntimeError(f"{name} must transform at least one axis")
    lengths = [x._aval.shape[axis] for axis in axes] if s is None else list(s)
    if s is None and last:
        lengths[-1] = 2 * (lengths[-1] - 1)
    return [(axis, _points(n)) for axis, n in zip(axes, lengths, strict=True)]


def reversed_norm(norm: str | None) -> str | None:
    """The norm of the opposite direction, which Hermitian transforms have."""
    opposite = {None: "forward", "backward": "forward", "forward": "backward"}
    return opposite.get(norm, norm)


def complex_transform(
    name: str, x: Tensor, axes: Axes, norm: Any, inverse: bool
) -> Tensor:
    """The transform along some axes, complex."""
    wanted = x.dtype.to_complex().numpy
    single = {"fft": "FftR2CBackward0", "ifft": "ConjBackward0"}  # of real numbers
    node = single.get(name) if x._aval.dtype.kind == "f" else None

    def compute(u: Any) -> Any:
        for axis, n in reversed(axes):
            u = _transformed(u, n, axis, norm, inverse, wanted)
        return u if axes else u.astype(wanted)

    return one(node or "FftC2CBackward0", compute, x)


def from_real(x: Tensor, axes: Axes, norm: Any, is_turned: bool = False) -> Tensor:
    """The first half, along the last axis, of the transform of real numbers.

    With ``is_turned`` its conjugate, and the inverse along the other axes.
    """
    wanted = x.dtype.to_complex().numpy
    (last, length), rest = axes[-1], axes[:-1]

    def compute(u: Any) -> Any:
        u = _half(_transformed(u, length, last, norm, False, wanted), length, last)
        u = np.conjugate(u) if is_turned else u
        along = reversed_norm(norm) if is_turned else norm
        for axis, n in reversed(rest):
            u = _transformed(u, n, axis, along, is_turned, wanted)
        return u

    turned = "FftC2CBackward0" if rest else "ConjBackward0"
    return one(turned if is_turned else "FftR2CBackward0", compute, x)


def to_real(x: Tensor, axes: Axes, norm: Any, is_turned: bool = False) -> Tensor:
    """The inverse of `from_real`: real numbers.

    With ``is_turned`` of the conjugate.
    """
    wanted = x.dtype.to_complex().numpy
    (last, length), rest = axes[-1], axes[:-1]

    def compute(u: Any) -> Any:
        u = u.astype(wanted) if u.dtype != wanted else u
        u = np.conjugate(u) if is_turned else u
        for axis, n in rest:
            u = _transformed(u, n, axis, norm, True, wanted)
        whole = _hermitian(u, length, last)
        return _transformed(whole, length, last, norm, True, wanted).real

    return one("FftC2RBackward0", compute, x)
