"""Forward mode and checks of gradients against PyTorch's: values, texts and errors."""

from __future__ import annotations

import pytest
from torch_oracle import agree

import fgrad.torch as torch

PRELUDE = """
func, autograd = torch.func, torch.autograd
fwAD, gradcheck = autograd.forward_ad, autograd.gradcheck
p = torch.tensor([1.0, 2.0])
v = torch.tensor([1.0, 0.0])
q = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
def f(u): return u * u
""".strip()

FORWARD = [
    "fwAD.make_dual(p, v)",
    "fwAD.unpack_dual(p)",
    "fwAD.exit_dual_level()",
    "r = fwAD.enter_dual_level() ;; fwAD.exit_dual_level()",
    "func.jvp(f, (p,), (v,))",
    "func.jvp(f, p, v)",
    "func.jvp(f, (p,), (v, v))",
    "func.jvp(f, (), ())",
    "func.jvp(f, (p,), (torch.ones(3),))",
    "func.jvp(f, (p,), (3,))",
    "func.jvp(f, (i,), (i,))",
    "func.jvp(lambda u: 3, (p,), (v,))",
    "func.jvp(lambda u: p, (p,), (v,))",
    "func.jvp(lambda u: (u * u, u), (p,), (v,), has_aux=True)",
    "func.jvp(lambda u: u * u, (p,), (v,), has_aux=True)",
    "func.jvp(lambda d: d['a'] * 2, ({'a': p},), ({'a': v},))",
    "func.jvp(lambda u: func.jvp(f, (u,), (v,))[1], (p,), (p,))",
    "func.jvp(func.grad(lambda u: (u ** 3).sum()), (p,), (v,))",
    "func.grad(lambda u: func.jvp(f, (u,), (p,))[1].sum())(p)",
    "func.jvp(lambda u: u.detach() * u, (p,), (v,))",
    "func.jvp(lambda u: u.relu().max(), (p,), (v,))",
    "o, push = func.linearize(f, p) ;; r = (o, push(v), push(p))",
    "o, push = func.linearize(f, p) ;; push(torch.ones(3))",
    "o, push = func.linearize(f, p) ;; push(v, v)",
    "o, push = func.linearize(f, p) ;; push(v.double())",
    "func.jacfwd(f)(p)",
    "func.jacfwd(lambda u, w: (u * w, w), argnums=(0, 1))(p, v)",
    "func.jacfwd(lambda u: (u * u, u), has_aux=True)(p)",
    "func.jacfwd(f, argnums=1)(p)",
    "func.jacfwd(lambda u: 3)(p)",
    "func.jacfwd(lambda d: {'y': d['a'] * 2})({'a': p})",
    "func.jacfwd(f)(i)",
    "func.jacfwd(lambda u: u.reshape(4).cumsum(0)[:2])(c)",
    "func.jacfwd(lambda u: p * 2)(p)",
    "func.jacfwd(func.jacrev(lambda u: (u ** 3).sum()))(p)",
    "func.jacfwd(func.jacfwd(lambda u: u ** 3))(p)",
    "func.jacrev(func.jacfwd(lambda u: u ** 3))(p)",
    "func.jacrev(lambda u: {'y': u * 2, 'z': u.sum()})(p)",
    "func.jacrev(lambda u: (u * u, u), has_aux=True)(p)",
    "func.jacrev(lambda d: {'y': d['a'] * 2})({'a': p})",
    "func.hessian(lambda d: (d['a'] ** 2 * d['b']).sum())({'a': p, 'b': v})",
    "func.hessian(lambda a, b: (a ** 2 * b).sum(), argnums=(0, 1))(p, v)",
    "r = func.jacfwd(lambda u: u * w[:2])(p) ;; r.sum().backward() ;; r = w.grad",
]

