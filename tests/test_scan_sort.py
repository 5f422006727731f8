"""Scans, sorting, order statistics, calculus: values as NumPy's, gradients as JAX's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fgrad
from fgrad.ir import check
from fgrad.primitive import Primitive
from fgrad.trace import type_of

jax.config.update("jax_enable_x64", True)

RNG = np.random.default_rng(1)
X = RNG.permutation(np.linspace(-2, 2, 24)).reshape(2, 4, 3)
Z = X.copy()  # with zeros: none, one and two of them in a line
Z[0, 1, 0] = Z[0, 3, 0] = Z[1, 0, 2] = 0
V = RNG.permutation(np.linspace(-1, 1.5, 7))
W = RNG.uniform(0.5, 1.5, 7)
GRID = np.array([0.0, 0.5, 0.75, 1.5, 2.0, 3.0, 3.25])
POINTS = np.array([[-0.5, 0.1, 0.6], [0.9, 2.9, 4.0]])
NAMES = [
    "cumsum",
    "linear_recurrence",
    "cumprod",
    "prod",
    "cummax",
    "cummin",
    "running_argmax",
    "running_argmin",
    "convolve",
    "correlate_valid",
    "argsort",
    "argpartition",
    "lexsort",
    "argmax",
    "argmin",
    "nanargmax",
    "nanargmin",
    "searchsorted",
    "digitize",
    "sort",
    "partition",
]

# Functions of a module (NumPy or jax.numpy) and of float64 arrays.
WITH_JAX = {
    "cumsum": (lambda m, x: m.cumsum(x, axis=1), X),
    "cumsum dtype": (lambda m, x: m.cumsum(x, -1, dtype=m.float32), X),
    "cumprod": (lambda m, x: m.cumprod(x, axis=1), Z),
    "cumprod of all": (lambda m, x: m.cumprod(x[0]), Z),
    "prod": (lambda m, x: m.prod(x, axis=1), Z),
    "prod over axes": (lambda m, x: m.prod(x, axis=(0, 2), keepdims=True), Z),
    "prod where": (lambda m, x: m.prod(x, axis=0, where=X > -1), Z),
    "maximum.accumulate": (lambda m, x: m.maximum.accumulate(x, axis=1), X),
    "cumulative_sum": (
        lambda m, x: m.cumulative_sum(x, axis=1, include_initial=True),
        X,
    ),
    "cumulative_prod": (
        lambda m, x: m.cumulative_prod(x, axis=0, include_initial=True),
        Z,
    ),
    "sort": (lambda m, x: m.sort(x, axis=1), X),
    "median": (lambda m, x: m.median(x, axis=1), X),
    "median over axes": (lambda m, x: m.median(x, axis=(0, 2), keepdims=True), X),
    "percentile": (lambda m, x: m.percentile(x, 30, axis=1), X),
    "quantile": (lambda m, x: m.quantile(x, m.array([0.1, 0.5, 1.0]), axis=(0, 2)), X),
    "quantile q": (
        lambda m, q: m.quantile(m.asarray(X), q, axis=1),
        np.array([0.3, 0.6]),
    ),
    "interp": (lambda m, x, xp, fp: m.interp(x, xp, fp), POINTS, GRID, V),
    "trapezoid": (lambda m, y, x: m.trapezoid(y, x, axis=1), X, GRID[:4]),
    "gradient": (lambda m, x: m.gradient(x, axis=1), X),
    "convolve": (lambda m, a, v: m.convolve(a, v), V, W[:3]),
    "convolve same": (lambda m, a, v: m.convolve(a, v, mode="same"), V[:2], W),
    "correlate": (lambda m, a, v: m.correlate(a, v), V, W[:3]),
    "polyval": (lambda m, p, x: m.polyval(p, x), V[:4], X),
    "polymul": (lambda m, p, q: m.polymul(p, q), V[:4], W),
    "vander": (lambda m, x: m.vander(x), V),
    "cov": (lambda m, x: m.cov(x), X[0]),
    "cov y": (lambda m, x, y: m.cov(x, y, rowvar=False, bias=True), X[0], X[1]),
    "cov weights": (lambda m, x, w: m.cov(x, aweights=w), X[0], W[:3]),
    "corrcoef": (lambda m, x: m.corrcoef(x), X[0]),
    "ediff1d": (lambda m, x, e: m.ediff1d(x, to_begin=e, to_end=e * 2), X, W[:2]),
    "unwrap": (lambda m, x: m.unwrap(x), 5 * X),
    "bincount": (
        lambda m, w: (
            m.bincount(np.array([0, 3, 3, 1]), w, length=6)
            if m is jnp
            else m.bincount(np.array([0, 3, 3, 1]), w, 6)
        ),
        V[:4],
    ),
}
METHODS = [
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
    "interpolated_inverted_cdf",
    "hazen",
    "weibull",
    "linear",
    "median_unbiased",
    "normal_unbiased",
    "lower",
    "higher",
    "midpoint",
    "nearest",
]
# The same, checked against central differences.
WITHOUT_JAX = {
    "partition": (lambda x: np.partition(x, 2, axis=1), X),
    "unique": (lambda x: np.unique(x), V),
    "weighted quantile": (
        lambda x: np.quantile(
            x, [0.2, 0.7], weights=W[:4], axis=1, method="inverted_cdf"
        ),
        X,
    ),
    "weighted quantile of all": (
        lambda x: np.quantile(
            x, 0.4, weights=abs(X), method="inverted_cdf", keepdims=True
        ),
        X,
    ),
    "interp period": (lambda x, f: np.interp(x, GRID, f, period=3.7), POINTS, V),
    "gradient coordinates": (lambda f, x: np.gradient(f, x, axis=1), X, GRID[:4]),
    "gradient even coordinates": (
        lambda f, x: np.gradient(f, x, axis=1, edge_order=2),
        X,
        np.arange(4.0),
    ),
    "gradient edge": (lambda f: np.gradient(f, GRID[:4], axis=1, edge_order=2), X),
    "gradient even edge": (lambda f: np.gradient(f, axis=2, edge_order=2), X),
    "interp left": (lambda x, fp: np.interp(x, GRID, fp, 9.0, 8.0), POINTS, V),
    "add.accumulate": (lambda x: np.add.accumulate(x, axis=2), X),
    "multiply.accumulate": (lambda x: np.multiply.accumulate(x, axis=1), Z),
    "sort of all": (lambda x: np.sort(x, axis=None), X),
    "median odd": (lambda x: np.median(x), V),
    "vander increasing": (lambda x: np.vander(x, 3, increasing=True), V),
    "polyadd": (lambda p, q: np.polyadd(p, q), V[:4], W),
    "convolve valid": (lambda a, v: np.convolve(a, v, mode="valid"), V, W[:3]),
    "correlate same": (lambda a, v: np.correlate(a, v, mode="same"), V[:4], W),
    "minimum.accumulate": (lambda x: np.minimum.accumulate(x), X),
    "prod of all": (lambda x: np.prod(x, initial=2.0), Z),
    "cumsum of all": (lambda x: np.cumsum(x), X),
    "trapezoid dx": (lambda y: np.trapezoid(y, dx=0.5), X),
    "gradient of axes": (lambda x: np.stack(np.gradient(x, 0.5, axis=(0, 2))), X),
    "quantile lower": (lambda x: np.quantile(x, 0.3, axis=1, method="lower"), X),
    "polyder": (lambda p: np.polyder(p, 2), V),
    "multiply.reduce": (lambda x: np.multiply.reduce(x, axis=1), Z),
    "polysub": (lambda p, q: np.polysub(p, q), V[:4], W),
    "histogram": (
        lambda w: np.histogram(V, bins=4, range=(-1, 1), weights=w, density=True)[0],
        W,
    ),
    "cov both weights": (
        lambda x, w: np.cov(x, fweights=np.array([1, 2, 1]), aweights=w),
        X[0],
        W[:3],
    ),
    "fmax.reduce": (lambda x: np.fmax.reduce(x, axis=1), X),
    **{
        f"quantile {method}": (
            lambda x, method=method: np.quantile(x, [0.0, 0.37, 1], 1, method=method),
            X,
        )
        for method in METHODS
    },
}


def same(found, expected, ulps=4):
    """Equal in type, shape and dtype, and in value up to rounding."""
    assert isinstance(found, np.ndarray) == isinstance(expected, np.ndarray)
    assert np.shape(found) == np.shape(expected)
    assert found.dtype == expected.dtype
    if found.dtype.kind not in "fc":
        assert np.array_equal(found, expected)
        return
    eps = np.finfo(found.dtype).eps
    scale = np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=ulps * eps, atol=eps * scale)


def weights_of(out, seed=2):
    return np.random.default_rng(seed).uniform(-1, 1, np.shape(out))


def objective(function, module, *args):
    """A nonlinear function of what ``function`` returns."""
    out = function(*args)
    return module.sum(module.sin(out) * weights_of(out))


def both_orders(grad, function, module, positions, tangents):
    """The gradient of the objective, and the gradient of that along ``tangents``."""
    first = grad(functools.partial(objective, function, module), positions)

    def along(*args):
        pairs = zip(first(*args), tangents, strict=True)
        return sum(module.sum(ct * t) for ct, t in pairs)

    return lambda *args: (first(*args), grad(along, positions)(*args))


def check_values(function, args):
    expected = function(*args)
    value, _ = fgrad.vjp(function, *args)
    same(value, expected)
    program = check(fgrad.make_program(function)(*args))
    same(program(*args)[0], expected)
    # a second run takes the same structure; a run on plain arrays is NumPy's own
    same(fgrad.vjp(function, *args)[0], expected)


def check_pairing(function, args, tolerance=1e-11):
    """<J t, ct> = <t, J^T ct>"""
    tangents = tuple(weights_of(x, seed) for seed, x in enumerate(args))
    out, t_out = fgrad.jvp(function, args, tangents)
    ct = weights_of(out, 9).astype(out.dtype)
    _, pull = fgrad.vjp(function, *args)
    left = np.sum(t_out * ct)
    right = sum(np.sum(t * c) for t, c in zip(tangents, pull(ct), strict=True))
    assert abs(left - right) <= tolerance * max(1, abs(left))


@pytest.mark.parametrize("name", WITH_JAX)
def test_like_jax(name):
    function, *args = WITH_JAX[name]
    args = tuple(args)
    positions = tuple(range(len(args)))
    ours, theirs = functools.partial(function, np), functools.partial(function, jnp)
    check_values(ours, args)
    single = "dtype" in name
    check_pairing(ours, args, 1e-5 if single else 1e-11)
    tolerance = (
        {"rtol": 1e-5, "atol": 1e-5} if single else {"rtol": 1e-9, "atol": 1e-11}
    )
    tangents = tuple(weights_of(x, seed) for seed, x in enumerate(args))
    both = both_orders(fgrad.grad, ours, np, positions, tangents)(*args)
    expected = jax.jit(both_orders(jax.grad, theirs, jnp, positions, tangents))(*args)
    pairs = zip((*both[0], *both[1]), (*expected[0], *expected[1]), strict=True)
    for found, wanted in pairs:
        np.testing.assert_allclose(found, wanted, **tolerance)


def check_differences(function, args, tolerance=2e-7):
    """The derivative along one direction against central differences."""
    tangents = tuple(weights_of(x, seed + 5) for seed, x in enumerate(args))
    _, slope = fgrad.jvp(function, args, tangents)
    step = 1e-6
    ends = [
        function(*(x + sign * step * t for x, t in zip(args, tangents, strict=True)))
        for sign in (1, -1)
    ]
    np.testing.assert_allclose(
        slope, (ends[0] - ends[1]) / (2 * step), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("name", WITHOUT_JAX)
def test_like_differences(name):
    function, *args = WITHOUT_JAX[name]
    args = tuple(args)
    check_values(function, args)
    check_pairing(function, args)
    check_differences(function, args)
    positions = tuple(range(len(args)))
    gradient = fgrad.grad(functools.partial(objective, function, np), positions)
    check_pairing(lambda *xs: gradient(*xs)[0], args)
    check_differences(lambda *xs: gradient(*xs)[0], args)


@pytest.mark.parametrize("name", NAMES)
def test_samples(name):
    prim = Primitive.registry[name]
    for sample in prim.samples():

        def run(*operands, sample=sample):
            return prim(*operands, **sample.params)

        expected = run(*sample.operands)
        assert prim.infer([type_of(x) for x in sample.operands], sample.params) == (
            type_of(expected),
        )
        same(
            check(fgrad.make_program(run)(*sample.operands))(*sample.operands)[0],
            expected,
        )


DTYPES = ["float64", "float32", "float16", "complex128", "int64", "uint16", "bool"]
# Functions of an array of shape (2, 4, 4) and any dtype.
ANY_DTYPE = {
    "cumsum": lambda x: np.cumsum(x),
    "cumsum method": lambda x: x.cumsum(0),
    "cumprod": lambda x: np.cumprod(x, axis=-1),
    "cumsum dtype": lambda x: np.cumsum(x, 1, dtype=complex),
    "cumulative_sum": lambda x: np.cumulative_sum(x, axis=1, include_initial=True),
    "prod": lambda x: np.prod(x, axis=(0, -1)),
    "prod method": lambda x: x.prod(),
    "prod initial": lambda x: np.prod(x, axis=0, where=MASK, initial=2, keepdims=True),
    "maximum.accumulate": lambda x: np.maximum.accumulate(x, axis=1),
    "sort": lambda x: np.sort(x, axis=0, kind="stable"),
    "argsort": lambda x: np.argsort(x, axis=0, kind="stable"),
    "argsort of all": lambda x: x.argsort(axis=None, stable=True),
    "argmax": lambda x: np.argmax(x, axis=1, keepdims=True),
    "argmin": lambda x: np.argmin(x, keepdims=True),
    "nanargmax": lambda x: np.nanargmax(x, axis=0),
    "nanargmin": lambda x: np.nanargmin(x),
    "partition": lambda x: np.partition(x, (0, -1), axis=1),
    "argpartition": lambda x: np.argpartition(x, -1),
    "lexsort": lambda x: np.lexsort((x, x[::-1])),
    "searchsorted": lambda x: np.searchsorted(np.sort(x.ravel()), x, side="right"),
    "sorter": lambda x: np.searchsorted(x[0, 0], [1, 2], sorter=np.argsort(x[0, 0])),
    "digitize": lambda x: np.digitize(x, [0, 1, 2]),
    "unique": lambda x: np.unique(x),
    "unique rows": lambda x: np.unique(x, axis=1),
    "unique counts": lambda x: np.unique(x, return_counts=True)[1],
    "unique inverse": lambda x: np.unique(x, return_index=True, return_inverse=True)[2],
    "median": lambda x: np.median(x, axis=(0, 2), keepdims=True),
    "quantile": lambda x: np.quantile(x, 0.3),
    "quantile weak": lambda x: np.quantile(x, np.float64(0.3), axis=0),
    "quantile single": lambda x: np.quantile(x, np.float32(0.3), axis=0),
    "quantile integer": lambda x: np.quantile(x, [0, 1], axis=1),
    "percentile": lambda x: np.percentile(x, [5, 95.0], axis=(0, 1), keepdims=True),
    "percentiles": lambda x: np.percentile(x, [[5, 95], [1, 2]], 1, method="hazen"),
    "histogram": lambda x: np.histogram(x, 4, (0, 3), density=True)[0],
    "trapezoid": lambda x: np.trapezoid(x, np.arange(4) ** 2, axis=2),
    "gradient": lambda x: np.gradient(x, 0.5, axis=1, edge_order=2),
    "gradient of axes": lambda x: np.gradient(x, 1, 2, np.arange(4) ** 2)[2],
    "convolve": lambda x: np.convolve(x[0, 0], x[1, 1]),
    "correlate": lambda x: np.correlate(x[0, 0, :2], x[0, 1], "same"),
    "polyval": lambda x: np.polyval([1, 2, 3], x),
    "polymul": lambda x: np.polymul([0, 1, 2], x[0, 0]),
    "vander": lambda x: np.vander(x[0, 0]),
    "cov": lambda x: np.cov(x[0]),
    "corrcoef": lambda x: np.corrcoef(x[0]),
    "ediff1d": lambda x: np.ediff1d(x, [1, 2], 0),
}
MASK = np.array([True, True, False, True])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(-2 if dtype[0] in "fc" else 0, 4, (2, 4, 4)).astype(dtype)
    if dtype == "complex128":
        x = x + 1j * rng.integers(-2, 4, (2, 4, 4))
    runs = [lambda f: fgrad.make_program(f)(x)(x)[0]]
    if x.dtype.kind in "fc":
        runs.append(lambda f: fgrad.vjp(f, x)[0])
    for name, function in ANY_DTYPE.items():
        try:
            expected = function(x)
        except TypeError:
            for run in runs:
                with pytest.raises(TypeError):
                    run(function)
            continue
        for run in runs:
            try:
                same(run(function), expected)
            except AssertionError as error:
                raise AssertionError(name) from error


def test_products_are_exact_at_zeros():
    one, two = np.array([2.0, 0.0, 3.0]), np.array([0.0, 5.0, 0.0])
    gradient = fgrad.grad(np.prod)
    assert np.array_equal(gradient(one), [0, 6, 0])
    assert np.array_equal(gradient(two), [0, 0, 0])
    hessian = np.array(
        [fgrad.grad(lambda x, k=k: gradient(x)[k])(two) for k in range(3)]
    )
    assert np.array_equal(hessian, [[0, 0, 5], [0, 0, 0], [5, 0, 0]])
    third = fgrad.grad(lambda x: fgrad.grad(lambda y: gradient(y)[0])(x)[2])(two)
    assert np.array_equal(third, [0, 1, 0])


def test_sort_at_ties_and_nan():
    x = np.array([2.0, np.nan, 1.0, 2.0, -0.0, 0.0, np.inf])

    def f(x):
        return np.sum(np.sort(x) * np.arange(1.0, 8.0))

    assert np.array_equal(fgrad.grad(f)(x), [4, 7, 3, 5, 1, 2, 6])
    t = np.array([1.0, 10.0, 100.0])
    _, t_out = fgrad.jvp(np.maximum.accumulate, (np.array([3.0, 3.0, np.nan]),), (t,))
    assert np.array_equal(t_out, [1, 1, 100])


def test_median_and_quantile_of_nan():
    x = np.array([[1.0, np.nan, 2.0], [3.0, 1.0, 2.0]])
    for f in (lambda x: np.median(x, 1), lambda x: np.quantile(x, [0.2, 0.9], axis=1)):
        same(fgrad.vjp(f, x)[0], f(x))


def test_positions_are_plain_numbers_in_a_gradient():
    def f(x):
        k = np.argmax(x)
        assert type(k) is np.int64
        assert type(np.argsort(x)) is np.ndarray
        return x[k] * np.searchsorted(np.sort(x), 0.5)

    assert np.array_equal(fgrad.grad(f)(np.array([0.0, 3.0, 1.0])), [0, 1, 0])


def test_even_coordinates_have_their_own_derivatives():
    # NumPy's value is that of one spacing; the derivative is not
    f, x = np.array([0.0, 1.0, 4.0, 9.0]), np.arange(4.0)
    out, t_out = fgrad.jvp(lambda x: np.gradient(f, x), (x,), (np.eye(4)[3],))
    assert np.array_equal(out, np.gradient(f, x))
    assert np.array_equal(t_out, [0, 0, -3, -5])


def test_interp_at_the_points_and_at_equal_points():
    grid, values = np.array([0.0, 1.0, 3.0]), np.array([1.0, 2.0, -2.0])
    slope = fgrad.grad(lambda x: np.sum(np.interp(x, grid, values)))(grid)
    assert np.array_equal(slope, [1, -2, -2])
    x, jump = np.array([0.5, 1.0, 1.5]), np.array([0.0, 1.0, 1.0, 2.0])
    heights = np.array([0.0, 1.0, 5.0, 6.0])
    value, pull = fgrad.vjp(lambda h: np.interp(x, jump, h), heights)
    same(value, np.interp(x, jump, heights))
    assert np.array_equal(pull(np.ones(3))[0], [0.5, 0.5, 1.5, 0.5])
    with pytest.raises(TypeError, match="real coordinates"):
        fgrad.vjp(lambda x: np.interp(x, grid, values), x + 1j)


def test_out_and_in_place():
    def f(x):
        target = np.copy(x)
        np.cumsum(x * x, out=target)
        target.sort()
        return np.sum(target * np.arange(3))

    x = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(fgrad.grad(f)(x), [6, -12, 12])
    with pytest.raises(fgrad.errors.TracerConversionError, match="out="):
        fgrad.grad(lambda x: np.sum(np.cumsum(x, out=np.empty(3))))(x)


def test_histogram_edges_do_not_lose_a_gradient():
    x = np.array([0.5, 1.5, 1.7])
    with pytest.raises(fgrad.errors.UnsupportedFunctionError, match="range="):
        fgrad.grad(lambda x: np.sum(np.histogram(x, 3)[1]))(x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.quantile(x, 1.5),
        lambda x: np.quantile(x, 0.5, method="none"),
        lambda x: np.partition(x, 9),
        lambda x: np.cumulative_sum(np.stack([x, x])),
        lambda x: np.gradient(x[:1]),
        lambda x: np.gradient(x, np.arange(2.0)),
        lambda x: np.convolve(x, []),
        lambda x: np.cumsum(x, axis=3),
        lambda x: np.sort(x, axis=3),
    ],
)
def test_errors_are_numpy_s(function):
    x = np.arange(3.0)
    with pytest.raises(ValueError) as expected:
        function(x)
    with pytest.raises(type(expected.value)):
        fgrad.vjp(function, x)


def test_programs_of_shapes_only():
    def f(x):
        middle = np.median(x, axis=0) + np.quantile(x, 0.3, axis=0)
        return np.sum(np.sort(x) * np.cumprod(x, 1) + np.maximum.accumulate(x) + middle)

    program = check(fgrad.make_program(f)(fgrad.Aval((4, 3), "float64")))
    same(program(X[0])[0], f(X[0]))
