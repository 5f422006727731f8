"""Names of PyTorch that scripts use less often: texts, values, gradients, nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, blocks, snippets, torch

import fgrad.torch
from fgrad.torch.nn import everywhere

PRELUDE = """
nn = torch.nn
F = torch.nn.functional
L = torch.linalg
S = torch.special
nan, inf = float("nan"), float("inf")
line = torch.arange(42.0).reshape(2, 3, 7)
image = (torch.arange(180.0) * 7 % 31).reshape(2, 3, 5, 6)
volume = (torch.arange(480.0) * 11 % 37).reshape(2, 2, 4, 5, 6)
torch.manual_seed(0)
""".strip()


@pytest.mark.parametrize("source", snippets("names", "names_rare", "names_rarer"))
def test_texts(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


@pytest.mark.parametrize("source", blocks("names_longer"))
def test_longer(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


@pytest.mark.parametrize("source", snippets("names_values"))
@pytest.mark.parametrize("is_compiled", [False, True])
def test_values_and_gradients(source: str, is_compiled: bool) -> None:
    """Results, the first one's node, and the gradients of all inputs."""
    expected = run(source, torch)
    for _ in range(3 if is_compiled else 1):
        found = run(source, fgrad.torch)
    assert len(found) == len(expected)
    for mine, other in zip(found, expected, strict=True):
        if isinstance(other, str):
            assert mine == other
            continue
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, 1e-7, 1e-10)


def run(source: str, module: Any) -> list[Any]:
    """The results of an expression, the node of the first, and gradients of inputs."""
    named = inputs(module)
    *lines, last = source.split("\n")
    exec("\n".join(lines), named)
    results = eval(last, named)
    results = results if isinstance(results, tuple | list) else (results,)
    smooth = [y for y in results if y.requires_grad]
    node = [smooth[0].grad_fn.name()] if smooth else []
    values = [y.detach().numpy().copy() for y in results]
    if not smooth:
        return values
    loss = sum((y * y.cos()).sum() for y in smooth)
    wanted = [x for x in named.values() if isinstance(x, module.Tensor)]
    wanted = [x for x in wanted if x.requires_grad and x.is_leaf]
    found = module.autograd.grad(loss, wanted, materialize_grads=True)
    return node + values + [g.numpy() for g in found]


def inputs(module: Any) -> dict[str, Any]:
    """The names that the expressions of values use; all numbers differ."""

    def numbers(*shape: int) -> Any:
        size = int(np.prod(shape))
        order = np.random.default_rng(size).permutation(size)
        values = (order + 0.25) / size * 4 - 1.75
        return module.tensor(values.reshape(shape), requires_grad=True)

    return {
        "torch": module,
        "nn": module.nn,
        "F": module.nn.functional,
        "L": module.linalg,
        "S": module.special,
        "x": numbers(3, 4),
        "p": module.tensor([0.1, 0.7, 1.0, 2.5, 8.0, 30.0]).double().requires_grad_(),
        "q": module.tensor([0.2, 2.5, 0.7, 1.0, 9.0, 20.0]).double().requires_grad_(),
        "m": numbers(2, 3, 3),
        "line": numbers(2, 3, 7),
        "image": numbers(2, 3, 5, 6),
        "volume": numbers(2, 2, 4, 5, 6),
        "w": numbers(4, 2, 2, 3, 2),
    }


@pytest.fixture(autouse=True)
def _no_hooks_of_all_modules() -> Any:
    """Which kind of backward hooks all modules have is decided once for a process."""
    yield
    torch.nn.modules.module._global_is_full_backward_hook = None
    everywhere.KIND.is_full = None


OWN = {"torch": {"strict", "StrictWarning"}, "nn.utils": {"prune"}}
NAMESPACES = ["torch", "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.rnn"]
NAMESPACES += ["linalg", "special", "fft", "optim", "func", "autograd"]


@pytest.mark.parametrize("name", NAMESPACES)
def test_dir_shows_names_of_pytorch_only(name: str) -> None:
    ours: Any = fgrad.torch
    theirs = torch
    for part in name.split(".") if name != "torch" else ():
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    assert set(dir(ours)) <= set(dir(theirs)) | OWN.get(name, set())
    assert all(hasattr(ours, each) for each in dir(ours))


SAMPLES = """
u = (torch.arange(12.0) * 5 % 12 / 12).reshape(2, 3, 2)
t = (torch.arange(12.0) * 7 % 12 / 12).reshape(2, 2, 3)
""".strip()


@pytest.mark.parametrize("source", snippets("pooling_fractional"))
def test_fractional_pooling(source: str) -> None:
    agree(f"{PRELUDE}\n{SAMPLES}\n{source}")


CLOSE = """
A = torch.testing.assert_close
a, b, i = torch.tensor([1., 2., 3.]), torch.tensor([1., 2., 4.]), torch.tensor([1, 2])
""".strip()


@pytest.mark.parametrize("source", snippets("testing"))
def test_what_is_close(source: str) -> None:
    agree(f"{PRELUDE}\n{CLOSE}\n{source}")
