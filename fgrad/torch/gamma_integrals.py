"""The incomplete gamma functions: ``igamma`` and ``igammac``."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

import fgrad
from fgrad.torch.arithmetic import binary, result_type
from fgrad.torch.inplace import variant_of
from fgrad.torch.registry import METHODS, operation
from fgrad.torch.special import precise_lgamma
from fgrad.torch.special_forms import add
from fgrad.torch.tensor import Tensor, require_tensor

SMALL = 15.0  # the largest order of the series and the continued fraction
TERMS = 110
NO_ORDER = "the derivative for '{}: input' is not implemented."


def _below(a: Any, x: Any) -> Any:
    """The lower function by its series, for ``x < a + 1`` (DLMF, 8.11.4)."""
    term = total = np.ones_like(a * x)
    for k in range(1, TERMS):
        term = term * x / (a + k)
        total = total + term
    return np.exp(a * np.log(x) - x - precise_lgamma(a + 1)) * total


def _above(a: Any, x: Any) -> Any:
    """The upper one by a continued fraction, for ``x >= 1`` (DLMF, 8.9.2)."""
    fraction = x + 2 * TERMS + 1 - a
    for k in range(TERMS, 0, -1):
        fraction = x + 2 * k - 1 - a - k * (k - a) / fraction
    return np.exp(a * np.log(x) - x - precise_lgamma(a)) / fraction


def _log1p_less(x: Any) -> Any:
    """``log(1 + x) - x``, which keeps its digits near 0."""
    is_near = np.abs(x) < 0.1
    near = np.where(is_near, x, 0.0)
    total = np.zeros_like(x)
    for k in range(18, 1, -1):
        total = total * near + (-1) ** (k + 1) / k
    far = np.where(is_near, 1.0, x)
    return np.where(is_near, total * near * near, np.log1p(far) - far)


@functools.cache
def _rule() -> tuple[Any, Any]:
    """Places and weights of Gauss and Legendre; NumPy's module takes 4 ms to import."""
    return np.polynomial.legendre.leggauss(48)


