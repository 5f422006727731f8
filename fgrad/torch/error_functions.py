"""More of ``torch.special``: scaled error functions, orthogonal polynomials."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import fgrad
from fgrad.torch import dtypes, special
from fgrad.torch.arithmetic import binary, result_type
from fgrad.torch.special import FAR, MIDDLE, NEAR, ratio_of
from fgrad.torch.special_forms import Function, add, example, floating
from fgrad.torch.tensor import Tensor, make


def _erfcx_of(x: Any) -> Any:
    """``exp(x**2) * erfc(x)``, by the rational functions of `special`."""
    size = np.abs(x)
    near = np.where(size <= 0.46875, x, 0.0)
    inside = np.exp(near * near) * (1 - near * ratio_of(NEAR, near * near))
    middle = np.where((size > 0.46) & (size <= 4.0), size, 1.0)
    far = np.where(size > 4.0, size, 5.0)
    square = 1 / (far * far)
    series = (1 / math.sqrt(math.pi) - square * ratio_of(FAR, square)) / far
    tail = np.where(size <= 4.0, ratio_of(MIDDLE, middle), series)
    low = np.where(x < 0, x, 0.0)
    outside = np.where(x < 0, 2 * np.exp(low * low) - tail, tail)
    return np.where(size <= 0.46875, inside, np.where(x == x, outside, x))


def _log_ndtr_of(x: Any) -> Any:
    scaled = x * math.sqrt(0.5)
    low = np.where(scaled < -0.5, scaled, -0.5)
    high = np.where(scaled < -0.5, 0.0, scaled)
    below = np.log(_erfcx_of(-low) / 2) - low * low
    above = np.log1p(-np.exp(-high * high) * _erfcx_of(high) / 2)
    return np.where(scaled < -0.5, below, above)


def _quantiles(p: Any) -> Any:
    """Newton's method for the logarithm of the lower tail, from its asymptotic form."""
    tail = np.where(p < 0.5, p, 1 - p)
    is_inside = (tail > 0) & (tail <= 0.5)
    logarithm = np.log(np.where(is_inside, tail, 0.25))
    x = -np.sqrt(np.maximum(-2 * logarithm - 1.3, 0.0))
    for _ in range(8):
        scaled = _erfcx_of(-x * math.sqrt(0.5)) / 2
        slope = 1 / (math.sqrt(2 * math.pi) * scaled)
        x = x - (np.log(scaled) - x * x / 2 - logarithm) / slope
    found = np.where(p < 0.5, x, np.where(p == 0.5, 0.0, -x))
    ends = np.where(p == 0, -np.inf, np.where(p == 1, np.inf, np.nan))
    return np.where(is_inside, found, ends)


_ndtri_of = fgrad.custom_jvp(_quantiles)


@_ndtri_of.defjvp
def _(primals: Any, tangents: Any) -> Any:
    found = _ndtri_of(*primals)
    return found, tangents[0] * math.sqrt(2 * math.pi) * np.exp(found * found / 2)


erfcx = floating(
    "erfcx",
    "SpecialErfcxBackward0",
    _erfcx_of,
    example(
        "``exp(input**2) * erfc(input)``.",
        "erfcx(torch.tensor([0.5, 2.0]))",
        "tensor([0.6157, 0.2554])",
    ),
)
log_ndtr = floating(
    "log_ndtr",
    "SpecialLogNdtrBackward0",
    _log_ndtr_of,
    example(
        "The logarithm of `ndtr`.",
        "log_ndtr(torch.tensor([0.5, 2.0]))",
        "tensor([-0.3689, -0.0230])",
    ),
)
ndtri = floating(
    "ndtri",
    "SpecialNdtriBackward0",
    _ndtri_of,
    example(
        "The inverse of `ndtr`.",
        "ndtri(torch.tensor([0.8, 0.975]))",
        "tensor([0.8416, 1.9600])",
    ),
)


def _xlog1py_of(x: Any, y: Any) -> Any:
    is_zero = np.logical_and(x == 0, y <= -1)
    return np.where(is_zero, 0.0, x * np.log1p(np.where(is_zero, 0.0, y)))


