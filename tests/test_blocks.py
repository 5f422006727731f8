"""Runs of elementwise equations in blocks: the same bits, and less memory."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad import threads
from fgrad.lower import blocks
from fgrad.lower.blocks import find_runs
from fgrad.lower.numpy import Executable
from fgrad.lower.plan import make_plan
from fgrad.lower.source import run_lines

RNG = np.random.default_rng(0)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of a few elements for arrays of a few elements."""
    for name, value in {"LARGE": 4, "WORK": 1, "BLOCK": 8, "SHORTEST": 2}.items():
        monkeypatch.setattr(blocks, name, value)
    fgrad.clear_caches()
    yield
    fgrad.clear_caches()


def chain(x: Any, y: Any) -> Any:
    z = np.sin(x) * y + 0.5
    z = np.where(z > 0.1, np.exp(-z), z * z)
    return np.sum(z * x) + np.sum(np.tanh(z))


FUNCTIONS = {
    "vectors": (chain, (RNG.normal(size=37), RNG.normal(size=37))),
    "rows": (chain, (RNG.normal(size=(13, 5)), RNG.normal(size=5))),
    "columns": (chain, (RNG.normal(size=(13, 5)), RNG.normal(size=(13, 1)))),
    "one row": (chain, (RNG.normal(size=(13, 5)), RNG.normal(size=(1, 5)))),
    "numbers": (chain, (RNG.normal(size=(7, 3, 2)), 0.7)),
    "strided": (chain, (RNG.normal(size=(26, 10))[::2, ::2], RNG.normal(size=5))),
    "transposed": (chain, (RNG.normal(size=(5, 13)).T, RNG.normal(size=5))),
    "float32": (chain, (RNG.normal(size=37).astype("f4"), RNG.normal(size=37))),
    "complex": (
        lambda x, y: np.sum(np.abs(np.exp(1j * x) * y + np.conj(y * x * 1j)) ** 2),
        (RNG.normal(size=21), RNG.normal(size=21)),
    ),
    "between products": (
        lambda x, y: np.sum(np.tanh(np.tanh(x @ y) * 2.0 + 1.0) @ y.T),
        (RNG.normal(size=(9, 4)), RNG.normal(size=(4, 6))),
    ),
    "in place": (
        lambda x, y: np.sum(updated(x * y + 1.0) * np.sin(x)),
        (RNG.normal(size=20), RNG.normal(size=20)),
    ),
}


def updated(z: Any) -> Any:
    z = z * 2.0
    z[3:7] = np.cos(z[3:7]) * 3.0
    z *= z
    return z + 1.0


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("derive", [lambda f: f, fgrad.value_and_grad, fgrad.hessian])
def test_same_bits(name: str, derive: Any, small_blocks: None) -> None:
    f, args = FUNCTIONS[name]
    compiled = fgrad.jit(derive(f))
    before = [np.copy(x) for x in args]
    first, *runs = (fgrad.tree.flatten(compiled(*args))[0] for _ in range(4))
    program = compiled.lower(*args)
    if derive is not fgrad.hessian:
        assert find_runs(program)[1]
    for traced, one, *others in zip(first, *runs, strict=True):
        np.testing.assert_allclose(one, traced, 1e-13, 1e-13, strict=True)  # sums
        for other in others:
            assert np.shares_memory(one, other) is False
            np.testing.assert_array_equal(other, one, strict=True)
    for x, copy in zip(args, before, strict=True):
        np.testing.assert_array_equal(x, copy)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("total", [1, 8, 9, 64, 65])
