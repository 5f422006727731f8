"""``where`` is NaN-safe: what a mask removes is exactly zero in every derivative.

Each function selects, by a mask, between a branch that is singular where it is not
taken and a harmless one. No double-where is needed. The reference is the difference
quotient, away from the singular points.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad.testing import check_grads

X = np.array([-1.25, 0.0, 0.5, 2.0, 0.0, -3.0])
GRID = X.reshape(2, 3)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The branch that is not taken is evaluated outside its domain."""
    with np.errstate(all="ignore"):
        yield


def log_where(x: Any) -> Any:
    return np.where(x > 0, np.log(x), 0.0)


def sinc_where(x: Any) -> Any:
    return np.where(x == 0, 1.0, np.sin(x) / x)


def sqrt_where(x: Any) -> Any:
    return np.where(x > 0, np.sqrt(x), 0.0)


def power_where(x: Any) -> Any:
    return np.where(x > 0, x**1.5 + x**-0.5, x)


def general_power_where(x: Any) -> Any:
    return np.where(x > 0, x ** (x + 0.5), x)


def entropy_where(x: Any) -> Any:
    return np.where(x > 0, -x * np.log(x), 0.0)


def reciprocal_where(x: Any) -> Any:
    return np.where(x != 0, 1 / x, 0.0)


def arcsin_where(x: Any) -> Any:
    return np.where(np.abs(x) < 1, np.arcsin(x), np.sign(x))


def exp_where(x: Any) -> Any:
    return np.where(x > 1, x, np.log1p(np.exp(400 * x)) / 400)


def nested_where(x: Any) -> Any:
    inner = np.where(x < 1, np.log(x), np.sqrt(x - 1))
    return np.where(x > 0, inner * x, -x)


def reversed_where(x: Any) -> Any:
    return np.where(x <= 0, 0.0, np.log(x) * np.sqrt(x))


def chain_where(x: Any) -> Any:
    return np.where(x > 0, np.exp(np.sqrt(np.log1p(x) / x) * 2.0), 1.0)


def norm_where(x: Any) -> Any:
    square = np.sum(x.reshape(-1, 1) ** 2, axis=1)
    return np.where(square > 0, np.sqrt(square), 0.0)


def filled_where(x: Any) -> Any:
    """``out=`` with ``where=``: the ufunc's own mask."""
    out = np.zeros_like(x)
    np.log(x, out=out, where=x > 0)
    return out


def masked_write(x: Any) -> Any:
    out = np.log(x)
    out[x <= 0] = 0.0
    return out


def masked_read(x: Any) -> Any:
    keep = x > 0
    out = 0.0 * x
    out[keep] = np.log(x[keep])
    return out


def selected(x: Any) -> Any:
    return np.select([x > 1, x > 0], [np.sqrt(x - 1), np.log(x)], default=0.0)


def piecewise(x: Any) -> Any:
    return np.piecewise(x, [x > 0], [lambda y: np.log(y), lambda y: 0.0 * y])


FUNCTIONS = [
    log_where,
    sinc_where,
    sqrt_where,
    power_where,
    general_power_where,
    entropy_where,
    reciprocal_where,
    arcsin_where,
    exp_where,
    nested_where,
    reversed_where,
    chain_where,
    norm_where,
    filled_where,
    masked_write,
    masked_read,
    selected,
    piecewise,
]

# What lies between the singular branch and the select, or behind the select.
CHAINS: dict[str, Callable[[Any, Callable[[Any], Any]], Any]] = {
    "direct": lambda f, x: np.sum(f(x) * WEIGHTS),
    "reshape": lambda f, x: np.sum(f(x.reshape(3, 2)).reshape(-1) * WEIGHTS),
    "transpose": lambda f, x: np.sum(f(x.reshape(2, 3).T).T.ravel() * WEIGHTS),
    "index": lambda f, x: np.sum(f(x[::-1])[::-1] * WEIGHTS),
    "gather": lambda f, x: np.sum(f(x[[5, 4, 3, 2, 1, 0]]) * WEIGHTS[::-1]),
    "stack": lambda f, x: np.sum(np.stack([f(x), 2 * f(x)]) * WEIGHTS) / 3,
    "scale": lambda f, x: np.sum(f(2.0 * (x / 2.0)) * WEIGHTS),
    "nonlinear": lambda f, x: np.sum(np.tanh(f(x)) * WEIGHTS),
    "quotient": lambda f, x: np.sum(f(x) * WEIGHTS) / (2 + np.sum(f(x) ** 2)),
}
WEIGHTS = np.array([1.0, -2.0, 3.0, 0.5, 0.25, -1.5])


def assert_finite_and_right(loss: Callable[[Any], Any], gradient: Any) -> None:
    """Finite everywhere; the difference quotient away from the singular points."""
    assert np.all(np.isfinite(gradient)), gradient
    for k in np.flatnonzero(X):
        unit = np.eye(6)[k]
        errors = []
        for step in (1e-3, 1e-4, 1e-5):
            slope = (loss(X + step * unit) - loss(X - step * unit)) / (2 * step)
            errors.append(abs(slope - gradient[k]) / (1 + abs(slope)))
        assert min(errors) < 1e-6, (k, gradient[k], slope)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("f", FUNCTIONS)
