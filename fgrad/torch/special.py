"""Special functions: ``torch.special``, and those of the module.

NumPy has no error function and no gamma function. They are computed here by what NumPy
has, so that their derivatives follow like those of any other NumPy code.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fgrad
from fgrad.torch import dtypes
from fgrad.torch.conversion import convert
from fgrad.torch.elementary import exp2, expm1, log1p, sigmoid, sinc
from fgrad.torch.pairs import xlogy
from fgrad.torch.placement import place_functions
from fgrad.torch.recording import one
from fgrad.torch.registry import FUNCTIONS, METHODS, operation
from fgrad.torch.rounding import round
from fgrad.torch.tensor import Tensor, require_tensor

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammaln",
    "log1p",
    "log_softmax",
    "logit",
    "logsumexp",
    "ndtr",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlogy",
]


def __dir__() -> list[str]:
    return __all__


def _floating(name: str, node: str, compute: Any, doc: str) -> Any:
    def apply_special(input: Tensor) -> Tensor:
        x = require_tensor(name, input)
        if x._aval.dtype.kind != "f":
            x = convert(x, dtypes.get_default_dtype())
        return one(node, compute, x)

    apply_special.__name__ = apply_special.__qualname__ = name
    apply_special.__doc__ = doc
    METHODS[name] = FUNCTIONS[name] = apply_special
    return apply_special


# W. J. Cody, Rational Chebyshev approximations for the error function, 1969
NEAR = (
    [1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2,
    3.77485237685302021e2, 3.20937758913846947e3],
    [1.0, 2.36012909523441209e1, 2.44024637934444173e2,
    1.28261652607737228e3, 2.84423683343917062e3],
)  # fmt: skip
MIDDLE = (
    [2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594,
    6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
    1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3],
    [1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
    1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
    3.43936767414372164e3, 1.23033935480374942e3],
)  # fmt: skip
FAR = (
    [1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
    1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4],
    [1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1,
    6.05183413124413191e-2, 2.33520497626869185e-3],
)  # fmt: skip


def ratio_of(coefficients: tuple[list[float], list[float]], x: Any) -> Any:
    """A rational function: coefficients above and below, of the highest power first."""
    above, below = coefficients
    numerator, denominator = x * above[0] + above[1], x * below[0] + below[1]
    for first, second in zip(above[2:], below[2:], strict=True):
        numerator = numerator * x + first
        denominator = denominator * x + second
    return numerator / denominator


def erf_of(x: Any) -> Any:
    """The error function of an array."""
    size = np.abs(x)
    near = np.where(size <= 0.46875, x, 0.0)
    inside = near * ratio_of(NEAR, near * near)
    outside = np.sign(x) * (1 - _erfc_of_large(size))
    return np.where(size <= 0.46875, inside, outside)


def _erfc_of(x: Any) -> Any:
    size = np.abs(x)
    near = np.where(size <= 0.46875, x, 0.0)
    inside = 1 - near * ratio_of(NEAR, near * near)
    tail = _erfc_of_large(size)
    return np.where(size <= 0.46875, inside, np.where(x < 0, 2 - tail, tail))


def _erfc_of_large(x: Any) -> Any:
    """``erfc`` above 0.46875."""
    middle = np.where((x > 0.46) & (x <= 4.0), x, 1.0)
    far = np.where((x > 4.0) & (x < 30.0), x, 5.0)
    square = 1 / (far * far)
    series = 1 / math.sqrt(math.pi) - square * ratio_of(FAR, square)
    low = np.exp(-middle * middle) * ratio_of(MIDDLE, middle)
    high = np.exp(-far * far) * series / far
    return np.where(x <= 4.0, low, np.where(x < 30.0, high, np.where(x == x, 0.0, x)))


def _erfinv_of(y: Any) -> Any:
    """Newton's method from Winitzki's approximation, which is good to 2e-3."""
    inside = np.where(np.abs(y) < 1, y, 0.0)
    logarithm = np.log1p(-inside * inside)
    first = 2 / (math.pi * 0.147) + logarithm / 2
    start = np.sign(inside) * np.sqrt(
        np.maximum(np.sqrt(first * first - logarithm / 0.147) - first, 0.0)
    )
    x = start
    for _ in range(3):
        error = erf_of(x) - inside
        slope = 2 / math.sqrt(math.pi) * np.exp(-x * x)
        step = error / slope
        x = x - step / (1 + x * step)
    end = np.where(np.abs(y) == 1, y * np.inf, np.nan)
    return np.where(np.abs(y) < 1, x, end)


# C. Lanczos, A precision approximation of the gamma function, 1964; g = 7, 9 terms
_LANCZOS = [0.99999999999980993, 676.5203681218851, -1259.1392167224028]
_LANCZOS += [771.32342877765313, -176.61502916214059, 12.507343278686905]
_LANCZOS += [-0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7]


def _lgamma_of(x: Any) -> Any:
    return precise_lgamma(x.astype(np.float64)).astype(x.dtype)


def precise_lgamma(x: Any) -> Any:
    """``log(|gamma(x)|)`` of float64, with PyTorch's slopes at the poles: that of
    ``-log(x)`` at 0, NaN at the others.
    """
    is_pole = (x < 0) & (x == np.floor(x))
    is_zero, is_end = x == 0, x == np.inf
    value = _inner_lgamma(np.where(is_pole | is_zero | is_end, 1.5, x))
    zero, end = np.where(is_zero, x, 1.0), np.where(is_end, x, 1.0)
    pole = np.where(is_pole, x, 0.0)
    value = np.where(is_zero, -np.log(zero), value)
    value = np.where(is_end, end * end, value)
    return np.where(is_pole, np.inf * np.cos(0 * np.tanh(pole)), value)


def _inner_lgamma(x: Any) -> Any:
    is_low = x < 0.5
    z = np.where(is_low, 1 - x, x) - 1
    total = _LANCZOS[0]
    for k, coefficient in enumerate(_LANCZOS[1:], 1):
        total = total + coefficient / (z + k)
    t = z + 7.5
    value = 0.5 * math.log(2 * math.pi) + (z + 0.5) * np.log(t) - t + np.log(total)
    turned = np.where(is_low, x, 0.25)
    reflected = math.log(math.pi) - np.log(np.abs(np.sin(math.pi * turned))) - value
    rounded = value - fgrad.stop_gradient(value)  # exactly 0, with the derivative
    return np.where((x == 1) | (x == 2), rounded, np.where(is_low, reflected, value))


_BERNOULLI = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12]


def digamma_of(x: Any) -> Any:
    """The asymptotic series at ``x + 6`` or more, and the recurrence down to x."""
    is_low = x < 0.5
    z = np.where(is_low, 1 - x, x)
    value: Any = 0.0
    for k in range(8):
        value = value - 1 / (z + k)
    z = z + 8
    square = 1 / (z * z)
    series = _BERNOULLI[-1]
    for coefficient in reversed(_BERNOULLI[:-1]):
        series = series * square + coefficient
    value = value + np.log(z) - 0.5 / z - square * series
    turned = np.where(is_low, x, 0.25)
    value = np.where(is_low, value - math.pi / np.tan(math.pi * turned), value)
    value = np.where(x == np.inf, np.log(np.where(x > 0, x, 1.0)), value)
    return np.where((x < 0) & (x == np.floor(x)), np.nan, value)


erf = _floating(
    "erf",
    "ErfBackward0",
    erf_of,
    """The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0.

    Rational approximations of W. Cody, 1969; integers give the default dtype.

    >>> torch.erf(torch.tensor([0.0, 0.5, 10.0]))
    tensor([0.0000, 0.5205, 1.0000])
    """,
)
erfc = _floating(
    "erfc",
    "ErfcBackward0",
    _erfc_of,
    """``1 - erf(input)``, which keeps its digits where that is small.

    >>> torch.erfc(torch.tensor([0.0, 5.0]))
    tensor([1.0000e+00, 1.5375e-12])
    """,
)
erfinv = _floating(
    "erfinv",
    "ErfinvBackward0",
    _erfinv_of,
    """The inverse of `erf`: infinite at -1 and 1, NaN outside.

    >>> torch.erfinv(torch.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.4769,    inf])
    """,
)
lgamma = _floating(
    "lgamma",
    "LgammaBackward0",
    _lgamma_of,
    """``log(|gamma(input)|)``; infinite at 0 and negative integers.

    >>> torch.lgamma(torch.tensor([0.5, 5.0]))
    tensor([0.5724, 3.1781])
    """,
)
digamma = _floating(
    "digamma",
    "DigammaBackward0",
    digamma_of,
    """The derivative of `lgamma`.

    >>> torch.digamma(torch.tensor([1.0, 2.0]))
    tensor([-0.5772,  0.4228])
    """,
)


def _entropies(x: Any) -> Any:
    ends = np.where(x == 0, 0.0, np.where(x == x, -np.inf, x))
    return np.where(x > 0, -x * np.log(np.where(x > 0, x, 1.0)), ends)


_entropy = fgrad.custom_jvp(_entropies)


@_entropy.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # not of the `where`, which has no slope at 0: PyTorch's is infinite there
    return _entropies(primals[0]), tangents[0] * (-1 - np.log(primals[0]))


gammaln, psi, expit = lgamma, digamma, sigmoid
entr = _floating(
    "special_entr",
    "SpecialEntrBackward0",
    _entropy,
    """``-input * log(input)``: 0 at 0, ``-inf`` below.

    >>> torch.special.entr(torch.tensor([-1.0, 0.0, 0.5]))
    tensor([  -inf, 0.0000, 0.3466])
    """,
)


del METHODS["special_entr"], FUNCTIONS["special_entr"]  # it is in no other place


def ndtr(input: Tensor) -> Tensor:
    """The distribution function of the standard normal distribution.

    >>> torch.special.ndtr(torch.tensor([-1.0, 0.0]))
    tensor([0.1587, 0.5000])
    """
    x = require_tensor("special_ndtr", input)
    if x._aval.dtype.kind != "f":
        x = convert(x, dtypes.get_default_dtype())
    node = "MulBackward1"
    return one(node, lambda u: 0.5 * (1 + erf_of(u * math.sqrt(0.5))), x)


@operation("logit")
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """``log(input / (1 - input))``, of numbers limited to ``[eps, 1 - eps]``.

    Without ``eps`` numbers outside of ``[0, 1]`` give NaN.

    >>> torch.logit(torch.tensor([0.5, 0.0]), eps=0.25)
    tensor([ 0.0000, -1.0986])
    """
    x = require_tensor("logit", input)
    if x._aval.dtype.kind != "f":
        x = convert(x, dtypes.get_default_dtype())

    def compute(u: Any) -> Any:
        inside = u if eps is None else np.clip(u, eps, 1 - eps)
        return np.log(inside) - np.log1p(-inside)

    return one("LogitBackward0", compute, x)


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """As `fgrad.torch.softmax`.

    >>> torch.special.softmax(torch.tensor([0.0, 0.0, 100.0]), 0)
    tensor([3.7835e-44, 3.7835e-44, 1.0000e+00])
    """
    return input.softmax(dim, dtype)  # type: ignore[no-any-return]


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """As `fgrad.torch.log_softmax`.

    >>> torch.special.log_softmax(torch.tensor([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    return input.log_softmax(dim, dtype)  # type: ignore[no-any-return]


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """As `fgrad.torch.logsumexp`.

    >>> torch.special.logsumexp(torch.tensor([100.0, 100.0]), 0)
    tensor(100.6931)
    """
    return input.logsumexp(dim, keepdim)  # type: ignore[no-any-return]


place_functions(globals())
