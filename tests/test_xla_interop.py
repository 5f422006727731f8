"""fgrad inside jax, jax inside fgrad, and programs that leave."""

import inspect
from collections.abc import Iterator
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from test_jit import SMOOTH, X
from test_xla_jit import same, same_as_jax, wide

import fgrad
from fgrad.errors import BackendError, ConcretizationError, DerivativeError

W = X.astype("float32")


@pytest.fixture(autouse=True)
def as_jax_has_it() -> Iterator[None]:
    with jax.enable_x64(False):
        yield


# --- to_jax


@pytest.mark.parametrize("name", ["mixed", "in place", "sum of squares"])
def test_under_transforms_of_jax(name: str) -> None:
    f = SMOOTH[name]
    g = fgrad.to_jax(f)
    expected = fgrad.grad(f)(W)
    close = lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 1e-5)
    close(g(W), f(W))
    close(jax.jit(g)(W), f(W))
    close(jax.grad(g)(W), expected)
    close(jax.jit(jax.grad(g))(W), expected)
    close(jax.vmap(jax.grad(g))(np.stack([W, -W]))[0], expected)
    close(jax.hessian(g)(W), fgrad.hessian(f)(W))
    close(jax.jvp(g, (W,), (W,))[1], expected @ W)
    close(
        jax.grad(fgrad.to_jax(lambda x: np.sum(fgrad.grad(f)(x))))(W),
        fgrad.grad(lambda x: np.sum(fgrad.grad(f)(x)))(W),
    )


def test_values_of_numpy_keep_all_bits() -> None:
    same_as_jax(fgrad.to_jax(lambda x, n: x * n)(X, 2.0), X * 2)
    same_as_jax(fgrad.to_jax(lambda p: {"a": p["a"] + 1})({"a": X}), {"a": X + 1})


def test_branches_on_values() -> None:
    f = fgrad.to_jax(lambda x: x * 2 if x[0] > 0 else -x)
    for x in (X, -X):
        same_as_jax(f(wide(x)), X * 2 if x is X else X)
    with pytest.raises(ConcretizationError, match=r"jax\.jit"):
        jax.jit(f)(W)


@fgrad.custom_vjp
def clipped(x: Any) -> Any:
    return np.sin(x)


clipped.defvjp(lambda x: (np.sin(x), x), lambda x, ct: (ct * 100 * x,))


@fgrad.custom_jvp
def scaled(x: Any, n: Any) -> Any:
    return np.sin(x) * n


