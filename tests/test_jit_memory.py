"""Buffers that a jitted function keeps: nobody else ever sees them."""

import sys
import threading
import tracemalloc
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fgrad

N = 20_000
X = np.linspace(0.1, 1.0, N)
M = np.random.default_rng(0).standard_normal((40, 50))
CONSTANT = np.linspace(0.0, 1.0, N)


def leaves(tree: Any) -> list[Any]:
    return [x for x in fgrad.tree.flatten(tree)[0] if isinstance(x, np.ndarray)]


def large(x: Any) -> Any:
    """An array that goes into a kept buffer."""
    return np.sin(x) * 2.0


def loop(x: Any, steps: int) -> Any:
    def step(state: Any) -> Any:
        return state[0] * 2.0, state[1] + 1

    return fgrad.while_loop(lambda s: s[1] < steps, step, (large(x), 0))[0]


def updated(x: Any) -> Any:
    y = large(x)
    y[3:9] = np.cos(x[3:9])
    part = y[2:5]
    y *= 2.0
    return part, y, y[1:4]


def branch(x: Any) -> Any:
    def yes(y: Any) -> Any:
        return y, y, y[::2]

    def no(y: Any) -> Any:
        return y * 2.0, y, y[1::2]

    return fgrad.cond(x[0] > 0, yes, no, large(x))


def several(y: Any) -> Any:
    return (
        (y.reshape(100, -1), y.reshape(100, -1).T, y[None], y[5:6], y[0]),
        (y, y[::2], y[::-1], np.ravel(y), np.squeeze(y[None]), np.flip(y)),
        (np.broadcast_to(y, (2, N)), np.split(y, 2), np.real(y), +y, y.copy()),
    )


def product(m: Any) -> Any:
    y = m @ m.T
    return y.T, y @ y, np.tanh(y), np.diagonal(y), y[0], y.reshape(-1)


def smooth(x: Any) -> Any:
    return np.sum(np.sin(x) * np.exp(x))


