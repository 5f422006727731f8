"""``torch.fft``: discrete Fourier transforms, over one axis or several.

The transform is one linear primitive, which is its own transpose; the rest is slicing,
conjugates and scales around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ops.fourier import dft
from fgrad.torch import dtypes
from fgrad.torch.conversion import convert
from fgrad.torch.creation import dtype_or_default, finish
from fgrad.torch.placement import place_functions
from fgrad.torch.rearranging import roll
from fgrad.torch.recording import one
from fgrad.torch.size import axes_of, axis_of
from fgrad.torch.tensor import Tensor, require_tensor

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]


def __dir__() -> list[str]:
    return __all__


def _scale(norm: str | None, n: int, inverse: bool) -> float:
    """The factor beside that of the primitive, which is ``1 / n`` for the inverse."""
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return math.sqrt(n) if inverse else 1 / math.sqrt(n)
    if norm == "forward":
        return float(n) if inverse else 1 / n
    return 1.0


def _fitted(x: Any, n: int, axis: int) -> Any:
    """Zeros added at the end of an axis, or its end cut off."""
    length = x.shape[axis]
    if n < length:
        return x[(slice(None),) * axis + (slice(n),)]
    if n == length:
        return x
    widths = [(0, n - length if k == axis else 0) for k in range(x.ndim)]
    return np.pad(x, widths)


def _transformed(
    x: Any, n: int, axis: int, norm: str | None, inverse: bool, wanted: Any
) -> Any:
    if x.dtype != wanted:
        x = x.astype(wanted)
    found = dft(_fitted(x, n, axis), axis=axis, inverse=inverse)
    scale = _scale(norm, n, inverse)
    return found if scale == 1 else found * scale


def _half(x: Any, n: int, axis: int) -> Any:
    return x[(slice(None),) * axis + (slice(n // 2 + 1),)]


def _hermitian(x: Any, n: int, axis: int) -> Any:
    """All of the transform of real numbers, of its first half."""
    x = _fitted(x, n // 2 + 1, axis)
    lead = (slice(None),) * axis
    rest = np.flip(x[(*lead, slice(1, (n + 1) // 2))], axis)
    return np.concatenate([x, np.conjugate(rest)], axis)


def _operand(name: str, input: Any, real: bool = False) -> Tensor:
    x = require_tensor(f"fft_{name}", input)
    if real and x._aval.dtype.kind == "c":
        raise RuntimeError(
            f"{name} expects a real input tensor, but got {x.dtype.kind}"
        )
    if x._aval.dtype.kind not in "fc":
        x = convert(x, dtypes.get_default_dtype())
    return x


def _axis(x: Tensor, dim: int) -> int:
    if not x._aval.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return axis_of(dim, x._aval.ndim)


def _length(n: int) -> int:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


Lengths = Sequence[int] | None


def _axes(x: Tensor, s: Lengths, dim: Any, last: int = 0) -> list[tuple[int, int]]:
    """The axes to transform, and the length of each; 0 for one of `last` not given."""
    if dim is None:
        count = x._aval.ndim if s is None else len(s)
        dim = tuple(range(x._aval.ndim - count, x._aval.ndim))
    axes = axes_of(dim, x._aval.ndim) if dim != () else ()
    if s is not None and len(s) != len(axes):
        raise RuntimeError(
            "When given, dim and shape arguments must have the same length"
        )
    lengths = [x._aval.shape[axis] for axis in axes] if s is None else list(s)
    if s is None and last:
        lengths[-1] = 2 * (lengths[-1] - 1)
    return [(axis, _length(n)) for axis, n in zip(axes, lengths, strict=True)]


def _complex(
    name: str, x: Tensor, axes: list[tuple[int, int]], norm: Any, inverse: bool
) -> Tensor:
    wanted = x.dtype.to_complex().numpy
    single = {"fft": "FftR2CBackward0", "ifft": "ConjBackward0"}  # of real numbers
    node = single.get(name) if x._aval.dtype.kind == "f" else None

    def compute(u: Any) -> Any:
        for axis, n in reversed(axes):
            u = _transformed(u, n, axis, norm, inverse, wanted)
        return u if axes else u.astype(wanted)

    return one(node or "FftC2CBackward0", compute, x)


def _from_real(x: Tensor, axes: list[tuple[int, int]], norm: Any) -> Tensor:
    wanted = x.dtype.to_complex().numpy
    (last, length), rest = axes[-1], axes[:-1]

    def compute(u: Any) -> Any:
        u = _half(_transformed(u, length, last, norm, False, wanted), length, last)
        for axis, n in reversed(rest):
            u = _transformed(u, n, axis, norm, False, wanted)
        return u

    return one("FftR2CBackward0", compute, x)


def _to_real(x: Tensor, axes: list[tuple[int, int]], norm: Any) -> Tensor:
    wanted = x.dtype.to_complex().numpy
    (last, length), rest = axes[-1], axes[:-1]

    def compute(u: Any) -> Any:
        u = u.astype(wanted) if u.dtype != wanted else u
        for axis, n in rest:
            u = _transformed(u, n, axis, norm, True, wanted)
        whole = _hermitian(u, length, last)
        return _transformed(whole, length, last, norm, True, wanted).real

    return one("FftC2RBackward0", compute, x)


def fft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None
) -> Tensor:
    """The discrete Fourier transform along an axis.

    Args:
        input: a tensor, real or complex.
        n: the axis is cut or filled with zeros to this length first.
        dim: the axis.
        norm: ``"backward"`` (no factor), ``"ortho"`` or ``"forward"`` (``1 / n``).

    Raises:
        RuntimeError: the length is not positive, or there is no such norm.

    >>> torch.fft.fft(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
    """
    x = _operand("fft", input)
    axis = _axis(x, dim)
    length = _length(x._aval.shape[axis] if n is None else n)
    return _complex("fft", x, [(axis, length)], norm, False)


def ifft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None
) -> Tensor:
    """The inverse of `fft`; arguments as there. The result is complex.

    >>> torch.fft.ifft(torch.tensor([3 + 2j, 1 + 0j]))
    tensor([2.+1.j, 1.+1.j])
    """
    x = _operand("ifft", input)
    axis = _axis(x, dim)
    length = _length(x._aval.shape[axis] if n is None else n)
    return _complex("ifft", x, [(axis, length)], norm, True)


def rfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None
) -> Tensor:
    """The first half of `fft` of real numbers; the other one is its conjugate.

    ``n`` elements give ``n // 2 + 1``.

    Raises:
        RuntimeError: the input is complex.

    >>> torch.fft.rfft(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j])
    """
    x = _operand("rfft", input, real=True)
    axis = _axis(x, dim)
    length = _length(x._aval.shape[axis] if n is None else n)
    return _from_real(x, [(axis, length)], norm)


def irfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None
) -> Tensor:
    """The inverse of `rfft`; ``n`` is the length of the result, even by default.

    >>> torch.fft.irfft(torch.tensor([10.0, -2.0, -2.0]))
    tensor([1., 3., 3., 3.])
    """
    x = _operand("irfft", input)
    axis = _axis(x, dim)
    length = _length(2 * (x._aval.shape[axis] - 1) if n is None else n)
    return _to_real(x, [(axis, length)], norm)


def fftn(
    input: Tensor, s: Lengths = None, dim: Any = None, norm: str | None = None
) -> Tensor:
    """`fft` along several axes, all by default; ``s`` has their lengths.

    >>> torch.fft.fftn(torch.ones(2, 2))
    tensor([[4.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]])
    """
    x = _operand("fftn", input)
    return _complex("fftn", x, _axes(x, s, dim), norm, False)


def ifftn(
    input: Tensor, s: Lengths = None, dim: Any = None, norm: str | None = None
) -> Tensor:
    """The inverse of `fftn`; arguments as there.

    >>> torch.fft.ifftn(torch.tensor([[4.0, 0.0], [0.0, 0.0]]))
    tensor([[1.+0.j, 1.+0.j],
            [1.+0.j, 1.+0.j]])
    """
    x = _operand("ifftn", input)
    return _complex("ifftn", x, _axes(x, s, dim), norm, True)


def rfftn(
    input: Tensor, s: Lengths = None, dim: Any = None, norm: str | None = None
) -> Tensor:
    """`rfft` along the last of several axes, then `fft` along the others.

    >>> torch.fft.rfftn(torch.ones(2, 4))
    tensor([[8.+0.j, 0.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j, 0.+0.j]])
    """
    x = _operand("rfftn", input, real=True)
    return _from_real(x, _axes(x, s, dim), norm)


def irfftn(
    input: Tensor, s: Lengths = None, dim: Any = None, norm: str | None = None
) -> Tensor:
    """The inverse of `rfftn`; the last of ``s`` is the length of the last axis.

    >>> torch.fft.irfftn(torch.fft.rfftn(torch.ones(2, 3)), (2, 3))
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    x = _operand("irfftn", input)
    return _to_real(x, _axes(x, s, dim, last=1), norm)


