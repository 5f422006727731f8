"""The first example of autograd's README: tanh of one Python float."""

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
    )
]
