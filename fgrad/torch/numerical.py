"""Differences, windows and other functions of numerical code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch import dtypes, return_types, special
from fgrad.torch.comparison import eq, ge, gt, le, lt, ne
from fgrad.torch.conversion import convert
from fgrad.torch.creation import dtype_or_default, finish
from fgrad.torch.inplace import variant_of
from fgrad.torch.likes import full_like
from fgrad.torch.recording import one
from fgrad.torch.registry import FUNCTIONS, METHODS, function, operation
from fgrad.torch.size import axes_of, axis_of
from fgrad.torch.statistics import interpolation_of, quantile
from fgrad.torch.tensor import Tensor, make, require_tensor

for _function, _names in (
    (eq, ()),
    (ne, ("not_equal",)),
    (lt, ("less",)),
    (le, ("less_equal",)),
    (gt, ("greater",)),
    (ge, ("greater_equal",)),
):
    for _name in _names:
        METHODS[_name] = FUNCTIONS[_name] = _function
        METHODS[f"{_name}_"] = variant_of(_function, _name)


def _window(name: str, coefficients: Sequence[float], doc: str) -> None:
    """A sum of cosines: what tapers the ends of a signal."""

    def create(
        window_length: int,
        periodic: bool = True,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        span = window_length if periodic else window_length - 1
        turns = 2 * math.pi * np.arange(window_length) / max(span, 1)
        terms = [a * np.cos(k * turns) for k, a in enumerate(coefficients)]
        values = np.ones(1) if window_length == 1 else sum(terms)
        array = np.asarray(values).astype(dtype_or_default(dtype))
        return finish(array, requires_grad, device)

    create.__name__, create.__doc__ = name, doc
    FUNCTIONS[name] = create


_window(
    "hann_window",
    (0.5, -0.5),
    """The window of Hann, a raised cosine: ``(1 - cos(2 pi k / n)) / 2``.

    ``n`` is the length, or if not ``periodic`` one less.

    >>> torch.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """,
)
_window(
    "hamming_window",
    (0.54, -0.46),
    """The window of Hamming: ``0.54 - 0.46 cos(2 pi k / n)``; see `hann_window`.

    >>> torch.hamming_window(4)
    tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """,
)
_window(
    "blackman_window",
    (0.42, -0.5, 0.08),
    """``0.42 - 0.5 cos(2 pi k / n) + 0.08 cos(4 pi k / n)``; see `hann_window`.

    >>> torch.blackman_window(4)[1:]
    tensor([0.3400, 1.0000, 0.3400])
    """,
)


@function("bartlett_window")
def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The window of Bartlett, a triangle: ``1 - |2 k / n - 1|``; see `hann_window`.

    >>> torch.bartlett_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    span = window_length if periodic else window_length - 1
    values = 1 - np.abs(2 * np.arange(window_length) / max(span, 1) - 1)
    array = np.ones(1) if window_length == 1 else values
    return finish(array.astype(dtype_or_default(dtype)), requires_grad, device)


@function("gradient")
def gradient(
    input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """Central differences along axes, one-sided ones at the ends.

    Args:
        input: values of a function on a grid.
        spacing: the distance of points: one number, or one for each axis.
        dim: the axes, all by default.
        edge_order: 1, the order of the differences at the ends.

    Raises:
        NotImplementedError: another order, or coordinates as spacing.

    >>> torch.gradient(torch.tensor([1.0, 4.0, 9.0]), spacing=2.0)
    (tensor([1.5000, 2.0000, 2.5000]),)
    """
    x = require_tensor("gradient", input)
    axes = axes_of(dim, x._aval.ndim)
    steps = spacing if isinstance(spacing, list | tuple) else [spacing] * len(axes)
    if edge_order != 1 or any(isinstance(h, Tensor) for h in steps):
        raise NotImplementedError(
            "fgrad.torch has gradient() with edge_order=1 and numbers as spacing"
        )
    if x._aval.dtype.kind not in "fc":
        x = convert(x, dtypes.get_default_dtype())
    return tuple(
        one("CatBackward0", _difference(axis, float(h)), x)
        for axis, h in zip(axes, steps, strict=True)
    )


def _difference(axis: int, h: float) -> Any:
    def compute(u: Any) -> Any:
        lead = (slice(None),) * axis
        first = (u[(*lead, slice(1, 2))] - u[(*lead, slice(0, 1))]) / h
        last = (u[(*lead, slice(-1, None))] - u[(*lead, slice(-2, -1))]) / h
        inside = (u[(*lead, slice(2, None))] - u[(*lead, slice(None, -2))]) / (2 * h)
        return np.concatenate([first, inside, last], axis)

    return compute


@function("cumulative_trapezoid")
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1
) -> Tensor:
    """Running integrals by the trapezoidal rule along an axis.

    >>> torch.cumulative_trapezoid(torch.tensor([1.0, 2.0, 3.0]))
    tensor([1.5000, 4.0000])
    """
    axis = axis_of(dim, y._aval.ndim)
    lead = (slice(None),) * axis

    def compute(u: Any, *points: Any) -> Any:
        means = (u[(*lead, slice(1, None))] + u[(*lead, slice(None, -1))]) / 2
        if not points:
            return np.cumsum(means * dx, axis)
        steps = np.diff(points[0], axis=axis if points[0].ndim > 1 else 0)
        if steps.ndim == 1:
            steps = steps.reshape(-1, *(1,) * (u.ndim - axis - 1))
        return np.cumsum(means * steps, axis)

    operands = (y,) if x is None else (y, x)
    return one("CumsumBackward0", compute, *operands)


@function("vander")
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of the elements of a vector, as columns, the highest first.

    >>> torch.vander(torch.tensor([2, 3]), N=3)
    tensor([[4, 2, 1],
            [9, 3, 1]])
    """
    count = x._aval.size if N is None else N
    powers = np.arange(count) if increasing else np.arange(count)[::-1]
    exponents = powers.tolist()

    def compute(u: Any) -> Any:
        columns = [u**k if k else np.ones_like(u) for k in exponents]
        return np.stack(columns, -1) if columns else np.zeros((len(u), 0), u.dtype)

    return one("FlipBackward0", compute, x)


