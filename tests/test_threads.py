"""Many threads differentiate at once: no thread sees anything of another's trace."""

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad.trace import TRIE

THREADS = 16
ROUNDS = 12


@pytest.fixture(autouse=True)
def eager_switching() -> Iterator[None]:
    """Threads take turns after a few bytecodes, and structures are learnt anew."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    TRIE.clear()
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """The results of ``work(0)`` ... ``work(15)``, started together."""
    barrier = threading.Barrier(THREADS)

    def start(number: int) -> Any:
        barrier.wait(timeout=60)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(start, range(THREADS)))


def loss(x: Any, depth: int) -> Any:
    for k in range(depth):
        x = np.tanh(x * (k + 1.5)) + x[::-1] ** 2
        x[0] = 0.5 * x[-1]
    return np.sum(x)


def expected(depth: int, x: Any) -> Any:
    """The gradient by forward mode in this thread alone."""
    f = lambda y: loss(y * 1.0, depth)
    return np.array([fgrad.jvp(f, (x,), (row,))[1] for row in np.eye(len(x))])


def point(number: int) -> Any:
    return np.linspace(-0.5, 0.7, 4) + 0.01 * number


def gradient_of(depth: int) -> Any:
    return fgrad.grad(lambda x: loss(x * 1.0, depth))


def test_one_structure_in_all_threads() -> None:
    """The first run of a structure, by all threads at the same moment."""
    rows = at_once(lambda n: [gradient_of(3)(point(n)) for _ in range(ROUNDS)])
    for number, row in enumerate(rows):
        for found in row:
            np.testing.assert_array_equal(found, row[0])
        np.testing.assert_allclose(row[0], expected(3, point(number)), 1e-12)


def test_different_structures() -> None:
    def work(number: int) -> list[Any]:
        depths = [(number + k) % 6 + 1 for k in range(ROUNDS)]
        return [(depth, gradient_of(depth)(point(number))) for depth in depths]

    for number, row in enumerate(at_once(work)):
        for depth, found in row:
            np.testing.assert_allclose(found, expected(depth, point(number)), 1e-12)


def test_all_transforms_mixed() -> None:
    """Nested transforms, linearisations and programs in neighbouring threads."""

    def work(number: int) -> Any:
        x, t = point(number), np.ones(4)
        f = lambda y: loss(y * 1.0, 2)
        for _ in range(ROUNDS):
            kind = number % 4
            if kind == 0:
                result = fgrad.jvp(fgrad.grad(f), (x,), (t,))[1]
            elif kind == 1:
                result = fgrad.grad(lambda y: np.sum(fgrad.grad(f)(y) * t))(x)
            elif kind == 2:
                result = fgrad.hessian(f)(x) @ t
            else:
                program = fgrad.check(fgrad.make_program(fgrad.grad(f))(x))
                result = fgrad.jvp(lambda y: program(y)[0], (x,), (t,))[1]
        return result

    f = lambda y: loss(y * 1.0, 2)
    for number, found in enumerate(at_once(work)):
        alone = fgrad.hessian(f)(point(number)) @ np.ones(4)
        np.testing.assert_allclose(found, alone, 1e-10, 1e-12)


def test_one_pullback_shared_by_all_threads() -> None:
    x = np.linspace(0.1, 1.0, 50)
    _, pullback = fgrad.vjp(lambda y: np.sin(y) * np.cumsum(y), x)
    alone = pullback(np.ones(50))[0]
    rows = at_once(lambda n: [pullback(np.full(50, n + 1.0))[0] for _ in range(ROUNDS)])
    for number, row in enumerate(rows):
        for found in row:
            np.testing.assert_allclose(found, (number + 1.0) * alone, 1e-12)


def test_forgetting_structures_while_others_trace() -> None:
    """Past its limit the trie is emptied; running traces must not notice."""

    def work(number: int) -> Any:
        if number % 4 == 0:
            for _ in range(200):
                TRIE.clear()
            return None
        return [gradient_of(number % 5 + 1)(point(number)) for _ in range(ROUNDS)]

    for number, row in enumerate(at_once(work)):
        for found in row or []:
            reference = expected(number % 5 + 1, point(number))
            np.testing.assert_allclose(found, reference, 1e-12)


def test_tracers_of_another_thread_have_their_own_trace() -> None:
    """A tracer handed to a thread belongs to the trace that it came from."""
    results: list[Any] = []

    def f(x: Any) -> Any:
        def helper() -> None:
            results.append(fgrad.grad(lambda y: y * y * x)(2.0))

        thread = threading.Thread(target=helper)
        thread.start()
        thread.join()
        return results[-1] * x

    assert fgrad.grad(f)(3.0) == 2 * 2 * 2.0 * 3.0


def test_errors_in_one_thread_do_not_reach_another() -> None:
    def work(number: int) -> Any:
        for _ in range(ROUNDS):
            if number % 2:
                with pytest.raises(fgrad.errors.NonScalarOutputError):
                    fgrad.grad(lambda x: x * 2)(np.ones(3))
            else:
                result = gradient_of(2)(point(number))
        return None if number % 2 else result

    for number, found in enumerate(at_once(work)):
        if found is not None:
            np.testing.assert_allclose(found, expected(2, point(number)), 1e-12)
