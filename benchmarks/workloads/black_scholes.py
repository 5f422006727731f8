"""Delta, theta and vega of a book of calls: the gradient of the sum of their prices.

autograd.numpy has no erf, so all peers share the logistic approximation of the normal
distribution function, 1 / (1 + exp(-x (1.5976 + 0.07056 x^2))), exact to 1.4e-4
(Bowling et al., J. Industrial Engineering and Management 2 (2009) 114).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workload import Arguments, Array, Loss, Rng, Tree, Workload

A, B = 1.5976, 0.07056
RATE = 0.03


def make(rng: Rng, size: int) -> Arguments:
    book = {
        "spot": rng.uniform(80.0, 120.0, size),
        "time": rng.uniform(0.2, 2.0, size),
        "volatility": rng.uniform(0.1, 0.5, size),
    }
    return book, rng.uniform(80.0, 120.0, size)


def build(np: Any) -> Loss:
    def normal_cdf(x: Any) -> Any:
        return 1.0 / (1.0 + np.exp(-x * (A + B * x * x)))

    def price(book: Any, strike: Any) -> Any:
        spot, time = book["spot"], book["time"]
        spread = book["volatility"] * np.sqrt(time)
        d1 = (np.log(spot / strike) + RATE * time) / spread + 0.5 * spread
        d2 = d1 - spread
        discounted = strike * np.exp(-RATE * time)
        return np.sum(spot * normal_cdf(d1) - discounted * normal_cdf(d2))

    return price


def hand(book: Tree, strike: Array) -> tuple[Any, Tree]:
    spot, time, volatility = book["spot"], book["time"], book["volatility"]
    root = np.sqrt(time)
    spread = volatility * root
    d1 = (np.log(spot / strike) + RATE * time) / spread + 0.5 * spread
    d2 = d1 - spread
    discounted = strike * np.exp(-RATE * time)
    cdf1, pdf1 = _normal(d1)
    cdf2, pdf2 = _normal(d2)
    value = np.sum(spot * cdf1 - discounted * cdf2)
    push1, push2 = spot * pdf1, discounted * pdf2
    through_ratio = (push1 - push2) / spread
    through_spread = push2 - through_ratio * (d1 - 0.5 * spread) + 0.5 * (push1 - push2)
    return value, {
        "spot": cdf1 + through_ratio / spot,
        "time": RATE * (through_ratio + discounted * cdf2)
        + through_spread * (0.5 * volatility / root),
        "volatility": through_spread * root,
    }


def _normal(x: Array) -> tuple[Array, Array]:
    cdf = 1.0 / (1.0 + np.exp(-x * (A + B * x * x)))
    return cdf, cdf * (1.0 - cdf) * (A + 3.0 * B * x * x)


def hand_out(book: Tree, strike: Array) -> Callable[..., tuple[Any, Tree]]:
    root, spread, d1, discounted, work = np.empty((5, len(strike)))
    cdf1, cdf2, push1, push2 = np.empty((4, len(strike)))
    gradient = {name: np.empty_like(leaf) for name, leaf in book.items()}

    def function(book: Tree, strike: Array) -> tuple[Any, Tree]:
        spot, time, volatility = book["spot"], book["time"], book["volatility"]
        ratio, d_spot = work, gradient["spot"]
        np.sqrt(time, out=root)
        np.multiply(volatility, root, out=spread)
        np.divide(spot, strike, out=d1)
        np.log(d1, out=d1)
        np.multiply(time, RATE, out=discounted)
        np.add(d1, discounted, out=d1)
        np.divide(d1, spread, out=d1)  # less half the spread: the middle of d1 and d2
        np.negative(discounted, out=discounted)
        np.exp(discounted, out=discounted)
        np.multiply(discounted, strike, out=discounted)
        np.multiply(spread, 0.5, out=work)
        np.add(d1, work, out=cdf1)
        np.subtract(d1, work, out=cdf2)
        _normal_out(cdf1, push1, work)
        _normal_out(cdf2, push2, work)
        value = spot @ cdf1 - discounted @ cdf2
        np.multiply(push1, spot, out=push1)
        np.multiply(push2, discounted, out=push2)
        np.multiply(cdf2, discounted, out=cdf2)
        # d_root: the slope by the spread, push2 - ratio * middle + (push1 - push2) / 2
        d_root = gradient["volatility"]
        np.subtract(push1, push2, out=push1)
        np.divide(push1, spread, out=ratio)
        np.multiply(push1, 0.5, out=push1)
        np.add(push1, push2, out=push1)
        np.multiply(ratio, d1, out=d1)
        np.subtract(push1, d1, out=push1)
        np.multiply(push1, root, out=d_root)
        d_time = gradient["time"]
        np.divide(volatility, root, out=d_time)
        np.multiply(d_time, 0.5, out=d_time)
        np.multiply(d_time, push1, out=d_time)
        np.add(cdf2, ratio, out=cdf2)
        np.multiply(cdf2, RATE, out=cdf2)
        np.add(d_time, cdf2, out=d_time)
        np.divide(ratio, spot, out=d_spot)
        np.add(d_spot, cdf1, out=d_spot)
        return value, gradient

    return function


def _normal_out(x: Array, pdf: Array, work: Array) -> None:
    """Replace x by its distribution function, and fill in the density."""
    np.multiply(x, x, out=work)
    np.multiply(work, 3.0 * B, out=pdf)
    np.add(pdf, A, out=pdf)
    np.multiply(work, -B, out=work)
    np.subtract(work, A, out=work)
    np.multiply(work, x, out=x)
    np.exp(x, out=x)
    np.add(x, 1.0, out=x)
    np.reciprocal(x, out=x)
    np.subtract(1.0, x, out=work)
    np.multiply(work, x, out=work)
    np.multiply(pdf, work, out=pdf)


def workload(size: int, label: str, bar: float, quick: bool = True) -> Workload:
    return Workload(
        name=f"black-scholes-{label}",
        description=f"sum of {label} Black-Scholes calls: delta, theta, vega",
        make=make,
        build=build,
        size=size,
        small=5,
        hand=hand,
        hand_out=hand_out,
        torch=build,
        bar=bar,
        quick=quick,
    )


WORKLOADS = [
    workload(1000, "1e3", 0.8),
    workload(100_000, "1e5", 0.5),
    workload(10_000_000, "1e7", 0.3, quick=False),
]
