"""Edges: defaults, empty axes, arguments that do not fit are as in PyTorch."""

from __future__ import annotations

import warnings
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


@pytest.mark.parametrize("source", snippets("edges_recurrent"))
def test_recurrent_networks(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("flags", [{}, {"bidirectional": True}, {"bias": False}])
@pytest.mark.parametrize("is_packed", [False, True])
def test_projections(layers: int, flags: dict[str, bool], is_packed: bool) -> None:
    """The outputs, the states and all gradients of an LSTM with projections."""
    results = []
    for module in (fgrad.torch, torch):
        nn: Any = module.nn
        model = nn.LSTM(3, 5, layers, proj_size=2, **flags).double()
        rng = np.random.default_rng(0)
        for parameter in model.parameters():
            parameter.data = module.from_numpy(rng.standard_normal(parameter.shape))
        x = module.from_numpy(rng.standard_normal((4, 2, 3))).requires_grad_()
        given = x
        if is_packed:
            given = nn.utils.rnn.pack_padded_sequence(x, [4, 2])
        out, (hidden, cell) = model(given)
        out = out.data if is_packed else out
        sum((y * y.cos()).sum() for y in (out, hidden, cell)).backward()
        leaves = [x, *model.parameters()]
        found = [out, hidden, cell, *(leaf.grad for leaf in leaves)]
        results.append([y.detach().numpy() for y in found])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, 1e-9, 1e-12)


@pytest.mark.parametrize("source", snippets("edges_reductions"))
def test_reductions_by_place(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")


def test_products_by_place_have_gradients() -> None:
    found = []
    for module in (fgrad.torch, torch):
        x: Any = module.tensor([1.0, 2.0, 3.0], requires_grad=True)
        source: Any = module.tensor([2.0, 0.0, 3.0, 0.0], requires_grad=True)
        places = module.tensor([0, 0, 2, 2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it may change
            x.index_reduce(0, places, source, "prod").sum().backward()
        found.append((x.grad.tolist(), source.grad.tolist()))
    assert found[0] == found[1]


INDEFINITE = """
A = torch.tensor([[2., 1., 0.], [1., -3., 4.], [0., 4., 1.]]).double()
Z = torch.tensor([[0., 1., 2.], [1., 0., 3.], [2., 3., 0.]]).double()
C = torch.tensor([[2, 1j, 0], [-1j, -3, 4], [0, 4, 1]], dtype=torch.complex128)
B = torch.tensor([[1., 2.], [0., 1.], [3., -1.]]).double()
M = torch.arange(216.).reshape(6, 6, 6).double()
M = (M * M % 37 - 15) + 1j * (M * 5 % 23 - 9)
H = M + M.mH
R = torch.arange(12.).reshape(6, 2).to(torch.complex128) - 3j
""".strip()


@pytest.mark.parametrize("source", snippets("edges_indefinite"))
def test_indefinite_matrices(source: str) -> None:
    agree(f"{PRELUDE}\n{INDEFINITE}\n{source}")
