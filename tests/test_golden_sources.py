"""Generated sources as texts: a change that makes one worse is seen.

``pytest tests/test_golden_sources.py --regenerate`` writes the texts anew.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fgrad
from tests.test_golden import compare

SMALL = np.array([0.3, -1.2, 0.7])
X = np.linspace(0.1, 1.0, 20_000)
LONG = np.linspace(0.1, 1.0, 300_000)


def elementwise(x: Any) -> Any:
    return np.exp(np.sin(x) * x + 1.0)


def running(x: Any) -> Any:
    y = np.sin(x) * 2.0
    return np.cumsum(y), y[::2]


def blocks(x: Any) -> Any:
    z = x
    for k in range(3):
        z = np.sin(z) * (k + 1.0) + x
    return np.sum(z * z)


def guarded(x: Any) -> Any:
    y = np.sin(x) * 2.0
    if np.sum(y) > 0:
        return y + x
    return np.cumsum(y)


def scalar(x: Any) -> Any:
    return np.tanh(x) / (x - 1.0)


def scanned(x: Any) -> Any:
    def step(total: Any, row: Any) -> Any:
        total = np.sin(total) + row
        return total, total * 2.0

    return fgrad.scan(step, x[0], x)


def slot(x: Any, y: Any) -> Any:
    out = np.zeros_like(x)
    out[1:] = x[1:] * y[:-1]
    out[0] += y[2]
    return out


def containers(params: Any, flag: Any) -> Any:
    return {"w": params["w"] * flag, "b": [params["b"][0], params["w"] + 1.0]}


SOURCES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "elementwise": (elementwise, (SMALL,)),
    "kept": (running, (X,)),
    "blocks": (fgrad.value_and_grad(blocks), (LONG,)),
    "guarded": (guarded, (X,)),
    "scalar": (fgrad.value_and_grad(scalar), (0.5,)),
    "scanned": (scanned, (SMALL.reshape(3, 1) * np.ones(2),)),
    "slot": (slot, (SMALL, SMALL)),
    "containers": (containers, ({"w": SMALL, "b": [SMALL]}, 2.0)),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources(name: str, regenerate: bool, monkeypatch: Any) -> None:
    # whether `math` agrees with NumPy depends on the machine
    monkeypatch.setattr("fgrad.lower.scalars.agrees", lambda name, numpy: True)
    f, args = SOURCES[name]
    jitted = fgrad.jit(f)
    for _ in range(2):
        found = fgrad.tree.flatten(jitted(*args))[0]
        expected = fgrad.tree.flatten(f(*args))[0]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, 1e-12)
    if name == "guarded":
        jitted(-args[0])
    text = re.sub(r"(test_golden_sources\.py):\d+", r"\1", jitted.source.rstrip("\n"))
    compare(f"source_{name}", text, regenerate)
