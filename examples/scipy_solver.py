"""Fit a coefficient field through a sparse solver of SciPy, a black box to fgrad.

Run ``python examples/scipy_solver.py``. Heat flows through a rod whose conductivity
differs from place to place: -(k u')' = f, with u = 0 at both ends. SuperLU solves for
the temperature u; from noisy observations of u the conductivity is recovered. The
solver is an `fgrad.external`, and its rule solves the adjoint system.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import diags_array
from scipy.sparse.linalg import splu

import fgrad
from fgrad.testing import check_grads

CELLS = 60  # conductivities; the temperatures between them are one fewer
NOISE = 1e-4
SMOOTHNESS = 1e-7  # weight of the roughness of the conductivity
WIDTH = 1.0 / CELLS


def solve_rod(conductivity, source):
    """Temperatures between the cells: one sparse solve."""
    k = conductivity / WIDTH**2
    bands = [-k[1:-1], k[:-1] + k[1:], -k[1:-1]]
    return splu(diags_array(bands, offsets=[-1, 0, 1], format="csc")).solve(source)


def solve_rule(ct, temperature, conductivity, source):
    """Cotangents of conductivity and source: the matrix is its own transpose."""
    adjoint = solve(conductivity, ct)
    return -jumps(temperature) * jumps(adjoint) / WIDTH**2, adjoint


def jumps(temperature):
    """Differences across the cells; the ends of the rod are at zero."""
    return np.diff(np.concatenate([np.zeros(1), temperature, np.zeros(1)]))


solve = fgrad.external(solve_rod, lambda conductivity, source: source, vjp=solve_rule)


def misfit(log_conductivity, source, observed):
    """Distance from the observations, and roughness."""
    temperature = solve(np.exp(log_conductivity), source)
    rough = SMOOTHNESS * np.sum(np.diff(log_conductivity) ** 2) / WIDTH
    return np.sum((temperature - observed) ** 2) * WIDTH + rough


def main():
    rng = np.random.default_rng(0)
    place = (np.arange(CELLS) + 0.5) * WIDTH
    true = 1.0 + 0.5 * np.sin(2 * np.pi * place)
    source = np.full(CELLS - 1, 10.0)
    observed = solve(true, source) + NOISE * rng.normal(size=CELLS - 1)

    start = np.zeros(CELLS)
    check_grads(misfit, (start, source, observed), order=2)
    print("the gradient agrees with central differences, to second order")

    result = minimize(
        fgrad.value_and_grad(misfit),
        start,
        args=(source, observed),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-9},
    )
    found = np.exp(result.x)
    error = np.max(np.abs(found - true) / true)
    print(f"misfit {misfit(start, source, observed):.2e} -> {result.fun:.2e}", end="")
    print(f" in {result.nit} iterations")
    for k in range(4, CELLS, 10):
        print(f"x = {place[k]:.3f}: conductivity {found[k]:.3f}, true {true[k]:.3f}")
    print(f"largest relative error: {100 * error:.1f}%")


if __name__ == "__main__":
    main()
