"""The notebook prints under fgrad.torch what it prints under PyTorch."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from torch_oracle import masked

NOTEBOOK = Path(__file__).parent.parent / "examples" / "torch_notebook.py"


def printed(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr("sys.argv", [str(NOTEBOOK), name])
    runpy.run_path(str(NOTEBOOK))
    return masked(capsys.readouterr().out)


def test_prints_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = printed("fgrad.torch", monkeypatch, capsys)
    assert ours == printed("torch", monkeypatch, capsys)
    assert "grad_fn=<AddBackward0>" in ours
    assert "tensor([[4.5000, 4.5000],\n        [4.5000, 4.5000]])" in ours
    assert "you can only change requires_grad flags of leaf variables." in ours
