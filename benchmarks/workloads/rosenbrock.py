"""Rosenbrock's function: slices and elementwise arithmetic, as optimisers call it."""

from collections.abc import Callable
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


def hand_out(x: Array) -> Callable[[Array], tuple[Any, Array]]:
    miss, left = np.empty((2, len(x) - 1))
    gradient = np.empty_like(x)

    def function(x: Array) -> tuple[Any, Array]:
        head, d_head = x[:-1], gradient[:-1]
        np.multiply(head, head, out=miss)
        np.subtract(x[1:], miss, out=miss)
        np.subtract(1.0, head, out=left)
        value = 100.0 * (miss @ miss) + left @ left
        np.multiply(miss, 200.0, out=miss)
        np.multiply(miss, head, out=d_head)
        np.add(d_head, left, out=d_head)
        np.multiply(d_head, -2.0, out=d_head)
        gradient[-1] = 0.0
        np.add(gradient[1:], miss, out=gradient[1:])
        return value, gradient

    return function


def workload(size: int, label: str, bar: float) -> Workload:
    return Workload(
        name=f"rosenbrock-{label}",
        description=f"Rosenbrock's function, n = {label}",
        make=make,
        build=build,
        size=size,
        small=7,
        hand=hand,
        hand_out=hand_out,
        torch=build,
        bar=bar,
    )


WORKLOADS = [workload(10, "10", 1.0), workload(100_000, "1e5", 0.7)]
