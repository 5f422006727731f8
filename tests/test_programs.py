"""Types without values, transposes of linear functions, caches, slow batches."""

import warnings
from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad.errors import (
    BatchLoopWarning,
    ConcretizationError,
    DerivativeError,
    TreeError,
)
from fgrad.primitive import Primitive
from fgrad.testing import pair

A = np.arange(6.0).reshape(2, 3) + 1.0


def test_eval_shape_of_trees_and_avals() -> None:
    def f(p: Any, k: Any) -> Any:
        return {"product": p["w"] @ p["x"], "count": 1}, k * 2

    p = {"w": A, "x": fgrad.Aval((3, 5), "float32")}
    found = fgrad.eval_shape(f, p, k=np.float32(1.0))
    assert found == (
        {"product": fgrad.Aval((2, 5), "float64"), "count": fgrad.Aval((), "int64")},
        fgrad.Aval((), "float32"),
    )


def test_eval_shape_computes_nothing() -> None:
    huge = fgrad.Aval((10**9, 10**3), "float64")
    assert fgrad.eval_shape(lambda x: np.sum(np.sin(x), axis=0), huge).shape == (1000,)
    with pytest.raises(ConcretizationError):
        fgrad.eval_shape(lambda x: x if x > 0 else -x, 1.0)


def looped(x: Any) -> Any:
    def step(c: Any, t: Any) -> Any:
        return c * np.sin(t) + x[0], c

    return fgrad.scan(step, 0.0 * x[1], np.arange(4.0))[1]


LINEAR = {
    "matmul": lambda x: A @ x,
    "parts": lambda x: np.concatenate([x[1:] * 3.0, np.cumsum(x)]),
    "loop": looped,
    "checkpoint": fgrad.checkpoint(lambda x: x * np.sin(2.0) + x[::-1]),
    "cond": lambda x: fgrad.cond(True, lambda y: y * 2.0, lambda y: y, x),
    "vmap": lambda x: fgrad.vmap(lambda y: y * A[0, 0] - y)(x),
    "in place": lambda x: scaled(x),
}


def scaled(x: Any) -> Any:
    out = np.zeros_like(x)
    out[1:] = x[:-1]
    out *= 2.0
    return out


@pytest.mark.parametrize("name", LINEAR)
def test_linear_transpose(name: str) -> None:
    f = LINEAR[name]
    x, rng = np.array([0.3, -0.7, 1.1]), np.random.default_rng(0)
    y = f(x)
    ct = rng.standard_normal(y.shape)
    (found,) = fgrad.linear_transpose(f, fgrad.Aval((3,), "float64"))(ct)
    assert abs(pair([ct], [y]) - pair([found], [x])) < 1e-13
    np.testing.assert_allclose(found, fgrad.vjp(f, x)[1](ct)[0], atol=1e-15)


def test_linear_transpose_is_differentiable_and_maps() -> None:
    def f(w: Any, ct: Any) -> Any:
        return fgrad.linear_transpose(lambda x: x * w, w)(ct)[0]

    w, ct = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    np.testing.assert_array_equal(fgrad.jacrev(f)(w, ct), np.diag(ct))
    batch = fgrad.vmap(f, in_axes=(None, 0))(w, np.stack([ct, 2 * ct]))
    np.testing.assert_array_equal(batch, np.stack([w * ct, 2 * w * ct]))


def test_linear_transpose_of_several_arguments() -> None:
    pull = fgrad.linear_transpose(lambda x, y: (x + 2.0 * y["a"], y["b"]), *TREES)
    x, y = pull((np.array([1.0, 2.0]), 3.0))
    np.testing.assert_array_equal(x, [1.0, 2.0])
    np.testing.assert_array_equal(y["a"], [2.0, 4.0])
    assert y["b"] == 3.0


TREES = np.zeros(2), {"a": np.zeros(2), "b": 0.0}


def test_linear_transpose_says_what_is_wrong() -> None:
    with pytest.raises(DerivativeError, match="square is not linear"):
        fgrad.linear_transpose(np.square, 1.0)
    pull = fgrad.linear_transpose(lambda x: A @ x, np.zeros(3))
    with pytest.raises(TreeError, match=r"expected \(2,\), got \(3,\)"):
        pull(np.zeros(3))
    with pytest.raises(TreeError, match="structure"):
        pull((np.zeros(2), np.zeros(2)))


def test_clear_caches_forgets_and_results_stay() -> None:
    f = lambda x: np.sum(np.sin(x) * fgrad.scan(lambda c, t: (c * t, None), x, A[0])[0])
    before = fgrad.grad(f)(A[0]), fgrad.vmap(fgrad.grad(f))(A)
    assert any(size for size, _ in fgrad.cache_info().values())
    fgrad.clear_caches()
    assert not any(size for size, _ in fgrad.cache_info().values())
    after = fgrad.grad(f)(A[0]), fgrad.vmap(fgrad.grad(f))(A)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_primitive_without_a_batch_rule_warns_once() -> None:
    bare = Primitive("bare_of_batches", np.cbrt, lambda x: x)
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for _ in range(2):
                found = fgrad.vmap(lambda x: bare(x))(A)
        np.testing.assert_array_equal(found, np.cbrt(A))
        assert fgrad.vmap(lambda x: bare(x))(A[:0]).shape == (0, 3)
        assert [w.category for w in seen] == [BatchLoopWarning]
        assert "bare_of_batches" in str(seen[0].message)
    finally:
        del Primitive.registry["bare_of_batches"]
