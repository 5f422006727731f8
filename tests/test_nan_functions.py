"""Reductions that pass over NaN: NumPy's values, and finite gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fgrad
from fgrad.ir import check

jax.config.update("jax_enable_x64", True)

RNG = np.random.default_rng(3)
X = RNG.uniform(-2, 2, (3, 4, 5))
X[RNG.random(X.shape) < 0.3] = np.nan
X[0, 0, 0] = 0.0
Z = X.copy()
Z[1, :, 2] = np.nan  # a line of NaN only
FUNCTIONS = {
    "nansum": lambda m, x: m.nansum(x, axis=1),
    "nansum of all": lambda m, x: m.nansum(x),
    "nanprod": lambda m, x: m.nanprod(x, axis=(0, 2), keepdims=True),
    "nanmean": lambda m, x: m.nanmean(x, axis=1),
    "nanmean where": lambda m, x: m.nanmean(x, axis=0, where=np.arange(5) != 1),
    "nanvar": lambda m, x: m.nanvar(x, axis=1),
    "nanvar ddof": lambda m, x: m.nanvar(x, axis=(0, 1), ddof=1),
    "nanstd": lambda m, x: m.nanstd(x, axis=(0, 2), keepdims=True),
    "nanmax": lambda m, x: m.nanmax(x, axis=1),
    "nanmin": lambda m, x: m.nanmin(x, axis=0),
    "nancumsum": lambda m, x: m.nancumsum(x, axis=2),
    "nancumprod": lambda m, x: m.nancumprod(x, axis=1),
    "nanmedian": lambda m, x: m.nanmedian(x, axis=(0, 1)),
    "nanmedian of all": lambda m, x: m.nanmedian(x),
    "nanquantile": lambda m, x: m.nanquantile(x, m.array([0.2, 0.7]), axis=(0, 1)),
    "nanpercentile": lambda m, x: m.nanpercentile(x, 30, axis=(1, 2), keepdims=True),
}


def total(function, module, x):
    out = function(module, x)
    weights = np.random.default_rng(5).uniform(0.5, 1, out.shape)
    terms = module.where(module.isnan(out), 0, module.sin(out)) * weights
    return module.sum(terms)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name, dtype):
    def run(x):
        return FUNCTIONS[name](np, x)

    for data in (X, Z):
        x = (
            (np.nan_to_num(data) * 3).astype(dtype)
            if dtype == "int64"
            else (data.astype(dtype))
        )
        expected = run(x)
        found = [check(fgrad.make_program(run)(x))(x)[0]]
        if dtype != "int64":
            found.append(fgrad.vjp(run, x)[0])
        for value in found:
            assert type(value) is type(expected)
            assert value.dtype == expected.dtype
            eps = np.finfo(value.dtype).eps if value.dtype.kind == "f" else 0
            np.testing.assert_allclose(value, expected, rtol=8 * eps, atol=8 * eps)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_jax_s(name):
    function = FUNCTIONS[name]
    t = RNG.uniform(-1, 1, X.shape)

    def both(grad, module):
        first = grad(lambda x: total(function, module, x))
        return lambda x: (first(x), grad(lambda y: module.sum(first(y) * t))(x))

    found, expected = both(fgrad.grad, np)(X), jax.jit(both(jax.grad, jnp))(X)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.all(np.isfinite(ours))
        assert not np.any(ours[np.isnan(X)])
        keep = np.isfinite(theirs)  # jax's own may be NaN at NaN elements
        np.testing.assert_allclose(ours[keep], theirs[keep], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lines_of_nan_only_have_zero_gradients(name):
    gradient = fgrad.grad(lambda x: total(FUNCTIONS[name], np, x))(Z)
    assert np.all(np.isfinite(gradient))
    assert not np.any(gradient[np.isnan(Z)])
    assert np.any(gradient)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_pairing(name):
    rng = np.random.default_rng(8)
    out, pull = fgrad.vjp(lambda x: FUNCTIONS[name](np, x), X)
    t, ct = rng.uniform(-1, 1, X.shape), rng.uniform(-1, 1, np.shape(out))
    _, t_out = fgrad.jvp(lambda x: FUNCTIONS[name](np, x), (X,), (t,))
    ct = np.where(np.isnan(out), 0, ct)  # the mean of no element is NaN
    left = np.sum(np.where(np.isnan(out), 0, t_out) * ct)
    assert left == pytest.approx(np.sum(t * pull(ct)[0]), rel=1e-11)


def test_prod_with_zeros_and_nan():
    x = np.array([2.0, np.nan, 0.0, 3.0])
    assert np.array_equal(fgrad.grad(np.nanprod)(x), [0, 0, 6, 0])


def test_given_mean_and_dtype():
    x = X[0]
    mean = np.nanmean(x, axis=0, keepdims=True)

    def f(x):
        return np.nanvar(x, axis=0, mean=mean, dtype=np.float64)

    np.testing.assert_allclose(fgrad.vjp(f, x)[0], f(x), rtol=1e-14)
    with pytest.raises(TypeError, match="dtype must be inexact"):
        fgrad.grad(lambda x: np.nanmean(x, dtype=int))(x)


def test_out():
    def f(x):
        target = np.copy(x)
        result = np.nanmean(x, axis=0, keepdims=True, out=target[:1])
        return np.sum(target[0] * result)

    x = np.array([[1.0, np.nan], [3.0, 4.0]])
    np.testing.assert_allclose(fgrad.grad(f)(x), [[2, 0], [2, 8]])


def test_extremum_with_initial():
    x = np.array([[np.nan, np.nan], [1.0, np.nan], [5.0, 2.0]])

    def f(x):
        return np.sum(np.nanmax(x, axis=1, initial=3.0) * np.array([1.0, 2, 3]))

    assert fgrad.value_and_grad(f)(x)[0] == f(x)
    assert np.array_equal(fgrad.grad(f)(x), [[0, 0], [0, 0], [3, 0]])
