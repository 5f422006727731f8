"""Differentiate the root of equations that SciPy solves, implicitly.

Run ``python examples/implicit_root.py``. `scipy.optimize.root` finds x with
F(x, p) = 0. How it got there does not matter for the derivative, which is
dx = -(dF/dx)^-1 (dF/dp) dp. The rule is plain NumPy code with fgrad's transforms in
it, so it has derivatives itself.
"""

import numpy as np
from scipy.optimize import root

import fgrad


def find_root(residual, guess):
    """The function ``solve(p)`` that gives x with ``residual(x, p) = 0``."""

    def search(p):
        found = root(residual, guess, args=(p,), jac=fgrad.jacrev(residual), tol=1e-13)
        assert found.success, found.message
        return found.x

    def rule(ct, x, p):
        adjoint = np.linalg.solve(fgrad.jacrev(residual)(x, p).T, ct)
        (ct_p,) = fgrad.vjp(lambda p: residual(x, p), p)[1](-adjoint)
        return (ct_p,)

    return fgrad.external(search, guess, vjp=rule)


def equilibrium(x, p):
    """A weak acid in water: the law of mass action, and nothing gets lost."""
    dissociated, rest = x
    strength, total = p
    return np.stack([dissociated**2 - strength * rest, dissociated + rest - total])


def closed_form(p):
    strength, total = p
    dissociated = (np.sqrt(strength**2 + 4 * strength * total) - strength) / 2
    return np.stack([dissociated, total - dissociated])


def share(solve):
    """The share of the acid that dissociates, as a function of the parameters."""
    return lambda p: solve(p)[0] / p[1]


def compare(name, found, exact):
    error = np.max(np.abs(found - exact)) / np.max(np.abs(exact))
    print(f"{name:28s} relative error {error:.1e}")
    assert error < 1e-5


def main():
    solve = find_root(equilibrium, np.array([0.5, 0.5]))
    p = np.array([0.3, 2.0])
    print(f"at p = {p} the root is {solve(p)}")
    compare("the root", solve(p), closed_form(p))

    jacobian = fgrad.jacrev(solve)(p)
    print(f"its Jacobian:\n{jacobian}")
    steps = 1e-6 * np.eye(2)
    columns = [(solve(p + step) - solve(p - step)) / 2e-6 for step in steps]
    compare("Jacobian, by differences", jacobian, np.stack(columns, axis=1))
    compare("Jacobian, closed form", jacobian, fgrad.jacrev(closed_form)(p))
    compare("forward mode", fgrad.jacfwd(solve)(p), jacobian)

    found, exact = (fgrad.hessian(share(f))(p) for f in (solve, closed_form))
    compare("Hessian of the share", found, exact)

    batch = p * np.linspace(0.5, 2.0, 5)[:, None]
    found, exact = (
        fgrad.vmap(fgrad.grad(share(f)))(batch) for f in (solve, closed_form)
    )
    compare("gradients of a batch", found, exact)


if __name__ == "__main__":
    main()
