"""Jacobians of unit vectors: diagonals are vectors, and what they give is the same."""

import numpy as np
import pytest

import fgrad
from fgrad.rewrites.bands import with_unit_seeds

A = np.random.default_rng(1).standard_normal((5, 5))
FUNCTIONS = {
    "product": lambda x: np.tanh(A @ x) * np.sin(x),
    "elementwise": lambda x: np.exp(-x) / x,
    "slices": lambda x: x[1:] * x[:-1] + x[:-1],
    "stencil": lambda x: x[2:] - 2 * x[1:-1] + x[:-2] ** 2,
    "written": lambda x: np.concatenate([x[:2] * 3, x[1:]]),
    "selected": lambda x: np.where(x > 0.1, x * 2, -x),
    "linear": lambda x: x @ A,
    "twice": lambda x: A @ (A @ x) - x,
    "total": lambda x: np.sum(x) * x,
    "single": lambda x: np.sin(x).astype("float32"),
    "matrix": lambda x: np.outer(x, x),
    "reversed": lambda x: x[::-1] * x,
    "constant": lambda x: np.ones(5) + 0 * x,
}


@pytest.mark.parametrize("transform", ["jacrev", "jacfwd"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobians(name, transform):
    f, x = FUNCTIONS[name], np.array([0.7, 0.2, -0.4, 0.9, 0.3])
    columns = [fgrad.jvp(f, (x,), (row,))[1] for row in np.eye(5)]
    wanted = np.stack(columns, -1)
    derive = getattr(fgrad, transform)(f)
    jitted = fgrad.jit(derive)
    for _ in range(3):
        for found in (derive(x), jitted(x)):
            np.testing.assert_allclose(found, wanted, 1e-6, 1e-6)
            assert found.shape == wanted.shape


def primitives(program):
    return [eqn.prim.name for eqn in program.eqns]


LOSSES = {
    "rosenbrock": lambda x: np.sum(
        100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2
    ),
    "separable": lambda x: np.sum(np.sin(x) * x),
    "dense": lambda x: np.sum(np.tanh(A @ x)),
    "both": lambda x: np.sum(x**3) + np.sum(x) ** 2,
}


@pytest.mark.parametrize("name", LOSSES)
def test_hessians(name):
    f, x = LOSSES[name], np.array([0.7, 0.2, -0.4, 0.9, 0.3])
    wanted = np.stack([fgrad.hvp(f)(x, row) for row in np.eye(5)])
    for derive in (fgrad.hessian(f), fgrad.jit(fgrad.hessian(f))):
        for _ in range(3):
            np.testing.assert_allclose(derive(x), wanted, 1e-12, 1e-10)


def test_no_products_of_matrices_of_zeros():
    x = np.linspace(0.1, 1, 5)
    jacobian = fgrad.jit(fgrad.jacrev(FUNCTIONS["product"])).lower(x)
    assert primitives(jacobian).count("matmul") == 1  # A @ x
    matrices = [value for value in jacobian.values if np.ndim(value) > 1]
    assert all(np.array_equal(x, A) or np.array_equal(x, A.T) for x in matrices)
    hessian = fgrad.jit(fgrad.hessian(LOSSES["rosenbrock"])).lower(x)
    dense = [e for e in hessian.eqns if e.outs[0].aval.ndim == 2]
    assert {e.prim.name for e in dense} == {"scatter", "index_add", "transpose"}


def test_zeros_beside_what_is_not_finite_stay_zeros():
    x = np.array([np.inf, 1.0, np.nan])
    with np.errstate(all="ignore"):
        found = fgrad.jacrev(lambda x: x * x)(x)
    np.testing.assert_array_equal(found, _diagonal(2 * x))


def _diagonal(values):
    out = np.zeros((len(values),) * 2)
    np.fill_diagonal(out, values)
    return out


BANDS = [
    ("c:f64[3,3] = multiply i a", "d:f64[3,3] = D a"),
    ("c:f64[3,3] = multiply i a; d:f64[3,3] = negative c; e:f64[3,3] = matmul d m",
     "b:f64[3] = negative a; c:f64[3,1] = reshape[shape=(3, 1)] b; "
     "d:f64[3,3] = multiply c m"),
    ("c:f64[3,3] = multiply i a; d:f64[3,3] = matmul m c", "d:f64[3,3] = multiply m a"),
    ("c:f64[3,3] = multiply i a; d:f64[3,3] = add m c", "d:f64[3,3] = E m a"),
    ("c:f64[3,3] = multiply i a; d:f64[3,3] = add c i; e:f64[3,3] = matmul d m",
     "b:f64[3] = add a 1; c:f64[3,1] = reshape[shape=(3, 1)] b; "
     "d:f64[3,3] = multiply c m"),
    ("c:f64[3,3] = matmul m i; d:f64[3,3] = sin c", "d:f64[3,3] = sin m"),
    ("c:f64[3,3] = sin i", None),
    ("c:f64[3] = sum[axis=(1,)] i", None),
]  # fmt: skip
PATH = "at=((None, None, None),), path=(('diagonal', (('subscripts', 'aa->a'),)),)"


@pytest.mark.parametrize(("before", "after"), BANDS)
def test_bands(before, after):
    def parsed(lines, ins):
        lines = lines.replace("= E", f"= index_add[{PATH}]")
        place = "shape=(3, 3), dtype='float64'"
        lines = lines.replace("= D", f"= scatter[{place}, {PATH}]")
        body = lines.replace("; ", "\n")
        out = body.splitlines()[-1].split(":")[0]
        return fgrad.parse(f"{{ lambda ; {ins} . let\n{body}\nin ({out},) }}")

    ins = "a:f64[3] m:f64[3,3]"
    program = parsed(before, f"{ins} i:f64[3,3]")
    found = with_unit_seeds(program)
    if after is None:
        assert found is None
        return
    assert str(fgrad.check(found)) == str(parsed(after, ins))
    values = np.array([0.5, -1.25, 2.0]), A[:3, :3]
    np.testing.assert_array_equal(found(*values)[0], program(*values, np.eye(3))[0])
