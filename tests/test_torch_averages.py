"""Norms of weights, averages of models, older names: as PyTorch does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_oracle import agree, torch

import fgrad.torch

PRELUDE = """
nn = torch.nn
k = nn.Linear(3, 2)
nn.init.constant_(k.bias, 0.5)
with torch.no_grad(): k.weight.copy_(torch.arange(6.0).reshape(2, 3) - 2)
q = torch.tensor([[1.0, -2.0, 0.5]])
swa = torch.optim.swa_utils
checkpoint = torch.utils.checkpoint.checkpoint
""".strip()

SOURCES = [
    "m = nn.utils.weight_norm(k) ;; r = m, m(q), sorted(m.state_dict()), m.weight_g",
    "m = nn.utils.weight_norm(k, dim=None) ;; m(q).sum().backward() ;; "
    "r = m.weight_v.grad, m.weight_g.grad",
    "m = nn.utils.weight_norm(k) ;; nn.utils.remove_weight_norm(m) ;; "
    "r = m(q), sorted(m.state_dict())",
    "nn.utils.remove_weight_norm(k)",
    "m = nn.utils.spectral_norm(k) ;; r = m, sorted(m.state_dict()), m.weight_u.shape",
    "m = nn.utils.spectral_norm(nn.ConvTranspose2d(2, 3, 1)) ;; r = m.weight_u.shape",
    "m = nn.utils.remove_spectral_norm(nn.utils.spectral_norm(k)) ;; "
    "r = sorted(m.state_dict()), type(m.weight)",
    "nn.utils.remove_spectral_norm(k)",
    "a = swa.AveragedModel(k) ;; a.update_parameters(k) ;; "
    "k.bias.data += 1 ;; a.update_parameters(k) ;; r = a(q), a.n_averaged, a",
    "a = swa.AveragedModel(k, avg_fn=swa.get_ema_avg_fn(0.5)) ;; "
    "a.update_parameters(k) ;; k.bias.data += 1 ;; a.update_parameters(k) ;; r = a(q)",
    "b = nn.BatchNorm1d(2) ;; swa.update_bn([c, c * 3 + 1], b) ;; "
    "r = b.running_mean, b.running_var, b.momentum, b.training",
    "x = q.clone().requires_grad_() ;; checkpoint(k, x, use_reentrant=False)"
    ".sum().backward() ;; r = x.grad",
    "nn.init.constant(k.bias, 2.0)",
    "nn.init.eye(k.weight)",
    "nn.init.xavier_uniform(k.weight).shape",
    "nn.init.kaiming_normal(k.weight).shape",
]


@pytest.mark.parametrize("source", SOURCES)
def test_as_pytorch(source: str) -> None:
    agree(f"{PRELUDE}\n" + source.replace(" ;; ", "\n"))


def test_spectral_norm_in_training() -> None:
    """The same vectors at the beginning give the same weights and gradients."""
    pairs = zip(_steps(fgrad.torch), _steps(torch), strict=True)
    for mine, other in pairs:
        np.testing.assert_allclose(mine, other, 1e-9, 1e-12)


def module(library: Any) -> Any:
    layer = library.nn.Linear(3, 2).double()
    with library.no_grad():
        layer.weight.copy_(library.arange(6.0).reshape(2, 3) - 2)
        layer.bias.fill_(0.5)
    layer = library.nn.utils.spectral_norm(layer)
    with library.no_grad():
        layer.weight_u.copy_(library.tensor([0.6, 0.8]))
        layer.weight_v.copy_(library.tensor([0.0, 1.0, 0.0]))
    return layer


def _steps(library: Any) -> list[Any]:
    layer, found = module(library), []
    x = library.ones(4, 3).double()
    for _ in range(3):
        y = layer(x)
        y.square().sum().backward()
        found += [y.detach().numpy(), layer.weight_orig.grad.numpy().copy()]
    found.append(layer.eval()(x).detach().numpy())
    return found
