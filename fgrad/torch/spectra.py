"""Short-time Fourier transforms, and the window of Kaiser."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import fgrad.numpy
from fgrad.torch import fft
from fgrad.torch.complex_numbers import view_as_real
from fgrad.torch.creation import dtype_or_default, finish
from fgrad.torch.known import examined
from fgrad.torch.recording import one
from fgrad.torch.registry import function, operation
from fgrad.torch.tensor import Tensor, require_tensor

NO_WINDOW = (
    "A window was not provided. A rectangular window will be applied,which is known to "
    "cause spectral leakage. Other windows such as torch.hann_window or "
    "torch.hamming_window are recommended to reduce spectral leakage.To suppress this "
    "warning and use a rectangular window, explicitly set "
    "`window=torch.ones(n_fft, device=<device>)`."
)
NO_INVERSE_WINDOW = (
    "A window was not provided. A rectangular window will be applied.Please provide the"
    " same window used by stft to make the inversion lossless.To suppress this warning "
    "and use a rectangular window, explicitly set "
    "`window=torch.ones(n_fft, device=<device>)`."
)
REAL_PARTS = (
    "stft with return_complex=False is deprecated. In a future pytorch release, stft "
    "will return complex tensors for all inputs, and return_complex=False will raise an"
    " error.\nNote: you can still call torch.view_as_real on the complex output to "
    "recover the old return format."
)
UNDECIDED = (
    "stft requires the return_complex parameter be given for real inputs, and will "
    "further require that return_complex=True in a future PyTorch release."
)

_MODES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@function("kaiser_window")
def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The window of Kaiser, which ``beta`` makes narrower.

    >>> torch.kaiser_window(4)
    tensor([5.2773e-05, 2.1567e-01, 1.0000e+00, 2.1567e-01])
    """
    values = np.kaiser(window_length + bool(periodic), beta)[:window_length]
    array = np.ones(1) if window_length == 1 else values
    return finish(array.astype(dtype_or_default(dtype)), requires_grad, device)


def _centred(window: Any, n_fft: int, win_length: int) -> Any:
    """A window with zeros around it, of the length of the transform."""
    before = (n_fft - win_length) // 2
    return np.pad(window, (before, n_fft - win_length - before))


def _check_sizes(name: str, n_fft: int, hop: int, length: int, window: Any) -> None:
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(
            f"{name}: expected 0 < win_length <= n_fft, but got win_length={length}"
        )
    if window is not None and window._aval.shape != (length,):
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={length},"
            f" but got window with size {list(window.shape)}"
        )


@operation("stft")
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
) -> Any:
    """The Fourier transforms of overlapping frames of signals.

    Args:
        input: real signals, ``(L,)`` or ``(N, L)``.
        n_fft: the length of a frame.
        hop_length: from one frame to the next; ``n_fft // 4`` by default.
        win_length: the length of the window; ``n_fft`` by default.
        window: what frames are multiplied by; ones by default, with a warning.
        center: have frames around their times: the signals are padded.
        pad_mode: how, as of ``torch.nn.functional.pad``.
        normalized: divide by the root of ``n_fft``.
        onesided: give the frequencies from 0 up to half of all; True by default.
        return_complex: True; else real and imaginary parts, with a warning.

    Returns:
        ``(frequencies, frames)``, or ``(N, frequencies, frames)``.

    Raises:
        RuntimeError: sizes do not fit, or ``return_complex`` is not given.

    >>> import fgrad.torch as torch
    >>> x, window = torch.ones(16), torch.hann_window(8)
    >>> torch.stft(x, 8, window=window, return_complex=True).shape
    torch.Size([5, 9])
    """
    x = require_tensor("stft", input)
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    if window is None:
        warnings.warn(NO_WINDOW, UserWarning, stacklevel=2)
    if return_complex is None:
        raise RuntimeError(UNDECIDED)
    if not return_complex:
        warnings.warn(REAL_PARTS, UserWarning, stacklevel=2)
    if x._aval.ndim not in (1, 2):
        raise RuntimeError("stft: expected a 1D or 2D tensor")
    _check_sizes("stft", n_fft, hop, length, window)
    around = n_fft // 2 if center else 0
    order = _extended(x._aval.shape[-1], around, pad_mode)
    count = 1 + (len(order) - n_fft) // hop
    if count < 1:
        raise RuntimeError(
            f"stft: expected 0 < n_fft < {len(order)}, but got n_fft={n_fft}"
        )
    places = order[np.arange(count)[:, None] * hop + np.arange(n_fft)]
    is_inside = places >= 0

    def compute(u: Any, w: Any = None) -> Any:
        frames = np.where(is_inside, u[..., places], 0.0)
        return frames if w is None else frames * _centred(w, n_fft, length)

    frames = one("MulBackward0", compute, x, *(() if window is None else (window,)))
    transform = fft.fft if onesided is False else fft.rfft
    spectra = transform(frames, norm="ortho" if normalized else "backward")
    node = "SqueezeBackward4" if x._aval.ndim == 1 else "TransposeBackward1"
    found: Any = one(node, lambda u: np.swapaxes(u, -1, -2), spectra)
    return found if return_complex else view_as_real(found)


