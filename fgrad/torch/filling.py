"""Random numbers into existing tensors: ``x.normal_()``, ``x.uniform_(-1, 1)``."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.history import check_writable
from fgrad.torch.inplace import copy_
from fgrad.torch.random import Generator, default_generator
from fgrad.torch.registry import method
from fgrad.torch.tensor import Tensor, make


def _refill(self: Tensor, values: Any) -> Tensor:
    check_writable(self)
    return copy_(self, make(np.asarray(values).astype(self._aval.dtype)))


def _numpy(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator).numpy


@method("uniform_")
def uniform_(
    self: Tensor,
    from_: float = 0.0,
    to: float = 1.0,
    *,
    generator: Generator | None = None,
    **named: float,
) -> Tensor:
    """Numbers drawn evenly between two.

    Args:
        self: the tensor to fill.
        from_: the lower bound, ``from`` as a keyword.
        to: the upper bound.
        generator: the source of random numbers.
        named: ``a`` and ``b``, or ``from``.

    Raises:
        RuntimeError: the bounds are in the wrong order.

    >>> x = torch.empty(1000).uniform_(2, 3)
    >>> bool((x >= 2).all() & (x < 3).all())
    True
    """
    low, high = named.get("from", named.get("a", from_)), named.get("b", to)
    if low > high:
        raise RuntimeError(
            "uniform_ expects to return a [from, to) range, but found from="
            f"{low:g} > to={high:g}"
        )
    draws = _numpy(generator).random(self._aval.shape, self._aval.dtype.type)
    return _refill(self, low + (high - low) * draws)


@method("normal_")
def normal_(
    self: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of a mean and a deviation.

    Raises:
        RuntimeError: the deviation is negative.

    >>> torch.empty(2).normal_(5.0, 0.0)
    tensor([5., 5.])
    """
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    draws = _numpy(generator).standard_normal(self._aval.shape, np.float64)
    return _refill(self, mean + std * draws)


@method("log_normal_")
def log_normal_(
    self: Tensor,
    mean: float = 1.0,
    std: float = 2.0,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers whose logarithms are normal.

    >>> torch.empty(2).log_normal_(0.0, 1e-9)
    tensor([1., 1.])
    """
    return _refill(self, _numpy(generator).lognormal(mean, std, self._aval.shape))


@method("exponential_")
def exponential_(
    self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Numbers drawn from an exponential distribution of a rate: of mean ``1 / lambd``.

    >>> bool((torch.empty(100).exponential_() >= 0).all())
    True
    """
    return _refill(self, _numpy(generator).exponential(1 / lambd, self._aval.shape))


@method("bernoulli_")
def bernoulli_(
    self: Tensor, p: Any = 0.5, *, generator: Generator | None = None
) -> Tensor:
    """Ones with a probability (or those of a tensor), zeros else.

    >>> torch.empty(2).bernoulli_(torch.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    chance = p._array if isinstance(p, Tensor) else p
    return _refill(self, _numpy(generator).random(self._aval.shape) < chance)


@method("random_")
def random_(self: Tensor, *bounds: int, generator: Generator | None = None) -> Tensor:
    """Integers drawn evenly: below a bound, or between two.

    >>> torch.empty(2).random_(5, 6)
    tensor([5., 5.])
    """
    info = np.iinfo(self._aval.dtype) if self._aval.dtype.kind in "iu" else None
    largest = info.max if info is not None else 2 ** np.finfo(self._aval.dtype).nmant
    low, high = (0, *bounds) if len(bounds) == 1 else bounds or (0, largest)
    return _refill(self, _numpy(generator).integers(low, high, self._aval.shape))


@method("geometric_")
def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """How many trials of probability ``p`` there are up to the first success.

    Raises:
        RuntimeError: the probability is not between 0 and 1.

    >>> bool((torch.empty(100).geometric_(0.5) >= 1).all())
    True
    """
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return _refill(self, _numpy(generator).geometric(p, self._aval.shape))


@method("cauchy_")
def cauchy_(
    self: Tensor,
    median: float = 0.0,
    sigma: float = 1.0,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers drawn from a Cauchy distribution of a median and a width.

    Raises:
        RuntimeError: the width is not positive, or the tensor is of integers.

    >>> torch.empty(100).cauchy_(5.0, 1e-12).median()
    tensor(5.)
    """
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    if self._aval.dtype.kind != "f":
        name = {"int64": "long int", "int32": "int"}.get(self._aval.dtype.name)
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. dtype must "
            f"be a floating point but you specified {name or self._aval.dtype.name}"
        )
    draws = _numpy(generator).standard_cauchy(self._aval.shape)
    return _refill(self, median + sigma * draws)
