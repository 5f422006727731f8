"""``torch.fft``: discrete Fourier transforms, over one axis or several."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.creation import dtype_or_default, finish
from fgrad.torch.fourier import (
    Lengths,
    complex_transform,
    from_real,
    operand,
    reversed_norm,
    several_axes,
    single_axis,
    to_real,
)
from fgrad.torch.placement import place_functions
from fgrad.torch.rearranging import roll
from fgrad.torch.size import axes_of
from fgrad.torch.tensor import Tensor

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
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
    x = operand("fft", input)
    return complex_transform("fft", x, single_axis(x, n, dim), norm, False)


def ifft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None
) -> Tensor:
    """The inverse of `fft`; arguments as there. The result is complex.

    >>> torch.fft.ifft(torch.tensor([3 + 2j, 1 + 0j]))
    tensor([2.+1.j, 1.+1.j])
    """
    x = operand("ifft", input)
    return complex_transform("ifft", x, single_axis(x, n, dim), norm, True)


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
    x = operand("rfft", input, real=True)
    return from_real(x, single_axis(x, n, dim), norm)


def irfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None
) -> Tensor:
    """The inverse of `rfft`; ``n`` is the length of the result, even by default.

    >>> torch.fft.irfft(torch.tensor([10.0, -2.0, -2.0]))
    tensor([1., 3., 3., 3.])
    """
    x = operand("irfft", input)
    return to_real(x, single_axis(x, n, dim, last=1), norm)


def fftn(
    input: Tensor, s: Lengths = None, dim: Any = None, norm: str | None = None
) -> Tensor:
    """`fft` along several axes, all by default; ``s`` has their lengths.

    >>> torch.fft.fftn(torch.ones(2, 2))
    tensor([[4.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]])
    """
    x = operand("fftn", input)
    return complex_transform("fftn", x, several_axes(x, s, dim), norm, False)


def ifftn(
    input: Tensor, s: Lengths = None, dim: Any = None, norm: str | None = None
) -> Tensor:
    """The inverse of `fftn`; arguments as there.

    >>> torch.fft.ifftn(torch.tensor([[4.0, 0.0], [0.0, 0.0]]))
    tensor([[1.+0.j, 1.+0.j],
            [1.+0.j, 1.+0.j]])
    """
    x = operand("ifftn", input)
    return complex_transform("ifftn", x, several_axes(x, s, dim), norm, True)


def rfftn(
    input: Tensor, s: Lengths = None, dim: Any = None, norm: str | None = None
) -> Tensor:
    """`rfft` along the last of several axes, then `fft` along the others.

    >>> torch.fft.rfftn(torch.ones(2, 4))
    tensor([[8.+0.j, 0.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j, 0.+0.j]])
    """
    x = operand("rfftn", input, real=True)
    return from_real(x, several_axes(x, s, dim, name="rfftn"), norm)


def irfftn(
    input: Tensor, s: Lengths = None, dim: Any = None, norm: str | None = None
) -> Tensor:
    """The inverse of `rfftn`; the last of ``s`` is the length of the last axis.

    >>> torch.fft.irfftn(torch.fft.rfftn(torch.ones(2, 3)), (2, 3))
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    x = operand("irfftn", input)
    return to_real(x, several_axes(x, s, dim, last=1, name="irfftn"), norm)


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


def hfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None
) -> Tensor:
    """The transform of what is Hermitian, of which the first half is given: real.

    ``n`` is the length of the result, even by default; arguments as of `fft`.

    >>> torch.fft.hfft(torch.tensor([1.0, 2.0, 0.0]))
    tensor([ 5.,  1., -3.,  1.])
    """
    x = operand("hfft", input)
    axes = single_axis(x, n, dim, last=1)
    return to_real(x, axes, reversed_norm(norm), is_turned=True)


def ihfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None
) -> Tensor:
    """The inverse of `hfft`: the first half of what is Hermitian.

    Raises:
        RuntimeError: the input is complex.

    >>> torch.fft.ihfft(torch.tensor([5.0, 1.0, -3.0, 1.0]))
    tensor([1.-0.j, 2.-0.j, 0.-0.j])
    """
    x = operand("ihfft", input, real=True)
    axes = single_axis(x, n, dim)
    return from_real(x, axes, reversed_norm(norm), is_turned=True)


def hfftn(
    input: Tensor, s: Lengths = None, dim: Any = None, norm: str | None = None
) -> Tensor:
    """`fft` along several axes, then `hfft` along the last of them.

    Raises:
        RuntimeError: there are no axes.

    >>> torch.fft.hfftn(torch.tensor([[1.0, 2.0, 0.0]]))
    tensor([[ 5.,  1., -3.,  1.]])
    """
    x = operand("hfftn", input)
    axes = several_axes(x, s, dim, last=1, name="hfftn")
    return to_real(x, axes, reversed_norm(norm), is_turned=True)


def ihfftn(
    input: Tensor, s: Lengths = None, dim: Any = None, norm: str | None = None
) -> Tensor:
    """The inverse of `hfftn`; the last of ``s`` is the length of the last axis.

    >>> torch.fft.ihfftn(torch.tensor([[5.0, 1.0, -3.0, 1.0]]))
    tensor([[1.-0.j, 2.-0.j, 0.-0.j]])
    """
    x = operand("ihfftn", input, real=True)
    axes = several_axes(x, s, dim, name="ihfftn")
    return from_real(x, axes, reversed_norm(norm), is_turned=True)


def hfft2(
    input: Tensor, s: Lengths = None, dim: Any = (-2, -1), norm: str | None = None
) -> Tensor:
    """`hfftn` along the last two axes.

    >>> torch.fft.hfft2(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
    tensor([[ 4., -2.],
            [ 2.,  0.]])
    """
    return hfftn(input, s, dim, norm)


def ihfft2(
    input: Tensor, s: Lengths = None, dim: Any = (-2, -1), norm: str | None = None
) -> Tensor:
    """The inverse of `hfft2`.

    >>> torch.fft.ihfft2(torch.tensor([[4.0, -2.0], [2.0, 0.0]]))
    tensor([[1.-0.j, 2.-0.j],
            [0.+0.j, 1.+0.j]])
    """
    return ihfftn(input, s, dim, norm)


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
