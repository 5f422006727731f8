"""Hooks of tensors, nodes and modules: what they see, give and raise is PyTorch's."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch_oracle import agree, blocks

import fgrad.torch as torch
from fgrad.torch import backward as backward_module


@pytest.mark.parametrize("source", blocks("hooks"))
def test_hooks(source: str) -> None:
    agree(source)


@pytest.mark.parametrize("source", blocks("module_hooks"))
def test_module_hooks(source: str) -> None:
    agree(source)


def test_hooks_leave_no_cycles() -> None:
    weight = torch.ones(4, requires_grad=True)
    layer = torch.nn.Linear(4, 4)
    layer.register_full_backward_hook(lambda *_: None)
    layer.register_full_backward_pre_hook(lambda *_: None)
    weight.register_hook(lambda g: g * 2)
    weight.register_post_accumulate_grad_hook(lambda leaf: None)

    def step() -> None:
        middle = weight * 2
        middle.register_hook(lambda g: g + 1)
        middle.retain_grad()
        middle.grad_fn.register_prehook(lambda gs: None)
        middle.grad_fn.register_hook(lambda gi, go: None)
        layer(middle).sum().backward()

    for _ in range(6):  # until all is compiled
        step()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            step()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_hooked_graph_is_freed() -> None:
    x = torch.ones(1000, requires_grad=True)
    middle = x * 2
    square = middle * middle
    square.register_hook(lambda g: g)
    memory = weakref.ref(middle._array)
    loss = square.sum()
    del middle
    assert memory() is not None
    loss.backward()
    assert memory() is None


def test_without_hooks_one_program_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    original = backward_module.run_on

    def counting(*args: object, **named: object) -> object:
        nonlocal count
        count += 1
        return original(*args, **named)

    monkeypatch.setattr(backward_module, "run_on", counting)
    x = torch.ones(3, requires_grad=True)

    def programs(hooked: int) -> int:
        nonlocal count
        y = x
        for k in range(10):
            y = y.sin()
            if k < hooked:
                y.register_hook(lambda g: g)
        count = 0
        y.sum().backward()
        return count

    assert programs(0) == 1
    assert programs(1) == 2
    assert programs(2) == 3
    handle = x.register_hook(lambda g: g)
    assert programs(0) == 1
    handle.remove()


def test_a_cut_structure_is_derived_once(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    original = backward_module.derived

    def counting(*args: object) -> object:
        nonlocal count
        count += 1
        return original(*args)

    monkeypatch.setattr(backward_module, "derived", counting)
    x = torch.ones(3, 7, 2, requires_grad=True)
    for step in range(20):
        y = (x * (0.1 * step) + step).tanh()
        y.register_hook(lambda g: g * 2)
        y.exp().mean().backward()
    assert count == 2


def test_threads_with_hooks() -> None:
    shared = torch.ones(50, requires_grad=True)
    start = shared * 2.0
    seen = []
    start.register_hook(lambda g: seen.append(threading.get_ident()))

    def work(number: int) -> float:
        own = torch.full((50,), float(number), requires_grad=True)
        own.register_hook(lambda g: g * 2)
        for _ in range(20):
            (start * own).sum().backward(retain_graph=True)
        return float(own.grad[0])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(8)))
    assert results == [20 * 2.0 * 2] * 8
    assert len(seen) == 160
    assert shared.grad[0].item() == 20 * 2.0 * sum(range(8))


def test_deep_chains_with_hooks() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for k in range(3000):
        y = y * 1.0
        if k % 3 == 0:
            y.register_hook(lambda g: g)
    y.backward()
    assert x.grad.item() == 1.0
