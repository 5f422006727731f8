"""Runs one snippet under PyTorch and under fgrad.torch, and compares what it does."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fgrad.torch

torch = pytest.importorskip("torch")
torch.set_warn_always(True)
torch.set_num_threads(1)

SNIPPETS = Path(__file__).parent / "torch_snippets"
NAMES = """
x = torch.ones(2, 2, requires_grad=True)
w = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
y = x * 2
c = torch.tensor([[0., 1.], [2., 3.]])
d = torch.tensor([[0.5, -1.5], [2.0, 0.25]], dtype=torch.float64)
i = torch.tensor([0, 1, 2, 3])
j = torch.tensor([3, -2], dtype=torch.int32)
b = torch.tensor([True, False])
z = torch.zeros(2, 3, 4)
s = torch.tensor(2.0)
"""


def snippets(*topics: str) -> list[Any]:
    """The lines of files of snippets; ``;;`` separates statements."""
    return [
        pytest.param(line.replace(" ;; ", "\n"), id=f"{topic}-{line[:60]}")
        for topic in topics
        for line in (SNIPPETS / f"{topic}.txt").read_text().splitlines()
    ]


def blocks(topic: str) -> list[Any]:
    """The blocks of a file of longer snippets; each begins with its title."""
    found = (SNIPPETS / f"{topic}.txt").read_text().strip().split("\n\n")
    return [
        pytest.param(block, id=f"{topic}-{block.splitlines()[0].removeprefix('# ')}")
        for block in found
    ]


def outcome(source: str, module: Any) -> str:
    """What a snippet gives: its last expression (or `r`), warnings, the exception."""
    scope: dict[str, Any] = {"torch": module, "np": np}
    exec(NAMES, scope)
    *lines, last = source.strip().split("\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec("\n".join(lines), scope)
            text = _show(_evaluate(last, scope))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
    # ways that PyTorch itself uses are deprecated; that of storages is told once
    own = ("__array_wrap__", "torch.jit.script", "insert a get_attr Node")
    own += ("TypedStorage is deprecated",)
    messages = [str(w.message) for w in caught]
    messages = [text for text in messages if not any(name in text for name in own)]
    return masked("\n".join([text, *messages]))


def _evaluate(last: str, scope: dict[str, Any]) -> Any:
    try:
        code = compile(last, "<snippet>", "eval")
    except SyntaxError:
        exec(last, scope)
        return scope.get("r")
    return eval(code, scope)


def _show(value: Any) -> str:
    if type(value) not in (tuple, list):
        return repr(value)
    inner = ", ".join(map(_show, value))
    return f"({inner})" if type(value) is tuple else f"[{inner}]"


def masked(text: str) -> str:
    """Text without addresses and without places in PyTorch's own sources."""
    text = re.sub(r"0x[0-9a-f]+", "0x...", text)
    text = re.sub(r'(  File "[^\n]*\n(    [^\n]*\n)*)+', "  (lines)\n", text)
    return re.sub(r" \(Triggered internally at [^)]*\)", "", text)


def agree(source: str) -> None:
    """Check that a snippet does the same under both."""
    expected = outcome(source, torch)
    for time in ("learnt", "recorded", "compiled"):
        found = outcome(source, fgrad.torch)
        is_same = found == expected or _without_lines(found) == expected
        assert is_same, f"{time}: {source}\n{found}\n{expected}"


def _without_lines(text: str) -> str:
    """An error without the line that fgrad adds to PyTorch's sentence."""
    first, *rest = text.split("\n")
    return "\n".join([first, *rest[1:]]) if first.startswith("RuntimeError: ") else text
