"""Memory: copies of views, and tensors that get other shapes or other memory."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from test_torch_names import PRELUDE
from torch_oracle import agree, snippets, torch

import fgrad.torch

GIVEN = """
m = torch.arange(6.0).reshape(2, 3).requires_grad_()

def f(found):
    if isinstance(found, tuple):
        return [f(each) for each in found]
    values = found.detach()
    loss = (found.abs() * found.abs()).sum()
    slope = torch.autograd.grad(loss, m) if found.requires_grad else None
    return found, found.stride(), found._is_view(), slope
""".strip()


@pytest.mark.parametrize("source", snippets("copies"))
def test_copies_of_views(source: str) -> None:
    agree(f"{PRELUDE}\n{GIVEN}\n{source}")


def test_typed_storages_warn_once() -> None:
    modules: list[Any] = [fgrad.torch, torch]
    for module in modules:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):
                module.ones(1).storage()
        assert len(caught) <= 1
        assert all("TypedStorage is deprecated" in str(w.message) for w in caught)


@pytest.mark.parametrize("source", snippets("storage"))
def test_shapes_and_memory_in_place(source: str) -> None:
    agree(f"{PRELUDE}\n" + source.replace(";", "\n"))