@operation("frexp")
def frexp(input: Tensor) -> Any:
    """Mantissas in ``[0.5, 1)``, and exponents of 2: a named tuple.

    >>> torch.frexp(torch.tensor([6.0, 0.5])).mantissa
    tensor([0.7500, 0.5000])
    """
    x = require_tensor("frexp", input)
    exponents = np.frexp(x._array)[1].astype(np.int32)
    scale = np.ldexp(np.ones((), x._aval.dtype), -exponents)
    mantissa = one("FrexpBackward0", lambda u, v: u * v, x, scale)
    return return_types.frexp(mantissa, make(exponents))


@operation("ldexp")
def ldexp(input: Tensor, other: Any) -> Tensor:
    """``input * 2 ** other``

    >>> torch.ldexp(torch.tensor([3.0]), torch.tensor([2]))
    tensor([12.])
    """
    x = require_tensor("ldexp", input)
    if x._aval.dtype.kind not in "fc":
        x = convert(x, dtypes.get_default_dtype())
    if not isinstance(other, Tensor):
        return x * 2.0**other  # type: ignore[no-any-return]
    return one("LdexpBackward0", lambda u, v: u * np.exp2(v.astype(u.dtype)), x, other)


@operation("nextafter")
def nextafter(input: Tensor, other: Tensor) -> Tensor:
    """The next number in the direction of another one.

    >>> torch.nextafter(torch.tensor([1.0]), torch.tensor([2.0])).item() - 1
    1.1920928955078125e-07
    """
    return make(np.nextafter(input._array, other._array))


@operation("nanquantile")
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """Quantiles of what is not NaN, without gradients where NaN are left out.

    ``interpolation`` is as of `quantile`.

    >>> torch.nanquantile(torch.tensor([0.0, float("nan"), 10.0]), 0.5)
    tensor(5.)
    """
    x = require_tensor("nanquantile", input)
    if not np.isnan(x._array).any():
        return quantile(x, q, dim, keepdim, interpolation=interpolation)
    chances = q._array if isinstance(q, Tensor) else q
    method: Any = interpolation_of(interpolation)
    options: Any = {"method": method, "keepdims": keepdim}
    found = np.nanquantile(x._array, chances, dim, **options)
    return make(np.asarray(found).astype(x._aval.dtype))


@function("fill")
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like another one, filled with a number.

    >>> torch.fill(torch.tensor([1, 2]), 7)
    tensor([7, 7])
    """
    return full_like(input, value)


@function("zero_")
def zero_(input: Tensor) -> Tensor:
    """Set all elements to zero.

    >>> torch.zero_(torch.tensor([1, 2]))
    tensor([0, 0])
    """
    return input.zero_()  # type: ignore[no-any-return]


@operation("renorm")
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Slices along an axis, scaled so that no ``p``-norm is above a bound.

    Gradients flow through the scale, too.

    >>> torch.renorm(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1.0)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    x = require_tensor("renorm", input)
    axis = axis_of(dim, x._aval.ndim)
    others = tuple(k for k in range(x._aval.ndim) if k != axis)

    def compute(u: Any) -> Any:
        sizes = np.abs(u)
        if p == math.inf:
            norms = np.max(sizes, others, keepdims=True)
        else:
            total = np.sum(sizes**p, others, keepdims=True)
            norms = np.where(total > 0, total, 1.0) ** (1 / p) * (total > 0)
        scale = np.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)
        return (u * scale).astype(u.dtype)

    return one("RenormBackward0", compute, x)


@function("unravel_index")
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The indices along each axis of places in the flattened tensor.

    >>> torch.unravel_index(torch.tensor(5), (2, 3))
    (tensor(1), tensor(2))
    """
    return tuple(map(make, np.unravel_index(indices._array, tuple(shape))))


@operation("kron")
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of the first times all of the second.

    >>> torch.kron(torch.tensor([1, 10]), torch.tensor([1, 2]))
    tensor([ 1,  2, 10, 20])
    """
    return one("UnsafeViewBackward0", np.kron, input, other)


_I0 = 40  # terms of the series; enough for float64 below 30


@operation("i0")
def i0(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order zero.

    >>> torch.i0(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """
    x = require_tensor("i0", input)
    if x._aval.dtype.kind != "f":
        x = convert(x, dtypes.get_default_dtype())
    return one("I0Backward0", _i0_of, x)


def _i0_of(x: Any) -> Any:
    """The series near zero; far away the asymptotic one (Abramowitz & Stegun 9.7.1)."""
    size = np.abs(x)
    near = np.where(size < 20, size, 1.0)
    square, term, total = near * near / 4, near * 0 + 1, near * 0 + 1
    for k in range(1, _I0):
        term = term * square / k**2
        total = total + term
    far = np.where(size < 20, 20.0, size)
    part, series = far * 0 + 1, far * 0 + 1
    for k in range(1, 18):
        part = part * (2 * k - 1) ** 2 / (8 * k * far)
        series = series + part
    away = np.exp(far) / np.sqrt(2 * math.pi * far) * series
    return np.where(size < 20, total, away)


special.i0 = i0  # type: ignore[attr-defined]
special.__all__.append("i0")
