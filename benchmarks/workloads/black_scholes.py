"""Delta, theta and vega of a book of calls: the gradient of the sum of their prices.

autograd.numpy has no erf, so all peers share the logistic approximation of the normal
distribution function, 1 / (1 + exp(-x (1.5976 + 0.07056 x^2))), exact to 1.4e-4
(Bowling et al., J. Industrial Engineering and Management 2 (2009) 114).
"""

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


def workload(size: int, label: str, quick: bool = True) -> Workload:
    return Workload(
        name=f"black-scholes-{label}",
        description=f"sum of {label} Black-Scholes calls: delta, theta, vega",
        make=make,
        build=build,
        size=size,
        small=5,
        hand=hand,
        torch=build,
        quick=quick,
    )


WORKLOADS = [
    workload(1000, "1e3"),
    workload(100_000, "1e5"),
    workload(10_000_000, "1e7", quick=False),
]
