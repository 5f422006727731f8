"""Errors of `backward` name the user's lines: what saved, wrote, freed or cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import fgrad.torch as torch


def leaf(*shape: int) -> Any:
    return torch.ones(*shape or (3,), requires_grad=True)


def complaint(call: Callable[[], Any]) -> str:
    """The line that follows PyTorch's sentence."""
    with pytest.raises(RuntimeError) as caught:
        call()
    sentence, added = str(caught.value).split("\n")
    assert sentence.endswith((".", "grad_fn", "grad", "calling backward."))
    return added


def test_what_was_saved_and_changed() -> None:
    y = leaf(3, 7) * 2
    z = y.sin() * y
    y[0] = 5.0
    added = complaint(z.sum().backward)
    assert "saved by MulBackward0 (first recorded at test_torch_errors.py:" in added
    assert "changed at test_torch_errors.py:" in added
    assert "`y[0] = 5.0`" in added


def test_what_an_optimiser_changed() -> None:
    w = leaf(5)
    loss = (w * w).sum()
    optimiser = torch.optim.SGD([w], 0.1)
    loss.backward(retain_graph=True)
    optimiser.step()
    optimiser.step()
    w.grad = None
    added = complaint(loss.backward)
    assert "`optimiser.step()`" in added


def test_the_first_write_after_the_save_is_named() -> None:
    y = leaf(6) * 2
    y.add_(1)  # before
    z = y.exp() * y
    y.mul_(2)  # first
    y.mul_(3)  # second
    assert "# first`" in complaint(z.sum().backward)


def test_what_freed_the_graph() -> None:
    z = (leaf(3, 11) * 2).exp().sum()
    z.backward()  # here
    added = complaint(z.backward)
    assert added.startswith("What ExpBackward0 (first recorded at test_torch_errors.py")
    assert "was freed by the backward pass at test_torch_errors.py" in added
    assert "`z.backward()  # here`" in added


def test_strict_names_the_very_line() -> None:
    y = leaf(3, 13)
    first = (y * y).exp()  # one
    with torch.strict():
        second = (y * y).exp()  # another
    second.sum().backward()
    added = complaint(second.sum().backward)
    assert "ExpBackward0 at test" in added
    assert "# another" in added
    first.sum().backward()
    assert "# one" in complaint(first.sum().backward)


def loop() -> Any:
    total = torch.zeros(())
    for _ in range(2):
        total += (leaf() * leaf()).sum().detach()
    return total


@torch.no_grad()
def decorated() -> Any:
    return leaf().sum()


def block() -> Any:
    x = leaf()
    with torch.no_grad():
        y = x * 2
    return y.sum()


@pytest.mark.filterwarnings("ignore:(Converting a tensor|To copy construct)")
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: leaf().detach(), "detach()"),
        (lambda: (leaf() * 2).detach().view(3, 1)[0] + 1, "detach()"),
        (lambda: leaf().data * 2, ".data"),
        (lambda: leaf().argmax(), "argmax()"),
        (lambda: leaf().max(0)[1].float(), "the indices of max"),
        (lambda: leaf().argsort().double(), "argsort()"),
        (lambda: (leaf() > 0).float(), "the comparison gt()"),
        (lambda: torch.logical_and(leaf(), leaf()).float(), "logical_and()"),
        (lambda: leaf().long().float(), "the conversion to torch.int64"),
        (lambda: torch.zeros(3).copy_(leaf().detach()), "detach()"),
        (lambda: torch.tensor(leaf().sum().item()), "item()"),
        (lambda: torch.tensor([x.item() for x in leaf()]), "item()"),
        (lambda: torch.tensor(leaf().tolist()), "tolist()"),
        (lambda: torch.zeros(3) + leaf().sum().item(), "item()"),
        (lambda: float(leaf()[0]) * torch.ones(3), "float()"),
        (lambda: torch.tensor(leaf().detach().numpy()), "detach()"),
        (lambda: torch.from_numpy(leaf().detach().numpy()[1:]), "detach()"),
        (lambda: torch.as_tensor(leaf().argmax().float().item()), "argmax()"),
        (lambda: torch.tensor(leaf()), "torch.tensor()"),
        (loop, "detach()"),
        (block, "torch.no_grad()"),
        (decorated, "torch.no_grad()"),
    ],
)
def test_what_cut_the_path(make: Callable[[], Any], what: str) -> None:
    loss = make().sum()
    added = complaint(loss.backward)
    assert added.startswith(f"The path of gradients was cut by {what}")
    assert " at test_torch_errors.py:" in added
    again = complaint(lambda: torch.autograd.grad(leaf().sum(), loss))
    assert again == added


def test_numbers_that_left_the_graph_long_ago_are_forgotten() -> None:
    number = leaf().sum().item()
    for _ in range(100):
        leaf().sum().item()
    assert complaint(torch.tensor(number).backward).startswith("Nothing")
    with torch.no_grad():
        array = leaf().numpy()
    assert complaint(torch.tensor(array).sum().backward).startswith("The path")
    assert complaint(torch.tensor(array * 1).sum().backward).startswith("Nothing")


def test_nothing_cut_the_path() -> None:
    added = complaint(torch.ones(()).backward)
    assert added.startswith("Nothing that it was computed from requires a gradient")
