"""Deep programs, memory, and structures that are learnt once; no times are asserted."""

import gc
import linecache
import tracemalloc

import numpy as np
import pytest

import fgrad
from fgrad.path import TRIE
from fgrad.transforms import tape


def chain(x, count):
    for _ in range(count // 2):
        x = np.sin(x) * 1.01
    return x


def test_a_hundred_thousand_operations():
    count = 100_000
    gradient = fgrad.grad(lambda x: chain(x, count))(0.5)
    x, expected = 0.5, 1.0
    for _ in range(count // 2):
        expected *= np.cos(x) * 1.01
        x = np.sin(x) * 1.01
    assert gradient == pytest.approx(expected, rel=1e-9)


def peak(function, *args):
    """The peak of traced memory during a call, in bytes."""
    function(*args)
    gc.collect()
    tracemalloc.start()
    function(*args)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_is_linear_in_operations():
    def run(count):
        return peak(fgrad.grad(lambda x: chain(x, count)), 0.5)

    assert run(4000) < 3 * run(2000)


@pytest.mark.parametrize(
    ("step", "arrays"),
    [
        (lambda x: x * 1.1 + 0.1, 4),  # linear: nothing is saved
        (np.sin, 53),  # the argument of each step
        (lambda x: np.tanh(x * x + 0.5), 106),
    ],
    ids=["affine", "sin", "tanh"],
)
def test_memory_of_elementwise_chains(step, arrays):
    def f(x):
        for _ in range(50):
            x = step(x)
        return np.sum(x)

    size = 100_000
    found = peak(fgrad.value_and_grad(f), np.linspace(0, 1, size))
    assert found < arrays * size * 8


def test_slot_updates_do_not_copy_the_array():
    def f(x):
        y = x.copy()
        for k in range(1, 200):
            y[k] = y[k - 1] * 0.5 + x[k]
        return y[199]

    size = 100_000
    assert peak(fgrad.grad(f), np.ones(size)) < 8 * size * 8


def test_known_structures_derive_nothing(monkeypatch):
    def f(x, rate):
        return np.sum(np.tanh(x) * rate)

    gradient = fgrad.grad(f)
    first = gradient(np.ones(3), 0.1)
    nodes = TRIE.size

    def fail(*args):
        raise AssertionError("a known structure was derived again")

    monkeypatch.setattr(tape, "_derive", fail)
    second = gradient(np.ones(3), 0.2)  # another number: the same structure
    assert np.allclose(second, 2 * first)
    assert TRIE.size == nodes


def test_trie_is_bounded_and_clearable(monkeypatch):
    TRIE.clear()
    monkeypatch.setattr("fgrad.path.TRIE_LIMIT", 50)
    for count in range(1, 60):
        gradient = fgrad.grad(lambda x, n=count: chain(x, 2 * n))(0.1)
        assert np.isfinite(gradient)
    assert TRIE.size <= 50
    TRIE.clear()
    assert TRIE.size == 0


def test_source_of_forgotten_programs_is_forgotten():
    def generated():
        gc.collect()
        return {name for name in linecache.cache if name.startswith("<fgrad program")}

    gradient = fgrad.grad(lambda x: np.sum(np.cosh(x) * np.sinh(x)))
    before = generated()
    for _ in range(3):
        gradient(np.ones(7))
    (source,) = generated() - before
    TRIE.clear()
    assert source in generated()  # `linecache` may be in use
    for _ in range(3):
        fgrad.grad(lambda x: np.sum(np.cosh(x) * np.cos(x)))(np.ones(7))
    assert source not in generated()


def test_nothing_is_kept_after_a_gradient():
    def run():
        big = np.ones(200_000)
        return fgrad.grad(lambda x: np.sum(x * big))(2.0)

    run()
    run()
    gc.collect()
    tracemalloc.start()
    run()
    gc.collect()
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < 200_000


def test_the_first_gradient_keeps_no_more_than_later_ones() -> None:
    """The interpreter frees what is overwritten under another name."""

    def f(x):
        for _ in range(20):
            x = np.tanh(x * x + 0.5)
        return np.sum(x)

    fgrad.clear_caches()
    x = np.linspace(0.5, 0.9, 50_000)
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        fgrad.grad(f)(x)
        peaks.append(tracemalloc.get_traced_memory()[1] / x.nbytes)
        tracemalloc.stop()
    assert max(peaks) < 20 + 5
