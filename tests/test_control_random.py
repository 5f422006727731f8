"""Scans with random bodies, against the same steps in a Python loop."""

from typing import Any

import numpy as np
import pytest
from control_cases import FGRAD, PYTHON

import fgrad
from fgrad import grad, tree

OPERATIONS = (
    lambda np, a, b, m: np.sin(a),
    lambda np, a, b, m: np.tanh(a) * b,
    lambda np, a, b, m: a * b,
    lambda np, a, b, m: a + 0.5 * b,
    lambda np, a, b, m: np.exp(-a * a),
    lambda np, a, b, m: m @ a,
    lambda np, a, b, m: np.sum(a) * b,
    lambda np, a, b, m: np.where(a > b, a, b * b),
    lambda np, a, b, m: np.cumsum(a) * 0.5,
    lambda np, a, b, m: a[::-1] - b,
    lambda np, a, b, m: np.concatenate([a[1:], b[:1]]),
    lambda np, a, b, m: fgrad.stop_gradient(a) * b,
    lambda np, a, b, m: np.max(a) + b * 0.0,
    lambda np, a, b, m: a / (1.0 + np.sum(a * b) ** 2),
)
CARRIES = 3


def random_step(rng: np.random.Generator) -> Any:
    """A step from three vectors and a slice to three vectors and two outputs.

    A carry may be handed on, swapped with another, or be the same as an output.
    """
    count = CARRIES + 2  # the carries, the slice, what is closed over
    plan = []
    for k in range(rng.integers(2, 7)):
        first, second = rng.integers(0, count + k, 2)
        plan.append((OPERATIONS[rng.integers(len(OPERATIONS))], first, second))
    chosen = rng.integers(0, count + len(plan), CARRIES + 2)
    if rng.random() < 0.5:
        chosen[rng.integers(CARRIES)] = count + len(plan) - 1

    def step(w: Any, m: Any, carry: Any, x: Any) -> Any:
        values = [*carry, x, w]
        for operation, first, second in plan:
            values.append(operation(np, values[first], values[second], m))
        outs = [values[k] for k in chosen]
        return tuple(outs[:CARRIES]), tuple(outs[CARRIES:])

    return step


def loss_of(constructs: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    step, reverse = random_step(rng), bool(rng.integers(2))
    inner = random_step(rng) if seed % 3 == 0 else None
    kept = rng.random(CARRIES + 2) < 0.7

    def loss(w: Any, m: Any, init: Any, xs: Any) -> Any:
        def outer(carry: Any, x: Any) -> Any:
            if inner is not None:
                more = lambda c, y: inner(x, m, c, y)
                carry, (y, _) = constructs.scan(more, carry, xs)
                x = x + y[0]
            return step(w, m, carry, x)

        end, ys = constructs.scan(outer, init, xs, reverse=reverse)
        used = [out for out, k in zip((*end, *ys), kept, strict=True) if k]
        return sum(np.sum(np.sin(out)) for out in used) + 0.0 * np.sum(w)

    return loss


def arguments(seed: int) -> Any:
    rng = np.random.default_rng(seed + 1)
    draw = lambda *shape: rng.uniform(-0.9, 0.9, shape)
    return draw(3), 0.5 * draw(3, 3), tuple(draw(3) for _ in range(CARRIES)), draw(3, 3)


def assert_close(found: Any, expected: Any) -> None:
    found, treedef = tree.flatten(found)
    expected, expected_tree = tree.flatten(expected)
    assert treedef == expected_tree
    for one, other in zip(found, expected, strict=True):
        scale = np.max(np.abs(other), initial=1.0)
        np.testing.assert_allclose(one / scale, other / scale, 0, 1e-9)


def second_order(f: Any, args: Any) -> Any:
    def size(*args: Any) -> Any:
        leaves = tree.flatten(grad(f, (0, 1, 2, 3))(*args))[0]
        return sum(np.sum(x * x) for x in leaves)

    return grad(size, (0, 1, 2, 3))(*args)


@pytest.mark.parametrize("seed", [*range(40), 367, 386, 664, 677])
def test_random_scan(seed: int) -> None:
    args = arguments(seed)
    every = (0, 1, 2, 3)
    f, oracle = loss_of(FGRAD, seed), loss_of(PYTHON, seed)
    assert_close(f(*args), oracle(*args))
    assert_close(grad(f, every)(*args), grad(oracle, every)(*args))
    for one in every:
        assert_close(grad(f, one)(*args), grad(oracle, one)(*args))
    product = lambda f: fgrad.jvp(grad(f, every), args, args)[1]
    assert_close(product(f), product(oracle))
    if seed % 3:
        assert_close(second_order(f, args), second_order(oracle, args))
    checkpointed = fgrad.checkpoint(f)
    assert_close(grad(checkpointed, every)(*args), grad(oracle, every)(*args))
    rows = [(args[0] * (1 - 0.2 * k), *args[1:]) for k in range(2)]
    batch = np.stack([row[0] for row in rows])
    found = fgrad.vmap(grad(f, every), (0, None, None, None))(batch, *args[1:])
    expected = [grad(oracle, every)(*row) for row in rows]
    for k in range(2):
        assert_close(tree.map_leaves(lambda x: x[k], found), expected[k])
