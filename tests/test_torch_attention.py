"""Attention by several heads, as a function and as a layer."""

from __future__ import annotations

import pytest
from test_torch_names import PRELUDE
from torch_oracle import agree, snippets

GIVEN = """
def numbers(count, *shape):
    values = (torch.arange(float(count)) * 7 % 23 - 11).double() / 8
    return values.reshape(shape).requires_grad_()

q, k, v = numbers(24, 3, 2, 4), numbers(40, 5, 2, 4).cos(), numbers(40, 5, 2, 4)
W, B = numbers(48, 12, 4), numbers(12, 12)

def f(q, k, v, biases=(None, None), zero=False, **options):
    leaves = [q, k, v, W, B]
    given = (W, B, *biases, zero, 0., W[:4], B[:4])
    out, weights = F.multi_head_attention_forward(q, k, v, 4, 2, *given, **options)
    loss = (out * out.cos()).sum()
    if weights is not None:
        loss = loss + (weights * weights.exp()).sum()
    options = {"allow_unused": True, "retain_graph": True}
    found = torch.autograd.grad(loss, leaves, **options)
    return out, weights, [g if g is None else (g + 9).round(decimals=6) for g in found]

def filled(module):
    with torch.no_grad():
        for k, p in enumerate(module.parameters()):
            values = (torch.arange(float(p.numel())) * 7 + k) % 11 - 5
            p.copy_(values.view(p.shape) / 8)
    return module.double()
""".strip()


@pytest.mark.parametrize("source", snippets("attention"))
def test_texts(source: str) -> None:
    agree(f"{PRELUDE}\n{GIVEN}\n{source}")
