"""The discrete Fourier transform along an axis of complex numbers."""

from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.primitive import Primitive, Sample, linear, shift_axis


def _dft_numpy(x: Any, *, axis: int, inverse: bool) -> Any:
    return (np.fft.ifft if inverse else np.fft.fft)(x, axis=axis)


def _draw() -> Any:
    rng = np.random.default_rng(5)
    return rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))


# The matrix of the transform is symmetric, so the transform is its own transpose.
dft: Primitive = linear(
    "dft",
    _dft_numpy,
    lambda x, **params: Aval(x.shape, x.numpy_dtype),
    lambda ct, x, **params: (dft(ct, **params),),
    batch_params=shift_axis,
    jax=lambda xla, x, *, axis, inverse: (
        xla.np.fft.ifft if inverse else xla.np.fft.fft
    )(x, axis=axis),
    samples=lambda: [
        Sample((_draw(),), {"axis": axis, "inverse": inverse})
        for axis, inverse in ((1, False), (0, True))
    ],
)
