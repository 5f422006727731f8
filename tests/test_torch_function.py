"""``autograd.Function``: what it gives, records, warns of and raises is PyTorch's."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, blocks, outcome

import fgrad.torch as torch


@pytest.mark.parametrize("source", blocks("custom"))
def test_functions(source: str) -> None:
    agree(source)


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        result = x**3
        ctx.save_for_backward(x, result)
        ctx.note = "any"
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        x, _ = ctx.saved_tensors
        return gradient * 3 * x**2


def test_no_cycles() -> None:
    """Saved results do not hold their node."""
    x = torch.ones(4, requires_grad=True)

    def step(order: int) -> None:
        out = Cube.apply(Cube.apply(x * 2))
        for _ in range(order):
            (out,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        out.sum().backward()

    for _ in range(6):  # until all is compiled
        step(0)
        step(2)
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            step(0)
            step(2)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_what_is_saved_is_freed() -> None:
    x = torch.ones(1000, requires_grad=True)
    middle = x * 2
    memory = weakref.ref(middle._array)
    loss = Cube.apply(middle).sum()
    del middle
    assert memory() is not None
    loss.backward()
    assert memory() is None


def test_a_graph_is_freed_with_its_last_tensor() -> None:
    x = torch.ones(3, requires_grad=True)
    middle = Cube.apply(x)
    known = weakref.ref(middle.grad_fn)
    out = middle.sin()
    del middle
    assert known() is not None
    del out
    (x * 1).sum().item()  # what is recorded is looked through
    assert known() is None


def test_gradients_do_not_share_memory() -> None:
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, x: Any, y: Any) -> Any:
            return x + y

        @staticmethod
        def backward(_: Any, gradient: Any) -> Any:
            kept.append(gradient)
            return gradient, gradient

    kept: list[Any] = []
    x, y = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    Both.apply(x, y).sum().backward()
    x.grad.zero_()
    assert y.grad.tolist() == [1.0] * 3
    assert kept[0].tolist() == [1.0] * 3


def test_threads() -> None:
    x = torch.ones(20, requires_grad=True)

    def work(number: int) -> float:
        own = torch.full((20,), float(number), requires_grad=True)
        for _ in range(20):
            (Cube.apply(own) * x).sum().backward()
        return float(own.grad[0])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(8)))
    assert results == [20 * 3.0 * k**2 for k in range(8)]


def test_long_chains() -> None:
    class Half(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, x: Any) -> Any:
            return x / 2

        @staticmethod
        def backward(_: Any, gradient: Any) -> Any:
            return gradient * 2

    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(2000):
        y = Half.apply(y) * 0.5
    y.backward()
    assert x.grad.item() == 1.0


def test_around_numpy() -> None:
    """The usual reason: code that is not recorded."""

    class Sort(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            values = x.numpy()
            ctx.order = np.argsort(values)
            return torch.from_numpy(values[ctx.order])

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            back = np.empty_like(ctx.order)
            back[ctx.order] = np.arange(len(back))
            return torch.from_numpy(gradient.numpy()[back])

    x = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    (Sort.apply(x.exp()) * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    expected = np.exp([3.0, 1.0, 2.0]) * [100.0, 1.0, 10.0]
    assert np.allclose(x.grad.numpy(), expected)


def test_a_dirty_view_is_refused() -> None:
    source = """
class F(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)
v = w * 1
F.apply(v[:2])"""
    assert "give it a clone() of the view" in outcome(source, torch)
