"""``torch.func`` and ``autograd.functional`` against PyTorch's."""

from __future__ import annotations

import pytest
from torch_oracle import agree

PRELUDE = """
func, functional = torch.func, torch.autograd.functional
def f(u): return (u * u).sin().sum()
def g(u): return u * u.sum() + 1
def h(u, v): return (u * v).sum()
def k(u, v): return u * v, u.sin()
""".strip()

SOURCES = [
    "func.grad(f)(c)",
    "func.grad(torch.sin)(s)",
    "func.grad(func.grad(torch.sin))(s)",
    "func.grad(func.grad(func.grad(lambda u: u ** 4)))(s)",
    "func.grad(h, argnums=1)(c, c * 2)",
    "func.grad(h, argnums=(0, 1))(c, c * 2)",
    "func.grad_and_value(f)(c)",
    "func.grad(lambda u: (f(u), u * 2), has_aux=True)(c)",
    "func.grad(lambda d: f(d['a']) + d['b'].sum())({'a': c, 'b': s})",
    "func.grad(lambda u: (u * func.grad(lambda v: u * v)(u)).sum())(s)",
    "func.grad(g)(c)",
    "func.jacrev(g)(c[0])",
    "func.grad(lambda u: (u * w).sum())(w.detach()).requires_grad",
    "r = func.grad(lambda u: (u * u * w).sum())(w.detach()) ;; r.sum().backward() ;; "
    "r = w.grad",
    "func.hessian(f)(c[0])",
    "func.jacrev(h, argnums=1)(c, c)",
    "o, pull = func.vjp(g, c[0]) ;; r = (o, pull(c[1]))",
    "o, pull = func.vjp(k, c, c) ;; r = pull((c, c))",
    "func.jvp(g, (c[0],), (c[1],))",
    "func.vmap(torch.dot)(c, c)",
    "func.vmap(g)(c)",
    "func.vmap(torch.dot, in_dims=(0, None))(c, c[0])",
    "func.vmap(lambda u: u * 2, in_dims=1)(c)",
    "func.vmap(func.grad(f))(c)",
    "func.vmap(func.grad(h), in_dims=(None, 0))(c[0], c)",
    "functional.jacobian(g, c[0])",
    "functional.jacobian(k, (c[0], c[1]))",
    "functional.jacobian(g, w, create_graph=True).requires_grad",
    "functional.hessian(f, c[0])",
    "functional.hessian(h, (c[0], c[1]))",
    "functional.vjp(g, c[0], c[1])",
    "functional.vjp(f, c)",
    "functional.jvp(g, c[0], c[1])",
    "functional.hvp(f, c, c)",
    "functional.vhp(f, c, c)",
    "functional.jacobian(g, 1)",
    "functional.hessian(g, c[0])",
    "functional.vjp(g, c[0])",
    "m = torch.nn.Linear(2, 1) ;; p = {'weight': c[:1], 'bias': s[None]} ;; "
    "r = func.functional_call(m, p, (c,))",
    "m = torch.nn.Linear(2, 1) ;; p = {'weight': c[:1], 'bias': s[None]} ;; "
    "r = func.grad(lambda q: func.functional_call(m, q, c).sum())(p)",
]


@pytest.mark.parametrize("source", SOURCES)
def test_func(source: str) -> None:
    agree(f"{PRELUDE}\n" + source.replace(" ;; ", "\n"))
