"""More of ``torch.special``: scaled error functions, Bessel functions, polynomials."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import fgrad
from fgrad.torch import dtypes, special
from fgrad.torch.arithmetic import binary, result_type
from fgrad.torch.conversion import convert
from fgrad.torch.recording import one
from fgrad.torch.registry import publish
from fgrad.torch.special import FAR, MIDDLE, NEAR, ratio_of
from fgrad.torch.tensor import Tensor, make, require_tensor

Function = Callable[[Any], Any]
NODES = 64  # of the trapezoidal rule, which is exact to rounding up to BORDER
BORDER = 30.0
TERMS = 24  # of asymptotic series above it


def _example(says: str, call: str, printed: str) -> str:
    """The docstring of a function of ``torch.special``, with an example."""
    return f"{says}\n\n>>> torch.special.{call}\n{printed}\n"


def _add(name: str, function: Any) -> Any:
    function.__name__ = function.__qualname__ = name
    publish(special, function)
    return function


def _exact(compute: Function) -> Function:
    """A function that computes in float64."""

    def call(x: Any) -> Any:
        return compute(x.astype(np.float64)).astype(x.dtype)

    return call


def _floating(name: str, node: str, compute: Function, doc: str) -> Any:
    exact = _exact(compute)

    def apply_special(input: Tensor) -> Tensor:
        x = require_tensor(f"special_{name}", input)
        if x._aval.dtype.kind != "f":
            x = convert(x, dtypes.get_default_dtype())
        return one(node, exact, x)

    apply_special.__doc__ = doc
    return _add(name, apply_special)


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


def _scaled_bessel(x: Any, order: int) -> Any:
    """``exp(-|x|) I(x)`` of order 0 or 1: by the trapezoidal rule for the integral over
    an angle, or by the asymptotic series (Abramowitz and Stegun, 9.6.19 and 9.7.1).
    """
    cosines = np.cos((np.arange(NODES // 2) + 0.5) * (math.pi / NODES))
    size = np.abs(x)
    inner = np.where(size <= BORDER, x, 0.0)[..., None]
    rising = np.exp(inner * cosines - np.abs(inner))
    falling = np.exp(-inner * cosines - np.abs(inner))
    waves = rising + falling if order == 0 else (rising - falling) * cosines
    near = np.mean(waves, axis=-1) / 2
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


def _i1(x: Any) -> Any:
    return _scaled_bessel(x, 1) * np.exp(np.abs(x))


erfcx = _floating(
    "erfcx",
    "SpecialErfcxBackward0",
    _erfcx_of,
    _example(
        "``exp(input**2) * erfc(input)``.",
        "erfcx(torch.tensor([0.5, 2.0]))",
        "tensor([0.6157, 0.2554])",
    ),
)
log_ndtr = _floating(
    "log_ndtr",
    "SpecialLogNdtrBackward0",
    _log_ndtr_of,
    _example(
        "The logarithm of `ndtr`.",
        "log_ndtr(torch.tensor([0.5, 2.0]))",
        "tensor([-0.3689, -0.0230])",
    ),
)
ndtri = _floating(
    "ndtri",
    "SpecialNdtriBackward0",
    _ndtri_of,
    _example(
        "The inverse of `ndtr`.",
        "ndtri(torch.tensor([0.8, 0.975]))",
        "tensor([0.8416, 1.9600])",
    ),
)
i0e = _floating(
    "i0e",
    "SpecialI0EBackward0",
    _scaled_i0,
    _example(
        "``exp(-abs(input)) * i0(input)``.",
        "i0e(torch.tensor([0.5, 2.0]))",
        "tensor([0.6450, 0.3085])",
    ),
)
i1 = _floating(
    "i1",
    "SpecialI1Backward0",
    _i1,
    _example(
        "The modified Bessel function of order 1.",
        "i1(torch.tensor([0.5, 2.0]))",
        "tensor([0.2579, 1.5906])",
    ),
)
i1e = _floating(
    "i1e",
    "SpecialI1EBackward0",
    _scaled_i1,
    _example(
        "``exp(-abs(input)) * i1(input)``.",
        "i1e(torch.tensor([0.5, 2.0]))",
        "tensor([0.1564, 0.2153])",
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


_add("xlog1py", xlog1py)


def _without_gradient(name: str, compute: Function, doc: str) -> None:
    """A function for which PyTorch has no derivative: its result requires none."""

    def apply_special(input: Tensor) -> Tensor:
        x = require_tensor(f"special_{name}", input)
        if x._aval.dtype.kind != "f":
            x = convert(x, dtypes.get_default_dtype())
        with np.errstate(all="ignore"):
            return make(_exact(compute)(x._array))

    apply_special.__doc__ = doc
    _add(name, apply_special)


def _spherical(x: Any) -> Any:
    safe = np.where(x == 0, 1.0, x)
    return np.where(np.isinf(x), 0.0, np.where(x == 0, 1.0, np.sin(safe) / safe))


_without_gradient(
    "modified_bessel_i1",
    _i1,
    _example(
        "The modified Bessel function of order 1; without gradients.",
        "modified_bessel_i1(torch.tensor([0.5, 2.0]))",
        "tensor([0.2579, 1.5906])",
    ),
)
_without_gradient(
    "modified_bessel_i0",
    lambda x: _scaled_i0(x) * np.exp(np.abs(x)),
    _example(
        "The modified Bessel function of order 0; without gradients.",
        "modified_bessel_i0(torch.tensor([0.5, 2.0]))",
        "tensor([1.0635, 2.2796])",
    ),
)
_without_gradient(
    "spherical_bessel_j0",
    _spherical,
    _example(
        "``sin(input) / input``, and 1 at 0; without gradients.",
        "spherical_bessel_j0(torch.tensor([0.5, 2.0]))",
        "tensor([0.9589, 0.4546])",
    ),
)

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

    apply_polynomial.__doc__ = _example(
        f"The polynomials ``{name}`` of order ``n``, by recurrence; without gradients.",
        f"{name}(torch.tensor([1.0, 2.0]), 3)",
        _AT_ONE_AND_TWO[name],
    )
    _add(name, apply_polynomial)


for _name, _family in FAMILIES.items():
    _polynomial(_name, _family)
special.__all__.sort()
