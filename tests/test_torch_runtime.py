"""Memory, threads, depth, caches, and what importing costs."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fgrad.torch as torch
from fgrad.torch import backward as backward_module
from fgrad.transforms import tape


@pytest.mark.parametrize("with_backward", [True, False])
def test_a_long_loop_does_not_grow(with_backward: bool) -> None:
    """Nothing is kept, and nothing waits for the cycle collector."""
    weight = torch.ones(4, requires_grad=True)

    def steps(count: int) -> None:
        loss = None
        for step in range(count):
            loss = (weight * 2.0 + step).sin().sum()
            if with_backward:
                weight.grad = None
                loss.backward()
        del loss

    gc.collect()
    gc.disable()
    try:
        steps(3000)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        steps(10_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert after - before < 100_000


def test_a_graph_is_freed_with_its_last_tensor() -> None:
    x = torch.ones(3, requires_grad=True)
    middle = x * 2
    known = weakref.ref(middle.grad_fn)
    out = middle.sin()
    del middle
    assert known() is not None
    del out
    (x * 1).sum().item()  # what is recorded is looked through
    assert known() is None


def test_what_was_saved_is_freed_by_backward() -> None:
    x = torch.ones(1000, 1000, requires_grad=True)
    middle = x * 2
    square = middle * middle
    memory = weakref.ref(middle._array)
    loss = square.sum()
    del middle
    assert memory() is not None
    loss.backward()
    assert memory() is None


def test_deep_chains() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward()
    assert x.grad.item() == 1.0
    del y


def test_a_structure_is_derived_once(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    original = tape.derived

    def counting(*args: object) -> object:
        nonlocal count
        count += 1
        return original(*args)

    monkeypatch.setattr(backward_module, "derived", counting)
    x = torch.ones(3, 1, 2, requires_grad=True)
    for step in range(20):
        (x * (0.1 * step) + step).tanh().mean().backward()
    assert count == 1


def test_the_mode_belongs_to_the_thread() -> None:
    seen = []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: seen.append(torch.is_grad_enabled()))
        thread.start()
        thread.join()
        assert not torch.is_grad_enabled()
    assert seen == [True]


def test_threads_share_leaves_and_graphs() -> None:
    shared = torch.ones(50, requires_grad=True)
    start = shared * 2.0

    def work(number: int) -> float:
        own = torch.full((50,), float(number), requires_grad=True)
        for _ in range(50):
            loss = (start * own).sum()
            loss.backward(retain_graph=True)
            (shared * own).sum().backward()
        return float(own.grad[0])

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(work, range(16)))
    assert results == [50 * 3.0] * 16
    assert shared.grad[0].item() == 50 * 3.0 * sum(range(16))


def test_a_tensor_goes_from_thread_to_thread() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with ThreadPoolExecutor(1) as pool:
        y = pool.submit(lambda: x * x).result()
        z = pool.submit(lambda: (y * 3).sum()).result()
    z.backward()
    assert x.grad.tolist() == [6.0, 12.0]


def test_gradients_do_not_share_memory() -> None:
    x = torch.ones(3, requires_grad=True)
    w = torch.full((3,), 2.0, requires_grad=True)
    seed = torch.ones(3)
    (x + 0).backward(seed)
    x.grad.zero_()
    assert seed.tolist() == [1.0] * 3
    (gradient,) = torch.autograd.grad((x * w).sum(), x, create_graph=True)
    with torch.no_grad():
        gradient.zero_()
    assert w.tolist() == [2.0] * 3


def test_large_constants_are_watched() -> None:
    """A change behind the back of the version counter is refused, too."""
    data = np.ones(5000, np.float32)
    x = torch.ones(5000, requires_grad=True)
    loss = (x * torch.from_numpy(data)).sum()
    data[:] = 2.0
    with pytest.raises(RuntimeError, match="changed in place after it was used"):
        loss.backward()


def test_orders_of_differentiation() -> None:
    x = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    value = (x * 2).sin()
    for order in range(1, 6):
        (value,) = torch.autograd.grad(value, x, create_graph=True)
        exact = 2**order * np.sin(2 * 0.5 + order * np.pi / 2)
        assert abs(value.item() - exact) < 1e-12


def test_random_numbers_repeat() -> None:
    torch.manual_seed(3)
    first = torch.rand(4), torch.randn(2, 2), torch.rand(2, dtype=torch.float64)
    torch.manual_seed(3)
    second = torch.rand(4), torch.randn(2, 2), torch.rand(2, dtype=torch.float64)
    for x, y in zip(first, second, strict=True):
        assert torch.equal(x, y)
    generator = torch.Generator().manual_seed(5)
    assert generator.initial_seed() == 5
    assert torch.rand(3, generator=generator).dtype is torch.float32
    assert 0 <= torch.rand(1000).min().item() < torch.rand(1000).max().item() < 1
    assert abs(torch.randn(100_000).mean().item()) < 0.02


def test_import_brings_neither_jax_nor_torch() -> None:
    program = (
        "import sys, fgrad.torch as torch\n"
        "torch.ones(2, requires_grad=True).sum().backward()\n"
        "assert not {'jax', 'torch', 'scipy'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