def _extended(length: int, amount: int, mode: str) -> Any:
    """The indices that extend a signal; -1 stands for zero.

    Raises:
        RuntimeError: the signal is too short to be mirrored.
    """
    if mode == "constant":
        return np.pad(np.arange(length), amount, constant_values=-1)
    if mode == "reflect" and amount >= length:
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input "
            f"dimension, but got: padding ({amount}, {amount}) at dimension 2 of input "
            f"[1, 1, {length}]"
        )
    return np.pad(np.arange(length), amount, mode=_MODES[mode])


@operation("istft")
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signals of which `stft` gave these frames: their weighted mean.

    Args:
        input: ``(frequencies, frames)`` or ``(N, frequencies, frames)``, complex.
        n_fft: as of `stft`.
        hop_length: likewise.
        win_length: likewise.
        window: likewise.
        center: likewise.
        normalized: likewise.
        onesided: likewise.
        length: that of the signals; by default what the frames cover.
        return_complex: whether the signals are complex.

    Raises:
        RuntimeError: sizes do not fit, or windows do not overlap so that all elements
            are covered.

    >>> window = torch.hann_window(4)
    >>> frames = torch.stft(torch.arange(6.0), 4, window=window, return_complex=True)
    >>> torch.istft(frames, 4, window=window, length=6).round()
    tensor([0., 1., 2., 3., 4., 5.])
    """
    x = require_tensor("istft", input)
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    if window is None:
        warnings.warn(NO_INVERSE_WINDOW, UserWarning, stacklevel=2)
    _check_sizes("istft", n_fft, hop, size, window)
    kind = np.zeros(0, x._aval.dtype).real.dtype
    weights = np.ones(size, kind) if window is None else examined(window._array)
    count = x._aval.shape[-1]
    places = np.arange(count)[:, None] * hop + np.arange(n_fft)
    total = (count - 1) * hop + n_fft
    squares = np.zeros(total, kind)
    each = np.tile(_centred(weights, n_fft, size) ** 2, (count, 1))
    np.add.at(
        squares, places, each
    )  # NumPy 2.4 does not broadcast this operand rightly
    begin = n_fft // 2 if center else 0
    end = total - begin if length is None else min(begin + length, total)
    if np.any(np.abs(squares[begin:end]) < 1e-11):
        raise RuntimeError("istft: window overlap add min: 1")
    missing = 0 if length is None else length - (end - begin)
    is_full = onesided is False or return_complex
    transform = fft.ifft if is_full else fft.irfft
    spectra: Any = x.transpose(-1, -2)
    waves = transform(spectra, n_fft, norm="ortho" if normalized else "backward")

    def compute(u: Any, w: Any = None) -> Any:
        frames = np.real(u) if is_full and not return_complex else u
        if w is not None:
            frames = frames * _centred(w, n_fft, size)
        shape = (*frames.shape[:-2], total)
        whole: Any = fgrad.numpy.zeros(shape, frames.dtype)
        where: Any = (..., places)
        np.add.at(whole, where, frames)
        signals = whole[..., begin:end] / squares[begin:end]
        widths = [(0, 0)] * (signals.ndim - 1) + [(0, missing)]
        return np.pad(signals, widths) if missing > 0 else signals

    node = "SqueezeBackward1" if x._aval.ndim == 2 else "DivBackward0"
    windows = () if window is None else (window,)
    return one(node, compute, waves, *windows)
