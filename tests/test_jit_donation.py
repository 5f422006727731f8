"""Donated arguments of ``jit``: right results, whatever shares their memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fgrad

SIZES = [1, 5, 20_000]  # of kept buffers, and of none
Arrays = tuple[np.ndarray, ...]


def fresh(size: int) -> np.ndarray:
    return np.linspace(0.1, 1.0, size)


def twice(size: int) -> Arrays:
    x = fresh(size)
    return x, x


def overlapping(size: int) -> Arrays:
    buffer = fresh(size + 1)
    return buffer[:-1], buffer[1:]


def reversed_view(size: int) -> Arrays:
    x = fresh(size)
    return x, x[::-1]


def read_only(size: int) -> Arrays:
    x = fresh(size)
    x.flags.writeable = False
    return x, fresh(size)


def strided(size: int) -> Arrays:
    return fresh(2 * size)[::2], fresh(size)


def one_element(size: int) -> Arrays:
    """An array that overlaps itself."""
    return np.lib.stride_tricks.as_strided(fresh(1), (size,), (0,)), fresh(size)


def apart(size: int) -> Arrays:
    return fresh(size), fresh(size) + 1.0


ARGUMENTS = [
    twice,
    overlapping,
    reversed_view,
    read_only,
    strided,
    one_element,
    apart,
]
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda x, y: (x * 2.0 + y) * 3.0 - y * x.shape[0],
    "both": lambda x, y: (x * 2.0, y * 3.0),
    "as it is": lambda x, y: (x, y * 3.0),
    "swapped": lambda x, y: (y, x),
    "views": lambda x, y: (x, x[::2], x[::-1] + y),
    "written": lambda x, y: _written(x) + y,
    "twice": lambda x, y: [x, x, y],
}


def _written(x: Any) -> Any:
    x = x * 1.0
    x[0] = 7.0
    return x


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("donated", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("make", ARGUMENTS)
def test_results(make: Any, name: str, donated: tuple[int, ...], size: int) -> None:
    f = FUNCTIONS[name]
    jitted = fgrad.jit(f, donate_argnums=donated)
    for _ in range(4):
        args = make(size)
        before = [x.copy() for x in args]
        expected = fgrad.tree.flatten(f(*before))[0]
        before = [x.copy() for x in args]
        found = fgrad.tree.flatten(jitted(*args))[0]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
            assert one.flags.writeable
        for number, x in enumerate(found):
            assert not any(np.shares_memory(x, y) for y in found[:number])
        for number, (x, copy) in enumerate(zip(args, before, strict=True)):
            if number in donated:
                continue
            if not any(np.shares_memory(x, args[k]) for k in donated):
                np.testing.assert_array_equal(x, copy)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_not_donated_stays(size: int) -> None:
    """Also where it overlaps what is."""
    jitted = fgrad.jit(lambda x, y: (x * 2.0) * y, donate_argnums=0)
    for make in (twice, overlapping, reversed_view, apart):
        for _ in range(3):
            x, y = make(size)
            before = y.copy()
            out = jitted(x, y)
            np.testing.assert_array_equal(y, before)
            out[...] = -1.0
            np.testing.assert_array_equal(y, before)


def test_results_are_written_into_donated_arrays() -> None:
    """Or nothing of the above would be tested."""
    jitted = fgrad.jit(lambda x, y: (x * 2.0) * y, donate_argnums=0)
    shared = []
    for _ in range(3):
        x, y = apart(50)
        shared.append(np.shares_memory(jitted(x, y), x))
    assert shared == [False, True, True]


@pytest.mark.parametrize("names", ["state", ("state",)])
def test_by_name_and_in_containers(names: Any) -> None:
    def step(state: dict[str, Any], rate: float) -> dict[str, Any]:
        return {
            "w": state["w"] - rate * state["w"],
            "b": [state["b"][0] * rate, state["w"]],
        }

    for jitted in (
        fgrad.jit(step, donate_argnames=names),
        fgrad.jit(step, donate_argnums=0),
        fgrad.jit(step, donate_argnums=-2),
    ):
        state = {"w": fresh(9000), "b": [fresh(3)]}
        expected = {"w": fresh(9000), "b": [fresh(3)]}
        for _ in range(5):
            state["b"], expected["b"] = state["b"][:1], expected["b"][:1]
            state, expected = jitted(state, rate=0.5), step(expected, 0.5)
            for one, other in zip(
                fgrad.tree.flatten(state)[0],
                fgrad.tree.flatten(expected)[0],
                strict=True,
            ):
                np.testing.assert_array_equal(one, other)


def test_state_with_one_array_in_two_places() -> None:
    jitted = fgrad.jit(
        lambda state: {"a": state["a"] * 2.0, "b": state["b"] * 3.0}, donate_argnums=0
    )
    for _ in range(3):
        x = fresh(30)
        out = jitted({"a": x, "b": x})
        np.testing.assert_array_equal(out["a"], fresh(30) * 2.0)
        np.testing.assert_array_equal(out["b"], fresh(30) * 3.0)


@pytest.mark.parametrize("size", SIZES)
def test_guards_leave_donated_arrays_for_other_paths(size: int) -> None:
    def f(x: Any, y: Any) -> Any:
        z = x * 2.0
        return z + y if np.sum(z) > 0 else z - y

    jitted = fgrad.jit(f, donate_argnums=0)
    for sign in (1.0, -1.0, 1.0, -1.0, -1.0, 1.0):
        x, y = fresh(size) * sign, fresh(size)
        np.testing.assert_array_equal(jitted(x, y), f(x.copy(), y), strict=True)


def test_numbers_and_arrays_without_axes() -> None:
    jitted = fgrad.jit(lambda x, y: (x, y * 2.0), donate_argnums=(0, 1))
    for x in (1.5, np.float64(1.5), np.array(1.5)):
        for _ in range(3):
            one, other = jitted(x, np.ones(3))
            assert one == 1.5 and (other == 2.0).all()


def test_exported_modules_copy_too() -> None:
    jitted = fgrad.jit(lambda x, y: (x * 2.0 + y, y * 3.0), donate_argnums=(0, 1))
    jitted(*apart(4))
    scope: dict[str, Any] = {}
    exec(jitted.source, scope)
    x = fresh(4)
    one, other = scope["function"](x, x)
    np.testing.assert_array_equal(one, fresh(4) * 2.0 + fresh(4))
    np.testing.assert_array_equal(other, fresh(4) * 3.0)
