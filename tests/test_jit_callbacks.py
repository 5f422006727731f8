"""Functions of the user's inside ``jit``: what they are shown is theirs to keep."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fgrad

N = 20_000
X = np.linspace(0.1, 1.0, N)
M = np.random.default_rng(0).standard_normal((40, 40))


def leaves(tree: Any) -> list[Any]:
    return [x for x in fgrad.tree.flatten(tree)[0] if isinstance(x, np.ndarray)]


def large(x: Any) -> Any:
    """An array that goes into a kept buffer."""
    return np.sin(x) * 2.0


def keeper(seen: list[Any], like: Any) -> Callable[..., Any]:
    """A function that keeps the arrays it is given, with copies to compare."""

    def keep(x: Any) -> Any:
        seen.append((x, x.copy()))
        return x * 2.0

    return fgrad.external(keep, like)


def compare_seen(seen: list[Any]) -> None:
    assert seen
    for x, copy in seen:
        np.testing.assert_array_equal(x, copy)


@pytest.mark.parametrize("size", [5, N])
def test_external_functions_may_keep_their_arguments(size: int) -> None:
    seen: list[Any] = []
    x = np.linspace(0.1, 1.0, size)
    keep = keeper(seen, x)

    def overwritten(x: Any) -> Any:
        y = large(x)
        return np.cos(y * 3.0) + keep(y)

    def part(x: Any) -> Any:
        y = large(x).reshape(-1, 1)
        return np.cos(y * 3.0)[:, 0] + keep(y[:, 0])

    def stepped(x: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            y = carry * 0.5
            return y, keep(y)[0]

        return fgrad.scan(step, large(x), np.arange(4.0))

    def chosen(x: Any) -> Any:
        yes = lambda y: keep(y * 2.0) * 3.0
        return fgrad.cond(x[0] > 0, yes, lambda y: y, large(x)) * 3.0

    for f in (overwritten, part, stepped, chosen):
        jitted = fgrad.jit(f)
        seen.clear()
        for k in range(4):
            argument = x * (k + 1)
            for one, other in zip(leaves(jitted(argument)), leaves(f(argument))):
                np.testing.assert_allclose(one, other, 1e-13)
        compare_seen(seen)


def test_external_functions_may_keep_products() -> None:
    seen: list[Any] = []
    keep = keeper(seen, M)

    def f(m: Any) -> Any:
        a = m @ m
        b = keep(a)
        return (a @ m) @ m @ m @ b

    for function in (f, fgrad.make_program(f)(M)):
        jitted = fgrad.jit(function)
        for k in range(4):
            jitted(M * (k + 1.0))
    compare_seen(seen)


def test_external_functions_may_keep_donated_arguments() -> None:
    seen: list[Any] = []
    keep = keeper(seen, X)
    jitted = fgrad.jit(lambda x: keep(x) + x * 2.0, donate_argnums=0)
    for _ in range(4):
        jitted(X.copy())
    compare_seen(seen)


def test_external_functions_may_return_what_they_hold() -> None:
    own = np.ones(N)
    f = fgrad.external(lambda x: own, X)
    same = fgrad.external(lambda x: x, X)
    jitted = fgrad.jit(lambda x: (f(x) * 2.0 + 1.0, f(large(x)), same(large(x))))
    expected = 3.0, 1.0, large(X)
    for _ in range(4):
        results = jitted(X)
        for one, other in zip(results, expected, strict=True):
            np.testing.assert_array_equal(one, np.broadcast_to(other, N))
            one[...] = -1.0
        assert (own == 1.0).all()


def test_rules_may_keep_their_arguments() -> None:
    seen: list[Any] = []

    def look(*arrays: Any) -> None:
        seen.extend((x, x.copy()) for x in arrays if isinstance(x, np.ndarray))

    @fgrad.custom_vjp
    def f(x: Any) -> Any:
        look(x)
        return np.sin(x)

    def backward(x: Any, ct: Any) -> Any:
        look(x, ct)
        return (ct * np.cos(x),)

    f.defvjp(lambda x: (f(x), x), backward)
    gradient = fgrad.grad(lambda x: np.sum(f(np.tanh(x) * 2.0) ** 2 * 3.0))
    jitted = fgrad.jit(gradient)
    for k in range(4):
        np.testing.assert_allclose(jitted(X * k), gradient(X * k), 1e-13)
    compare_seen(seen)


def test_reentrancy() -> None:
    def again(x: Any) -> Any:
        return jitted(x - 1.0) if x[0] > 0 else x

    inner = fgrad.external(again, X)

    def f(x: Any) -> Any:
        y = large(x) + x
        z = inner(x)
        return np.cumsum(y) + z

    def plain(x: Any) -> Any:
        y = large(x) + x
        return np.cumsum(y) + (plain(x - 1.0) if x[0] > 0 else x)

    jitted = fgrad.jit(f)
    for depth in (3.0, 0.0, 5.0, 3.0):
        np.testing.assert_array_equal(jitted(X + depth), plain(X + depth))
    assert "kept: " in jitted.explain()


def test_errors_in_the_middle() -> None:
    def check(x: Any) -> Any:
        if x[0] > 5.0:
            raise RuntimeError("too large")
        return x * 2.0

    checked = fgrad.external(check, X)
    f = lambda x: np.cumsum(large(x)) + checked(x)
    jitted = fgrad.jit(f)
    for shift in (0.0, 0.0, 10.0, 0.0, 10.0, 10.0, 1.0, 0.0):
        if shift > 5.0:
            with pytest.raises(RuntimeError, match="too large"):
                jitted(X + shift)
        else:
            np.testing.assert_array_equal(jitted(X + shift), f(X + shift))
