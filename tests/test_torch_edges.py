"""Edges: defaults, empty axes, arguments that do not fit are as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_torch_names import PRELUDE
from torch_oracle import agree, snippets, torch

import fgrad.torch


@pytest.mark.parametrize("source", snippets("edges_covariances"))
def test_covariances(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


@pytest.mark.parametrize("source", snippets("edges_cross"))
def test_vector_products(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


@pytest.mark.parametrize("source", snippets("edges_arguments", "edges_normal"))
def test_arguments_that_do_not_fit(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


@pytest.mark.parametrize("source", snippets("edges_layouts"))
def test_copies_keep_the_order_in_memory(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


@pytest.mark.parametrize("source", snippets("edges_linalg"))
def test_singular_and_symmetric_matrices(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


COMPLEX = [
    "torch.linalg.cholesky(y).abs().sum()",
    "torch.linalg.cholesky(y, upper=True).abs().sum()",
    "torch.linalg.cholesky_ex(y)[0].prod()",
    "torch.linalg.eigvalsh(y)[0]",
    "torch.linalg.eigh(y, UPLO='U')[0].prod()",
]


@pytest.mark.parametrize("source", COMPLEX)
def test_gradients_of_hermitian_matrices(source: str) -> None:
    found = []
    for module in (fgrad.torch, torch):
        y: Any = module.tensor([[4, 1 + 2j], [1 - 2j, 7]], dtype=module.complex128)
        y.requires_grad_()
        value = eval(source, {"torch": module, "y": y})
        (value * value.conj()).real.backward()
        found.append([value.detach().numpy(), y.grad.numpy()])
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, 1e-10, 1e-12)
