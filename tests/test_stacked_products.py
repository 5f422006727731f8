"""Products of stacks of matrices, on several threads where that pays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad import threads
from fgrad.ops import contract

RNG = np.random.default_rng(0)
SHAPES = [
    ((5, 2, 3), (5, 3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (1, 3, 4)),
    ((4, 5, 2, 3), (5, 3, 4)),
    ((4, 1, 2, 3), (1, 5, 3, 4)),
]


@pytest.fixture(params=[1, 2, 3])
def some_threads(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """So many threads, and stacks that are worth them."""
    monkeypatch.setattr(contract, "WORK_FOR_THREADS", 1)
    monkeypatch.setenv("FGRAD_NUM_THREADS", str(request.param))
    forget()
    yield
    monkeypatch.undo()
    forget()


def forget() -> None:
    threads._pool.cache_clear()
    threads.thread_count.cache_clear()
    fgrad.clear_caches()


def product(x: Any, y: Any) -> Any:
    return np.tanh(x @ y)


def operands(shapes: Any, dtype: str = "float64") -> list[Any]:
    return [RNG.uniform(-1.0, 1.0, shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_same_bits(shapes: Any, dtype: str, some_threads: None) -> None:
    x, y = operands(shapes, dtype)
    jitted = fgrad.jit(product)
    for _ in range(4):
        np.testing.assert_array_equal(jitted(x, y), product(x, y), strict=True)
    assert "stacked_products(" in jitted.source


def test_transposed_stacks(some_threads: None) -> None:
    x, y = operands(((5, 3, 2), (5, 4, 3)))
    f = lambda x, y: product(np.swapaxes(x, 1, 2), np.swapaxes(y, 1, 2))
    jitted = fgrad.jit(f)
    for _ in range(4):
        np.testing.assert_array_equal(jitted(x, y), f(x, y))


def test_only_what_pays() -> None:
    """A stack of small matrices; not one product, few, or ones that BLAS shares."""
    jitted = fgrad.jit(product)

    def is_shared(*shapes: tuple[int, ...]) -> bool:
        jitted.clear_cache()
        args = operands(shapes)
        for _ in range(3):
            jitted(*args)
        return "stacked_products(" in jitted.source

    assert is_shared((64, 40, 50), (64, 50, 60))
    assert not is_shared((2, 40, 50), (2, 50, 60))
    assert not is_shared((8, 200, 100), (8, 100, 90))
    assert not is_shared((2000, 50), (50, 60))


def test_exported(tmp_path: Path, some_threads: None) -> None:
    x, y = operands(SHAPES[0])
    jitted = fgrad.jit(product)
    for _ in range(3):
        jitted(x, y)
    scope: dict[str, Any] = {}
    exec(fgrad.export(jitted, (x, y), tmp_path / "product.py").read_text(), scope)
    np.testing.assert_array_equal(scope["product"](x, y), product(x, y))
