"""Discrete Fourier transforms along an axis: of complex numbers, from and to real ones.

``norm`` says, as for NumPy, where the factor ``1 / n`` is: in the ``"backward"``
transform, in the ``"forward"`` one, or its root in both (``"ortho"``).
"""

from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.ops.elementwise import conjugate
from fgrad.primitive import Primitive, Sample, linear, shift_axis
from fgrad.trace import type_of

SWAPPED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _complex(aval: Aval) -> Any:
    return np.result_type(aval.numpy_dtype, 1j)


def _real(aval: Aval) -> Any:
    return np.result_type(aval.real.dtype, 1.0)


def _draw(*shape: int, kind: str = "c") -> Any:
    rng = np.random.default_rng(5)
    real, imaginary = rng.normal(size=shape), rng.normal(size=shape)
    return real + 1j * imaginary if kind == "c" else real


def _dft_numpy(x: Any, *, axis: int, inverse: bool, norm: Any = "backward") -> Any:
    return (np.fft.ifft if inverse else np.fft.fft)(x, axis=axis, norm=norm)


# The matrix of the transform is symmetric, so the transform is its own transpose.
dft: Primitive = linear(
    "dft",
    _dft_numpy,
    lambda x, **params: Aval(x.shape, _complex(x)),
    lambda ct, x, **params: (dft(ct, **params),),
    batch_params=shift_axis,
    jax=lambda xla, x, *, axis, inverse, norm="backward": (
        xla.np.fft.ifft if inverse else xla.np.fft.fft
    )(*xla.cast_all(x), axis=axis, norm=norm),
    samples=lambda: [
        Sample((_draw(3, 4),), {"axis": 1, "inverse": False}),
        Sample((_draw(3, 4),), {"axis": 0, "inverse": True}),
        Sample((_draw(3, 4),), {"axis": 1, "inverse": True, "norm": "ortho"}),
        Sample(
            (_draw(2, 5, kind="f"),), {"axis": 1, "inverse": False, "norm": "forward"}
        ),
    ],
)


def _weights(aval: Aval, axis: int, n: int, between: float) -> Any:
    """For each frequency of ``n`` real numbers a factor: 1 for those that are their own
    mirror images.
    """
    weights = np.full(n // 2 + 1, between, _real(aval))
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    return weights.reshape(-1, *(1,) * (aval.ndim - 1 - axis))


def _rfft_aval(x: Aval, *, axis: int, norm: str) -> Aval:
    if x.is_complex:
        raise ValueError("rfft takes real numbers")
    shape = list(x.shape)
    shape[axis] = shape[axis] // 2 + 1
    return Aval(shape, _complex(x))


def _rfft_transpose(ct: Any, x: Any, *, axis: int, norm: str) -> tuple[Any]:
    aval = type_of(x)
    n = aval.shape[axis]
    halved = conjugate(ct) * _weights(aval, axis, n, 0.5)
    return (irfft(halved, n=n, axis=axis, norm=SWAPPED[norm]),)


rfft: Primitive = linear(
    "rfft",
    lambda x, *, axis, norm: np.fft.rfft(x, axis=axis, norm=norm),
    _rfft_aval,
    _rfft_transpose,
    batch_params=shift_axis,
    jax=lambda xla, x, *, axis, norm: xla.np.fft.rfft(
        xla.cast(x, xla.outs[0].real.dtype), axis=axis, norm=norm
    ),
    samples=lambda: [
        Sample((_draw(3, 4, kind="f"),), {"axis": 1, "norm": "backward"}),
        Sample((_draw(5, 2, kind="f"),), {"axis": 0, "norm": "ortho"}),
    ],
)


def _irfft_aval(x: Aval, *, n: int, axis: int, norm: str) -> Aval:
    return Aval((*x.shape[:axis], n, *x.shape[axis + 1 :]), _real(x))


def _irfft_transpose(ct: Any, x: Any, *, n: int, axis: int, norm: str) -> tuple[Any]:
    found = conjugate(rfft(ct, axis=axis, norm=SWAPPED[norm]))
    return (found * _weights(type_of(x), axis, n, 2.0),)


# Of n // 2 + 1 frequencies, those of which the imaginary part has no influence included
irfft: Primitive = linear(
    "irfft",
    lambda x, *, n, axis, norm: np.fft.irfft(x, n, axis=axis, norm=norm),
    _irfft_aval,
    _irfft_transpose,
    batch_params=shift_axis,
    jax=lambda xla, x, *, n, axis, norm: xla.np.fft.irfft(
        xla.cast(x, _complex(xla.outs[0])), n, axis=axis, norm=norm
    ),
    samples=lambda: [
        Sample((_draw(3, 4),), {"n": 6, "axis": 1, "norm": "backward"}),
        Sample((_draw(3, 2),), {"n": 5, "axis": 0, "norm": "ortho"}),
    ],
)
