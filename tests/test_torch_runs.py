"""Recorded runs: whatever a script does between operations, it sees PyTorch's values.

A program runs several times, since the first time an operation runs at once, then it is
recorded and computed later, and then by a compiled program.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fgrad.torch

TIMES = 6  # learnt, replayed, compiled; parts of a program are compiled later


def agree(program: Callable[[Any], list[Any]]) -> None:
    """Check that a program of a library gives the same numbers under both."""
    expected = program(torch)
    for time in range(TIMES):
        found = program(fgrad.torch)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            if isinstance(theirs, str):
                assert ours == theirs, time
            else:
                np.testing.assert_allclose(ours, theirs, 1e-5, 1e-6, err_msg=str(time))


def numbers(x: Any) -> Any:
    """What a tensor holds; None as NaN."""
    return np.nan if x is None else np.array(x.detach().tolist())


UNARY = ["sin", "tanh", "relu", "exp", "sigmoid", "neg", "abs", "square"]
READS = ["item", "numpy", "print", "bool", "detach", "no_grad"]
WRITES = ["add_", "setitem", "zero_grad", "copy_"]


def random_program(library: Any, choices: list[tuple[int, int, int]]) -> list[Any]:
    """Operations, reads, writes and backwards, as the choices say."""
    seen: list[Any] = []
    w = library.tensor([0.3, -0.2, 0.5], requires_grad=True, dtype=library.float64)
    v = library.tensor([1.5, 0.5, -1.0], requires_grad=True, dtype=library.float64)
    c = library.tensor([1.0, 2.0, 3.0], dtype=library.float64)
    pool = [w, v, c, w * 1.5]
    for kind, first, second in choices:
        x, y = pool[first % len(pool)], pool[second % len(pool)]
        try:
            seen += step(library, kind, x, y, second, pool, (w, v, c))
        except RuntimeError:  # PyTorch may have added up some gradients by then
            return [*seen, "raised"]
    return [*seen, numbers(w.grad), numbers(v.grad), *map(numbers, pool)]


def step(
    library: Any, kind: int, x: Any, y: Any, number: int, pool: list[Any], leaves: Any
) -> list[Any]:
    """One action on tensors; what it shows."""
    if kind < 4:
        pool.append([x + y, x * y, x - 0.5 * y, x * number][kind])
    elif kind < 8:
        pool.append(getattr(x, UNARY[number % len(UNARY)])())
    elif kind < 10:
        pool.append([x.view(3, 1).t()[0], x[number % 3] * y][kind - 8])
    elif kind < 13:
        return read(library, READS[number % len(READS)], x)
    elif kind < 16:
        write(library, WRITES[number % len(WRITES)], leaves[number % 3], x)
    elif kind < 18:
        (x * y).sum().backward(retain_graph=number % 2 == 0)
    elif kind == 18:
        found = library.autograd.grad(
            (x * y).sum(), leaves[number % 2], allow_unused=True
        )
        return [numbers(found[0])]
    else:
        x.sum().backward()
    return []


def read(library: Any, how: str, x: Any) -> list[Any]:
    """A value, read in some way."""
    if how == "item":
        return [x.sum().item()]
    if how == "numpy":
        return [x.detach().numpy().copy()]
    if how == "print":
        return [str(x.shape), str(x)[:7]]
    if how == "bool":
        return [str(bool((x > 0).any()))]
    if how == "detach":
        return [numbers(x.detach() * 2)]
    with library.no_grad():
        return [numbers(x * 3)]


def write(library: Any, how: str, leaf: Any, x: Any) -> None:
    """A change of a leaf's memory, or of its gradient."""
    if how == "zero_grad":
        leaf.grad = None
    else:
        with library.no_grad():
            if how == "add_":
                leaf.add_(x, alpha=0.1)
            elif how == "setitem":
                leaf[0] = 0.75
            else:
                leaf.copy_(x)