scaled.defjvp(lambda p, t: (np.sin(p[0]) * p[1], t[0] * 7 * p[1]))
table = fgrad.external(np.sin, lambda x: x, vjp=lambda ct, y, x: (ct * 11.0,))
opaque = fgrad.external(np.sin, lambda x: x)
RULES = {
    "custom_vjp": (lambda x: np.sum(clipped(x)), 100 * W),
    "custom_jvp": (lambda x: np.sum(scaled(x, np.int32(2))), 14 + 0 * W),
    "external": (lambda x: np.sum(table(x)), 11 + 0 * W),
    "in a loop": (
        lambda x: fgrad.scan(lambda c, y: (c + clipped(y), None), x[0] * 0, x)[0],
        100 * W,
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_rules_of_the_users_hold_for_jax(name: str) -> None:
    f, expected = RULES[name]
    np.testing.assert_allclose(fgrad.grad(f)(W), expected, 1e-6)
    g = fgrad.to_jax(f)
    np.testing.assert_allclose(g(W), f(W), 1e-6)
    for derived in (jax.grad(g), jax.jit(jax.grad(g))):
        np.testing.assert_allclose(derived(W), expected, 1e-6)
    both = jax.vmap(jax.grad(fgrad.to_jax(RULES["custom_vjp"][0])))(np.stack([W, -W]))
    np.testing.assert_allclose(both, 100 * np.stack([W, -W]), 1e-6)


def test_forward_mode_of_jax_takes_rules_of_tangents() -> None:
    f, _ = RULES["custom_jvp"]
    found = jax.jvp(fgrad.to_jax(f), (W,), (W,))[1]
    np.testing.assert_allclose(found, np.sum(14 * W), 1e-6)


def test_no_rule() -> None:
    g = fgrad.to_jax(lambda x: np.sum(opaque(x)))
    np.testing.assert_allclose(g(W), np.sum(np.sin(W)), 1e-6)
    with pytest.raises(DerivativeError, match="vjp="):
        jax.grad(g)(W)


# --- from_jax


def layer(x: Any, scale: float = 1.0) -> Any:
    return {"y": jnp.tanh(x) * scale, "n": jnp.argmax(x)}


there = fgrad.from_jax(layer)
here = lambda x, scale=1.0: {"y": np.tanh(x) * scale, "n": np.argmax(x)}
TRANSFORMS = {
    "value": lambda f: f,
    "grad": lambda f: fgrad.grad(lambda x: np.sum(f(x, scale=3.0)["y"] ** 2)),
    "hessian": lambda f: fgrad.hessian(lambda x: np.sum(f(x)["y"])),
    "jvp": lambda f: lambda x: fgrad.jvp(lambda x: f(x)["y"], (x,), (x,)),
    "jacfwd": lambda f: fgrad.jacfwd(lambda x: f(x)["y"]),
    "vmap": lambda f: lambda x: fgrad.vmap(f)(np.stack([x, -x])),
    "vmap of grad": lambda f: (
        lambda x: fgrad.vmap(fgrad.grad(lambda x: np.sum(f(x)["y"])))(np.stack([x, -x]))
    ),
    "scan": lambda f: fgrad.grad(
        lambda x: np.sum(fgrad.scan(lambda c, _: (f(c)["y"], None), x, length=3)[0])
    ),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_function_of_jax(name: str) -> None:
    found, expected = TRANSFORMS[name](there), TRANSFORMS[name](here)(X)
    same(found(X), expected)
    same(found(X), expected)
    same(fgrad.jit(found)(X), expected)
    same(fgrad.jit(found, backend="jax")(X), expected)
    if name == "grad":
        same_as_jax(found(wide(X)), expected)


def test_no_calls_of_the_host_on_xla() -> None:
    f = fgrad.grad(lambda x: np.sum(there(x)["y"]))
    text = fgrad.jit(f, backend="jax").lower(X).stablehlo()
    assert "custom_call" not in text


def test_arguments_of_functions_of_jax() -> None:
    f = fgrad.from_jax(lambda x, axis, how: getattr(jnp, how)(x, axis))
    x = np.ones((2, 3))
    same(f(x, 0, "sum"), np.sum(x, 0))
    same(fgrad.grad(lambda x: f(x, None, how="sum"))(x), x)
    with pytest.raises(TypeError, match="hash"):
        f(x, 0, {"sum"})
    same_as_jax(fgrad.from_jax(jnp.sin)(wide(X)), np.sin(X))
    assert fgrad.from_jax(lambda n: n + 1)(np.int64(2**40)) == 2**40 + 1
    with pytest.raises(BackendError, match="astype"):
        fgrad.from_jax(lambda x: x.astype("bfloat16"))(X)


def test_there_and_back() -> None:
    f = fgrad.to_jax(lambda x: np.sum(there(x)["y"] ** 2))
    np.testing.assert_allclose(
        jax.grad(f)(W), fgrad.grad(lambda x: np.sum(np.tanh(x) ** 2))(W), 1e-5
    )
    g = fgrad.from_jax(fgrad.to_jax(SMOOTH["mixed"]))
    same(fgrad.grad(g)(X), fgrad.grad(SMOOTH["mixed"])(X))


# --- programs that leave


def test_stablehlo() -> None:
    A = np.ones((3, 3))
    options = {"static_argnums": 2, "donate_argnums": 0}
    f = fgrad.jit(lambda p, x, n: p["w"] * n + A @ x, backend="jax", **options)
    lowered = f.lower({"w": fgrad.Aval((3,), "float64")}, X, 2)
    text = lowered.stablehlo()
    assert "tensor<3x3xf64>" in text and "tf.aliasing_output" in text
    assert "matmul" in repr(lowered) and lowered.program.eqns
    lowered = f.lower({"w": jax.ShapeDtypeStruct((3,), "float32")}, W, 2)
    assert "tensor<3xf32>" in lowered.stablehlo()
    with pytest.raises(TypeError, match="static_argnums"):
        f.lower({"w": "w"}, X, 2)


def test_export() -> None:
    A = np.arange(9.0).reshape(3, 3)
    f = lambda p, *, x: {"y": np.tanh(A @ p["w"]) * x, "n": (x + 1,)}
    args = {"w": wide(X)}
    exported = fgrad.jit(f, backend="jax").lower(args, x=wide(X)).export()
    loaded = jax.export.deserialize(exported.serialize())
    same_as_jax(loaded.call(args, x=wide(X)), f({"w": X}, x=X))


def test_what_cannot_be_exported() -> None:
    branching = fgrad.jit(lambda x: x if x > 0 else -x, backend="jax")
    with pytest.raises(BackendError, match=r"fgrad\.cond"):
        branching.lower(1.0).export()
    with pytest.raises(ConcretizationError, match=r"fgrad\.cond"):
        branching.lower(fgrad.Aval((), "float64"))


def test_examples_name_what_they_show() -> None:
    for function in (fgrad.to_jax, fgrad.from_jax):
        assert ">>>" in (inspect.getdoc(function) or "")
