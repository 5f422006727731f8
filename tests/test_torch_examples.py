"""The examples run; what does not depend on chance is what PyTorch prints."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def printed(
    example: str,
    module: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    monkeypatch.setattr("sys.argv", [example, module])
    runpy.run_path(str(EXAMPLES / example))
    return capsys.readouterr().out


def test_polynomial(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = "torch_polynomial.py"
    texts = [
        printed(example, module, monkeypatch, capsys)
        for module in ("fgrad.torch", "torch")
    ]
    ours, theirs = (text.replace("-0.0000", "0.0000") for text in texts)
    assert ours == theirs
    assert len(ours.splitlines()) == 5


@pytest.mark.parametrize("example", ["torch_characters.py", "torch_transformer.py"])
def test_losses_fall(
    example: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(example, "fgrad.torch", monkeypatch, capsys)
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", text)]
    assert len(losses) >= 4
    assert losses == sorted(losses, reverse=True)