CHOICES = st.lists(
    st.tuples(st.integers(0, 19), st.integers(0, 30), st.integers(0, 30)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(CHOICES)
def test_random_histories(choices: list[tuple[int, int, int]]) -> None:
    agree(lambda library: random_program(library, choices))


@pytest.mark.slow
@settings(max_examples=5000, deadline=None)
@given(CHOICES)
def test_many_random_histories(choices: list[tuple[int, int, int]]) -> None:
    agree(lambda library: random_program(library, choices))


def test_memory_that_numpy_saw_is_not_seen_for_ever() -> None:
    x = fgrad.torch.ones(4)
    memory = x._storage.remember()
    whole = x.numpy()
    part = whole[1:]
    del whole
    assert memory.is_exposed  # the part keeps the memory in sight
    part[0] = 5
    assert x.tolist() == [1, 5, 1, 1]
    del part
    assert not memory.is_exposed


def test_what_numpy_writes_is_seen_by_what_was_recorded_later() -> None:
    w = fgrad.torch.ones(3, requires_grad=True)
    data = np.ones(3, np.float32)
    x = fgrad.torch.from_numpy(data)
    for number in range(6):
        data[:] = number
        first = (w * x).sum()
        data[:] = -1
        second = (w * x).sum()
        assert (first.item(), second.item()) == (3.0 * number, -3.0)


def test_a_pending_result_of_another_thread() -> None:
    w = fgrad.torch.ones(3, requires_grad=True)
    for number in range(6):
        y = w * number
        found: list[Any] = []

        def work(y: Any = y, found: list[Any] = found) -> None:
            z = (y * 2).sum()
            z.backward()
            found.append(z.item())

        w.grad = None
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found == [6.0 * number]
        assert w.grad.tolist() == [2.0 * number] * 3
        assert y.tolist() == [float(number)] * 3


def test_one_structure_with_other_operands() -> None:
    """The same function of one tensor twice, and of two: also where NumPy sees them."""
    for _ in range(4):
        for make in (fgrad.torch.tensor, lambda x: fgrad.torch.from_numpy(np.array(x))):
            a = make([1.0, 2.0]).requires_grad_()
            b = make([3.0, 5.0]).requires_grad_()
            (a * a).sum().backward()
            (a * b).sum().backward()
            assert a.grad.tolist() == [5.0, 9.0]
            assert b.grad.tolist() == [1.0, 2.0]


def test_an_error_leaves_the_run_as_it_was() -> None:
    for _ in range(5):
        x = fgrad.torch.tensor([1.0, 2.0], requires_grad=True)
        y = fgrad.torch.ones(3, requires_grad=True)
        z = x * 3
        with pytest.raises(RuntimeError, match="must match the size"):
            z * y
        with pytest.raises(RuntimeError, match="must match the size"):
            y + x
        (z * x + y.sum() * 2).sum().backward()
        assert x.grad.tolist() == [6.0, 12.0]
        assert y.grad.tolist() == [4.0, 4.0, 4.0]


def test_errors_of_values_come_where_the_operation_is() -> None:
    for scale in (1.0, 2.0, 3.0, 0.0, 0.0):
        x = fgrad.torch.eye(2).requires_grad_()
        y = x * scale
        if scale:
            assert fgrad.torch.linalg.inv(y)[0, 0].item() == pytest.approx(1 / scale)
        else:
            with pytest.raises(RuntimeError, match="singular"):
                fgrad.torch.linalg.inv(y)
            assert y.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def data_program(library: Any) -> list[Any]:
    """Changes through ``.data``, between recording and reading."""
    w = library.tensor([0.3, -0.2, 0.5], requires_grad=True)
    y = w * 2
    w.data += 1
    z = (w * y).sum()
    seen = [numbers(y), numbers(z)]
    z.backward()
    w.data = w.data - 0.1 * w.grad
    return [*seen, numbers(w.grad), numbers(w), numbers((w * 3).sum())]


def test_changes_through_data() -> None:
    agree(data_program)


def rows_exchanged(library: Any) -> list[Any]:
    """Two results enter writes: the second one's history is looked at after the first.

    What they were computed from has another history by then.
    """
    x = library.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = (x * 1.5).sin_()
    y[0], y[1] = y[1].clone(), y[0].clone()
    (y * y * 0.5 + y * 2).sum().backward()
    return [numbers(x.grad), numbers(y)]


def test_results_keep_their_history_when_an_operand_is_written_to() -> None:
    agree(rows_exchanged)


def saved_memory_changed(library: Any) -> list[Any]:
    """Changes through ``.data`` of what backward reads: operands, results and views."""
    x = library.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    w = library.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x * 0.5
    part, product = y[1:3] * w[0], y.view(2, 2).t() @ w
    growth = (x * 0.1).exp()
    total = (part + product.sum(0) + growth[:2] + x[2:] * w[1]).sum()
    seen = [numbers(total), numbers(y)]
    y.data.mul_(3)
    growth.data += 1
    x.data[3] = 7.0
    total.backward()
    return [*seen, numbers(x.grad), numbers(w.grad)]


def test_what_was_saved_changes_through_data() -> None:
    agree(saved_memory_changed)


def backward_in_the_midst(library: Any) -> list[Any]:
    """What is computed after `backward` comes from the same operations."""
    x = library.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1.5
    z = y.pow(2)
    y.sum().backward()
    (found,) = library.autograd.grad(z.sum(), y, allow_unused=True)
    return [numbers(found), numbers(x.grad)]


def test_results_that_backward_left_pending() -> None:
    agree(backward_in_the_midst)