def test_first_order(f: Any, chain: str) -> None:
    """Reverse mode; the function's value is NumPy's all the same."""
    total = lambda x: CHAINS[chain](f, x)
    for _ in range(2):
        value, gradient = fgrad.value_and_grad(total)(X)
        assert value == total(X)
        assert_finite_and_right(total, gradient)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("f", FUNCTIONS)
def test_forward_mode(f: Any, chain: str) -> None:
    total = lambda x: CHAINS[chain](f, x)
    gradient = fgrad.grad(total)(X)
    for k in range(6):
        tangent = fgrad.jvp(total, (X,), (np.eye(6)[k],))[1]
        np.testing.assert_allclose(tangent, gradient[k], 1e-10, 1e-10)


@pytest.mark.parametrize("chain", ["direct", "transpose", "nonlinear"])
@pytest.mark.parametrize("f", FUNCTIONS)
def test_second_order(f: Any, chain: str) -> None:
    """All nestings: finite, equal, and right where there is a difference quotient."""
    total = lambda x: CHAINS[chain](f, x)
    gradient = fgrad.grad(total)
    t = np.array([0.5, 1.0, -1.0, 2.0, 0.3, -0.7])
    expected = fgrad.jvp(gradient, (X,), (t,))[1]
    assert np.all(np.isfinite(expected)), expected
    nestings = [
        fgrad.grad(lambda x: np.sum(gradient(x) * t))(X),
        fgrad.grad(lambda x: fgrad.jvp(total, (x,), (t,))[1])(X),
    ]
    for found in nestings:
        np.testing.assert_allclose(found, expected, 1e-9, 1e-9)
    twice = lambda x: fgrad.jvp(lambda y: fgrad.jvp(total, (y,), (t,))[1], (x,), (t,))[
        1
    ]
    np.testing.assert_allclose(twice(X), expected @ t, 1e-9, 1e-9)
    moved = np.where(X == 0, 0.0, t)
    along = fgrad.jvp(gradient, (X,), (moved,))[1]
    errors = []
    for step in (1e-4, 1e-5):
        slope = (gradient(X + step * moved) - gradient(X - step * moved)) / (2 * step)
        errors.append(
            np.max(np.abs(slope - along)[X != 0] / (1 + np.abs(slope))[X != 0])
        )
    assert min(errors) < 1e-5


def test_known_values() -> None:
    g = fgrad.grad(lambda x: np.sum(log_where(x)))
    np.testing.assert_array_equal(g(np.array([-1.0, 0.0, 4.0])), [0, 0, 0.25])
    g = fgrad.grad(lambda x: np.sum(sinc_where(x)))
    assert g(np.array([0.0]))[0] == 0.0
    g = fgrad.grad(lambda x: np.sum(sqrt_where(x)))
    np.testing.assert_array_equal(g(np.array([0.0, 4.0])), [0, 0.25])


def test_scalars() -> None:
    assert fgrad.grad(log_where)(0.0) == 0.0
    assert fgrad.grad(log_where)(-2.0) == 0.0
    assert fgrad.grad(sinc_where)(0.0) == 0.0
    assert fgrad.grad(fgrad.grad(log_where))(0.0) == 0.0
    assert fgrad.jvp(log_where, (0.0,), (1.0,))[1] == 0.0


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_sums_before_the_select(axis: Any) -> None:
    """Rows of zeros: the norm is not differentiable there, and is masked out."""
    rows = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]])

    def f(x: Any) -> Any:
        square = np.sum(x**2, axis=axis, keepdims=True)
        norm = np.sqrt(square)
        return np.sum(np.where(square > 0, norm, 0.0))

    gradient = fgrad.grad(f)(rows)
    norm = np.sqrt(np.sum(rows**2, axis=axis, keepdims=True))
    safe = np.where(norm > 0, norm, 1.0)
    np.testing.assert_allclose(gradient, rows / safe, 1e-12)
    second = fgrad.jvp(fgrad.grad(f), (rows,), (np.ones_like(rows),))[1]
    assert np.all(np.isfinite(second))


def test_masked_mean_over_an_axis() -> None:
    def f(x: Any) -> Any:
        logs = np.where(x > 0, np.log(x), 0.0)
        return np.sum(np.sum(logs, axis=1) / np.maximum(np.sum(x > 0, axis=1), 1))

    gradient = fgrad.grad(f)(GRID)
    expected = np.where(GRID > 0, 1 / GRID, 0) / [[1.0], [1.0]]
    np.testing.assert_allclose(gradient, expected)


def test_mask_that_broadcasts() -> None:
    """One mask for whole rows, and one value against a mask of many."""
    keep = np.array([[True], [False]])
    x = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.0]])
    gradient = fgrad.grad(lambda x: np.sum(np.where(keep, np.log(x), 0.0)))(x)
    np.testing.assert_allclose(gradient, [[1, 1 / 2, 1 / 3], [0, 0, 0]])
    none = np.zeros((2, 3), bool)
    gradient = fgrad.grad(lambda s: np.sum(np.where(none, np.log(s), 1.0)))(0.0)
    assert gradient == 0.0


