"""Snippets by topic: what they print, return, warn of and raise is as in PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
from torch_oracle import agree, outcome, snippets

import fgrad.torch

TENSORS = ["arithmetic", "conversion", "creation", "dtypes", "functions", "indexing"]
TENSORS += ["inplace", "products", "reductions", "shapes"]
HISTORY = ["expanded", "gradients", "modes", "strides", "views"]


@pytest.mark.parametrize("source", snippets(*TENSORS))
def test_tensors(source: str) -> None:
    agree(source)


@pytest.mark.parametrize("source", snippets(*HISTORY))
def test_autograd(source: str) -> None:
    agree(source)


@pytest.mark.parametrize("source", snippets("nodes"))
def test_node_gradient_and_second_backward(source: str) -> None:
    """The node's name, the gradient, and whether a second backward is refused."""
    x = "x = torch.tensor([[1., 2.], [3., 4.]], requires_grad=True)"
    agree(f"{x}\n{source}")
    agree(f"{x}\ny = {source}\ny.sum().backward()\nr = x.grad")
    twice = "s = y.sum()\ns.backward()\ns.backward()\nr = x.grad"
    agree(f"{x}\ny = {source}\n{twice}")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("torch.sinn", "has no attribute 'sinn'; near: sin"),
        ("torch.tensr", "has no attribute 'tensr'; near: tensor"),
        ("c.reshap(2)", "has no attribute 'reshap'; near: reshape"),
        ("c.to('cuda')", "device 'cuda:0' is not there: jax sees 0 GPUs"),
        ("copy = __import__('pickle').dumps(c)", "not pickled by fgrad.torch yet"),
    ],
)
def test_what_is_not_there_says_so(source: str, expected: str) -> None:
    assert expected in outcome(source, fgrad.torch)


def test_method_names_are_functions() -> None:
    for name in fgrad.torch.__all__:
        value: Any = getattr(fgrad.torch, name)
        assert value is not None
