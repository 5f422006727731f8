"""Bessel functions and Airy's: ``torch.special``.

Near zero they are power series, else one integral: ``exp(z) K(z)`` of any order is
the integral of ``exp(z - z cosh t) cosh(order t)`` over t from 0 on (NIST Digital
library of mathematical functions, 10.32.9). Its path is bent so that the exponent is
real; then the trapezoidal rule converges geometrically. Bessel's functions of the first
two kinds are K at imaginary arguments (10.27.8), Airy's is K of order 1/3 (9.6.2).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fgrad.torch.special_forms import example, floating, without_gradient

NODES = 64  # of the trapezoidal rule, which is exact to rounding up to BORDER
BORDER = 30.0
TERMS = 24  # of asymptotic series above it
NEAR = 3.0  # where power series end
POINTS = 34  # of the integral of K
EULER = 0.57721566490153286061
AIRY = 0.35502805388781723926, 0.25881940379280679840  # of Ai at 0: value, -derivative
VANISHING = 103.892  # Ai is zero above, as in PyTorch


def _scaled_bessel(x: Any, order: int) -> Any:
    """``exp(-|x|) I(x)`` of order 0 or 1: by the trapezoidal rule for the integral over
    an angle, or by the asymptotic series (Abramowitz and Stegun, 9.6.19 and 9.7.1).
    """
    cosines = np.cos((np.arange(NODES // 2) + 0.5) * (math.pi / NODES))
    size = np.abs(x)
    inner = np.where(size <= BORDER, x, 0.0)[..., None]
    angles = inner * cosines
    waves = np.cosh(angles) if order == 0 else np.sinh(angles) * cosines
    near = np.mean(waves * np.exp(-np.abs(inner)), axis=-1)
    outer = np.where(size <= BORDER, BORDER, size)
    term: Any = 1.0
    total: Any = 1.0
    for k in range(1, TERMS):
        term = term * (-(4 * order**2 - (2 * k - 1) ** 2) / (8 * k)) / outer
        total = total + term
    far = total / np.sqrt(2 * math.pi * outer)
    far = far if order == 0 else np.where(x < 0, -far, far)
    return np.where(size <= BORDER, near, np.where(x == x, far, x))


def _scaled_i0(x: Any) -> Any:
    return _scaled_bessel(x, 0)


def _scaled_i1(x: Any) -> Any:
    return _scaled_bessel(x, 1)


def _i0(x: Any) -> Any:
    return _scaled_bessel(x, 0) * np.exp(np.abs(x))


def _i1(x: Any) -> Any:
    return _scaled_bessel(x, 1) * np.exp(np.abs(x))


def _spherical(x: Any) -> Any:
    safe = np.where(x == 0, 1.0, x)
    return np.where(np.isinf(x), 0.0, np.where(x == 0, 1.0, np.sin(safe) / safe))


def _scaled_k(order: float, size: Any, turn: complex) -> Any:
    """``exp(z) K(z)`` at ``z = size * turn``, for ``size >= 2`` and ``turn`` 1 or ±i.

    On the path ``cosh t - 1 = y**2 / turn`` the exponent is ``-size * y**2``. The
    nearest singularity is at ``y**2 = -2 turn``, at a distance of 1 or more.
    """
    step = np.where(size < 38, 2 * math.pi / (38 + size), 0.5 / np.sqrt(size))
    y = step[..., None] * np.arange(POINTS)
    risen = y * y / turn
    angle = 2 * np.arcsinh(y * np.sqrt(0.5 / turn))
    wave = np.cosh(order * angle) if order else 1.0
    heights = np.exp(-size[..., None] * y * y) * wave / np.sqrt(2 + risen)
    total = np.sum(heights, -1) - heights[..., 0] / 2
    return 2 / np.sqrt(turn) * step * total


def _series(x: Any, order: int, sign: int) -> tuple[Any, Any]:
    """The function of the first kind up to NEAR, and the series of the second one.

    ``sign`` is -1 for J and Y, 1 for I and K (Abramowitz and Stegun, 9.1.10, 9.1.11,
    9.6.10 and 9.6.11): sums of powers of ``x / 2`` over products of factorials, of the
    second kind times the sum of two digamma functions.
    """
    power = (x / 2) ** order
    square = sign * x * x / 4
    first, second, harmonic = power, power * 0, 0.0
    for k in range(24):
        weight = 2 * (harmonic - EULER) + (1 / (k + 1) if order else 0.0)
        first = first if k == 0 else first + power
        second = second + weight * power
        power = power * square / ((k + 1) * (k + 1 + order))
        harmonic += 1 / (k + 1)
    return first, second


def _split(x: Any, border: float) -> tuple[Any, Any, Any]:
    """Where arguments are small, those, and the others, each filled with safe ones."""
    is_small = x <= border
    return is_small, np.where(is_small, x, 1.0), np.where(is_small, border, x)


def _waves(x: Any, order: int) -> Any:
    """``J + i Y`` of positive numbers: ``2 / (pi i) exp(-i pi order / 2) K(-i x)``."""
    is_small, small, large = _split(x, NEAR)
    first, second = _series(small, order, -1)
    second = 2 * np.log(small / 2) * first - second - (2 / small if order else 0.0)
    factor = 2 / (math.pi * 1j) * (-1j) ** order
    far = factor * np.exp(1j * large) * _scaled_k(order, large, -1j)
    found = np.where(is_small, first + 1j * second / math.pi, far)
    return np.where(np.isinf(x), complex(math.nan, math.nan), found)


def _first_kind(x: Any, order: int) -> Any:
    size = np.abs(x)
    found = _waves(np.where(size > 0, size, 1.0), order).real
    turned = np.where(x < 0, -found, found) if order else found
    return np.where(size > 0, turned, x if order else np.where(x == 0, 1.0, x))


def _second_kind(x: Any, order: int) -> Any:
    found = _waves(np.where(x > 0, x, 1.0), order).imag
    return np.where(x > 0, found, np.where(x == 0, -np.inf, np.nan))


def _falling(x: Any, order: int, is_scaled: bool) -> Any:
    """K of order 0 or 1, or ``exp(x) K(x)``."""
    safe = np.where(x > 0, x, 1.0)
    is_small, small, large = _split(safe, 2.0)
    first, second = _series(small, order, 1)
    if order:
        near = 1 / small + np.log(small / 2) * first - second / 2
    else:
        near = second / 2 - np.log(small / 2) * first
    far = _scaled_k(order, np.where(np.isinf(large), 2.0, large), 1.0)
    if is_scaled:
        near = near * np.exp(small)
    else:
        far = far * np.exp(-large)
    found = np.where(is_small, near, np.where(np.isinf(large), 0.0, far))
    return np.where(x > 0, found, np.where(x == 0, np.inf, np.nan))


def _airy(x: Any) -> Any:
    """Ai: its Maclaurin series, or K of order 1/3 at ``2/3 x**(3/2)``.

    Below zero it is twice the real part at a number turned by 60 degrees, times that
    turn (DLMF, 9.2.14), where the argument of K is imaginary.
    """
    size = np.abs(x)
    near = np.where(size < 2.2, x, 0.0)
    first, second, cube = np.ones_like(near), near, near**3
    even, odd = first, second
    for k in range(1, 16):
        even = even * cube / ((3 * k - 1) * (3 * k))
        odd = odd * cube / ((3 * k) * (3 * k + 1))
        first, second = first + even, second + odd
    small = AIRY[0] * first - AIRY[1] * second
    far = np.where((size >= 2.2) & np.isfinite(x), size, 2.2)
    z = 2 / 3 * far * np.sqrt(far)
    root = np.sqrt(far / 3) / math.pi
    above = np.where(x > VANISHING, 0.0, root * np.exp(-z) * _scaled_k(1 / 3, z, 1.0))
    sixth = np.exp(1j * math.pi / 6)
    turned = root * sixth * np.exp(-1j * z) * _scaled_k(1 / 3, z, 1j)
    below = 2 * (np.exp(1j * math.pi / 3) * turned).real
    found = np.where(size < 2.2, small, np.where(x > 0, above, below))
    return np.where(np.isfinite(x), found, np.nan)


i0e = floating(
    "i0e",
    "SpecialI0EBackward0",
    _scaled_i0,
    example(
        "``exp(-abs(input)) * i0(input)``.",
        "i0e(torch.tensor([0.5, 2.0]))",
        "tensor([0.6450, 0.3085])",
    ),
)
i1 = floating(
    "i1",
    "SpecialI1Backward0",
    _i1,
    example(
        "The modified Bessel function of order 1.",
        "i1(torch.tensor([0.5, 2.0]))",
        "tensor([0.2579, 1.5906])",
    ),
)
i1e = floating(
    "i1e",
    "SpecialI1EBackward0",
    _scaled_i1,
    example(
        "``exp(-abs(input)) * i1(input)``.",
        "i1e(torch.tensor([0.5, 2.0]))",
        "tensor([0.1564, 0.2153])",
    ),
)

_PLAIN: dict[str, tuple[Any, str, str]] = {  # a function, what it is, what it prints
    "airy_ai": (_airy, "Airy's function Ai", "tensor([0.2317, 0.0349])"),
    "bessel_j0": (
        lambda x: _first_kind(x, 0),
        "The Bessel function of the first kind, of order 0",
        "tensor([0.9385, 0.2239])",
    ),
    "bessel_j1": (
        lambda x: _first_kind(x, 1),
        "The Bessel function of the first kind, of order 1",
        "tensor([0.2423, 0.5767])",
    ),
    "bessel_y0": (
        lambda x: _second_kind(x, 0),
        "The Bessel function of the second kind, of order 0: NaN below zero",
        "tensor([-0.4445,  0.5104])",
    ),
    "bessel_y1": (
        lambda x: _second_kind(x, 1),
        "The Bessel function of the second kind, of order 1: NaN below zero",
        "tensor([-1.4715, -0.1070])",
    ),
    "modified_bessel_i0": (
        _i0,
        "The modified Bessel function of the first kind, of order 0",
        "tensor([1.0635, 2.2796])",
    ),
    "modified_bessel_i1": (
        _i1,
        "The modified Bessel function of the first kind, of order 1",
        "tensor([0.2579, 1.5906])",
    ),
    "modified_bessel_k0": (
        lambda x: _falling(x, 0, False),
        "The modified Bessel function of the second kind, of order 0: NaN below zero",
        "tensor([0.9244, 0.1139])",
    ),
    "modified_bessel_k1": (
        lambda x: _falling(x, 1, False),
        "The modified Bessel function of the second kind, of order 1: NaN below zero",
        "tensor([1.6564, 0.1399])",
    ),
    "scaled_modified_bessel_k0": (
        lambda x: _falling(x, 0, True),
        "``exp(input) * modified_bessel_k0(input)``",
        "tensor([1.5241, 0.8416])",
    ),
    "scaled_modified_bessel_k1": (
        lambda x: _falling(x, 1, True),
        "``exp(input) * modified_bessel_k1(input)``",
        "tensor([2.7310, 1.0335])",
    ),
    "spherical_bessel_j0": (
        _spherical,
        "The spherical Bessel function of order 0: ``sin(input) / input``, and 1 at 0",
        "tensor([0.9589, 0.4546])",
    ),
}
for _name, (_compute, _says, _printed) in _PLAIN.items():
    _call = f"{_name}(torch.tensor([0.5, 2.0]))"
    _doc = example(f"{_says}. It has no gradient.", _call, _printed)
    without_gradient(_name, _compute, _doc)
