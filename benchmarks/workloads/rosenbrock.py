"""Rosenbrock's function: slices and elementwise arithmetic, as optimisers call it."""

from typing import Any

import numpy as np

from benchmarks.workload import Arguments, Array, Loss, Rng, Workload


def make(rng: Rng, size: int) -> Arguments:
    return (rng.standard_normal(size),)


def build(np: Any) -> Loss:
    def rosenbrock(x: Any) -> Any:
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    return rosenbrock


def hand(x: Array) -> tuple[Any, Array]:
    head = x[:-1]
    miss = x[1:] - head * head
    left = 1.0 - head
    value = 100.0 * (miss @ miss) + left @ left
    gradient = np.zeros_like(x)
    gradient[1:] = 200.0 * miss
    gradient[:-1] -= 400.0 * miss * head + 2.0 * left
    return value, gradient


def workload(size: int, label: str) -> Workload:
    return Workload(
        name=f"rosenbrock-{label}",
        description=f"Rosenbrock's function, n = {label}",
        make=make,
        build=build,
        size=size,
        small=7,
        hand=hand,
        torch=build,
    )


WORKLOADS = [workload(10, "10"), workload(100_000, "1e5")]
