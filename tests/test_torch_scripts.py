"""The scripts of `benchmarks/scripts` give PyTorch's numbers, step after step."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fgrad.torch as ftorch
from benchmarks.script import Script, fill, find_scripts, values_of
from benchmarks.timing import Plan

pytest.importorskip("torch")
pytest.importorskip("rich")

from benchmarks.probes import torch as probe

SCRIPTS = {script.name: script for script in find_scripts()}
ONCE = Plan(seconds=0.0, least=1, most=1)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_losses_gradients_and_parameters_agree(script: Script) -> None:
    assert probe.problem_of(probe.steps_of(script)) is None


def test_the_gradients_of_leaves_are_compared() -> None:
    """Not only the values: those of the notebook are the loss, x, and x.grad."""
    loss, x, gradient = values_of(SCRIPTS["notebook"].build(ftorch)())
    assert (loss.tolist(), x.tolist()) == (27.0, [[1.0, 1.0], [1.0, 1.0]])
    assert gradient.tolist() == [[4.5, 4.5], [4.5, 4.5]]


def test_training_goes_on() -> None:
    """A step of training changes the parameters, so that the next one is another."""
    step = SCRIPTS["mlp-small-adam"].build(ftorch)
    first, *before = values_of(step())
    second, *after = values_of(step())
    assert second < first
    assert not any(np.array_equal(x, y) for x, y in zip(before, after, strict=True))


def test_parameters_are_filled_alike() -> None:
    x, y = (ftorch.zeros(3, 2, requires_grad=True) for _ in range(2))
    fill(ftorch, [x])
    fill(ftorch, [y])
    assert x.tolist() == y.tolist()


def test_a_script_that_differs_is_not_timed() -> None:
    def build(torch: Any) -> Any:
        return lambda: torch.tensor(1.0 if torch is ftorch else 2.0)

    script = replace(SCRIPTS["notebook"], build=build)
    found = probe.measure(script, ONCE)
    assert "step 1: array 0 is off by" in found["problem"]
    assert "seconds" not in found
    assert probe.row_of("notebook", found)[-1] == "[red]wrong [/]"


def test_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved: dict[str, Any] = {}
    chosen = [SCRIPTS["notebook"], replace(SCRIPTS["notebook"], name="easy", bar=1e9)]
    monkeypatch.setattr(probe, "save", saved.__setitem__)
    monkeypatch.setattr(probe, "QUICK", ONCE)
    monkeypatch.setattr(probe, "find_scripts", lambda: chosen)
    probe.run(True, [])
    assert set(saved["torch"]["easy"]) == {"bar", "seconds", "ratio"}
    shown = capsys.readouterr().out
    assert re.search(r"easy .* met", shown)
    assert "geometric mean" in shown
