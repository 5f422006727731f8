"""Singular values: complete bases, tolerances, least squares as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, torch

import fgrad.torch

PRELUDE = """
L = torch.linalg
A = torch.tensor([[1., 2.], [3., 4.], [5., 6.5]])
B = torch.eye(3)[:, :2].contiguous()
H = torch.tensor([[2., 1.], [1., 2.0001]])
""".strip()
SOURCES = """
L.pinv(A, rcond=0.1), L.pinv(A, 0.1), L.pinv(A, atol=0.5), L.pinv(A, rtol=0.5)
torch.pinverse(A, 0.1), L.pinv(A, rtol=torch.tensor(0.5)), L.pinv(A)
L.pinv(A, atol=0.5, rtol=0.01), L.pinv(torch.zeros(2, 3), atol=0.5)
L.pinv(torch.stack([A, A]), atol=torch.tensor([0.5, 0.])), L.pinv(torch.zeros(0, 3))
L.pinv(A, hermitian=True)
L.pinv(A[0])
L.pinv(H, hermitian=True), L.pinv(H, hermitian=True, rtol=0.5)
L.pinv(H, hermitian=True, atol=2.), L.pinv(H, rcond=0.1, hermitian=True)
L.matrix_rank(A, tol=1.), L.matrix_rank(A, 1.), L.matrix_rank(A, atol=1.)
L.matrix_rank(A, rtol=.9), L.matrix_rank(torch.stack([A, A]), atol=torch.ones(2))
L.matrix_rank(H, hermitian=True), L.matrix_rank(H, 1.5, True)
L.matrix_rank(torch.zeros(0, 2)), L.matrix_rank(torch.stack([H, H * 0]))
L.matrix_rank(A.int())
L.matrix_rank(A[0])
L.lstsq(A, B[:, :1]), L.lstsq(A, B[:, :1], driver='gels')
L.lstsq(A, B[:, :1], driver='gelss'), L.lstsq(A, B, rcond=0.5, driver='gelsd')
L.lstsq(A.T, B[:2, :1], driver='gelsd'), L.lstsq(A * 0, B, driver='gelsd')
L.lstsq(torch.stack([A, A]), torch.stack([B, B]), driver='gelsd')
L.lstsq(A, B[:, 0], driver='gelsd'), L.lstsq(A, B[:, 0])
L.lstsq(A, B, driver='foo')
L.lstsq(A, B[:1, 0])
L.lstsq(A, B.double())
L.lstsq(A[None, None], B[0])
torch.svd(A, compute_uv=False), torch.svd(A, some=False, compute_uv=False)
torch.svd(A.clone().requires_grad_(), some=False, compute_uv=False)
torch.linalg.svd(torch.zeros(3, 0)).U.shape
""".strip().splitlines()
GRADIENTS = {
    "pinv": lambda torch, x: (torch.linalg.pinv(x).mT * x).sum(),
    "cut": lambda torch, x: torch.linalg.pinv(x, atol=1e-3).square().sum(),
    "hermitian": lambda torch, x: (
        torch.linalg.pinv(x.mT @ x, hermitian=True).cos().sum()
    ),
    "lstsq": lambda torch, x: (
        torch.linalg.lstsq(x, x.detach().cos(), driver="gelsd")[0].square().sum()
    ),
    "values": lambda torch, x: torch.linalg.svd(x).S.cos().sum(),
    "left": lambda torch, x: torch.linalg.svd(x).U.square().cumsum(-1).sin().sum(),
    "right": lambda torch, x: torch.linalg.svd(x).Vh.square().cumsum(-2).sin().sum(),
    "older": lambda torch, x: torch.svd(x, False).V.square().cumsum(-1).sin().sum(),
    "without": lambda torch, x: torch.svd(x, compute_uv=False).S.cos().sum(),
}


@pytest.mark.parametrize("source", SOURCES)
def test_tolerances_and_results(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (4, 1), (2, 4, 3), (3, 3)])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str, shape: tuple[int, ...]) -> None:
    for is_second in (False, True):
        expected = _gradient(torch, name, shape, is_second)
        for _ in range(4):
            found = _gradient(fgrad.torch, name, shape, is_second)
            np.testing.assert_allclose(found, expected, 1e-8, 1e-10)


def _gradient(
    module: Any, name: str, shape: tuple[int, ...], is_second: bool
) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = module.from_numpy(rng.standard_normal(shape)).requires_grad_()
    value = GRADIENTS[name](module, x * 1)
    (first,) = module.autograd.grad(value, x, create_graph=is_second)
    if not is_second:
        return first.numpy()
    return module.autograd.grad(first.square().sum(), x)[0].numpy()