DUAL = [
    "fwAD.make_dual(p, v)",
    "d = fwAD.make_dual(p, v) ;; d * d",
    "d = fwAD.make_dual(p, v) ;; (d * d).sum()",
    "d = fwAD.make_dual(p, v) ;; fwAD.unpack_dual(d * d)",
    "d = fwAD.make_dual(p, v) ;; fwAD.unpack_dual(p)",
    "d = fwAD.make_dual(p, v) ;; type(fwAD.unpack_dual(d))",
    "d = fwAD.make_dual(p, v) ;; (d > 1), d.argmax()",
    "d = fwAD.make_dual(p, v) ;; d = d.clone() ;; d.mul_(2) ;; d",
    "fwAD.make_dual(p, torch.ones(3))",
    "fwAD.make_dual(i, i)",
    "d = fwAD.make_dual(p, v) ;; fwAD.make_dual(d, v)",
    "fwAD.enter_dual_level()",
    "z = (fwAD.make_dual(p, v) * w[:2]).sum() ;; z",
    "z = (fwAD.make_dual(p, v) * w[:2]).sum() ;; t = fwAD.unpack_dual(z).tangent ;; "
    "t.backward() ;; w.grad",
    "x = fwAD.make_dual(w, w.detach()) ;; x, x.requires_grad",
    "m = torch.nn.Linear(2, 1) ;; t = torch.nn.functional.linear(p, c[:1]) ;; "
    "d = fwAD.make_dual(c[:1], c[1:]) ;; "
    "fwAD.unpack_dual(torch.nn.functional.linear(p, d).tanh()).tangent",
]

CHECKS = [
    "gradcheck(lambda u: (u * u).sin(), (q,))",
    "gradcheck(lambda u: u.detach() * u, (q,))",
    "gradcheck(lambda u: u.detach() * u, (q,), raise_exception=False)",
    "gradcheck(lambda u: u.detach() * 2, (q,))",
    "gradcheck(lambda u: u * 2, (q.detach(),))",
    "gradcheck(lambda u: u * 2, q)",
    "gradcheck(lambda u: (u * 2).sin(), (w,))",
    "gradcheck(lambda u: (u * 2).sin(), (w,), eps=1e-2, atol=1e-1)",
    "gradcheck(lambda u, n: u ** n, (q, 3))",
    "gradcheck(lambda u, n: (u * n, u + n.detach()), (q, q.detach().requires_grad_()))",
    "gradcheck(lambda u: u.sum() * u.detach().expand(2, 3), (q,))",
    "gradcheck(lambda u: u * 2, (q.detach().expand(2, 3).requires_grad_(),))",
    "gradcheck(lambda u: u * 2, (q,), check_backward_ad=False)",
    "gradcheck(lambda u: u * 2, (q,), rtol=-1)",
    "gradcheck(lambda u: u * 2, (q,), check_forward_ad=True)",
    "gradcheck(lambda u: u.detach() * u, (q,), check_forward_ad=True, "
    "check_backward_ad=False)",
    "gradcheck(lambda u: u[:0], (q,))",
    "gradcheck(lambda u: u.max(0), (q,))",
    "gradcheck(torch.nn.Linear(3, 2).double(), (q,))",
    "gradcheck(lambda u: (u * u).sin(), (q,), fast_mode=True)",
    "autograd.gradgradcheck(lambda u: u ** 3, (q,))",
    "autograd.gradgradcheck(lambda u: u ** 3, (q,), q.detach().requires_grad_())",
    "autograd.gradgradcheck(lambda u: u * u.detach() ** 2, (q,), "
    "q.detach().requires_grad_())",
    "autograd.gradgradcheck(lambda u: u * 2, (q,))",
]


@pytest.mark.parametrize("source", FORWARD)
def test_forward(source: str) -> None:
    agree(f"{PRELUDE}\n" + source.replace(" ;; ", "\n"))


@pytest.mark.parametrize("source", DUAL)
def test_dual(source: str) -> None:
    *lines, last = source.split(" ;; ")
    body = "\n    ".join([*lines, f"r = repr({last})"])
    agree(f"{PRELUDE}\nwith fwAD.dual_level():\n    {body}\nr")


@pytest.mark.parametrize("source", CHECKS)
def test_gradcheck(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


def test_fast_mode_says_where_it_differs() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="computed \nin fast mode") as caught:
        torch.autograd.gradcheck(lambda u: u.detach() * u, (x,), fast_mode=True)
    assert "Numerical:\n tensor([[2.0000, 0.0000]" in str(caught.value)
