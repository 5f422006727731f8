"""More of ``torch.special``: derivatives of the gamma function, the zeta function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fgrad.torch import dtypes, special
from fgrad.torch.arithmetic import result_type
from fgrad.torch.conversion import convert
from fgrad.torch.known import examined
from fgrad.torch.recording import one
from fgrad.torch.registry import function, method, operation, publish
from fgrad.torch.special import digamma_of, precise_lgamma
from fgrad.torch.tensor import Tensor, make, require_tensor

NO_ZETA = "SpecialZetaBackward0:the derivative for 'zeta' is not implemented."
# B(2k) / (2k)! for the Euler-Maclaurin sum
_TAIL = [1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160]
_TAIL += [-691 / 1307674368000, 1 / 74724249600, -3617 / 10670622842880000]


def _terms(q: Any) -> int:
    """How many terms bring all arguments above 10; a power of two, to be seldom new."""
    lowest = float(np.min(q, initial=1.0, where=np.isfinite(q)))
    return max(16, 1 << math.ceil(math.log2(max(10 - lowest, 1))))


def _hurwitz(s: Any, q: Any, count: int) -> Any:
    """``sum((q + k) ** -s)`` over all k from 0 on, for ``s > 1``."""
    exponent = s[..., None] if np.ndim(s) else s
    total = np.sum((q[..., None] + np.arange(count)) ** -exponent, axis=-1)
    w = q + count
    power = w**-s
    total = total + w * power / (s - 1) + 0.5 * power
    rising = s
    for k, factor in enumerate(_TAIL):
        power = power / w
        total = total + factor * rising * power
        rising = rising * (s + 2 * k + 1) * (s + 2 * k + 2)
        power = power / w
    return total


def _zeta_of(s: Any, q: Any, count: int) -> Any:
    """`_hurwitz`, and what it is outside its domain."""
    is_inside = (s > 1) & ((q > 0) | (q == np.floor(q)) | (s == np.floor(s)))
    found = _hurwitz(np.where(s > 1, s, 2.0), np.where(is_inside, q, 1.0), count)
    return np.where(is_inside, found, np.where(s == 1, np.inf, np.nan))


@function("polygamma")
def polygamma(n: int, input: Tensor) -> Tensor:
    """The derivative of order ``n`` of the digamma function.

    Args:
        n: 0 or more.
        input: integers are converted to the default dtype.

    Raises:
        RuntimeError: ``n`` is negative.

    >>> import fgrad.torch as torch
    >>> torch.polygamma(1, torch.tensor([1.0, 2.0]))
    tensor([1.6449, 0.6449])
    """
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    x = require_tensor("polygamma", input, 2)
    if x._aval.dtype.kind != "f":
        x = convert(x, dtypes.get_default_dtype())
    if n == 0:
        return one("PolygammaBackward0", digamma_of, x)
    if n == 1:
        return one("PolygammaBackward0", _trigamma_of, x)
    count, factor = _terms(examined(x._array)), (-1.0) ** (n + 1) * math.factorial(n)

    def compute(u: Any) -> Any:
        order = np.asarray(n + 1.0)
        return (factor * _zeta_of(order, u.astype(np.float64), count)).astype(u.dtype)

    return one("PolygammaBackward0", compute, x)


def _trigamma_of(x: Any) -> Any:
    """Below 1/2 by reflection, as PyTorch computes it."""
    u = x.astype(np.float64)
    is_low = u < 0.5
    value = _hurwitz(2.0, np.where(is_low, 1 - u, u), 16)
    turned = np.where(is_low, u, 0.25)
    sine = np.sin(math.pi * turned)
    value = np.where(is_low, (math.pi / sine) ** 2 - value, value)
    return value.astype(x.dtype)


@method("polygamma")
def _polygamma_method(self: Tensor, n: int) -> Tensor:
    """The derivative of order ``n`` of `digamma`.

    >>> torch.tensor([1.0, 2.0]).polygamma(1)
    tensor([1.6449, 0.6449])
    """
    return polygamma(n, self)


@method("polygamma_")
def _polygamma_in_place(self: Tensor, n: int) -> Tensor:
    """`polygamma`, in place.

    >>> torch.tensor([1.0, 2.0]).polygamma_(1)
    tensor([1.6449, 0.6449])
    """
    return self.copy_(polygamma(n, self))  # type: ignore[no-any-return]


@operation("mvlgamma")
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension ``p``.

    Raises:
        RuntimeError: ``p`` is less than 1.

    >>> torch.mvlgamma(torch.tensor([2.0, 3.0]), 2)
    tensor([0.4516, 1.5502])
    """
    x = require_tensor("mvlgamma", input)
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    if x._aval.dtype.kind != "f":
        x = convert(x, dtypes.get_default_dtype())

    def compute(u: Any) -> Any:
        exact = u.astype(np.float64)
        total = sum(precise_lgamma(exact - j / 2) for j in range(p))
        return (total + p * (p - 1) / 4 * math.log(math.pi)).astype(u.dtype)

    return one("MvlgammaBackward0", compute, x)


def zeta(input: Any, other: Any) -> Tensor:
    """The Hurwitz zeta function: ``sum((other + k) ** -input)`` over all k from 0 on.

    It has a derivative with respect to ``other`` only.

    >>> torch.special.zeta(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0]))
    tensor([1.6449, 0.0823])
    """
    target = result_type(input, other)
    if not target.is_floating_point:
        target = dtypes.get_default_dtype()
    s, q = (
        convert(z, target)
        if isinstance(z, Tensor)
        else make(np.asarray(z, target.numpy))
        for z in (input, other)
    )
    name = NO_ZETA if s._requires else "SpecialZetaBackward0"
    if not isinstance(input, Tensor):
        name = "SpecialZetaBackward1"
    if not isinstance(other, Tensor):
        name = name.replace("Backward0", "Backward2")
    count = _terms(examined(q._array))

    def compute(u: Any, v: Any) -> Any:
        exact = u.astype(np.float64), v.astype(np.float64)
        return _zeta_of(*exact, count).astype(v.dtype)

    return one(name, compute, s, q)


special.multigammaln = mvlgamma  # type: ignore[attr-defined]
special.__all__.append("multigammaln")
publish(special, polygamma, zeta)
