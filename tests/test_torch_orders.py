"""The order of axes in memory is PyTorch's: `view` depends on it."""

from __future__ import annotations

from typing import Any

import pytest
from torch_oracle import torch

import fgrad.torch as ftorch

EXPRESSIONS = """
x.softmax(0)
x.log_softmax(-1)
x.cumsum(0)
x.cumprod(1)
x.cummax(0)[0]
x.logcumsumexp(0)
x.roll(1, 0)
x.tril()
x.triu()
x.masked_fill(x > 2, 1.0)
x.index_select(0, t.tensor([0, 1]))
x.sum(0)
x.sum(1)
x.mean(0)
x.var(0)
x.std(1)
x.norm(dim=0)
x.prod(0)
x.logsumexp(0)
x.amax(0)
t.cat([x, x])
t.cat([x, x], -1)
t.stack([x, x])
t.hstack([x, x])
t.cdist(x, x)
F.layer_norm(x, x.shape[-1:])
F.batch_norm(x, None, None, training=True)
F.one_hot(x.detach().long(), 30)
F.pad(x, (1, 1))
F.pad(x[None], (1, 1), mode="reflect")
F.interpolate(x[None] if x.dim() == 2 else x, scale_factor=2)
F.cross_entropy(x, x.softmax(1), reduction="none")
t.where(x > 3, x, x * 2)
t.where(x > 3, x, x.contiguous())
t.where(x.contiguous() > 3, x, x)
t.where(x > 3, x, 0.0)
t.where(x > 3, x.contiguous(), x.contiguous())
x.where(x > 3, t.zeros(x.shape[-1]))
x.flip(0)
x.flip(0, 1)
x.contiguous().flip(1)
x.fliplr()
x.sort()[0]
x.sort(0)[1]
x.argsort(0)
x.argsort(-1, descending=True)
x.msort()
F.dropout(x, 0.5)
F.dropout(x, 1.0)
F.alpha_dropout(x, 0.5, True)
F.dropout1d(x, 0.5)
x.index_fill(0, t.tensor([0, 1]), 1.0)
x.renorm(2, 0, 1.0)
x.renorm(1, -1, 1.0)
x.exp()
x * 2 + 1
x.clone()
x.clone(memory_format=t.contiguous_format)
x.contiguous()
x.double()
x.relu() * x
x.detach().clone()
t.zeros_like(x)
t.ones_like(x, dtype=t.float64)
t.full_like(x, 2.0)
t.empty_like(x)
t.rand_like(x)
t.randn_like(x)
t.zeros_like(x, memory_format=t.contiguous_format)
t.ones_like(x, memory_format=t.preserve_format)
x.new_zeros(x.shape)
x.softmax(0) * 2
(x * 3).softmax(0).exp()
""".strip().splitlines()


def transposed(t: Any, requires_grad: bool) -> list[Any]:
    a = t.arange(1.0, 7.0).reshape(2, 3)
    b = t.arange(1.0, 25.0).reshape(2, 3, 4)
    if requires_grad:
        a.requires_grad_()
        b.requires_grad_()
    return [a.t(), b.permute(0, 2, 1), b.permute(2, 0, 1)]


def observed(t: Any, expression: str, requires_grad: bool, reads: bool) -> list[Any]:
    found: list[Any] = []
    for x in transposed(t, requires_grad):
        try:
            y = eval(expression, {"t": t, "F": t.nn.functional, "x": x})
            if reads:
                y.sum().item()
            found.append((y.stride(), y.is_contiguous()))
            found.append(tuple(y.view(-1).shape))
        except (RuntimeError, NotImplementedError, ValueError) as error:
            found.append(type(error).__name__)
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_strides(expression: str) -> None:
    for requires_grad in (False, True):
        expected = observed(torch, expression, requires_grad, False)
        for reads in (False, False, True, True, True):
            assert observed(ftorch, expression, requires_grad, reads) == expected


def test_strides_of_a_trained_result() -> None:
    """Results of one compiled program, each as its operation alone would lay it out."""
    results = []
    for t in (torch, ftorch):
        w = t.arange(1.0, 7.0).reshape(2, 3).requires_grad_()
        for _ in range(5):
            y = w.t() * 2
            z = y.softmax(0)
            c = y.clone()
            loss = (z * c.exp().t().reshape(3, 2)).sum()
            loss.backward()
            found = [v.stride() for v in (y, z, c, z.view(-1), w.grad)]
        results.append(found)
    assert results[0] == results[1]


def test_layouts_that_enter_are_told_apart() -> None:
    """Arrays of one shape with other orders of axes, in one place of a program."""
    for _ in range(3):
        for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)):
            strides = []
            for t in (torch, ftorch):
                data = t.arange(8.0).reshape(2, 2, 2).permute(order)
                w = t.ones(2, 2, 2).permute(order).requires_grad_()
                y = data * w
                (y * y).sum().backward()
                strides.append((y.stride(), w.grad.stride()))
            assert strides[0] == strides[1]
