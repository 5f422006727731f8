"""A dense Jacobian by reverse mode, R^100 -> R^100."""

from typing import Any

import numpy as np

from benchmarks.workload import Arguments, Array, Loss, Rng, Workload


def make(rng: Rng, size: int) -> Arguments:
    return rng.standard_normal(size), rng.standard_normal((size, size)) / size**0.5


def build(np: Any) -> Loss:
    def function(x: Any, a: Any) -> Any:
        return np.tanh(a @ x) * np.sin(x)

    return function


def hand(x: Array, a: Array) -> Array:
    t = np.tanh(a @ x)
    jacobian: Array = ((1.0 - t * t) * np.sin(x))[:, None] * a
    jacobian[np.diag_indices(len(x))] += t * np.cos(x)
    return jacobian


WORKLOADS = [
    Workload(
        name="jacobian-100",
        description="Jacobian of tanh(A x) sin(x), 100 x 100",
        make=make,
        build=build,
        size=100,
        small=4,
        transform="jacobian",
        hand=hand,
        bar=4.0,
    )
]
