"""Minimise a function with SciPy; its gradient and Hessian products come from fgrad.

Run ``python examples/minimise.py``. The function is the energy of a chain of masses
between two fixed points, hanging under gravity: springs and weights, in plain NumPy.
"""

import numpy as np
from scipy.optimize import minimize

import fgrad

MASSES = 20
GRAVITY = 9.81  # m/s^2
MASS = 0.1  # kg
STIFFNESS = 500.0  # N/m
REST_LENGTH = 0.1  # m
ENDS = np.array([[0.0, 0.0], [2.0, 0.0]])  # m


def energy(coordinates):
    """Potential energy in joules of the masses at flat coordinates of shape (2n,)."""
    points = np.concatenate([ENDS[:1], coordinates.reshape(-1, 2), ENDS[1:]])
    lengths = np.linalg.norm(points[1:] - points[:-1], axis=1)
    springs = 0.5 * STIFFNESS * np.sum((lengths - REST_LENGTH) ** 2)
    return springs + MASS * GRAVITY * np.sum(points[:, 1])


def main():
    start = np.linspace(ENDS[0], ENDS[1], MASSES + 2)[1:-1].ravel()
    evaluations = {}
    for method, options in {
        "BFGS": {"jac": fgrad.grad(energy)},
        "trust-ncg": {"jac": fgrad.grad(energy), "hessp": fgrad.hvp(energy)},
    }.items():
        result = minimize(energy, start, method=method, **options)
        evaluations[method] = result.nfev
        lowest = result.x.reshape(-1, 2)[:, 1].min()
        size = np.linalg.norm(fgrad.grad(energy)(result.x))
        print(
            f"{method:9s}: energy {result.fun:.6f} J, lowest point {lowest:.4f} m, "
            f"|gradient| {size:.1e} N, {result.nit} iterations"
        )


if __name__ == "__main__":
    main()
