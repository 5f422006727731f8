"""The first example of autograd's README: tanh of one Python float."""

import numpy as np

from benchmarks.workload import Workload


def make(rng, size):
    return (0.7,)


def build(np):
    def tanh(x):
        y = np.exp(-2.0 * x)
        return (1.0 - y) / (1.0 + y)

    return tanh


def hand(x):
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
