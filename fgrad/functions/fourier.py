"""``np.fft``: on traced arrays, and as ``fgrad.numpy.fft``.

Transforms over several axes are transforms along one axis after the other, in NumPy's
order. What is longer than a transform is cut off, what is shorter is filled with zeros.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from fgrad.functions.protocol import implements, written
from fgrad.functions.shape import fitted
from fgrad.ops import fourier as ops
from fgrad.trace import as_operand, type_of

Lengths = Sequence[int] | None
Transform = Callable[[Any, int, int, str | None], Any]


def _norm(norm: str | None) -> str:
    if norm in (None, *ops.SWAPPED):
        return norm or "backward"
    raise ValueError(
        f'Invalid norm value {norm}; should be "backward","ortho" or "forward".'
    )


def _laid_out(a: Any, n: int | None, axis: int) -> tuple[int, int]:
    """The length of a transform, and its axis.

    Raises:
        ValueError: the transform has no length.
    """
    found = int(type_of(a).shape[axis]) if n is None else n
    if found < 1:
        raise ValueError(f"Invalid number of FFT data points ({found}) specified.")
    return found, normalize_axis_index(axis, type_of(a).ndim)


def _fft(a: Any, n: Any, axis: int, norm: str | None, inverse: bool) -> Any:
    n, axis = _laid_out(a, n, axis)
    a = fitted(a, n, axis)
    return ops.dft(a, axis=axis, inverse=inverse, norm=_norm(norm))


def _forward(a: Any, n: Any, axis: int, norm: str | None) -> Any:
    return _fft(a, n, axis, norm, False)


def _inverse(a: Any, n: Any, axis: int, norm: str | None) -> Any:
    return _fft(a, n, axis, norm, True)


def _from_real(a: Any, n: Any, axis: int, norm: str | None) -> Any:
    if type_of(a).is_complex:
        raise TypeError("rfft takes real numbers; np.fft.fft takes complex ones")
    n, axis = _laid_out(a, n, axis)
    return ops.rfft(fitted(a, n, axis), axis=axis, norm=_norm(norm))


def _to_real(a: Any, n: Any, axis: int, norm: str | None) -> Any:
    n = 2 * (type_of(a).shape[axis] - 1) if n is None else n
    n, axis = _laid_out(a, n, axis)
    a = fitted(a, n // 2 + 1, axis)
    return ops.irfft(a, n=n, axis=axis, norm=_norm(norm))


def _along_one(function: Any, transform: Transform) -> None:
    @implements(function)
    def call(
        a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None
    ) -> Any:
        return written(transform(as_operand(a), n, axis, norm), out)


_along_one(np.fft.fft, _forward)
_along_one(np.fft.ifft, _inverse)
_along_one(np.fft.rfft, _from_real)
_along_one(np.fft.irfft, _to_real)


@implements(np.fft.hfft)
def hfft(
    a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None
) -> Any:
    """The transform of a signal that mirrors its conjugate: real numbers."""
    a = np.conjugate(as_operand(a))
    return written(_to_real(a, n, axis, ops.SWAPPED[_norm(norm)]), out)


@implements(np.fft.ihfft)
def ihfft(
    a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None
) -> Any:
    """What `hfft` turns into real numbers."""
    a = as_operand(a)
    found = _from_real(a, n, axis, ops.SWAPPED[_norm(norm)])
    return written(np.conjugate(found), out)


def _laid_out_all(
    a: Any, s: Lengths, axes: Any, to_real: bool
) -> list[tuple[int, int]]:
    """The lengths and axes of a transform over several.

    Raises:
        ValueError: there are not as many lengths as axes.
    """
    shape = type_of(a).shape
    if axes is None:
        axes = range(-len(shape if s is None else s), 0)
    if s is None:
        lengths = [shape[axis] for axis in axes]
        if to_real:
            lengths[-1] = 2 * (shape[axes[-1]] - 1)
    else:
        lengths = list(s)
    if len(lengths) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    return [
        (shape[axis] if n == -1 else n, axis)
        for n, axis in zip(lengths, axes, strict=True)
    ]


def _over_several(function: Any, first: Transform, rest: Transform) -> None:
    """A function that transforms along its last axis first, or last if ``rest`` is
    followed by a transform to real numbers.
    """
    to_real = first is _to_real
    default = (-2, -1) if function.__name__.endswith("2") else None

    @implements(function)
    def call(
        a: Any,
        s: Lengths = None,
        axes: Any = default,
        norm: Any = None,
        out: Any = None,
    ) -> Any:
        a = as_operand(a)
        *others, last = _laid_out_all(a, s, axes, to_real)
        if not to_real:
            a = first(a, *last, norm)
            others.reverse()
        for n, axis in others:
            a = rest(a, n, axis, norm)
        return written(first(a, *last, norm) if to_real else a, out)


_over_several(np.fft.fft2, _forward, _forward)
_over_several(np.fft.fftn, _forward, _forward)
_over_several(np.fft.ifft2, _inverse, _inverse)
_over_several(np.fft.ifftn, _inverse, _inverse)
_over_several(np.fft.rfft2, _from_real, _forward)
_over_several(np.fft.rfftn, _from_real, _forward)
_over_several(np.fft.irfft2, _to_real, _inverse)
_over_several(np.fft.irfftn, _to_real, _inverse)


def _rolled(x: Any, axes: Any, sign: int) -> Any:
    x = as_operand(x)
    shape = type_of(x).shape
    if axes is None:
        axes = range(len(shape))
    elif not isinstance(axes, Sequence):
        axes = (axes,)
    shift = tuple([sign * (shape[axis] // 2) for axis in axes])
    return np.roll(x, shift, tuple(axes))


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    """The frequencies in order, with zero in the middle."""
    return _rolled(x, axes, 1)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """The order of frequencies that transforms give, from that of `fftshift`."""
    return _rolled(x, axes, -1)
