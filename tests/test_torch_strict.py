"""``strict``: warnings of steps without ``zero_grad``, and unused parameters."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import fgrad.torch as torch


def model() -> tuple[Any, Any]:
    layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    return layers, torch.optim.SGD(layers.parameters(), 0.01)


def test_a_step_after_two_backwards() -> None:
    layers, optimiser = model()
    x = torch.ones(4, 2)
    with torch.strict():
        layers(x).sum().backward()  # first
        optimiser.step()
        layers(x).sum().backward()  # second
        with pytest.warns(torch.StrictWarning, match="sum of 2 gradients") as caught:
            optimiser.step()
    (warning,) = caught
    assert warning.filename == __file__
    assert "# first`" in str(warning.message)
    assert "# second`" in str(warning.message)


@pytest.mark.parametrize(
    "clear",
    [
        lambda layers, optimiser: optimiser.zero_grad(),
        lambda layers, optimiser: optimiser.zero_grad(set_to_none=False),
        lambda layers, optimiser: layers.zero_grad(),
        lambda layers, optimiser: layers.zero_grad(set_to_none=False),
    ],
)
def test_a_cleared_gradient_is_new(clear: Any) -> None:
    layers, optimiser = model()
    with torch.strict(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            clear(layers, optimiser)
            layers(torch.ones(4, 2)).sum().backward()
            optimiser.step()


def test_nothing_is_said_outside() -> None:
    layers, optimiser = model()
    with torch.strict():
        pass
    for _ in range(2):
        layers(torch.ones(4, 2)).sum().backward()
        optimiser.step()


def test_parameters_without_gradients() -> None:
    layers, _ = model()
    layers[1].bias.requires_grad_(False)
    with torch.strict() as watch:
        layers[0](torch.ones(1, 2)).sum().backward()
    assert watch.unused(layers) == ["1.weight"]
    assert watch.unused(dict(layers.named_parameters())) == ["1.weight"]


def test_load_state_dict_copies() -> None:
    (source, _), (target, _) = model(), model()
    parameters = list(target.parameters())
    state = source.state_dict()
    target.load_state_dict(state)
    assert all(
        mine is now for mine, now in zip(parameters, target.parameters(), strict=True)
    )
    with torch.no_grad():
        source[0].weight.fill_(7.0)
        state["1.weight"].fill_(7.0)
    assert not (target[0].weight == 7).any()
    assert not (target[1].weight == 7).any()
    assert (state["0.weight"] == 7).all()  # a state dict shares, as PyTorch's
