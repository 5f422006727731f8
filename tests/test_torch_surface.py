"""Names that scripts use beside the common ones: texts, values and gradients."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, snippets, torch

import fgrad.torch

PRELUDE = """
F = torch.nn.functional
c = torch.arange(4.0).reshape(2, 2)
x = torch.tensor([[1.0, 2.0], [4.0, 3.0]], requires_grad=True)
""".strip()


@pytest.mark.parametrize("source", snippets("surface"))
def test_texts(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


GRADIENTS = [
    "L.solve_triangular(x,c,upper=True)",
    "L.solve_triangular(x,c,upper=False,left=False)",
    "L.solve_triangular(x,c,upper=False,unitriangular=True)",
    "torch.matrix_exp(x)",
    "L.matrix_exp(c*0)",
    "L.matrix_exp(torch.stack([c,-c]))",
    "torch.cholesky_solve(c,L.cholesky(sp))",
    "torch.cholesky_inverse(L.cholesky(sp))",
    "L.tensorsolve(torch.eye(4).reshape(2,2,2,2),c.float())",
    "torch.special.i0(x)",
    "torch.gradient(x)[0]",
    "torch.cumulative_trapezoid(x,dim=0)",
    "torch.renorm(x,2,0,1.)",
    "torch.slice_scatter(x,c[:1],0,0,1)",
    "torch.select_scatter(x,c[0],1,1)",
    "torch.diagonal_scatter(x,c[0])",
    "x.as_strided((2,2),(1,2))",
    'torch.scatter_reduce(x,0,torch.zeros(2,2,dtype=torch.int64),x*2,"prod")',
    'torch.scatter_reduce(x,0,torch.zeros(2,2,dtype=torch.int64),x*2,"mean",include_self=False)',
    'torch.scatter_reduce(x,1,torch.tensor([[0,1],[1,1]]),x*2,"amin")',
    "torch.frexp(x)[0]",
    "torch.ldexp(x,torch.tensor([1.,2.]))",
]
MODES = itertools.product(
    ["bilinear", "nearest"], ["zeros", "border", "reflection"], [True, False]
)
GRADIENTS += [f"F.grid_sample(u, g, {m!r}, {p!r}, {a}) + x.sum()" for m, p, a in MODES]
GRADIENTS += [
    f"F.affine_grid(x.repeat(1, 3).reshape(2, 2, 3), (2, 1, 2, 3), {a})"
    for a in (True, False)
]
GRADIENTS += ["F.pixel_unshuffle(x[None, None], 2)", "F.pdist(x)", "F.pdist(x, 1)"]
GRADIENTS += ["F.channel_shuffle(x.reshape(1, 4, 1), 2)"]


@pytest.mark.parametrize("source", GRADIENTS)
def test_values_and_gradients(source: str) -> None:
    ours, theirs = run(source, fgrad.torch), run(source, torch)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, 1e-9, 1e-12)


def run(source: str, module: Any) -> list[Any]:
    double = {"dtype": module.float64}
    x = module.tensor([[1.0, 2.0], [4.0, 3.0]], requires_grad=True, **double)
    u = (module.arange(24, **double).reshape(1, 2, 3, 4) * 7 % 5).requires_grad_()
    points = [[-1.3, -0.2], [0.1, 0.35], [0.9, 1.6], [-0.7, 0.66], [2.9, -2.5]]
    names = {
        "torch": module,
        "F": module.nn.functional,
        "L": module.linalg,
        "x": x,
        "u": u,
        "g": module.tensor([[points]], requires_grad=True, **double),
        "c": module.arange(4, **double).reshape(2, 2) + 1,
        "sp": module.tensor([[2.0, 0.5], [0.5, 1.0]], **double),
    }
    y = eval(source, names)
    if not y.requires_grad:
        return [y.numpy()]
    wanted = [x, u, names["g"]]
    found = module.autograd.grad((y * y).sum(), wanted, materialize_grads=True)
    return [y.detach().numpy(), *(each.numpy() for each in found)]