def fft2(
    input: Tensor, s: Lengths = None, dim: Any = (-2, -1), norm: str | None = None
) -> Tensor:
    """`fft` along the last two axes; see `fftn`.

    >>> torch.fft.fft2(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[10.+0.j, -2.+0.j],
            [-4.+0.j,  0.+0.j]])
    """
    return fftn(input, s, dim, norm)


def ifft2(
    input: Tensor, s: Lengths = None, dim: Any = (-2, -1), norm: str | None = None
) -> Tensor:
    """The inverse of `fft2`.

    >>> torch.fft.ifft2(torch.tensor([[4.0, 0.0], [0.0, 0.0]]))
    tensor([[1.+0.j, 1.+0.j],
            [1.+0.j, 1.+0.j]])
    """
    return ifftn(input, s, dim, norm)


def rfft2(
    input: Tensor, s: Lengths = None, dim: Any = (-2, -1), norm: str | None = None
) -> Tensor:
    """`rfftn` along the last two axes.

    >>> torch.fft.rfft2(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[10.+0.j, -2.+0.j],
            [-4.+0.j,  0.+0.j]])
    """
    return rfftn(input, s, dim, norm)


def irfft2(
    input: Tensor, s: Lengths = None, dim: Any = (-2, -1), norm: str | None = None
) -> Tensor:
    """The inverse of `rfft2`.

    >>> torch.fft.irfft2(torch.fft.rfft2(torch.tensor([[1.0, 2.0], [3.0, 4.0]])))
    tensor([[1., 2.],
            [3., 4.]])
    """
    return irfftn(input, s, dim, norm)