def test_parts_cover_all_rows_once(
    count: int, total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "thread_count", lambda: count)
    threads._pool.cache_clear()
    seen = np.zeros(total, int)

    def part(first: int, last: int) -> None:
        assert first % 8 == 0
        seen[first:last] += 1

    threads.run_parts(part, total, 8)
    threads._pool.cache_clear()
    assert (seen == 1).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_on_threads(
    name: str, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "WORK_FOR_THREADS", 1)
    monkeypatch.setattr(threads, "thread_count", lambda: 3)
    threads._pool.cache_clear()
    f, args = FUNCTIONS[name]
    compiled = fgrad.jit(fgrad.value_and_grad(f))
    traced, first, *later = (fgrad.tree.flatten(compiled(*args))[0] for _ in range(5))
    threads._pool.cache_clear()
    for one, other in zip(first, traced, strict=True):
        np.testing.assert_allclose(one, other, 1e-13, 1e-13, strict=True)  # sums
    for run in later:
        for one, other in zip(run, first, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def test_errors_and_error_handling_reach_all_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    threads._pool.cache_clear()

    def divide(first: int, last: int) -> None:
        np.divide(np.ones(1), np.zeros(1))

    with np.errstate(divide="ignore"):
        threads.run_parts(divide, 16, 8)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        threads.run_parts(lambda first, last: first and divide(first, last), 16, 8)
    threads._pool.cache_clear()


def test_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in (("3", 3), ("1", 1)):
        monkeypatch.setenv("FGRAD_NUM_THREADS", text)
        assert threads.thread_count.__wrapped__() == expected
    for text in ("0", "many", "-1"):
        monkeypatch.setenv("FGRAD_NUM_THREADS", text)
        with pytest.raises(ValueError, match="FGRAD_NUM_THREADS"):
            threads.thread_count.__wrapped__()
    monkeypatch.delenv("FGRAD_NUM_THREADS")
    assert threads.thread_count.__wrapped__() >= 1


def test_order_makes_runs_long(small_blocks: None) -> None:
    """What a run does not need comes before it, what needs it after."""

    def f(x: Any, w: Any) -> Any:
        a = np.sin(x)
        b = np.sum(a)
        c = np.exp(x) * a
        d = w @ w
        return b * np.sum(c * a), d

    types = fgrad.Aval((9,), "float64"), fgrad.Aval((2, 2), "float64")
    ordered, runs = find_runs(fgrad.check(fgrad.make_program(f)(*types)))
    fgrad.check(ordered)
    (run,) = runs
    names = [eqn.prim.name for eqn in ordered.eqns]
    assert names[: run.start] == ["matmul"]
    assert names[run.start : run.stop] == ["sin", "exp", "multiply", "multiply"]
    assert names[run.stop :] == ["sum", "sum", "multiply"]


def test_effects_keep_their_place(small_blocks: None) -> None:
    def f(x: Any) -> Any:
        y = np.sin(x) * 2.0
        fgrad.print("{}", y[0])
        return np.cos(y) * y

    program = fgrad.make_program(f)(fgrad.Aval((9,), "float64"))
    ordered, runs = find_runs(program)
    names = [eqn.prim.name for eqn in ordered.eqns]
    assert names.index("print") < names.index("cos")
    assert len(runs) == 2


def test_source_of_a_run(small_blocks: None) -> None:
    program = fgrad.make_program(lambda x, y: np.exp(np.sin(x) * y))(
        *(fgrad.Aval((20,), "float64"),) * 2
    )
    ordered, runs = find_runs(program)
    lines, _ = run_lines(ordered, make_plan(ordered), runs)
    code = [line for line in lines if "#" not in line]
    assert code == [
        "def run(arguments):",
        "    a, b, = arguments",
        "    arguments.clear()",
        "    e = np.empty((20,), 'float64')",
        "    float64s = float64s_taken = "
        "take_blocks(spare_blocks_0, (1, 8), 'float64')",
        "    for i0 in range(0, 20, 8):",
        "        i1 = min(i0 + 8, 20)",
        "        if i1 - i0 < 8:",
        "            float64s = [x[: i1 - i0] for x in float64s]",
        "        a_rows = a[i0:i1]",
        "        b_rows = b[i0:i1]",
        "        e_rows = e[i0:i1]",
        "        c = np.sin(a_rows, out=float64s[0])",
        "        d = np.multiply(c, b_rows, out=float64s[0])",
        "        np.exp(d, out=e_rows)",
        "    spare_blocks_0.append(float64s_taken)",
        "    return [e]",
    ]


def test_memory_does_not_grow_with_the_run() -> None:
    def peak(length: int) -> float:
        def f(x: Any) -> Any:
            total = x * 0.5
            for k in range(length):
                total = total + np.sin(total * (k + 1.0)) * np.cos(x)
            return total

        x = np.linspace(0.0, 1.0, 300_000)
        run = Executable(fgrad.make_program(f)(x))
        for _ in range(2):
            run([x])
        tracemalloc.start()
        run([x])
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found / x.nbytes

    assert peak(40) < 1.5  # the result, and blocks
    assert peak(40) < peak(10) + 0.1
