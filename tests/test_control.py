"""Trees, dtypes, closures, in-place code and the memory of results in control flow."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fgrad
import fgrad.numpy as fnp
from fgrad import grad, tree, vmap
from fgrad.ir import aval_of

XS = np.random.default_rng(5).uniform(-1, 1, (4, 3))
V = np.array([0.4, -0.3, 0.8])


def same(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Equal trees of equal types, to rounding."""
    found, treedef = tree.flatten(found)
    expected, expected_tree = tree.flatten(expected)
    assert treedef == expected_tree
    for one, other in zip(found, expected, strict=True):
        assert aval_of(one) is aval_of(other)
        np.testing.assert_allclose(one, other, tolerance, tolerance)


# --- trees


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class State:
    position: Any
    more: Any


def test_trees_as_carry_and_slices_and_outputs() -> None:
    def step(state: State, x: Any) -> Any:
        p = state.position
        moved = Pair(p.left + x["a"][0], p.right * x["b"])
        return State(moved, None), {"sum": moved.left + moved.right, "nothing": None}

    def f(left: Any, xs: Any) -> Any:
        return fgrad.scan(step, State(Pair(left, 2.0), None), xs)

    xs = {"a": [XS[:, 0]], "b": XS[:, 1]}
    final, ys = f(1.0, xs)
    assert type(final) is State and type(final.position) is Pair
    assert final.more is None and ys["nothing"] is None
    left, right = 1 + np.cumsum(XS[:, 0]), 2 * np.cumprod(XS[:, 1])
    same((final.position.left, final.position.right), (left[-1], right[-1]))
    same(ys["sum"], left + right)
    slopes = grad(lambda xs: np.sum(f(1.0, xs)[1]["sum"]))(xs)
    same(slopes["a"], [np.array([4.0, 3.0, 2.0, 1.0])])


@pytest.mark.parametrize("empty", [None, (), {}])
def test_empty_carry_and_outputs(empty: Any) -> None:
    assert fgrad.scan(lambda c, x: (c, None), empty, XS) == (empty, None)
    assert fgrad.scan(lambda c, x: (c, empty), empty, XS) == (empty, empty)
    assert fgrad.fori_loop(0, 3, lambda k, c: c, empty) == empty


def test_trees_through_branches_and_loops() -> None:
    f = lambda p: {"a": Pair(p["a"] * 2.0, None)}
    g = lambda p: {"a": Pair(p["a"] + p["b"], None)}
    choose = lambda p, flag: fgrad.cond(flag > 0, f, g, p)
    p = {"a": V, "b": XS[0]}
    same(choose(p, 1.0), f(p))
    same(vmap(choose, (None, 0))(p, np.array([1.0, -1.0]))["a"].left[1], V + XS[0])
    end = fgrad.while_loop(
        lambda s: s.position < 3,
        lambda s: State(s.position + 1, s.more * 2),
        State(0, V),
    )
    same((end.position, end.more), (np.int64(3), V * 8))
    f = lambda q, *, scale: {"y": Pair(q["x"] * scale, None)}
    same(fgrad.checkpoint(f)({"x": V}, scale=2.0), {"y": Pair(V * 2, None)})


# --- dtypes


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int32", "bool"])
def test_carry_keeps_its_dtype(dtype: str) -> None:
    init = np.array([1, 0, 1]).astype(dtype)
    end, ys = fgrad.scan(lambda c, x: (c * True, c), init, XS)
    assert end.dtype == ys.dtype == np.dtype(dtype)
    assert fgrad.fori_loop(0, 2, lambda k, c: c * True, init).dtype == end.dtype


def test_numbers_as_carry_take_the_dtype_of_the_body() -> None:
    end, _ = fgrad.scan(lambda c, x: (c + x, None), 0, np.ones(3))
    same(end, np.float64(3.0))
    end, _ = fgrad.scan(lambda c, x: (c + x, None), 0.0, np.ones(3, "float32"))
    assert end.dtype == np.float64  # a float is a float64 where nothing says otherwise
    same(fgrad.fori_loop(0, 3, lambda k, c: c + k, 0), np.int64(3))
    same(fgrad.while_loop(lambda c: c < 3, lambda c: c + 1.5, 0), np.float64(3.0))
    same(fgrad.fori_loop(0, 3, lambda k, c: np.logical_not(c), True), np.False_)


