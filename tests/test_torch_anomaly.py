"""Anomaly mode, inference mode and hooks for saved tensors."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from torch_oracle import agree, blocks

import fgrad.torch as torch


@pytest.mark.parametrize("source", blocks("anomaly"))
def test_anomaly_mode(source: str) -> None:
    agree(source)


@pytest.mark.parametrize("source", blocks("inference"))
def test_inference_mode(source: str) -> None:
    agree(source)


@pytest.mark.parametrize("source", blocks("saved"))
def test_saved_tensors_hooks(source: str) -> None:
    agree(source)


@pytest.fixture
def quiet() -> Iterator[list[Any]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def test_the_warning_shows_the_line(quiet: list[Any]) -> None:
    x = torch.zeros(2, requires_grad=True)
    with torch.autograd.detect_anomaly():
        y = x * 1
        root = y.sqrt()  # here it is
        loss = (root * 0).sum()
        with pytest.raises(RuntimeError, match="SqrtBackward0") as caught:
            loss.backward()
    (note,) = caught.value.__notes__
    assert note.startswith("SqrtBackward0 was recorded here:")
    assert note.endswith("root = y.sqrt()  # here it is")
    text = str(quiet[-1].message)
    assert "root = y.sqrt()  # here it is" in text
    assert "fgrad/torch" not in text


@pytest.mark.parametrize("recorded", [True, False])
def test_nan_of_the_forward_pass(quiet: list[Any], recorded: bool) -> None:
    x = torch.tensor([[1.0, -1.0]], requires_grad=recorded)
    with torch.autograd.detect_anomaly(check_forward=True):
        y = x * 2
        with pytest.raises(RuntimeError) as caught:
            y.log()
    message = str(caught.value)
    assert message.startswith(
        "Log gave nan in element [0, 1] of the result, though no operand has one at "
        "test_torch_anomaly.py:"
    )
    assert "`y.log()`" in message
    assert torch.tensor(-1.0).log().isnan()  # the mode has ended


def test_infinities_of_the_forward_pass(quiet: list[Any]) -> None:
    zero = torch.tensor(0.0)
    with torch.autograd.detect_anomaly(check_forward=True):
        assert zero.log().item() == -float("inf")
    with (
        torch.autograd.detect_anomaly(check_inf=True),
        pytest.raises(RuntimeError, match="Log gave inf in the result"),
    ):
        zero.log()


def test_nan_that_was_given_is_passed_on(quiet: list[Any]) -> None:
    x = torch.tensor([float("nan")], requires_grad=True)
    with torch.autograd.detect_anomaly(check_forward=True, check_inf=True):
        assert (x * 2).sum().isnan()
        assert torch.where(x > 0, x, float("inf")).isinf()


def test_the_anomaly_mode_leaves_no_cycles(quiet: list[Any]) -> None:
    x = torch.ones(2, requires_grad=True)

    def step() -> None:
        with torch.autograd.detect_anomaly():
            (gradient,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
            gradient.sum().backward()

    step()
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            step()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_inference_mode_belongs_to_the_thread() -> None:
    seen = []

    def work() -> None:
        seen.append((torch.is_inference_mode_enabled(), torch.ones(1).is_inference()))

    with torch.inference_mode():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert torch.ones(1).is_inference()
    assert seen == [(False, False)]


def test_packed_values_are_not_kept() -> None:
    x = torch.ones(1000, requires_grad=True)
    middle = x * 2
    memory = weakref.ref(middle._array)
    keep: dict[int, Any] = {}

    def pack(tensor: Any) -> int:
        keep[len(keep)] = tensor.tolist()
        return len(keep) - 1

    with torch.autograd.graph.saved_tensors_hooks(
        pack, lambda key: torch.tensor(keep[key])
    ):
        loss = (middle * middle).sum()
    del middle
    assert memory() is None
    loss.backward()
    assert x.grad.tolist() == [8.0] * 1000


def test_packed_values_in_second_derivatives() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    hooks = torch.autograd.graph.saved_tensors_hooks
    with hooks(torch.Tensor.tolist, torch.tensor):
        (first,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
    assert second.tolist() == [6.0, 12.0]


def test_an_unpacked_value_of_another_type_is_refused() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t[:1]):
        y = x.exp()
    with pytest.raises(RuntimeError, match=r"of type f32\[1\] for one of type f32\[2"):
        y.sum().backward()
