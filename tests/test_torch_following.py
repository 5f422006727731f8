"""Calls that follow where others followed before, but differ from them in something."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from torch_oracle import torch

import fgrad.torch

Script = Callable[[Any, Any, Any], Any]
ROUNDS = 3  # of all variants, in turn


def leaf(module: Any, dtype: str = "float32", requires: bool = True) -> Any:
    values = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.0], [3.0, 1.0, -2.5]]
    made = module.tensor(values, dtype=getattr(module, dtype))
    return made.requires_grad_(requires)


def seen_by_numpy(module: Any) -> Any:
    x = leaf(module)
    x.window = x.detach().numpy()
    return x


def wrapped(module: Any) -> Any:
    return module.nn.Parameter(leaf(module, requires=False))


def computed(module: Any) -> Any:
    return leaf(module) * 1.5


def read(module: Any) -> Any:
    x = leaf(module) * 1.5
    x.tolist()
    return x


OPERANDS: dict[str, Callable[[Any], Any]] = {
    "leaf": leaf,
    "double": lambda module: leaf(module, "float64"),
    "constant": lambda module: leaf(module, requires=False),
    "turned": lambda module: leaf(module).t(),
    "turned leaf": lambda module: leaf(module).detach().t().requires_grad_(),
    "numpy": seen_by_numpy,
    "parameter": wrapped,
    "computed": computed,
    "read": read,
    "a view": lambda module: leaf(module).view(3, 3),
    "frozen": lambda module: leaf(module).detach(),
    "number": lambda module: 2.5,
    "integer": lambda module: 3,
    "zero": lambda module: 0.0,
    "minus zero": lambda module: -0.0,
}

SCRIPTS: dict[str, Script] = {
    "product": lambda module, x, y: x * y,
    "product at the end": lambda module, x, y: (x + 1) * y,
    "reflected": lambda module, x, y: y * (x * 2),
    "quotient": lambda module, x, y: y / (x + 1),
    "function": lambda module, x, y: module.neg(x * y),
}
MATRICES: dict[str, Script] = {
    "matrices": lambda module, x, y: x @ y,
    "twice": lambda module, x, y: y @ y + x,
    "layer": lambda module, x, y: module.nn.functional.linear(x, y, y[0]),
    "layer of one": lambda module, x, y: module.nn.functional.linear(y, y),
}


def outcome(script: Script, module: Any, operand: Callable[[Any], Any]) -> str:
    """The result and the gradients, or the error, as text."""
    x, y = leaf(module), operand(module)
    try:
        result = script(module, x, y)
        result.sum().backward()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    own = y.grad if isinstance(y, module.Tensor) and y.is_leaf else None
    return f"{result}\n{x.grad}\n{own}"


@pytest.mark.parametrize("name", [*SCRIPTS, *MATRICES])
def test_operands_in_turn(name: str) -> None:
    """One call after another at the same place, each with other operands."""
    script = (SCRIPTS | MATRICES)[name]
    kinds = {
        kind: operand
        for kind, operand in OPERANDS.items()
        if name in SCRIPTS or isinstance(operand(torch), torch.Tensor)
    }
    expected = {
        kind: outcome(script, torch, operand) for kind, operand in kinds.items()
    }
    for _ in range(ROUNDS):
        for first, second in itertools.permutations(kinds, 2):
            for kind in (first, second, second):
                found = outcome(script, fgrad.torch, kinds[kind])
                assert found == expected[kind], kind


@pytest.mark.parametrize("smoothing", [0.0, -0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_fixed_arguments(reduction: str, smoothing: float) -> None:
    """Options are part of the structure; those before may have been others."""
    texts = []
    for module in (torch, *[fgrad.torch] * 4):
        x = leaf(module)
        loss = module.nn.functional.cross_entropy(
            x * 1,
            module.tensor([0, 2, 1]),
            reduction=reduction,
            label_smoothing=smoothing,
        )
        loss.sum().backward()
        texts.append(f"{loss}\n{x.grad}")
    assert texts == texts[:1] * 5


def test_modes_in_turn() -> None:
    """What was recorded is not followed where nothing is recorded."""
    x = leaf(fgrad.torch)
    for _ in range(4):
        for enabled in (True, False, True):
            with fgrad.torch.set_grad_enabled(enabled):
                assert (x * x + 1).requires_grad == enabled
        with fgrad.torch.inference_mode():
            assert (x * x).is_inference()
        with fgrad.torch.autograd.set_detect_anomaly(True):
            assert (x * x).grad_fn.site is not None


def test_the_target_of_a_loss_is_read_when_it_is_given() -> None:
    """Classes that change between the loss and `backward` are those of the loss."""
    texts = []
    for write in (False, *[True] * 4):
        x, target = leaf(fgrad.torch), fgrad.torch.tensor([0, 2, 1])
        loss = fgrad.torch.nn.functional.cross_entropy(x, target)
        if write:
            target[0] = 1
        loss.backward()
        texts.append(f"{loss}\n{x.grad}")
    assert texts == texts[:1] * 5
