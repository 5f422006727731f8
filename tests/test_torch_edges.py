"""Edges: defaults, empty axes, arguments that do not fit are as in PyTorch."""

from __future__ import annotations

import pytest
from test_torch_names import PRELUDE
from torch_oracle import agree, snippets


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
