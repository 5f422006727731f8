"""The nodes of gradients that can be differentiated, and of those that cannot."""

from __future__ import annotations

import re
from typing import Any

import pytest
from test_torch_scripts_more import printed, skeleton
from torch_oracle import SNIPPETS, torch

import fgrad.torch

SOURCES = (SNIPPETS / "gradient_nodes.txt").read_text().splitlines()


@pytest.mark.parametrize("is_seeded", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_names(source: str, is_seeded: bool) -> None:
    expected = _names(torch, source, is_seeded)
    for _ in range(3):
        assert _names(fgrad.torch, source, is_seeded) == expected


def _names(module: Any, source: str, is_seeded: bool) -> list[Any]:
    """The nodes of the gradients of all tensors in an expression."""
    leaves = {
        "x": module.tensor([0.3, 0.7, 1.2]),
        "y": module.tensor([0.5, 0.2, 0.9]),
        "X": module.tensor([[0.3, 0.7], [1.2, 0.1]]),
        "W": module.tensor([[0.4, 0.2], [1.1, 0.6]]),
        "B": (module.arange(8.0) + 1).cos().reshape(2, 2, 2),
        "I": (module.arange(48.0) + 1).cos().reshape(1, 3, 4, 4),
        "K": (module.arange(36.0) + 1).cos().reshape(3, 3, 2, 2),
    }
    used = [leaves[k] for k in leaves if re.search(rf"\b{k}\b", source)]
    for x in used:
        x.requires_grad_()
    names = {"torch": module, "F": module.nn.functional, "L": module.linalg}
    out = eval(source, names | leaves)
    seed = (module.ones_like(out) * 1).requires_grad_(is_seeded)
    options = {"create_graph": True, "allow_unused": True}
    found = module.autograd.grad(out, used, seed, **options)
    return [
        None if g is None else g.grad_fn.name() if g.grad_fn else g.requires_grad
        for g in found
    ]


SCRIPTS = [
    """
x = torch.tensor([2.0], requires_grad=True)
for y in (x**3, x.sin(), x * x, x.sum(), x + 1, 1 / x, x.log(), x.sigmoid(), x.tanh()):
    print(torch.autograd.grad(y, x, create_graph=True))
""",
    """
x = torch.linspace(-1, 1, 5, requires_grad=True)
y = torch.relu(x).sum()
(first,) = torch.autograd.grad(y, x, create_graph=True)
print(first)
print(torch.autograd.grad(first.sum(), x))
z = (torch.relu(2 * x) * 3).sum()
(first,) = torch.autograd.grad(z, x, create_graph=True)
print(first, torch.autograd.grad((first * x).sum(), x))
""",
    """
model = init(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))
x = R(5, 3).requires_grad_()
grads = torch.autograd.grad(model(x).sum(), [x, *model.parameters()], create_graph=True)
for gradient in grads:
    print(gradient)
penalty = sum((g * g).sum() for g in grads)
penalty.backward()
for parameter in model.parameters():
    print(parameter.grad)
""",
    """
model = init(nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1)))
x = R(5, 3).requires_grad_()
(gradient,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
((gradient.norm(2, dim=1) - 1) ** 2).mean().backward()
print(gradient, x.grad)
for parameter in model.parameters():
    print(parameter.grad)
""",
    """
w = torch.tensor([1.0, 2.0], requires_grad=True)
loss = (w**2).sum() + (w[0] * w[1])
loss.backward(create_graph=True)
print(w.grad)
loss = w.grad.pow(2).sum()
w.grad = None
loss.backward()
print(w.grad)
""",
    """
x = torch.tensor([1.0, 2.0], requires_grad=True)
h = x * 2
h.register_hook(lambda g: print("hook", g))
(first,) = torch.autograd.grad((h**3).sum(), x, create_graph=True)
print(first)
first.register_hook(lambda g: print("second", g))
(second,) = torch.autograd.grad(first.sum(), x)
print(second)
""",
]


@pytest.mark.parametrize("source", SCRIPTS)
def test_scripts(source: str) -> None:
    expected = printed(source, torch)
    for seed in (None, None, None, 1, 2):
        assert skeleton(printed(source, fgrad.torch, seed)) == skeleton(expected)
