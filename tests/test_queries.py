"""Questions about traced arrays, and functions that are applied along axes."""

from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad.errors import UnsupportedFunctionError
from fgrad.testing import check_grads

X = np.array([[0.5, -1.25, 3.0], [2.0, 0.125, -0.75]])
Z = X + 1j * X[::-1]
SPECIAL = np.array([np.inf, -np.inf, np.nan, 0.0, 1.0])

ANSWERS: dict[str, Any] = {
    "allclose": lambda x: np.allclose(x, x + 1e-9),
    "not allclose": lambda x: np.allclose(x, x + 1.0),
    "allclose of nan": lambda x: np.allclose(x * np.nan, np.nan, equal_nan=True),
    "array_equal": lambda x: np.array_equal(x, x * 1.0),
    "array_equal of shapes": lambda x: np.array_equal(x, x[:1]),
    "array_equal of nan": lambda x: np.array_equal(x * np.nan, x * np.nan, True),
    "array_equiv": lambda x: np.array_equiv(x, x[:1]),
    "array_equiv of shapes": lambda x: np.array_equiv(x, x[:, :2]),
    "iscomplexobj": lambda x: np.iscomplexobj(x),
    "isrealobj": lambda x: np.isrealobj(x),
    "result_type": lambda x: np.result_type(x, np.float32, 1.0) == np.float64,
    "can_cast": lambda x: np.can_cast(x.dtype, np.float32),
    "common_type": lambda x: np.common_type(x, np.ones(1, "f")) is np.float64,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_choose_a_path(name: str) -> None:
    ask = ANSWERS[name]
    f = lambda x: np.sum(x**2) if ask(x) else np.sum(x**3)
    expected = 2 * X if ask(X) else 3 * X**2
    for gradient in (fgrad.grad(f), fgrad.jit(fgrad.grad(f))):
        for _ in range(3):
            np.testing.assert_allclose(gradient(X), expected)


def test_a_loop_until_values_stay() -> None:
    def root(a: Any) -> Any:
        x, before = a, a + 1.0
        while not np.allclose(x, before):
            x, before = 0.5 * (x + a / x), x
        return np.sum(x)

    a = np.array([2.0, 5.0])
    jitted = fgrad.jit(fgrad.grad(root))
    for values in (a, 100 * a, a):
        np.testing.assert_allclose(jitted(values), 0.5 / np.sqrt(values), 1e-4)


ELEMENTS: dict[str, Any] = {
    "isin": lambda x: np.isin(x, [0.5, 3.0]),
    "isin inverted": lambda x: np.isin(x, x[0], invert=True),
    "iscomplex": np.iscomplex,
    "isposinf": lambda x: np.isposinf(x / np.array([0.0, 1.0, 2.0])),
    "isneginf": lambda x: np.isneginf(x / np.array([1.0, 0.0, 2.0])),
    "astype": lambda x: np.astype(x, np.float32),
    "resize": lambda x: np.resize(x, (3, 5)),
    "resize to a line": lambda x: np.resize(x, 4),
    "choose": lambda x: np.choose(np.array([1, 0, 1]), [x, 2 * x]),
    "choose clipped": lambda x: np.choose(
        np.array([5, -1, 1]), [x, 2 * x], mode="clip"
    ),
    "along": lambda x: np.apply_along_axis(np.cumsum, 0, x),
    "along to numbers": lambda x: np.apply_along_axis(np.sum, 1, x),
    "along to matrices": lambda x: np.apply_along_axis(np.diag, -1, x),
    "along with more": lambda x: np.apply_along_axis(np.dot, 0, x, np.arange(2.0)),
    "over": lambda x: np.apply_over_axes(np.sum, x, [0, 1]),
    "over one": lambda x: np.apply_over_axes(np.mean, x, 1),
    "polyint": lambda x: np.polyint(x[0]),
    "polyint twice": lambda x: np.polyint(x[1], 2, k=[1.0, 2.0]),
    "poly": lambda x: np.poly(x[0]),
    "polyfit": lambda x: np.polyfit(np.arange(3.0), x[0], 1),
    "polyfit of columns": lambda x: np.polyfit(x[0] ** 2, x.T, 2),
    "polyfit weighted": lambda x: np.polyfit(x[1], x[0], 1, w=np.arange(1.0, 4.0)),
}


@pytest.mark.parametrize("name", ELEMENTS)
def test_values_and_derivatives(name: str) -> None:
    f = ELEMENTS[name]
    with np.errstate(all="ignore"):
        expected = f(X)
        found = [fgrad.make_program(f)(X)(X)[0], fgrad.jit(f)(X)]
    for value in found:
        assert np.asarray(value).dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(value, expected, 1e-12, 1e-12)
    if name in ("isin", "isin inverted", "iscomplex", "isposinf", "isneginf", "astype"):
        return
    weights = np.cos(np.arange(np.size(expected))).reshape(np.shape(expected))
    check_grads(lambda x: np.sum(f(x) * weights + f(x) ** 2), (X,), order=2)


def test_special_values() -> None:
    for f in (np.isposinf, np.isneginf, lambda x: np.isin(x, [0.0, np.inf])):
        np.testing.assert_array_equal(fgrad.jit(f)(SPECIAL), f(SPECIAL))
    moved = SPECIAL[[0, 0, 2, 3, 4]]
    for options in ({}, {"equal_nan": True}, {"rtol": 0.5, "atol": 1.0}):
        f = lambda x, options=options: np.isclose(x, moved, **options)
        np.testing.assert_array_equal(fgrad.jit(f)(SPECIAL), f(SPECIAL))
        g = lambda x, options=options: np.isclose(moved, x, **options)
        np.testing.assert_array_equal(fgrad.jit(g)(SPECIAL), g(SPECIAL))
    for f in (np.iscomplex, np.iscomplexobj, np.isrealobj):
        np.testing.assert_array_equal(fgrad.jit(f)(Z), f(Z))


def test_errors() -> None:
    def raised(f: Any, error: Any, match: str) -> None:
        with pytest.raises(error, match=match):
            fgrad.grad(lambda x: np.sum(f(x)))(X)

    raised(lambda x: np.resize(x, (-1,)), ValueError, "non-negative")
    raised(
        lambda x: np.choose(np.array([2, 0, 0]), [x, x]), ValueError, "invalid entry"
    )
    raised(lambda x: np.polyint(x[0], -1), ValueError, "must be positive")
    raised(lambda x: np.polyint(x[0], 3, [1.0, 2.0]), ValueError, "k must be")
    raised(
        lambda x: np.polyfit(x[0], x[1], 1, cov=True), UnsupportedFunctionError, "lst"
    )
    raised(lambda x: np.poly(x[:, :2]), UnsupportedFunctionError, "eigenvalues")
    raised(
        lambda x: np.apply_over_axes(lambda y, k: y.sum(), x, 0), ValueError, "shape"
    )
    raised(lambda x: np.apply_along_axis(np.sum, 5, x), np.exceptions.AxisError, "axis")
