"""Scripts of the kind that teaching material has: they print what PyTorch prints.

Each runs several times in one process, and with values looked at in between: at once,
recorded, and by compiled programs.
"""

from __future__ import annotations

import ast
import contextlib
import io
import random
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from torch_oracle import masked, torch

import fgrad.torch

SCRIPTS = Path(__file__).parent / "torch_scripts.txt"
PRELUDE = """
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
import numpy as np

def R(*shape, seed=0, dtype=None):
    values = np.random.default_rng(seed).standard_normal(int(np.prod(shape)))
    found = torch.tensor(values.tolist(), dtype=dtype or torch.get_default_dtype())
    return found.reshape(shape)

def init(model, seed=0):
    with torch.no_grad():
        for k, p in enumerate(model.parameters()):
            p.copy_(R(*p.shape, seed=seed + k) * 0.5)
    return model

def attempt(function):
    try:
        print("fine", function())
    except Exception as error:
        print(type(error).__name__, str(error).split("\\n")[0])
"""
NUMBER = re.compile(r"[-+]?\s*(?:\d+\.\d*|\.\d+|\d+(?=e))(?:e[-+]?\d+)?")


def scripts() -> list[Any]:
    """The scripts of the file; each begins with its title."""
    text = SCRIPTS.read_text()
    _, *parts = re.split(r"^### (.*)\n", text, flags=re.M)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [pytest.param(source, id=title) for title, source in pairs]


class Looking(ast.NodeTransformer):
    """Adds calls that look at values, behind some of the statements."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.ClassDef):
            return node
        for name in ("body", "orelse"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, self._looked_at(block))
        return node

    def _looked_at(self, block: list[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for statement in block:
            found.append(statement)
            is_simple = isinstance(statement, ast.Assign | ast.AugAssign | ast.Expr)
            if is_simple and self._random.random() < 0.35:
                found += ast.parse("_look(locals())").body
        return found


def look(names: dict[str, Any]) -> None:
    """Ask for the values of all tensors."""
    for value in list(names.values()):
        if isinstance(value, fgrad.torch.Tensor):
            value.detach().numpy().sum()


def printed(source: str, module: Any, seed: int | None = None) -> str:
    """What a script prints, and its warnings."""
    out, scope = io.StringIO(), {"__name__": "script", "_look": look}
    text = PRELUDE + source
    if module is fgrad.torch:
        text = re.sub(
            r"^import torch$", "import fgrad.torch as torch", text, flags=re.M
        )
        text = re.sub(r"^(import|from) torch", r"\1 fgrad.torch", text, flags=re.M)
    tree = ast.parse(text)
    if seed is not None:
        tree = ast.fix_missing_locations(Looking(seed).visit(tree))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.redirect_stdout(out):
            exec(compile(tree, "<script>", "exec"), scope)
    messages = [f"{w.category.__name__}: {w.message}" for w in caught]
    own = ("__array_wrap__", "torch.jit.script")  # ways that PyTorch itself uses
    messages = [each for each in messages if not any(name in each for name in own)]
    return masked("\n".join([out.getvalue(), *messages])).replace(
        "fgrad.torch", "torch"
    )


def skeleton(text: str) -> str:
    """A text without its numbers, and without the spaces before them."""
    return re.sub(r"\s+", " ", re.sub(r"[-+]? ?#", "#", NUMBER.sub(" # ", text)))


def numbers(text: str) -> list[float]:
    """The numbers in a text that have a point."""
    return [float(re.sub(r"\s", "", found)) for found in NUMBER.findall(text)]


@pytest.mark.parametrize("source", scripts())
def test_a_script_prints_the_same(source: str) -> None:
    expected = printed(source, torch)
    for seed in (None, None, None, None, 1, 1, 2, 3, None):
        found = printed(source, fgrad.torch, seed)
        assert skeleton(found) == skeleton(expected)
        assert numbers(found) == pytest.approx(numbers(expected), 2e-4, 1.2e-4, True)
