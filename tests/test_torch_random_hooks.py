"""Random graphs with hooks and custom functions: gradients and calls are PyTorch's."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from torch_oracle import torch as pytorch

import fgrad.torch


def functions(torch: Any, log: list[Any]) -> list[Any]:
    """Custom functions that note when their backward runs."""

    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            return x * y + x

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            x, y = ctx.saved_tensors
            log.append("Scale")
            return gradient * (y + 1), gradient * x

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            result = x.tanh()
            ctx.save_for_backward(result)
            return result, y * 0.5

        @staticmethod
        def backward(ctx: Any, first: Any, second: Any) -> Any:
            (result,) = ctx.saved_tensors
            log.append("Pair")
            return first * (1 - result * result), second * 0.5

    return [Scale.apply, lambda x, y: Pair.apply(x, y)[0] + Pair.apply(y, x)[1]]


def watch(tensor: Any, kind: int, name: str, log: list[Any]) -> None:
    """Register a hook of one of several kinds."""

    def note(what: str, gradient: Any) -> None:
        shown = (
            None if gradient is None else gradient.detach().numpy().round(3).tolist()
        )
        log.append((name, what, shown))

    node = tensor.grad_fn
    if kind == 0:
        tensor.register_hook(lambda g: note("hook", g))
    elif kind == 1:
        tensor.register_hook(lambda g: None if g is None else g * 0.5)
    elif kind == 2 and node is not None:
        node.register_prehook(lambda gs: note("pre", gs[0]))
    elif kind == 3 and node is not None:
        node.register_hook(lambda gi, go: note("post", go[0]))
    elif kind == 4:
        tensor.retain_grad()
    elif kind == 5 and node is None:
        tensor.register_post_accumulate_grad_hook(lambda x: note("added", x.grad))


def run(torch: Any, seed: int) -> list[Any]:
    """A random program, its gradients, and what hooks saw.

    Which operations a gradient of gradients passes depends on the formulas of first
    derivatives. So there hooks replace and keep nothing, and what they see is not
    compared.
    """
    rng = random.Random(seed)
    mode = rng.randrange(4)
    kinds = [0, 2, 3] if mode == 3 else [0, 1, 2, 3, 4]
    values = np.random.default_rng(seed)
    log: list[Any] = []
    custom = functions(torch, log)
    binary = [
        lambda x, y: x * y,
        lambda x, y: x + 2 * y,
        lambda x, y: x / (y * y + 1),
        lambda x, y: (x * 0.1).exp() - y,
        lambda x, y: torch.where(x > y, x, y),
        *custom,
    ]
    leaves = [
        torch.from_numpy(values.normal(size=3)).requires_grad_() for _ in range(3)
    ]
    tensors = list(leaves)
    for k in range(rng.randrange(3, 14)):
        x, y = rng.choice(tensors[-4:]), rng.choice(tensors)
        tensors.append(rng.choice(binary)(x, y))
        if rng.random() < 0.4:
            watch(tensors[-1], rng.choice(kinds), f"t{k}", log)
    for k, leaf in enumerate(leaves):
        if rng.random() < 0.5:
            watch(leaf, rng.choice([0, 1, 5]), f"leaf{k}", log)
    outputs = [tensors[-1].sum()]
    if rng.random() < 0.3:
        outputs.append((rng.choice(tensors) * 2).sum())
    found: list[Any] = []
    if mode < 2:
        torch.autograd.backward(outputs, retain_graph=True)
        if mode:
            torch.autograd.backward(outputs)
    else:
        wanted = rng.sample(tensors, 3)
        found += torch.autograd.grad(
            outputs, wanted, allow_unused=True, create_graph=mode == 3
        )
        seen = list(log)
        depends = [x for x in found if x is not None and x.requires_grad]
        if depends:
            total = sum((x * x).sum() for x in depends)
            found += torch.autograd.grad(total, leaves, allow_unused=True)
        log[:] = seen
    found += [x.grad for x in tensors if x.is_leaf or x.retains_grad]
    shown = [None if x is None else x.detach().numpy().round(8) for x in found]
    return [shown, log]


def close(a: Any, b: Any) -> bool:
    if a is None or b is None:  # no gradient, or one that is zero everywhere
        return not np.any(b if a is None else a)
    return bool(np.allclose(a, b, rtol=1e-6, atol=1e-8))


@pytest.mark.parametrize("start", range(0, 400, 20))
def test_random_graphs(start: int) -> None:
    for seed in range(start, start + 20):
        found, log = run(fgrad.torch, seed)
        expected, expected_log = run(pytorch, seed)
        assert len(found) == len(expected), seed
        pairs = zip(found, expected, strict=True)
        assert all(close(a, b) for a, b in pairs), seed
        assert log == expected_log, seed


@pytest.mark.parametrize("start", range(120, 160, 10))
def test_random_graphs_that_were_met_before(start: int) -> None:
    """Operations are recorded then, and nodes are made later."""
    for seed in range(start, start + 10):
        expected, expected_log = run(pytorch, seed)
        for time in range(5):
            found, log = run(fgrad.torch, seed)
            pairs = zip(found, expected, strict=True)
            assert all(close(a, b) for a, b in pairs), (seed, time)
            assert log == expected_log, (seed, time)
