"""The first example of autograd's README: tanh of one Python float; f' and f'''."""

from typing import Any

import numpy as np

from benchmarks.workload import Arguments, Loss, Rng, Workload


def make(rng: Rng, size: None) -> Arguments:
    return (0.7,)


def build(np: Any) -> Loss:
    def tanh(x: Any) -> Any:
        y = np.exp(-2.0 * x)
        return (1.0 - y) / (1.0 + y)

    return tanh


def hand(x: float) -> tuple[float, float]:
    y = np.exp(-2.0 * x)
    value = (1.0 - y) / (1.0 + y)
    return value, 1.0 - value * value


def hand_third(x: float) -> Any:
    y = np.exp(-2.0 * x)
    tanh = (1.0 - y) / (1.0 + y)
    square = tanh * tanh
    return (1.0 - square) * (6.0 * square - 2.0)


WORKLOADS = [
    Workload(
        name="scalar-tanh",
        description="tanh from np.exp, one Python float in",
        make=make,
        build=build,
        size=None,
        small=None,
        hand=hand,
        torch=build,
        bar=1.5,
    ),
    Workload(
        name="scalar-tanh-third",
        description="the third derivative of the same, grad(grad(grad(f)))",
        make=make,
        build=build,
        size=None,
        small=None,
        transform="third",
        hand=hand_third,
        bar=1.5,
    ),
]
