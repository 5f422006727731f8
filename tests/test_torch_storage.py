"""Memory: copies of views, and tensors that get other shapes or other memory."""

from __future__ import annotations

import pytest
from test_torch_names import PRELUDE
from torch_oracle import agree, snippets

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
