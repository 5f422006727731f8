"""``torch.vmap`` against PyTorch, and transforms of functions that use tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, outcome

import fgrad
import fgrad.torch
import fgrad.torch as torch

PRELUDE = """
func, F = torch.func, torch.nn.functional
vmap, grad, functional_call = func.vmap, func.grad, func.functional_call
g = torch.arange(24.0).reshape(4, 3, 2) / 10 + 0.1
x, m = g[:, 0], g.transpose(1, 2) @ g
t = torch.tensor([0, 1, 0, 1])
v = torch.tensor([1.0, 0.0])
k = torch.nn.Linear(2, 3)
torch.nn.init.constant_(k.weight, 0.5)
torch.nn.init.constant_(k.bias, -1.0)
P = {name: u.detach() for name, u in k.named_parameters()}
S = {name: torch.stack([u, u * 2]) for name, u in P.items()}
def loss(p, a, b): return F.cross_entropy(functional_call(k, p, (a[None],)), b[None])
def change(a):
    b = a.clone()
    b[0] = b[1] * 2
    b += 1
    return b
""".strip()

MAPPED = [
    "vmap(lambda a: a.sum())(x)",
    "vmap(torch.mm)(g.transpose(1, 2), g)",
    "vmap(lambda a: F.linear(a, P['weight'], P['bias']))(x)",
    "vmap(lambda a: F.softmax(a, -1))(x)",
    "vmap(lambda a, b: F.cross_entropy(a[None], b[None]))(x, t)",
    "vmap(lambda a, b: F.log_softmax(a, -1)[b])(x, t)",
    "vmap(lambda b: g[0][b])(t)",
    "vmap(lambda b: F.embedding(b, g[0]))(t[:, None])",
    "vmap(lambda b: F.one_hot(b, 3))(t)",
    "vmap(lambda a: torch.where(a > 0.5, a, -a))(x)",
    "vmap(lambda a: a.max(0))(g)",
    "vmap(lambda a: a.argmax())(x)",
    "vmap(lambda a: a.sort(descending=True).values)(x)",
    "vmap(lambda a: a.topk(1).indices)(x)",
    "vmap(lambda a: torch.cat([a, a.cumsum(0)]))(x)",
    "vmap(lambda a: a.reshape(-1))(g)",
    "vmap(lambda a: a.view(6)[1:])(g)",
    "vmap(lambda a: a.permute(1, 0).contiguous())(g)",
    "vmap(lambda a: a.var() + a.std() + a.norm())(x)",
    "vmap(lambda a, b: torch.einsum('ij,ik->jk', a, b))(g, g)",
    "vmap(lambda a: torch.linalg.inv(a + torch.eye(2)))(m)",
    "vmap(lambda a: torch.linalg.cholesky(a + torch.eye(2)))(m)",
    "vmap(lambda a, b: torch.linalg.solve(a + torch.eye(2), b))(m, x)",
    "vmap(lambda a: F.max_pool1d(a.t()[None], 2))(g)",
    "vmap(lambda a: F.layer_norm(a, (2,)))(x)",
    "vmap(lambda a: F.scaled_dot_product_attention(a, a, a))(g)",
    "vmap(change)(x)",
    "vmap(lambda a: a.clone().add_(a).mul_(2))(x)",
    "vmap(lambda a: torch.zeros_like(a) + a)(x)",
    "vmap(grad(lambda a: (a * a).sin().sum()))(x)",
    "vmap(grad(loss), in_dims=(None, 0, 0))(P, x, t)",
    "vmap(grad(loss), in_dims=(0, None, None))(S, x[0], t[0])",
    "vmap(grad(lambda a, b: (a * b).sum()), in_dims=(None, 0))(v, x)",
    "vmap(func.hessian(lambda a: (a ** 3).sum()))(x)",
    "vmap(func.jacrev(lambda a: a ** 2))(x)",
    "vmap(func.jacfwd(lambda a: a ** 2))(x)",
    "vmap(lambda a, b: func.jvp(torch.sin, (a,), (b,)))(x, x)",
    "vmap(lambda a, b: func.vjp(torch.sin, a)[1](b)[0])(x, x)",
    "vmap(vmap(torch.dot))(g, g)",
    "vmap(vmap(lambda a, b: a * b, in_dims=(None, 0)), in_dims=(0, None))(v, v)",
    "vmap(lambda p, a: functional_call(k, p, (a,)), in_dims=(0, None))(S, x)",
    "vmap(lambda a: a.gather(0, t[:1]))(x)",
    "vmap(lambda a: a * 2, in_dims=-1, out_dims=1)(x)",
    "vmap(lambda a: (a * 2, a), out_dims=(1, 0))(x)",
    "vmap(lambda a: v, out_dims=None)(x)",
    "vmap(lambda a: v)(x)",
    "vmap(lambda a: {'a': a, 'b': [a]})(x)",
    "vmap(lambda d: d['a'] * d['b'], in_dims=({'a': 0, 'b': None},))({'a': x, 'b': v})",
    "vmap(lambda a, *, k: a * k)(x, k=2)",
    "vmap(lambda a: a * 2)(x[:0])",
]

CALLS = [
    "vmap(lambda a: a * 2, chunk_size=3)(x)",
    "vmap(lambda a: a * 2, chunk_size=3, out_dims=1)(x)",
    "vmap(lambda a: (a * w[:2]).sum())(x).requires_grad",
    "vmap(lambda a: (a * w[:2]).sum())(x).sum().backward() ;; w.grad",
    "y = x.clone() ;; vmap(lambda a: a.add_(1))(y) ;; y",
    "vmap(torch.dot)(x, x[:2])",
    "vmap(torch.dot, in_dims=(0,))(x, x)",
    "vmap(torch.dot, in_dims=(None, None))(x, x)",
    "vmap(torch.dot, in_dims=2)(x, x)",
    "vmap(torch.dot, in_dims=(0, 'a'))(x, x)",
    "vmap(torch.dot, in_dims={0: 1})(x, x)",
    "vmap(torch.dot)()",
    "vmap(lambda a, b: a * b)(x, 3)",
    "vmap(lambda a: (a * 2, a), out_dims=(1,))(x)",
    "vmap(lambda a: a, out_dims=None)(x)",
    "vmap(lambda a: 3)(x)",
    "vmap(lambda a: None)(x)",
    "vmap(lambda a: a, out_dims=5)(x)",
    "vmap(lambda a: a * 2)(s)",
    "vmap(lambda a: a + torch.rand(2))(x)",
    "vmap(lambda a: F.dropout(a))(x)",
    "vmap(lambda a: a, randomness='foo')(x)",
    "vmap(lambda a: a, chunk_size=0)(x)",
    "r = vmap(lambda a: torch.rand(2), randomness='same')(x) ;; (r == r[0]).all()",
    "r = vmap(lambda a: torch.rand(2), randomness='different')(x) ;; (r == r[0]).all()",
    "func.stack_module_state([])",
    "func.stack_module_state([k, torch.nn.ReLU()])",
    "func.stack_module_state([k, torch.nn.Linear(2, 3).eval()])",
    "func.stack_module_state([k, k])",
    "functional_call(k, {'a.b': v}, (x,))",
    "functional_call(k, {'a': v}, (x,), strict=True)",
    "functional_call(k, {'weight': 3}, (x,))",
    "functional_call(k, 3, (x,))",
    "functional_call(k, (P, {'bias': v}), (x,))",
    "functional_call(k, P, x)",
]


@pytest.mark.parametrize("source", MAPPED + CALLS)
def test_vmap(source: str) -> None:
    agree(f"{PRELUDE}\n" + source.replace(" ;; ", "\n"))


@pytest.mark.parametrize("source", MAPPED)
def test_the_function_is_called_once(source: str, monkeypatch: Any) -> None:
    def looped(*args: Any) -> Any:
        raise AssertionError("the function was called for each element")

    mapping = __import__("fgrad.torch.mapping", fromlist=["Map"])
    monkeypatch.setattr(mapping.Map, "_looped", looped)
    assert "AssertionError" not in outcome(f"{PRELUDE}\n{source}", fgrad.torch)


def test_what_cannot_be_mapped_runs_as_a_loop() -> None:
    x = torch.tensor([1.0, -2.0])
    assert torch.vmap(lambda a: a if a > 0 else -a)(x).tolist() == [1.0, 2.0]
    assert torch.vmap(lambda a: a * a.item())(x).tolist() == [1.0, 4.0]


def test_backward_inside_vmap_leaves_gradients_of_all_elements() -> None:
    w = torch.ones(2, requires_grad=True)

    def step(a: Any) -> Any:
        (w * a).sum().backward()
        return a.sum()

    assert torch.vmap(step)(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [3, 7]
    assert w.grad.tolist() == [4.0, 6.0]  # type: ignore[union-attr]


POINT = np.array([1.0, 2.0, 3.0])


def cubes(x: Any) -> Any:
    """The gradient of the sum of cubes, by `backward`."""
    leaf = torch.tensor(x, requires_grad=True)
    (leaf**3).sum().backward()
    return leaf.grad.numpy()  # type: ignore[union-attr]


def trained(optimizer: Any, start: Any, x: Any) -> Any:
    """Three steps of an optimiser."""
    w = torch.tensor(start, requires_grad=True)
    steps = optimizer([w], lr=0.1)
    for _ in range(3):
        steps.zero_grad()
        loss = ((w * torch.as_tensor(x)).sum() - 1) ** 2
        loss.backward()
        steps.step()
    return w.detach().numpy()


def test_backward_inside_transforms_of_arrays() -> None:
    jitted = fgrad.jit(cubes)
    for factor in (1.0, 2.0, -3.0):
        np.testing.assert_allclose(jitted(POINT * factor), 3 * (POINT * factor) ** 2)
    np.testing.assert_allclose(fgrad.grad(lambda x: np.sum(cubes(x)))(POINT), 6 * POINT)
    batch = np.stack([POINT, 2 * POINT])
    np.testing.assert_allclose(fgrad.vmap(cubes)(batch), 3 * batch**2)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "AdamW", "Adagrad"])
def test_training_inside_jit(name: str) -> None:
    optimizer = getattr(torch.optim, name)
    jitted = fgrad.jit(lambda start, x: trained(optimizer, start, x))
    for start in (np.ones(3), np.array([0.5, -1.0, 2.0])):
        expected = trained(optimizer, start, POINT)
        np.testing.assert_allclose(jitted(start, POINT), expected, 1e-12)


@pytest.mark.parametrize("enter", [torch.as_tensor, torch.tensor, torch.from_numpy])
def test_tensors_of_traced_arrays(enter: Any) -> None:
    def f(x: Any) -> Any:
        y = enter(x)
        return (y * y).sin().sum().numpy()

    expected = 2 * POINT * np.cos(POINT**2)
    np.testing.assert_allclose(fgrad.grad(f)(POINT), expected)
    np.testing.assert_allclose(fgrad.jit(f)(POINT), f(POINT))
