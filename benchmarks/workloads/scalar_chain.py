"""A thousand operations on one Python float: the cost of an operation itself."""

import math
from typing import Any

import numpy as np

from benchmarks.workload import Arguments, Loss, Rng, Workload

ROUNDS = 200  # of five operations each


def make(rng: Rng, size: None) -> Arguments:
    return (0.7,)


def build(np: Any) -> Loss:
    def chain(x: Any) -> Any:
        for _ in range(ROUNDS):
            x = x + 0.01 * (np.sin(x) + np.tanh(x))
        return x

    return chain


def hand(x: float) -> tuple[Any, Any]:
    slope = 1.0
    for _ in range(ROUNDS):
        tanh = np.tanh(x)
        slope *= 1.0 + 0.01 * (np.cos(x) + 1.0 - tanh * tanh)
        x += 0.01 * (np.sin(x) + tanh)
    return x, slope


def hand_math(x: float) -> tuple[float, float]:
    slope = 1.0
    for _ in range(ROUNDS):
        tanh = math.tanh(x)
        slope *= 1.0 + 0.01 * (math.cos(x) + 1.0 - tanh * tanh)
        x += 0.01 * (math.sin(x) + tanh)
    return x, slope


WORKLOADS = [
    Workload(
        name="scalar-chain",
        description="1000 sequential operations on a Python float",
        make=make,
        build=build,
        size=None,
        small=None,
        hand=hand,
        hand_math=hand_math,
        torch=build,
        bar=0.25,
        slow=frozenset({"torch.compile"}),
    )
]
