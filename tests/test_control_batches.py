"""Branches, known and not, and batches of predicates and of trip counts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_control import XS, V, same

import fgrad
from fgrad import grad, tree, vmap

# --- branches


def test_a_known_predicate_runs_one_branch() -> None:
    """The other would divide by zero, and warnings are errors."""
    f = lambda x: fgrad.cond(x > 0, lambda x: 1 / x, lambda x: x * 2, x)
    for run in (f, grad(f), grad(grad(f)), lambda x: fgrad.jvp(f, (x,), (1.0,))[1]):
        run(0.0)
    same(grad(f)(0.0), np.float64(2.0))
    same(grad(f)(2.0), np.float64(-0.25))
    g = lambda x, k: fgrad.switch(k, [lambda x: 1 / x, lambda x: x * 2], x)
    same(grad(g)(0.0, 1), np.float64(2.0))


def test_lanes_that_are_not_taken_warn_of_nothing() -> None:
    f = lambda x: fgrad.cond(x > 0, lambda x: np.log(x) / x, lambda x: x * 2.0, x)
    x = np.array([0.0, 1.0, -1.0, 2.0])
    same(vmap(f)(x), np.array([f(y) for y in x]))
    in_loop = lambda x: fgrad.scan(lambda c, y: (f(c - y), f(c)), x, np.ones(2))
    expected = tuple(map(np.stack, zip(*(in_loop(y) for y in x), strict=True)))
    same(vmap(in_loop)(x), expected)
    again = lambda x: fgrad.while_loop(lambda c: c < 1.0, lambda c: c + f(c) + 3, x)
    same(vmap(again)(x), np.array([again(y) for y in x]))
    same(vmap(fgrad.checkpoint(f))(x), vmap(f)(x))
    rows = lambda _: fgrad.scan(lambda c, _: (vmap(f)(c), None), x, None, length=2)[0]
    same(rows(0), vmap(f)(vmap(f)(x)))


def test_elements_that_have_ended_warn_of_nothing() -> None:
    f = lambda x: fgrad.while_loop(lambda c: c > 0, lambda c: c - np.sqrt(c), x)
    x = np.array([4.0, 0.25, 1.0])
    same(vmap(f)(x), np.array([f(y) for y in x]))
    same(vmap(grad(f))(x), np.array([grad(f)(y) for y in x]))


def test_gradients_of_branches_are_safe_where_jax_is() -> None:
    def f(np: Any, cond: Any) -> Any:
        root = lambda x: np.sqrt(x) + np.log(x)
        return lambda x: cond(x > 0, root, lambda x: x * 2.0, x)

    x = np.array([0.0, 1.0, -1.0, 4.0])
    expected = jax.vmap(jax.grad(f(jnp, jax.lax.cond)))(x)
    assert np.isfinite(expected).all()
    same(vmap(grad(f(np, fgrad.cond)))(x), np.asarray(expected))
    total = lambda x: np.sum(vmap(f(np, fgrad.cond))(x))
    same(grad(total)(x), np.asarray(expected))


def test_index_is_clipped() -> None:
    f = lambda k, x: fgrad.switch(k, [np.sin, np.cos, np.exp], x)
    expected = np.array([np.sin(0.5), np.sin(0.5), np.cos(0.5), np.exp(0.5)])
    for k, y in zip((-3, 0, 1, 2), expected, strict=True):
        same(f(k, 0.5), y)
    same(vmap(f, (0, None))(np.array([-3, 0, 1, 2, 9]), 0.5)[:4], expected)
    in_loop = fgrad.map(lambda k: f(k, 0.5), np.array([-3, 0, 1, 2]))
    same(in_loop, expected)
    same(f(np.uint8(1), 0.5), np.cos(0.5))


def test_numbers_as_predicates_and_results() -> None:
    f = lambda p, x: fgrad.cond(p, lambda x: x * 2.0, lambda x: 0.0, x)
    for p in (True, 1, 2.5, np.bool_(1), np.float32(3), np.ones((), bool)):
        same(f(p, 3.0), np.float64(6.0))
    same(f(0.0, 3.0), np.float64(0.0))
    same(vmap(f)(np.array([0.0, 2.0]), np.ones(2)), np.array([0.0, 2.0]))
    same(grad(f, 1)(0.0, 3.0), np.float64(0.0))
    same(fgrad.cond(False, lambda: 1, lambda: 2.5), np.float64(2.5))
    same(fgrad.cond(True, lambda: 1, lambda: 2.5), np.float64(1.0))


# --- batches


def test_trip_counts_that_differ() -> None:
    power = lambda x, n: fgrad.fori_loop(0, n, lambda k, c: c * x + k, np.ones(2))
    x, n = np.array([2.0, 0.5, 3.0]), np.array([3, 0, 1])
    rows = [power(*row) for row in zip(x, n, strict=True)]
    same(vmap(power)(x, n), np.stack(rows))
    same(vmap(power, (None, 0))(2.0, n)[1], np.ones(2))
    loss = lambda x, n: np.sum(power(x, n) ** 2)
    slopes = [grad(loss)(*row) for row in zip(x, n, strict=True)]
    same(vmap(grad(loss))(x, n), np.stack(slopes))
    same(grad(lambda x: np.sum(vmap(loss)(x, n)))(x), np.stack(slopes))


def test_what_is_not_mapped_stays_so() -> None:
    """Only outputs that depend on the batch have its axis in the program."""

    def f(w: Any, xs: Any) -> Any:
        step = lambda c, x: ((c[0] + 1, c[1] * 0.5, c[2] * w + x), (c[1], c[2]))
        return fgrad.scan(step, (0, V, V), xs)

    program = fgrad.make_program(lambda ws: vmap(f, (0, None))(ws, XS))(np.ones(5))
    (eqn,) = [eqn for eqn in program.eqns if eqn.prim.name == "scan"]
    shapes = [var.aval.shape for var in eqn.outs]
    assert shapes == [(), (3,), (5, 3), (4, 3), (4, 5, 3)]
    ws = np.linspace(0, 1, 5)
    rows = [f(w, XS) for w in ws]
    expected = tree.map_leaves(lambda x: x, rows[0])
    leaves = zip(*(tree.flatten(row)[0] for row in rows), strict=True)
    expected = tree.unflatten(tree.flatten(expected)[1], list(map(np.stack, leaves)))
    same(vmap(f, (0, None))(ws, XS), expected)
    plain = lambda w: fgrad.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, w), (0, V)
    )
    program = fgrad.make_program(vmap(plain))(np.ones((5, 3)))
    (eqn,) = [eqn for eqn in program.eqns if eqn.prim.name == "while_loop"]
    assert [var.aval.shape for var in eqn.outs] == [(), (5, 3)]


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_predicates_and_operands_of_a_batch(axes: Any) -> None:
    f = lambda p, x: fgrad.cond(p > 0, lambda x: x * V, lambda x: x + V, x)
    p, x = np.array([0.5, -1.0, 2.0]), np.stack([V, V * 2, V * 3])
    args = [a if axis == 0 else a[0] for a, axis in zip((p, x), axes, strict=True)]
    columns = [a if axis == 0 else [a[0]] * 3 for a, axis in zip((p, x), axes)]
    rows = [f(*row) for row in zip(*columns, strict=True)]
    same(vmap(f, axes)(*args), np.stack(rows))


def test_maps_of_maps_and_axes() -> None:
    f = lambda c, xs, w: fgrad.scan(lambda c, x: (c * w + x, c), c, xs)[1]
    c, xs, w = V, XS, np.array([0.5, 2.0])
    both = vmap(vmap(f, (0, 1, None)), (None, None, 0), out_axes=1)(c, xs, w)
    for k in range(2):
        for j in range(3):
            same(both[j, k], f(c[j], xs[:, j], w[k]))
    no_elements = vmap(f, (0, None, None))(np.zeros((0, 3)), XS, 0.5)
    assert no_elements.shape == (0, 4, 3)


def test_no_steps() -> None:
    f = lambda x, n: fgrad.fori_loop(0, n, lambda k, c: c * 2.0, x)
    same(f(V, 0), V)
    same(f(3, 0), np.float64(3.0))  # the type is that of one step
    same(fgrad.fori_loop(5, 2, lambda k, c: c * 2, V), V)
    same(grad(lambda x: np.sum(f(x, 0)))(V), np.ones(3))
    g = lambda x: fgrad.while_loop(lambda c: c < 0, lambda c: c * 2, x)
    same((g(1.0), grad(g)(1.0)), (np.float64(1.0), np.float64(1.0)))
    same(vmap(grad(g))(np.ones(2)), np.ones(2))
    same(
        fgrad.while_loop(lambda c: True, lambda c: c * 2.0, 1, max_steps=0),
        np.float64(1),
    )