FUNCTIONS: dict[str, tuple[Callable[..., Any], Any]] = {
    "views": (lambda x: several(large(x)), X),
    "nothing kept": (lambda x: (x, x[::2], x.reshape(2, -1), x), X),
    "constants": (lambda x: (large(x), CONSTANT, CONSTANT[::2], CONSTANT), X),
    "twice": (lambda x: [large(x), large(x), {"a": large(x)}], X),
    "chain": (lambda x: np.exp(large(np.cos(large(x)))) + x, X),
    "updates": (updated, X),
    "no step": (lambda x: loop(x, 0), X),
    "two steps": (lambda x: loop(x, 2), X),
    "branches": (branch, X),
    "other branch": (branch, -X),
    "scan": (lambda x: fgrad.scan(lambda c, k: (c, c * k), large(x), M[:3, 0]), X),
    "identity": (lambda x: fgrad.scan(lambda c, k: (c, k), large(x), M[:3, 0]), X),
    "checkpoint": (fgrad.checkpoint(lambda x: several(large(x))), X),
    "products": (product, M),
    "complex": (lambda x: (lambda y: (y.real, y.imag, y))(np.exp(1j * x)), X),
    "sorted": (lambda x: (np.sort(large(x)), np.cumsum(large(x)), large(x)), X),
    "value and gradient": (fgrad.value_and_grad(smooth), X),
    "tangents": (lambda x: fgrad.jvp(large, (x,), (large(x),)), X),
    "rows": (fgrad.vmap(lambda x: (large(x), large(x)[::2])), X.reshape(10, -1)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_the_callers(name: str) -> None:
    """Each is overwritten, and later calls and results are as before."""
    f, given = FUNCTIONS[name]
    jitted = fgrad.jit(f)
    argument = given.copy()
    jitted(argument)  # traced: sums are added in another order than later
    expected = [np.copy(x) for x in leaves(jitted(argument))]
    for one, other in zip(expected, leaves(f(argument)), strict=True):
        np.testing.assert_allclose(one, other, 1e-12, 1e-12, strict=True)
    others = [argument, CONSTANT]
    for _ in range(4):
        found = leaves(jitted(argument))
        for x, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x, wanted, strict=True)
        for x in found:
            assert not any(np.shares_memory(x, y) for y in others)
            others.append(x)
        for x in found:
            x[...] = -7
    np.testing.assert_array_equal(argument, given)
    assert not (np.array([0.0, -7.0]) == CONSTANT[1]).any()


def test_buffers_are_kept() -> None:
    """Or nothing above would be tested."""
    for name in ("views", "updates", "products", "value and gradient"):
        f, argument = FUNCTIONS[name]
        jitted = fgrad.jit(f)
        jitted(argument)
        assert "kept: " in jitted.explain(), name


# --- threads


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def hammer(jitted: Any, arguments: list[Any], expected: list[Any], calls: int) -> None:
    """Three threads call at once, and overwrite what they get after a look at it."""
    wrong: list[Any] = []
    gate = threading.Barrier(3)

    def work(number: int) -> None:
        held: list[Any] = []
        gate.wait()
        try:
            for call in range(calls):
                k = (number + call) % len(arguments)
                found = fgrad.tree.flatten(jitted(arguments[k]))[0]
                held = [*held[-4:], (found, k)]
                for results, j in held:
                    for x, y in zip(results, expected[j], strict=True):
                        np.testing.assert_allclose(x, y, 1e-11, 1e-11)
                for x in held[0][0] if len(held) == 5 else []:
                    x[...] = 0.0
                held = held[1:] if len(held) == 5 else held
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def kept_only(x: Any) -> Any:
    y = large(x)
    return np.cumsum(y) + np.cos(y) * x, y[::3]


def branching(x: Any) -> Any:
    y = large(x)
    z = np.cos(y) * y
    return (z + 1.0, y) if np.sum(x) > 0 else (z * x, x + y)


def masked(x: Any) -> Any:
    y = large(x)
    return y[y > 0.5] * 2.0, y * 3.0


def blocked(x: Any) -> Any:
    z = x
    for k in range(8):
        z = np.sin(z) * (k + 1.0) + x
    return np.cos(z), z


THREADED: dict[str, tuple[Callable[..., Any], int, int]] = {
    "kept": (kept_only, 9_000, 30),
    "guards": (branching, 9_000, 30),
    "masks": (masked, 9_000, 20),
    "blocks": (blocked, 150_000, 4),
}


@pytest.mark.parametrize("is_warm", [False, True])
@pytest.mark.parametrize("name", THREADED)
def test_threads(name: str, is_warm: bool, switching: None) -> None:
    f, size, calls = THREADED[name]
    rng = np.random.default_rng(0)
    arguments = [s * rng.uniform(0.1, 1.0, size) for s in (1.0, -1.0, 1.0, -2.0)]
    expected = [fgrad.tree.flatten(f(x))[0] for x in arguments]
    jitted = fgrad.jit(f)
    for x in arguments if is_warm else []:
        jitted(x)
        jitted(x)
    hammer(jitted, arguments, expected, calls)
    if is_warm and name == "blocks":
        assert "fused: " in jitted.explain()


def test_what_a_guard_saw_is_read_before_buffers_are_given_back() -> None:
    """Another thread may fill them from then on."""
    jitted = fgrad.jit(masked)
    jitted(X)
    lines = jitted.source.splitlines()
    (test,) = (k for k, line in enumerate(lines) if "if array_key(" in line)
    inside = lines[test + 1 : test + 4]
    assert [line.count("array_key") for line in inside] == [1, 0, 0]
    assert ".append(kept)" in inside[1] and "return other_" in inside[2]


# --- how much


def peak(jitted: Any, *args: Any, calls: int = 3) -> int:
    """Bytes of a call at its height, above what there was before it.

    ``calls`` so many went before: after three it is warm.
    """
    for _ in range(calls):
        jitted(*args)
    tracemalloc.start()
    out = jitted(*args)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del out
    return found


def long(length: int) -> Callable[..., Any]:
    def f(x: Any) -> Any:
        total = x * 0.5
        for k in range(length):
            total = total + np.sin(total * (k + 1.0)) * np.cos(x)
        return total

    return f


def test_blocks_take_no_more_for_more_equations(monkeypatch: Any) -> None:
    monkeypatch.setattr("fgrad.threads.thread_count", lambda: 1)
    x = np.linspace(0.0, 1.0, 300_000)
    jitted = [fgrad.jit(long(length)) for length in (10, 40)]
    few, many = (peak(f, x) for f in jitted)
    assert all("fused: " in f.explain() for f in jitted)
    assert many < few + 0.05 * x.nbytes
    assert many < 1.5 * x.nbytes  # the result, and blocks


def test_the_first_call_frees_what_it_needs_no_more() -> None:
    """The backward pass holds residuals until they are read, and few cotangents."""
    x = np.linspace(0.0, 1.0, 100_000)
    gradient = fgrad.grad(lambda x: np.sum(long(10)(x)))
    first = peak(fgrad.jit(gradient), x, calls=0)
    assert first < 1.1 * peak(gradient, x, calls=2)


@pytest.mark.parametrize("name", ["chain", "value and gradient", "products", "updates"])
def test_warm_calls_make_their_results_only(name: str) -> None:
    f, argument = FUNCTIONS[name]
    jitted = fgrad.jit(f)
    results = sum(x.nbytes for x in leaves(jitted(argument)))
    assert peak(jitted, argument) < results + 20_000


def test_calls_of_many_paths_keep_no_more_memory() -> None:
    """Each path has buffers of its own, once."""
    jitted = fgrad.jit(branching)
    for x in (X, -X, X, -X):
        jitted(x)
        jitted(x)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(10):
        jitted(X)
        jitted(-X)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 10_000


def _reshape(array: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        array.shape = (2, array.size // 2)


def _lock(array: Any) -> None:
    array.flags.writeable = False


@pytest.mark.parametrize("change", [_reshape, _lock])
def test_results_that_were_changed_are_not_written_again(change: Any) -> None:
    x = np.linspace(0.0, 1.0, 20_000)
    jitted = fgrad.jit(lambda x: np.sin(x) * 2.0)
    expected = np.sin(x) * 2.0
    for _ in range(5):
        out = jitted(x)
        np.testing.assert_array_equal(out, expected, strict=True)
        change(out)
        del out


def test_results_with_weak_references_are_not_written_again() -> None:
    x = np.linspace(0.0, 1.0, 20_000)
    jitted = fgrad.jit(lambda x: np.sin(x) * 2.0)
    jitted(x)
    seen = weakref.ref(jitted(x))
    for _ in range(3):
        out = jitted(x)
        assert out is not seen()


def test_results_that_nobody_holds_are_written_again() -> None:
    x = np.linspace(0.0, 1.0, 20_000)
    jitted = fgrad.jit(lambda x: np.sin(x) * 2.0)
    jitted(x)
    held = jitted(x)
    view = jitted(x)[5:]
    addresses = {jitted(x).ctypes.data for _ in range(6)}
    assert len(addresses) <= 2
    assert held.ctypes.data not in addresses
    assert view.base.ctypes.data not in addresses
    np.testing.assert_array_equal(held, np.sin(x) * 2.0)