def test_slices_of_several_dtypes() -> None:
    xs = (XS, np.arange(4), XS[:, 0] > 0, XS[:, 0].astype("float32"))

    def step(c: Any, x: Any) -> Any:
        row, n, flag, small = x
        assert (n.dtype, flag.dtype, small.dtype) == ("int64", "bool", "float32")
        return c + np.where(flag, row * n, 0.0), (n, flag, small)

    end, ys = fgrad.scan(step, np.zeros(3), xs)
    same(ys, xs[1:])
    same(end, np.sum(XS * (np.arange(4) * xs[2])[:, None], 0))
    slope = grad(lambda x: np.sum(fgrad.scan(step, np.zeros(3), (x, *xs[1:]))[0]))(XS)
    same(slope, np.broadcast_to((np.arange(4.0) * xs[2])[:, None], XS.shape))


def test_gradients_keep_float32() -> None:
    xs, w = XS.astype("float32"), V.astype("float32")
    f = lambda w, xs: np.sum(fgrad.scan(lambda c, x: (np.tanh(c * x), c), w, xs)[1])
    slopes = grad(f, (0, 1))(w, xs)
    assert [s.dtype for s in slopes] == ["float32", "float32"]
    for one, other in zip(slopes, grad(f, (0, 1))(V, XS), strict=True):
        np.testing.assert_allclose(one, other, 1e-5, 1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_complex_carries_follow_jax(reverse: bool) -> None:
    def f(np: Any, scan: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            c = c * (x + 0.5j) + np.conj(c) * 0.2
            return c, np.abs(c) ** 2

        def loss(w: Any, xs: Any) -> Any:
            end, ys = scan(step, w * (1 + 1j), xs, reverse=reverse)
            return np.sum(ys) + np.sum(np.real(end * end))

        return loss

    z = V + 0.3j * V[::-1]
    expected = jax.grad(f(jnp, jax.lax.scan), (0, 1))(z, XS)
    same(grad(f(np, fgrad.scan), (0, 1))(z, XS), tuple(map(np.asarray, expected)))


# --- closures


def test_numbers_and_arrays_that_change_between_calls() -> None:
    rate, table = 0.5, V.copy()

    def f(x: Any) -> Any:
        step = lambda c, _: (c * rate + table, None)
        branch = lambda c: c * rate
        c = fgrad.scan(step, x, None, length=3)[0]
        c = fgrad.fori_loop(0, 2, lambda k, c: c * table * rate, c)
        c = fgrad.checkpoint(lambda c: c * rate + table)(c)
        c = fgrad.while_loop(lambda c: np.sum(c) < 10 * rate, lambda c: c + rate, c)
        return np.sum(fgrad.cond(c[0] > 0, branch, lambda c: -branch(c), c))

    def plain(x: Any) -> Any:
        for _ in range(3):
            x = x * rate + table
        for _ in range(2):
            x = x * table * rate
        x = x * rate + table
        while np.sum(x) < 10 * rate:
            x = x + rate
        return np.sum(x * rate if x[0] > 0 else -x * rate)

    for number in (0.5, 0.25, 2, 1.5):
        rate = number
        for scale in (1.0, 2.0):
            table[:] = scale * V
            same(f(V), plain(V))
            same(grad(f)(V), grad(plain)(V))


def test_closures_over_outer_tracers() -> None:
    def f(w: Any, x: Any) -> Any:
        inner = lambda y: fgrad.scan(lambda c, z: (np.sin(c * w + y), z * w), x, XS)[0]
        return np.sum(grad(lambda y: np.sum(inner(y) ** 2))(w * x))

    def plain(w: Any, x: Any) -> Any:
        def inner(y: Any) -> Any:
            c = x
            for _ in range(4):
                c = np.sin(c * w + y)
            return c

        return np.sum(grad(lambda y: np.sum(inner(y) ** 2))(w * x))

    both = grad(f, (0, 1)), grad(plain, (0, 1))
    same(both[0](V, XS[0]), both[1](V, XS[0]))
    rows = [both[1](V, x) for x in XS]
    found = vmap(both[0], (None, 0))(V, XS)
    same(found, tuple(map(np.stack, zip(*rows, strict=True))))


# --- in-place code


def test_in_place_code_in_bodies_changes_nothing_outside() -> None:
    def step(c: Any, x: Any) -> Any:
        out = fnp.zeros(3)
        out[1:] = c[:2] * x[0]
        out[0] += x[1]
        before = c.copy()
        c[0] = x[2]
        c += out
        return c, before

    def plain(c: Any, xs: Any) -> Any:
        ys = []
        for x in xs:
            ys.append(c)
            shifted = np.stack([x[1], c[0] * x[0], c[1] * x[0]])
            c = np.concatenate([x[2:], c[1:]]) + shifted
        return c, np.stack(ys)

    init, xs = V.copy(), XS.copy()
    same(fgrad.scan(step, init, xs), plain(V, XS))
    same((init, xs), (V, XS))
    loss = lambda f: lambda c, xs: sum(np.sum(np.sin(y)) for y in f(c, xs))
    found = grad(loss(lambda c, xs: fgrad.scan(step, c, xs)), (0, 1))(init, xs)
    same(found, grad(loss(plain), (0, 1))(V, XS))
    same((init, xs), (V, XS))
    batch = np.stack([V, V * 2])
    found = vmap(lambda c: fgrad.scan(step, c, xs))(batch)
    rows = [plain(c, XS) for c in batch]
    same(found, tuple(map(np.stack, zip(*rows, strict=True))))


def write(x: Any) -> Any:
    x[0] = 7.0
    x += 1.0
    return x


@pytest.mark.parametrize(
    "run",
    [
        lambda x: fgrad.cond(np.sum(x) < 100, write, lambda x: x, x),
        lambda x: fgrad.switch(1, [lambda x: x, write], x),
        lambda x: fgrad.checkpoint(write)(x),
        lambda x: fgrad.fori_loop(0, 1, lambda k, x: write(x), x),
        lambda x: fgrad.while_loop(lambda x: x[0] < 7, write, x),
        lambda x: fgrad.scan(lambda c, _: (write(c), None), x, None, length=1)[0],
        lambda x: fgrad.map(write, x[None])[0],
    ],
)
def test_arguments_are_not_written_to(run: Any) -> None:
    x = V.copy()
    expected = np.array([8.0, *(V[1:] + 1)])
    both = lambda x: np.sum(run(x) * np.arange(3.0)) + np.sum(x * x)
    for _ in range(3):
        same(run(x), expected)
        same(x, V)
        same(grad(both)(x), np.array([0.0, 1.0, 2.0]) + 2 * V)
        same(vmap(run)(x[None])[0], expected)
        same(x, V)


IDENTITIES = {
    "scan": lambda x: fgrad.scan(lambda c, _: (c, c), (x, x), None, length=1),
    "fori_loop": lambda x: fgrad.fori_loop(0, 1, lambda k, c: c, (x, x)),
    "no steps": lambda x: fgrad.fori_loop(0, 0, lambda k, c: c, (x, x)),
    "while_loop": lambda x: fgrad.while_loop(
        lambda c: c[0][0] > 9, lambda c: c, (x, x)
    ),
    "max_steps": lambda x: fgrad.while_loop(
        lambda c: c[0][0] < 9, lambda c: c, (x, x), max_steps=0
    ),
    "map": lambda x: fgrad.map(lambda y: (y, y), x),
    "associative_scan": lambda x: fgrad.associative_scan(lambda a, b: b, (x, x)),
    "one element": lambda x: fgrad.associative_scan(lambda a, b: b, (x[:1], x[:1])),
    "cond": lambda x: fgrad.cond(True, lambda x: (x, x), lambda x: (x, x), x),
    "closure": lambda x: fgrad.cond(True, lambda: (x, x), lambda: (x, x)),
    "view": lambda x: fgrad.switch(0, [lambda x: (x[:2], x[1:])], x),
    "checkpoint": lambda x: fgrad.checkpoint(lambda x: (x, x, x[1:]))(x),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_results_share_no_memory(name: str) -> None:
    run = IDENTITIES[name]
    for _ in range(3):  # interpreted, compiled, compiled
        x = V.copy()
        leaves = [x, *tree.flatten(run(x))[0]]
        for k, leaf in enumerate(leaves):
            assert not any(np.shares_memory(leaf, other) for other in leaves[:k])

    def written(x: Any) -> Any:  # as results of NumPy functions are
        first, *more = tree.flatten(run(x))[0]
        first[...] = 0.0
        return np.sum(x * x) + sum(np.sum(y) for y in more)

    def read(x: Any) -> Any:
        return np.sum(x * x) + sum(np.sum(y) for y in tree.flatten(run(x))[0][1:])

    same(grad(written)(V), grad(read)(V))


def test_constants_that_the_body_changes() -> None:
    buffer = np.zeros(3)

    def step(c: Any, x: Any) -> Any:
        buffer[:] = 1.0
        c = c + buffer * x
        buffer[:] = 2.0
        return c + buffer * x, None

    same(fgrad.scan(step, V, XS)[0], V + 3 * XS.sum(0))
    same(grad(lambda xs: np.sum(fgrad.scan(step, V, xs)[0]))(XS), np.full((4, 3), 3.0))