def test_mask_wider_than_what_it_selects() -> None:
    """The lower triangle of a vector that is spread over rows, through all nestings."""

    def f(x: Any) -> Any:
        rows = np.tril(x.T)
        total = np.sum(rows.T)
        return np.sum(np.sin(rows)) + np.sum(np.sin(rows * fgrad.stop_gradient(total)))

    def g(x: Any) -> Any:
        wide = np.where(np.eye(3, dtype=bool), np.log(x), 0.0)
        return np.sum(np.sin(wide * 2.0) * x + np.sqrt(x) * wide)

    x, t = np.array([0.371, 0.813, 1.137]), np.array([1.0, -2.0, 0.5])
    for loss in (f, g):
        gradient = fgrad.grad(loss)
        expected = fgrad.jvp(gradient, (x,), (t,))[1]
        found = fgrad.grad(lambda y, gradient=gradient: np.sum(gradient(y) * t))(x)
        np.testing.assert_allclose(found, expected, 1e-10)
        slope = lambda y, loss=loss: fgrad.jvp(loss, (y,), (t,))[1]
        np.testing.assert_allclose(fgrad.grad(slope)(x), expected, 1e-10)
    check_grads(g, (x,))


def test_broadcast_before_the_select() -> None:
    """A vector spread over rows, some of which are masked out."""
    keep = np.array([[True, False, True], [True, False, False]])
    x = np.array([2.0, 0.0, 4.0])
    gradient = fgrad.grad(lambda x: np.sum(np.where(keep, np.log(x), 0.0)))(x)
    np.testing.assert_allclose(gradient, [2 / 2, 0, 1 / 4])


def test_shared_operand_of_both_branches() -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        return np.sum(np.where(x > 0, np.log(y), y))

    np.testing.assert_allclose(fgrad.grad(f)(np.array([0.0, 4.0])), [2.0, 0.25])


def test_two_selects_with_one_mask_and_with_two() -> None:
    def f(x: Any) -> Any:
        keep = x > 0
        return np.sum(np.where(keep, np.log(x), 0.0) * np.where(keep, np.sqrt(x), 0.0))

    def g(x: Any) -> Any:
        first = np.where(x > 0, np.log(x), 0.0)
        return np.sum(np.where(x < 3, first * np.sqrt(3 - x), 0.0))

    x = np.array([-1.0, 0.0, 2.0, 5.0])
    expected = [1 / np.sqrt(y) + np.log(y) / (2 * np.sqrt(y)) for y in (2.0, 5.0)]
    np.testing.assert_allclose(fgrad.grad(f)(x), [0, 0, *expected])
    slope = 1 / 2 - np.log(2.0) / 2
    np.testing.assert_allclose(fgrad.grad(g)(x), [0, 0, slope, 0])


def test_products_of_the_user_keep_their_nan() -> None:
    """Only cotangents are protected: 0 * inf of the user's own is NaN, as in NumPy."""
    value, _ = fgrad.value_and_grad(lambda x: np.sum(0.0 * np.log(x)))(np.zeros(2))
    assert np.isnan(value)
    gradient = fgrad.grad(lambda x: np.sum(np.log(x)))(np.zeros(2))
    assert np.all(np.isinf(gradient))


def test_maximum_of_a_singular_branch() -> None:
    """sqrt(max(x, 0)) has slope infinity times zero at x <= 0."""
    gradient = fgrad.grad(lambda x: np.sum(np.sqrt(np.maximum(x, 0.0))))
    np.testing.assert_array_equal(gradient(np.array([-1.0, 4.0])), [0.0, 0.25])


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.where(x[:, None] > 0, np.log(x[:, None]) * np.ones(2), 0.0),
        lambda x: np.where(x > 0, np.log(x), 0.0) @ np.ones(6),
        lambda x: np.concatenate([np.where(x > 0, np.sqrt(x), 0.0), x]),
        lambda x: np.cumsum(np.where(x > 0, np.sqrt(x), 0.0)),
        lambda x: np.where(x > 0, np.sqrt(np.broadcast_to(x, (2, 6))), 0.0),
    ],
)
def test_other_operations_around_the_select(f: Any) -> None:
    """Finite in both modes; right away from the singular points."""
    gradient = fgrad.grad(lambda x: np.sum(f(x) ** 2))(X)
    assert np.all(np.isfinite(gradient))
    inside = np.array([0.5, 2.0, 1.5, 0.7, 0.2, 3.0])
    check_grads(f, (inside,))


def test_matmul_behind_a_singular_branch() -> None:
    """A product sums over the masked elements, so each must be an exact zero."""
    a = np.array([[0.0, 4.0], [9.0, 0.0]])

    def f(x: Any) -> Any:
        return np.sum(np.where(x > 0, np.sqrt(x), 0.0) @ np.ones((2, 3)))

    np.testing.assert_allclose(fgrad.grad(f)(a), [[0, 0.75], [0.5, 0]])
