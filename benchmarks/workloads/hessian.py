"""Second derivatives of Rosenbrock's function: the Hessian, and its product with v."""

import numpy as np

from benchmarks.workload import Arguments, Array, Rng, Workload
from benchmarks.workloads.rosenbrock import build, make


def hand_hessian(x: Array) -> Array:
    head = x[:-1]
    diagonal = np.zeros_like(x)
    diagonal[1:] = 200.0
    diagonal[:-1] += 1200.0 * head * head - 400.0 * x[1:] + 2.0
    hessian = np.diag(diagonal)
    rows = np.arange(len(head))
    hessian[rows, rows + 1] = hessian[rows + 1, rows] = -400.0 * head
    return hessian


def make_with_vector(rng: Rng, size: int) -> Arguments:
    return rng.standard_normal(size), rng.standard_normal(size)


def hand_product(x: Array, v: Array) -> Array:
    head = x[:-1]
    product = np.zeros_like(x)
    product[1:] = 200.0 * v[1:] - 400.0 * head * v[:-1]
    product[:-1] += (1200.0 * head * head - 400.0 * x[1:] + 2.0) * v[:-1]
    product[:-1] -= 400.0 * head * v[1:]
    return product


WORKLOADS = [
    Workload(
        name="hessian-50",
        description="Hessian of Rosenbrock's function, n = 50",
        make=make,
        build=build,
        size=50,
        small=4,
        transform="hessian",
        hand=hand_hessian,
        bar=3.0,
    ),
    Workload(
        name="hvp-1e4",
        description="Hessian-vector product of Rosenbrock's function, n = 1e4",
        make=make_with_vector,
        build=build,
        size=10_000,
        small=5,
        transform="hvp",
        hand=hand_product,
        bar=1.0,
    ),
]
