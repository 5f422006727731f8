"""What is computed when a value is asked for: what leads to it, not all that waits."""

import numpy as np
import pytest

import fgrad.torch as torch
from fgrad.torch import steps
from fgrad.torch.work import work_of

ROUNDS = 4  # learnt, replayed, compiled, and once more


def small_and_large(w):
    """A result that is little work, and one that is a lot."""
    y = (w * 2).sum()
    z = (w @ w @ w @ w).sin()
    return y, z


def weight(n=64):
    values = np.linspace(-1, 1, n * n).reshape(n, n)
    return torch.tensor(values, requires_grad=True)


def test_what_is_far_more_work_stays_pending() -> None:
    w = weight()
    for _ in range(ROUNDS):
        y, z = small_and_large(w)
        assert y.item() == pytest.approx(2 * w.detach().sum().item(), abs=1e-10)
        assert not y._pending
    assert z._pending
    expected = np.sin(np.linalg.matrix_power(w.detach().numpy(), 4))
    np.testing.assert_allclose(z.detach().numpy(), expected, 1e-9, 1e-9)


def test_what_is_as_much_work_is_computed_too() -> None:
    w = weight()
    for _ in range(ROUNDS):
        y, z = (w * 2).sum(), w.sum()
        y.item()
        assert not z._pending


def test_all_that_is_left_is_computed_together() -> None:
    w = weight()
    for _ in range(ROUNDS):
        y, z = small_and_large(w)
        others = [z * k for k in range(2, 6)]
        y.item()
        others[0][0, 0].item()
        assert not any(x._pending for x in others)


@pytest.mark.parametrize("first", ["y", "z"])
def test_gradients_of_both(first: str) -> None:
    found = []
    for _ in range(ROUNDS):
        w = weight()
        y, z = small_and_large(w)
        (y if first == "y" else z.sum()).item()
        y.backward()
        z.sum().backward()
        found.append(w.grad.numpy())
    for one in found[1:]:
        np.testing.assert_allclose(one, found[0], 1e-9, 1e-9)


def test_nodes_are_shared() -> None:
    """A hook of what both come from is called by both."""
    w = weight()
    for _ in range(ROUNDS):
        h = w.exp()
        y, z = h.sum(), (h @ h @ h @ h).sum()
        y.item()
        calls = []
        h.register_hook(calls.append)
        assert z.grad_fn is not None
        (y + z).backward()
        assert len(calls) == 1
        assert y.grad_fn.next_functions[0][0] is h.grad_fn


def test_what_was_freed_stays_so() -> None:
    w = weight()
    for _ in range(ROUNDS):
        h = w.exp()
        y, z = h.sum(), (h @ h @ h @ h).sum()
        y.item()
        y.backward()
        with pytest.raises(RuntimeError, match="backward through the graph a second"):
            z.backward()


def test_a_write_computes_what_is_left() -> None:
    w = weight()
    for _ in range(ROUNDS):
        h = w * 2
        y, z = h.sum(), (h @ h @ h @ h).sum()
        expected = np.linalg.matrix_power(2 * w.detach().numpy(), 4).sum()
        y.item()
        h.mul_(0)
        assert z.item() == pytest.approx(expected)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.backward()


def test_views_are_computed_with_what_they_see() -> None:
    w = weight()
    for _ in range(ROUNDS):
        h = w * 2
        v = h.t()
        z = (v @ v @ v @ v).sum()
        h[0, 0].item()
        h.detach()[0, 1] = 7.0
        assert v[1, 0].item() == 7.0
        assert z._pending or z.item()


def test_snippets_with_values_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the work is estimated, results are the same."""
    monkeypatch.setattr(steps, "is_much_more", lambda *_: True)
    for _ in range(ROUNDS):
        w = weight(5)
        results = [w * k for k in range(1, 4)]
        results += [results[0] @ results[1], results[2].sum(0), w.exp()]
        for x in reversed(results):
            x.tolist()
        sum(x.sum() for x in results).backward()
        a = w.detach().numpy()
        ones = np.ones((5, 5))
        product = ones @ (2 * a).T + 2 * (a.T @ ones)
        np.testing.assert_allclose(w.grad, 6 + product + 3 + np.exp(a), 1e-12)


def test_work_of_products() -> None:
    w = weight(10)
    for _ in range(2):
        y = w @ w
        path = y.grad_fn.path
    assert work_of(path) == pytest.approx(1000 + 1000, rel=0.5)