def xlog1py(input: Any, other: Any) -> Tensor:
    """``input * log1p(other)``, 0 where ``input`` is 0.

    >>> torch.special.xlog1py(torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 1.0]))
    tensor([0.0000, 1.3863])
    """
    pair = (isinstance(input, Tensor), isinstance(other, Tensor))
    number = {(True, True): 0, (False, True): 1, (True, False): 2}[pair]
    target = result_type(input, other)
    if not target.is_floating_point:
        target = dtypes.get_default_dtype()
    x, y = (
        z if isinstance(z, Tensor) else make(np.asarray(z, target.numpy))
        for z in (input, other)
    )
    return binary(f"SpecialXlog1PyBackward{number}", _xlog1py_of, x, y, target)


add("xlog1py", xlog1py)


# The first two polynomials of a family, and the factors a, b, c of the recurrence
# p[k + 1] = (a x + b) p[k] - c p[k - 1].
Family = tuple[Function, Callable[[int], tuple[float, float, float]]]


def _chebyshev(factor: float, offset: float = 0.0, shift: float = 0.0) -> Family:
    """A family with the recurrence of Chebyshev's, and its polynomial of order 1."""
    scale = 2.0 if shift else 1.0
    return (
        lambda x: factor * (scale * x - shift) + offset,
        lambda k: (2 * scale, -2 * shift, 1),
    )


FAMILIES: dict[str, Family] = {
    "chebyshev_polynomial_t": _chebyshev(1),
    "chebyshev_polynomial_u": _chebyshev(2),
    "chebyshev_polynomial_v": _chebyshev(2, -1),
    "chebyshev_polynomial_w": _chebyshev(2, 1),
    "shifted_chebyshev_polynomial_t": _chebyshev(1, 0, 1),
    "shifted_chebyshev_polynomial_u": _chebyshev(2, 0, 1),
    "shifted_chebyshev_polynomial_v": _chebyshev(2, -1, 1),
    "shifted_chebyshev_polynomial_w": _chebyshev(2, 1, 1),
    "hermite_polynomial_h": (lambda x: 2 * x, lambda k: (2, 0, 2 * k)),
    "hermite_polynomial_he": (lambda x: x, lambda k: (1, 0, k)),
    "laguerre_polynomial_l": (
        lambda x: 1 - x,
        lambda k: (-1 / (k + 1), (2 * k + 1) / (k + 1), k / (k + 1)),
    ),
    "legendre_polynomial_p": (
        lambda x: x,
        lambda k: ((2 * k + 1) / (k + 1), 0, k / (k + 1)),
    ),
}
_AT_ONE_AND_TWO = {  # what the examples print
    "chebyshev_polynomial_t": "tensor([ 1., 26.])",
    "chebyshev_polynomial_u": "tensor([ 4., 56.])",
    "chebyshev_polynomial_v": "tensor([ 1., 41.])",
    "chebyshev_polynomial_w": "tensor([ 7., 71.])",
    "shifted_chebyshev_polynomial_t": "tensor([ 1., 99.])",
    "shifted_chebyshev_polynomial_u": "tensor([  4., 204.])",
    "shifted_chebyshev_polynomial_v": "tensor([  1., 169.])",
    "shifted_chebyshev_polynomial_w": "tensor([  7., 239.])",
    "hermite_polynomial_h": "tensor([-4., 40.])",
    "hermite_polynomial_he": "tensor([-2.,  2.])",
    "laguerre_polynomial_l": "tensor([-0.6667, -0.3333])",
    "legendre_polynomial_p": "tensor([ 1., 17.])",
}


def _polynomial(name: str, family: Family) -> None:
    first, factors = family

    def apply_polynomial(input: Any, n: Any) -> Tensor:
        target = result_type(input, n)
        if not target.is_floating_point:
            target = dtypes.get_default_dtype()
        x, orders = (
            (z._array if isinstance(z, Tensor) else np.asarray(z)).astype(np.float64)
            for z in (input, n)
        )
        orders = np.trunc(orders)
        before, current = np.ones_like(x), np.asarray(first(x))
        found = np.where(orders == 0, 1.0, 0.0) * before
        for k in range(1, int(np.max(orders, initial=0)) + 1):
            found = np.where(orders == k, current, found)
            a, b, c = factors(k)
            before, current = current, (a * x + b) * current - c * before
        return make(found.astype(target.numpy))

    apply_polynomial.__doc__ = example(
        f"The polynomials ``{name}`` of order ``n``, by recurrence; without gradients.",
        f"{name}(torch.tensor([1.0, 2.0]), 3)",
        _AT_ONE_AND_TWO[name],
    )
    add(name, apply_polynomial)


for _name, _family in FAMILIES.items():
    _polynomial(_name, _family)
special.__all__.sort()
