"""A thousand operations on one Python float: the cost of an operation itself."""

import math

from benchmarks.workload import Workload

ROUNDS = 200  # of five operations each


def make(rng, size):
    return (0.7,)


def build(np):
    def chain(x):
        for _ in range(ROUNDS):
            x = x + 0.01 * (np.sin(x) + np.tanh(x))
        return x

    return chain


def hand(x):
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
        torch=build,
    )
]