def _tail(a: Any, x: Any) -> tuple[Any, Any]:
    """The lower or the upper function, whichever is smaller, for large orders.

    It is the integral of the density, by Gauss and Legendre, from ``x`` to where that
    vanishes; Stirling's series has its factor (DLMF, 5.11.1).
    """
    top = a - 1  # where the density is largest
    width = np.sqrt(top)
    is_upper = x > top
    high = np.maximum(top + 12.5 * width, x + 8 * width)
    low = np.maximum(0.0, np.minimum(top - 9 * width, x - 7 * width))
    far = np.where(is_upper, high, low) - x
    places, weights = _rule()
    steps = (far / 2)[..., None] * (1 + places)
    from_top = ((x - top)[..., None] + steps) / top[..., None]
    heights = np.exp(top[..., None] * _log1p_less(np.maximum(from_top, -1 + 1e-300)))
    square = 1 / (top * top)
    stirling = 1 / 1188 - square * 691 / 360360
    for coefficient in (-1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        stirling = stirling * square + coefficient
    factor = np.exp(-stirling / top) / np.sqrt(2 * math.pi * top)
    return is_upper, factor * np.abs(far) / 2 * np.sum(weights * heights, -1)


def regularised(a: Any, x: Any, is_upper: bool) -> Any:
    """The lower or the upper function, and what both are at the ends."""
    is_inside = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    order, place = np.where(is_inside, a, 1.0), np.where(is_inside, x, 1.0)
    is_large = order > SMALL
    some_order = np.where(is_large, 1.0, order)
    some_place = np.where(is_large, 1.0, place)
    is_low = (some_place < 1) | (some_place < some_order + 1)
    below = _below(some_order, np.where(is_low, some_place, 0.5))
    above = _above(some_order, np.where(is_low, some_order + 1, some_place))
    is_tail_upper, tail = _tail(
        np.where(is_large, order, SMALL), np.where(is_large, place, SMALL)
    )
    is_known = np.where(is_large, is_tail_upper, ~is_low) == is_upper
    known = np.where(is_large, tail, np.where(is_low, below, above))
    found = np.where(is_known, known, 1 - known)
    zero, one = (1.0, 0.0) if is_upper else (0.0, 1.0)
    ends = np.where((a == 0) | np.isinf(x), one, np.where((x == 0), zero, np.nan))
    ends = np.where(np.isinf(a) & np.isfinite(x), zero, ends)
    is_nan = (a < 0) | (x < 0) | (a != a) | (x != x)
    is_nan = is_nan | ((a == 0) & (x == 0)) | (np.isinf(a) & np.isinf(x))
    return np.where(is_inside, found, np.where(is_nan, np.nan, ends))


def _with_density(is_upper: bool) -> Any:
    """The function of arrays; its slope in ``x`` is the density of the distribution."""
    function = fgrad.custom_jvp(lambda a, x: regularised(a, x, is_upper))

    @function.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        a, x = primals
        density = np.exp(-x + (a - 1) * np.log(x) - precise_lgamma(a))
        return function(a, x), (-density if is_upper else density) * tangents[1]

    return lambda a, x: function(a.astype(np.float64), x.astype(np.float64)).astype(
        x.dtype
    )


lower_of, _upper_of = _with_density(False), _with_density(True)


def _of_pair(name: str, node: str, compute: Any, input: Any, other: Any) -> Tensor:
    a, x = require_tensor(name, input), require_tensor(name, other, 2)
    target = result_type(a, x)
    if not target.is_floating_point:
        raise NotImplementedError(f"\"igamma_cpu\" not implemented for '{target.kind}'")
    node = f"{node}:{NO_ORDER.format(name)}" if a._requires else node
    return binary(node, compute, a, x, target)


@operation("igamma")
def igamma(input: Tensor, other: Tensor) -> Tensor:
    """The regularised lower incomplete gamma function of order ``input`` at ``other``.

    The integral of ``t**(input - 1) * exp(-t)`` from 0 to ``other``, over
    ``gamma(input)``: the distribution function of a gamma distribution. It has a
    derivative with respect to ``other`` only. It is a series, a continued fraction
    (NIST Digital library of mathematical functions, 8.11.4 and 8.9.2) or, for orders
    above 15, an integral by Gauss and Legendre.

    Args:
        input: the orders; NaN where they are negative.
        other: where to; shapes broadcast and dtypes promote.

    Raises:
        NotImplementedError: the dtype is not floating-point; a gradient with respect to
            ``input`` is asked for.

    >>> torch.igamma(torch.tensor([0.5, 2.0]), torch.tensor([1.0, 2.0]))
    tensor([0.8427, 0.5940])
    """
    return _of_pair("igamma", "IgammaBackward0", lower_of, input, other)


@operation("igammac")
def igammac(input: Tensor, other: Tensor) -> Tensor:
    """The regularised upper incomplete gamma function: ``1 - igamma(input, other)``.

    It keeps its digits where that is small; see `igamma`.

    >>> torch.igammac(torch.tensor([0.5, 2.0]), torch.tensor([1.0, 40.0]))
    tensor([1.5730e-01, 1.7418e-16])
    """
    return _of_pair("igammac", "IgammacBackward0", _upper_of, input, other)


for _name in ("igamma", "igammac"):
    METHODS[f"{_name}_"] = variant_of(METHODS[_name], _name)


def _gammainc(input: Tensor, other: Tensor) -> Tensor:
    """As `torch.igamma`.

    >>> torch.special.gammainc(torch.tensor([0.5, 2.0]), torch.tensor([1.0, 2.0]))
    tensor([0.8427, 0.5940])
    """
    return igamma(input, other)


def _gammaincc(input: Tensor, other: Tensor) -> Tensor:
    """As `torch.igammac`.

    >>> torch.special.gammaincc(torch.tensor([0.5, 2.0]), torch.tensor([1.0, 2.0]))
    tensor([0.1573, 0.4060])
    """
    return igammac(input, other)


add("gammainc", _gammainc)
add("gammaincc", _gammaincc)