def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """The frequencies of the elements of `fft`, in cycles per unit of ``d``.

    ``d`` is the distance of samples; the second half is negative.

    >>> torch.fft.fftfreq(4, d=0.5)
    tensor([ 0.0000,  0.5000, -1.0000, -0.5000])
    """
    frequencies = np.fft.fftfreq(n, d).astype(dtype_or_default(dtype))
    return finish(frequencies, requires_grad)


def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """The frequencies of the elements of `rfft`, in cycles per unit of ``d``.

    >>> torch.fft.rfftfreq(4, d=0.5)
    tensor([0.0000, 0.5000, 1.0000])
    """
    frequencies = np.fft.rfftfreq(n, d).astype(dtype_or_default(dtype))
    return finish(frequencies, requires_grad)


def _shifted(input: Tensor, dim: Any, sign: int) -> Tensor:
    axes = axes_of(dim, input._aval.ndim)
    lengths = [input._aval.shape[axis] for axis in axes]
    shifts = [n // 2 if sign > 0 else (n + 1) // 2 for n in lengths]
    return roll(input, shifts, axes)


def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The frequency zero in the middle of the axes, all by default.

    >>> torch.fft.fftshift(torch.fft.fftfreq(4))
    tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    return _shifted(input, dim, 1)


def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of `fftshift`.

    >>> torch.fft.ifftshift(torch.tensor([-0.5, -0.25, 0.0, 0.25]))
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return _shifted(input, dim, -1)


place_functions(globals())
