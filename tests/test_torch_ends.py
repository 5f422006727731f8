"""Ends of domains, repeated places, and what backward refuses: as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_torch_names import PRELUDE
from torch_oracle import agree, torch

import fgrad.torch

inf, nan = float("inf"), float("nan")


def _placed(torch: Any, x: Any, v: Any, key: Any, factor: Any) -> Any:
    y = x * 1
    y[key] = v
    return y * factor


TARGETS = [0.0, 1.0, 0.0, 1.0, 0.5, 0.5]
CASES: dict[str, Any] = {
    "bce": (
        lambda torch, x: torch.nn.functional.binary_cross_entropy(
            x, torch.tensor(TARGETS), reduction="sum"
        ),
        [0.0, 1.0, 1.0, 0.0, 0.0, 1.0],
    ),
    "bce inside": (
        lambda torch, x: torch.nn.functional.binary_cross_entropy(
            x, torch.tensor([0.0, 1.0, 0.5]), weight=torch.tensor([2.0, 3.0, 4.0])
        ),
        [1e-7, 1.0, 0.3],
    ),
    "bce targets": (
        lambda torch, x, y: torch.nn.functional.binary_cross_entropy(x, y),
        [0.2, 0.9, 0.3],
        [0.0, 0.5, 1.0],
    ),
    "xlogy": (
        lambda torch, x, y: torch.xlogy(x, y),
        [0.0, 0.0, 1.0, 2.0, 0.0, 0.5],
        [1.0, 2.0, 0.0, 3.0, nan, 0.5],
    ),
    "lgamma": (
        lambda torch, x: torch.lgamma(x),
        [0.0, -1.0, -0.5, inf, nan, 1.0, -0.0, -3.0, 2.0, 7.5],
    ),
    "digamma": (lambda torch, x: torch.digamma(x), [0.0, -0.5, inf, nan, 1.0, -0.0]),
    "place": (
        lambda torch, x, v: _placed(
            torch, x, v, torch.tensor([0, 0, 1]), torch.tensor([1.0, 2.0, 3.0])
        ),
        [1.0, 2.0, 3.0],
        [4.0, 5.0, inf],
    ),
    "number": (
        lambda torch, x, v: _placed(
            torch, x, v, torch.tensor([0, 0, 1]), torch.tensor([1.0, 2.0, 3.0])
        ),
        [1.0, 2.0, 3.0],
        4.0,
    ),
    "negative": (
        lambda torch, x, v: _placed(
            torch, x, v, torch.tensor([2, -1, 1]), torch.tensor([1.0, 2.0, 3.0])
        ),
        [1.0, 2.0, 3.0],
        [4.0, 5.0, 6.0],
    ),
    "matrix": (
        lambda torch, x, v: _placed(
            torch, x, v, torch.tensor([[0, 0], [1, 1]]), torch.tensor([1.0, 2.0, 3.0])
        ),
        [1.0, 2.0, 3.0],
        [[4.0, 5.0], [6.0, 7.0]],
    ),
    "columns": (
        lambda torch, x, v: _placed(
            torch,
            x.reshape(1, 3).repeat(2, 1),
            v,
            (slice(None), torch.tensor([0, 0, 1])),
            torch.tensor([1.0, 2.0, 3.0]),
        ),
        [1.0, 2.0, 3.0],
        [4.0, 5.0, 6.0],
    ),
    "pairs": (
        lambda torch, x, v: _placed(
            torch,
            x.reshape(2, 2),
            v,
            (torch.tensor([0, 0, 1]), torch.tensor([1, 1, 1])),
            torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        ),
        [1.0, 2.0, 3.0, 4.0],
        [4.0, 5.0, 6.0],
    ),
    "slots of a view": (
        lambda torch, x, v: _placed(
            torch,
            x.reshape(2, 2),
            v,
            (1, torch.tensor([1, 1])),
            torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        ),
        [1.0, 2.0, 3.0, 4.0],
        [4.0, 5.0],
    ),
    "mask": (
        lambda torch, x, v: _placed(
            torch, x, v, torch.tensor([True, False, True]), torch.tensor([1.0, 2, 3])
        ),
        [1.0, 2.0, 3.0],
        [4.0, 5.0],
    ),
    **{
        name: (
            lambda torch, x, v, name=name: (
                getattr(x, name)(0, torch.tensor([0, 0, 1]), v) * x.detach()
            ),
            [1.0, 2.0, 3.0],
            [4.0, 5.0, 6.0],
        )
        for name in ("index_copy", "scatter")
    },
    "index_put": (
        lambda torch, x, v: x.index_put((torch.tensor([0, 0, 1]),), v) * x.detach(),
        [1.0, 2.0, 3.0],
        [4.0, 5.0, 6.0],
    ),
    "put": (
        lambda torch, x, v: x.put(torch.tensor([0, 0, 1]), v) * x.detach(),
        [1.0, 2.0, 3.0],
        [4.0, 5.0, 6.0],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_slopes(name: str) -> None:
    function, *values = CASES[name]

    def found(module: Any) -> list[Any]:
        leaves = [module.tensor(v, requires_grad=True) for v in values]
        result = function(module, *leaves)
        result.sum().backward()
        return [result.detach().numpy(), *(x.grad.numpy() for x in leaves)]

    expected = found(torch)
    for _ in range(4):
        for mine, other in zip(found(fgrad.torch), expected, strict=True):
            np.testing.assert_allclose(mine, other, 2e-5, 1e-6)


SOURCES = """
x["a"]
x["a":"b"]
x[1.5:2]
x[None, "a"]
x[["a"]]
x["a"] = 1
x[1.5]
torch.unique(w), torch.unique(w, return_inverse=True), torch.unique(w, dim=0)
w.unique_consecutive(), torch.unique(w, return_counts=True, sorted=False)
torch.unique(w).sum().backward()
torch.unique(x, dim=1).sum().backward()
w.unique_consecutive().sum().backward()
v = x * 1 ;; u = v / y ;; v.mul_(2) ;; u.sum().backward()
v = x * 1 ;; u = v / 3 ;; v.mul_(2) ;; u.sum().backward() ;; r = x.grad
v = x * 1 ;; u = v / c ;; v.mul_(2) ;; u.sum().backward() ;; r = x.grad
v = torch.ones(2, 2) ;; u = v / y ;; v.mul_(2) ;; u.sum().backward()
v = torch.ones(2, 2) ;; u = y / v ;; v.mul_(2) ;; u.sum().backward()
v = x * 1 ;; u = torch.copysign(v, torch.tensor(-1.)) ;; v.mul_(2) ;; u.sum().backward()
v = torch.ones(2, 2) ;; u = torch.copysign(y, v) ;; v.mul_(2) ;; u.sum().backward() ;; r = x.grad
v = x * 1 ;; u = torch.addcdiv(y, v, y) ;; v.mul_(2) ;; u.sum().backward()
v = x * 1 ;; u = torch.addcmul(y, v, y) ;; v.mul_(2) ;; u.sum().backward()
v = x * 1 ;; u = torch.addcdiv(v, y, y) ;; v.mul_(2) ;; u.sum().backward() ;; r = x.grad
v = torch.ones(2, 2) ;; u = torch.addcdiv(c, v, y) ;; v.mul_(2) ;; u.sum().backward()
L = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True) ;; r = L(torch.ones(1, 3, 4), torch.zeros(3, 3), torch.tensor([[False, False, True]])).shape
L = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True), 2) ;; r = L(torch.ones(1, 3, 4), torch.zeros(3, 3).bool(), torch.tensor([[0., 0., -inf]])).shape
L = nn.MultiheadAttention(4, 2) ;; v = torch.ones(3, 1, 4) ;; r = L(v, v, v, attn_mask=torch.zeros(3, 3), key_padding_mask=torch.tensor([[False, False, True]]))[1]
""".strip().splitlines()  # noqa: E501 - a snippet is one line


@pytest.mark.parametrize("source", SOURCES)
def test_texts(source: str) -> None:
    agree(f"{PRELUDE}\n" + source.replace(" ;; ", "\n"))
