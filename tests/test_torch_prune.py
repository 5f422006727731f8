"""Pruning against PyTorch's: masks, names, gradients, errors."""

from __future__ import annotations

import pytest
from torch_oracle import agree

PRELUDE = """
import importlib
prune = importlib.import_module(f"{torch.__name__}.nn.utils.prune")
nn = torch.nn
m = nn.Linear(4, 3)
with torch.no_grad():
    m.weight.copy_((torch.arange(12.0) * 7 % 13).reshape(3, 4) - 6.3)
    m.bias.copy_(torch.tensor([0.55, -2.2, 1.05]))
n = nn.Conv1d(2, 3, 2)
with torch.no_grad():
    n.weight.copy_((torch.arange(12.0) * 5 % 11).reshape(3, 2, 2) - 5.15)
""".strip()
SHOWN = "m.weight, m.weight_mask, list(m.state_dict()), prune.is_pruned(m)"
CASES = [
    f"prune.l1_unstructured(m, 'weight', 5)\nr = {SHOWN}, m.weight.is_leaf",
    f"prune.l1_unstructured(m, name='weight', amount=0.3)\nr = {SHOWN}",
    f"prune.ln_structured(m, 'weight', 0.5, n=2, dim=1)\nr = {SHOWN}",
    f"prune.ln_structured(m, 'weight', 1, n=1, dim=0)\nr = {SHOWN}",
    f"prune.ln_structured(m, 'weight', 1, n=float('inf'), dim=-1)\nr = {SHOWN}",
    f"prune.identity(m, 'weight')\nr = {SHOWN}",
    f"prune.custom_from_mask(m, 'weight', torch.eye(3, 4))\nr = {SHOWN}",
    f"prune.l1_unstructured(m, 'weight', 3)\nprune.l1_unstructured(m, 'weight', 3)\n"
    f"h = list(m._forward_pre_hooks.values())\nr = {SHOWN}, len(h)",
    "prune.l1_unstructured(m, 'weight', 3)\nprune.ln_structured(m, 'weight', 1, 2, 0)\n"
    f"prune.ln_structured(m, 'weight', 1, 2, 0)\nr = {SHOWN}",
    "prune.random_unstructured(m, 'weight', 5)\nr = m.weight_mask.sum()",
    "prune.random_structured(m, 'weight', 2, 1)\n"
    "r = m.weight_mask.sum(), m.weight_mask.sum(0).sort()[0]",
    "prune.l1_unstructured(m, 'weight', 5)\nm(torch.ones(2, 4)).sum().backward()\n"
    "with torch.no_grad():\n    m.weight_orig.add_(1)\n"
    "r = m.weight_orig.grad, m(torch.ones(1, 4)), m.weight",
    "prune.l1_unstructured(m, 'weight', 5)\nk = prune.remove(m, 'weight')\n"
    "r = k is m, m.weight, list(m.state_dict()), prune.is_pruned(m), m.weight.is_leaf",
    "prune.global_unstructured([(m, 'weight'), (n, 'weight'), (m, 'bias')], "
    "pruning_method=prune.L1Unstructured, amount=0.4)\n"
    "r = m.weight_mask, n.weight_mask, m.bias_mask",
    "p = prune.L1Unstructured(amount=2)\n"
    "r = p.prune(torch.tensor([3.0, -1, 2, 0.5])), "
    "p.prune(torch.ones(3), importance_scores=torch.tensor([3.0, 1, 2]))",
    "prune.l1_unstructured(m, 'weight', 2, importance_scores=-m.weight.abs())\n"
    f"r = {SHOWN}",
    "class Every(prune.BasePruningMethod):\n"
    "    PRUNING_TYPE = 'unstructured'\n"
    "    def compute_mask(self, t, default_mask):\n"
    "        mask = default_mask.clone()\n"
    "        mask.view(-1)[::2] = 0\n"
    "        return mask\n"
    f"Every.apply(m, 'weight')\nr = {SHOWN}",
    "prune.l1_unstructured(m, 'weight', 50)",
    "prune.l1_unstructured(m, 'weight', -1)",
    "prune.l1_unstructured(m, 'weight', 1.5)",
    "prune.l1_unstructured(m, 'weight', 'x')",
    "prune.ln_structured(m, 'bias', 1, 2, 0)",
    "prune.ln_structured(m, 'weight', 1, 2, 5)",
    "prune.remove(m, 'weight')",
    "prune.custom_from_mask(m, 'weight', torch.eye(3))",
    "prune.global_unstructured(3, prune.L1Unstructured)",
]


@pytest.mark.parametrize("source", CASES)
def test_pruning(source: str) -> None:
    agree(f"{PRELUDE}\n{source}")
