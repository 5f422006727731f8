"""Every construct of control flow, and nestings of them, under every transform.

The oracle of all transforms is the same function with Python's own loops and branches;
values and gradients are compared with JAX, too.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from control_cases import CASES, FGRAD, JAX, PYTHON, WITH_RULES

import fgrad
from fgrad import tree

# (case, transform): the reason
KNOWN_GAPS: dict[tuple[str, str], str] = {}
SIZE = 3

W = np.array([0.5, -0.7, 0.9])
XS = np.random.default_rng(3).uniform(-1, 1, (4, 3))
ARGS = (W, XS, np.float64(0.8))
STEPS = np.array([0.0, -0.9, 0.45])
BATCH = tuple(
    np.stack([x * (1 + k) for k in STEPS[:SIZE]])
    if x.ndim
    else np.array([0.8, 0.3, 0.55])
    for x in ARGS
)
TANGENTS = tuple(np.cos(np.arange(1.0, 1 + x.size)).reshape(x.shape)[()] for x in ARGS)
ALL = (0, 1, 2)


def weighted(f: Any) -> Any:
    """One number that depends on all results, and not linearly."""

    def total(*args: Any) -> Any:
        leaves = tree.flatten(f(*args))[0]
        rows = [np.cos(np.arange(1.0, 1 + x.size)).reshape(x.shape) for x in leaves]
        return sum(np.sum(x * x * row) for x, row in zip(leaves, rows, strict=True))

    return total


def gradient(f: Any) -> Any:
    return lambda *args: fgrad.grad(weighted(f), ALL)(*args)


def cotangent(out: Any) -> Any:
    return tree.map_leaves(lambda x: np.cos(np.asarray(x))[()], out)


def pulled(f: Any, *args: Any) -> Any:
    out, pullback = fgrad.vjp(f, *args)
    return out, pullback(cotangent(out))


def sum_over_batch(f: Any, c: Any) -> Any:
    return lambda *batch: np.sum(c.vmap(weighted(f))(*batch) ** 2)


def twice_mapped(f: Any, c: Any) -> Any:
    w, xs, s = BATCH
    inner = c.vmap(f, in_axes=(0, None, None))
    return c.vmap(inner, in_axes=(None, 0, 0))(w, xs, s)


TRANSFORMS: dict[str, Callable[[Any, Any], Any]] = {
    "value": lambda f, c: f(*ARGS),
    "jvp": lambda f, c: fgrad.jvp(f, ARGS, TANGENTS),
    "linearize": lambda f, c: fgrad.linearize(f, *ARGS)[1](*TANGENTS),
    "vjp": lambda f, c: pulled(f, *ARGS),
    "vjp of vjp": lambda f, c: pulled(gradient(f), *ARGS),
    "jvp of vjp": lambda f, c: fgrad.jvp(gradient(f), ARGS, TANGENTS),
    "jvp of jvp": lambda f, c: fgrad.jvp(
        lambda *a: fgrad.jvp(f, a, TANGENTS)[1], ARGS, TANGENTS
    ),
    "jacfwd": lambda f, c: fgrad.jacfwd(f, ALL)(*ARGS),
    "jacrev": lambda f, c: fgrad.jacrev(f, ALL)(*ARGS),
    "vmap": lambda f, c: c.vmap(f)(*BATCH),
    "vmap over one": lambda f, c: [
        c.vmap(lambda x: f(*ARGS[:k], x, *ARGS[k + 1 :]))(BATCH[k]) for k in ALL
    ],
    "vmap of vjp": lambda f, c: c.vmap(gradient(f))(*BATCH),
    "vmap of jvp": lambda f, c: c.vmap(lambda *a: fgrad.jvp(f, a, TANGENTS)[1])(*BATCH),
    "vjp of vmap": lambda f, c: fgrad.grad(sum_over_batch(f, c), ALL)(*BATCH),
    "jvp of vmap": lambda f, c: fgrad.jvp(c.vmap(f), BATCH, BATCH),
    "vmap of vmap": twice_mapped,
    "checkpoint": lambda f, c: c.checkpoint(f)(*ARGS),
    "vjp of checkpoint": lambda f, c: pulled(c.checkpoint(f), *ARGS),
    "jvp of vjp of checkpoint": lambda f, c: fgrad.jvp(
        gradient(c.checkpoint(f)), ARGS, TANGENTS
    ),
    "vmap of vjp of checkpoint": lambda f, c: c.vmap(gradient(c.checkpoint(f)))(*BATCH),
}


def bound(f: Any, module: Any, constructs: Any) -> Any:
    return lambda *args: f(module, constructs, *args)


def assert_close(found: Any, expected: Any, tolerance: float = 1e-10) -> None:
    found, treedef = tree.flatten(found)
    expected, expected_tree = tree.flatten(expected)
    assert treedef == expected_tree
    for one, other in zip(found, expected, strict=True):
        assert np.result_type(one) == np.result_type(other)
        assert np.shape(one) == np.shape(other)
        scale = np.max(np.abs(other), initial=1.0)
        np.testing.assert_allclose(one / scale, other / scale, 0, tolerance)


def rows() -> Any:
    for name in CASES:
        for transform in TRANSFORMS:
            reason = KNOWN_GAPS.get((name, transform))
            mark = pytest.mark.xfail(reason=f"known gap: {reason}", strict=True)
            marks = [mark] if reason else []
            yield pytest.param(name, transform, marks=marks, id=f"{name}-{transform}")


@pytest.mark.parametrize(("name", "transform"), list(rows()))
def test_transform(name: str, transform: str) -> None:
    run = TRANSFORMS[transform]
    f = bound(CASES[name], np, FGRAD)
    expected = run(bound(CASES[name], np, PYTHON), PYTHON)
    for _ in range(2):  # the second run follows what the first recorded
        assert_close(run(f, FGRAD), expected)


@pytest.mark.parametrize("name", CASES)
def test_programs(name: str) -> None:
    """From types alone: well formed, readable, and right at other arguments."""
    f = bound(CASES[name], np, FGRAD)
    oracle = bound(CASES[name], np, PYTHON)
    avals = [fgrad.Aval(x.shape, x.dtype) for x in ARGS]
    for derive in (lambda f: f, gradient):
        trace = fgrad.make_program(derive(f))
        if name == "while_loop_of_unknown_length" and derive is gradient:
            with pytest.raises(fgrad.errors.LoopError, match="max_steps="):
                trace(*avals)
            continue
        program = fgrad.check(trace(*avals))
        if name not in WITH_RULES:
            assert fgrad.parse(str(program)) == program
        for k in range(SIZE):
            args = [x[k] for x in BATCH]
            assert_close(program(*args), tree.flatten(derive(oracle)(*args))[0])


@pytest.mark.parametrize("name", CASES)
def test_jax(name: str) -> None:
    f, g = bound(CASES[name], np, FGRAD), bound(CASES[name], jnp, JAX)
    assert_close(f(*ARGS), jax.tree.map(lambda x: np.asarray(x)[()], g(*ARGS)))

    def total(*args: Any) -> Any:
        parts = tree.flatten(g(*args))[0]
        rows = [jnp.cos(jnp.arange(1.0, 1 + x.size)).reshape(x.shape) for x in parts]
        return sum(jnp.sum(x * x * row) for x, row in zip(parts, rows, strict=True))

    expected = jax.jacfwd(total, ALL)(*ARGS)
    expected = jax.tree.map(lambda x: np.asarray(x)[()], expected)
    assert_close(gradient(f)(*ARGS), expected)
