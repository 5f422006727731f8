"""Transforms of jax arrays without jit: arrays of jax come out, of one compiled call.

64-bit types are disabled outside, as jax has it by default.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_jit import SMOOTH, M, X
from test_random_programs import INPUTS, play, programs, weights
from test_xla_jit import as_jax_has_it, same, same_as_jax, wide  # noqa: F401 (fixture)

import fgrad
from fgrad import tree
from fgrad.xla import demand, lazy

pytestmark = pytest.mark.usefixtures("as_jax_has_it")

TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": fgrad.grad,
    "value_and_grad": fgrad.value_and_grad,
    "jvp": lambda f: lambda x: fgrad.jvp(f, (x,), (x * 2,)),
    "vjp": lambda f: lambda x: fgrad.vjp(f, x)[1](f(x) * 0 + 1.0),
    "linearize": lambda f: lambda x: fgrad.linearize(f, x)[1](x),
    "hessian": fgrad.hessian,
    "hvp": lambda f: lambda x: fgrad.hvp(f)(x, x),
    "jacrev": fgrad.jacrev,
    "jacfwd": fgrad.jacfwd,
    "grad of grad": lambda f: fgrad.grad(lambda x: np.sum(fgrad.grad(f)(x) ** 2)),
    "grad of jit": lambda f: fgrad.grad(fgrad.jit(f)),
    "vmap": lambda f: lambda x: fgrad.vmap(f)(x[None]),
}


@pytest.fixture
def compiled(monkeypatch: Any) -> list[Any]:
    """What was compiled."""
    done: list[Any] = []
    plain = lazy.Structure._compile

    def compile_one(self: Any, *args: Any) -> Any:
        done.append(self)
        return plain(self, *args)

    monkeypatch.setattr(lazy.Structure, "_compile", compile_one)
    return done


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", ["mixed", "branch", "in place"])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms(transform: str, name: str, dtype: str) -> None:
    if transform == "vmap" and name == "branch":
        pytest.skip("it branches on what is mapped")
    derived = TRANSFORMS[transform](SMOOTH[name])
    for x in (X, -X):
        x = x.astype(dtype)
        if transform in ("vjp", "linearize"):  # f itself is no transform
            f = SMOOTH[name]
            value, back = getattr(fgrad, transform)(f, wide(x))
            same_as_jax(value, f(x))
            ct = f(x) * 0 + 1.0 if transform == "vjp" else x
            same_as_jax(back(wide(ct)), derived(x))
            same_as_jax(back(ct), derived(x))
        elif transform == "jvp":
            found = fgrad.jvp(SMOOTH[name], (wide(x),), (x * 2,))
            same_as_jax(found, derived(x))
        else:
            same_as_jax(derived(wide(x)), derived(x))


@settings(max_examples=12)
@given(data=st.data())
def test_random_programs(data: Any) -> None:
    steps = data.draw(programs(INPUTS, 8, {"float32"}))
    with np.errstate(all="ignore"):
        cts = weights(play(steps, INPUTS))

        def loss(*xs: Any) -> Any:
            pairs = zip(cts, play(steps, xs), strict=True)
            return sum(np.sum(ct * np.sin(y)) for ct, y in pairs)

        expected = fgrad.grad(loss, (0, 1))(*INPUTS)
        given_jax = [wide(x) if isinstance(x, np.ndarray) else x for x in INPUTS]
        found = fgrad.grad(loss, (0, 1))(*given_jax)
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, jax.Array) and one.dtype == other.dtype
        eps = 5000 * np.finfo(other.dtype).eps
        largest = np.max(np.abs(other), initial=1.0)
        np.testing.assert_allclose(np.asarray(one), other, eps, eps * largest)


def test_structures_are_compiled_once(compiled: list[Any]) -> None:
    rate = 0.1

    def loss(p: Any, y: Any) -> Any:
        return np.sum(np.tanh(p["w"] @ y + p["b"]) ** 2) * rate

    p = {"w": wide(M), "b": wide(np.ones(3))}
    plain = {"w": M, "b": np.ones(3)}
    y = np.ones(4)
    for number in range(4):
        y = y + number  # an array that is not differentiated
        same_as_jax(fgrad.grad(loss)(p, y), fgrad.grad(loss)(plain, y))
    assert len(compiled) == 1
    for changed in (0.2, 0.3, 0.1):
        rate = changed
        same_as_jax(fgrad.grad(loss)(p, y), fgrad.grad(loss)(plain, y))
    assert len(compiled) == 2, "a number that changes becomes an argument"
    fgrad.clear_caches()
    same_as_jax(fgrad.grad(loss)(p, y), fgrad.grad(loss)(plain, y))
    assert len(compiled) == 3


def test_each_call_sees_what_the_function_closes_over() -> None:
    scale = np.array([1.0, 2.0, 3.0])
    kind = "sum"

    def f(x: Any) -> Any:
        return np.sum(x * scale) if kind == "sum" else np.prod(x * scale)

    x = wide(X)
    same_as_jax(fgrad.grad(f)(x), scale.copy())
    scale[0] = 5.0
    same_as_jax(fgrad.grad(f)(x), scale.copy())
    kind = "prod"
    same_as_jax(fgrad.grad(f)(x), fgrad.grad(f)(X))


def test_python_sees_values() -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        while np.sum(y**2) > 1.0:
            y = y / 2
        picked = y[y > float(np.median(fgrad.stop_gradient(y)))]
        return np.sum(picked**2) * len(picked) + float(fgrad.stop_gradient(y[0]))

    for x in (X, X * 5, X * 50, -X):
        same_as_jax(fgrad.value_and_grad(f)(wide(x)), fgrad.value_and_grad(f)(x))


def test_values_of_large_arrays_are_computed_on_the_device(monkeypatch: Any) -> None:
    monkeypatch.setattr(demand, "NUMPY_LIMIT", 0)
    monkeypatch.setattr(demand.Evaluation, "_on_numpy", None)
    f = SMOOTH["branch"]
    same_as_jax(fgrad.grad(f)(wide(X)), fgrad.grad(f)(X))


def test_pullbacks_may_be_called_again(compiled: list[Any]) -> None:
    value, pull = fgrad.vjp(lambda x, y: {"a": np.sin(x) * y, "b": 2.0}, wide(X), X)
    assert value["b"] == 2.0
    for k in (1.0, 2.0, 3.0):
        found = pull({"a": np.full(3, k), "b": 0.0})
        same_as_jax(found, (k * np.cos(X) * X, k * np.sin(X)))
    assert len(compiled) == 2
    _, push = fgrad.linearize(lambda x: (x * 2, np.ones(2)), wide(X))
    same_as_jax(push(X), (X * 2, np.zeros(2)))
    _, pull, aux = fgrad.vjp(lambda x: (x * 3, (x, "text")), wide(X), has_aux=True)
    assert aux[1] == "text" and isinstance(aux[0], jax.Array)
    same_as_jax(pull(X), (X * 3,))


def test_other_arguments_stay_as_they_are() -> None:
    def f(x: Any, name: str, g: Any) -> Any:
        return np.sum(g(x)) if name == "g" else x[0]

    same_as_jax(fgrad.grad(f)(wide(X), "g", np.sin), np.cos(X))
    value, aux = fgrad.grad(lambda x: (np.sum(x), {"n": 3, "y": X}), has_aux=True)(
        wide(X)
    )
    assert aux["n"] == 3 and isinstance(aux["y"], jax.Array)
    same_as_jax(value, np.ones(3))


def test_results_that_do_not_vary() -> None:
    same_as_jax(fgrad.grad(lambda x: 1.0)(wide(X)), np.zeros(3))
    same_as_jax(fgrad.grad(lambda x: np.sum(x))(wide(X)), np.ones(3))


def test_inside_jax_and_jit() -> None:
    x = jnp.arange(3.0)
    g = fgrad.grad(lambda x: np.sum(x**3))
    np.testing.assert_allclose(jax.jit(g)(x), 3 * x**2)
    np.testing.assert_allclose(jax.vmap(g)(x[:, None])[:, 0], 3 * x**2)
    np.testing.assert_allclose(jax.jacfwd(g)(x), np.diag(6 * np.asarray(x)), rtol=1e-6)
    f = fgrad.jit(lambda y: y * fgrad.grad(lambda x: np.sum(x**2))(x)[1], backend="jax")
    np.testing.assert_allclose(f(x), 2 * x)
    with pytest.raises(fgrad.errors.ConcretizationError, match="jax"):
        jax.jit(fgrad.grad(lambda x: x[0] if x[0] > 0 else x[1]))(x)


def test_debug_nans() -> None:
    g = fgrad.grad(lambda x: np.sum(np.sqrt(x)))
    with fgrad.debug_nans():
        assert isinstance(g(wide(X**2)), jax.Array)
        with pytest.raises(fgrad.errors.NonFiniteError):
            g(wide(X * 0))


def test_prints(capsys: Any) -> None:
    def f(x: Any) -> Any:
        fgrad.print("sum {}", np.sum(x))
        return np.sum(x * 2)

    fgrad.grad(f)(wide(np.ones(2)))
    jax.effects_barrier()
    assert capsys.readouterr().out == "sum 2.0\n"


def test_control_flow() -> None:
    def f(x: Any) -> Any:
        step = lambda c, y: (np.sin(c) + y, c)
        last, ys = fgrad.scan(step, x[0], x)
        return np.sum(ys) + fgrad.cond(last > 0, np.sin, np.cos, last)

    same_as_jax(fgrad.grad(f)(wide(X)), fgrad.grad(f)(X))
    batch = np.stack([X, -X])
    same_as_jax(
        fgrad.vmap(fgrad.grad(f))(wide(batch)), fgrad.vmap(fgrad.grad(f))(batch)
    )


def test_constructs() -> None:
    cases: dict[str, Callable[[Any], Any]] = {
        "scan": lambda x: fgrad.scan(lambda c, y: (c + y, c * y), x[0], x),
        "fori_loop": lambda x: fgrad.fori_loop(0, 3, lambda i, c: c * 2.0 + i, x),
        "while_loop": lambda x: fgrad.while_loop(
            lambda c: np.sum(c**2) > 0.1, lambda c: c / 2, x
        ),
        "cond": lambda x: fgrad.cond(np.asarray(x)[0] > 0, np.sin, np.cos, x),
        "switch": lambda x: fgrad.switch(1, [np.sin, np.cos], x),
        "map": lambda x: fgrad.map(np.sin, x),
        "associative_scan": lambda x: fgrad.associative_scan(np.add, x),
    }
    for f in cases.values():
        for x in (X, -X):
            same_as_jax(f(wide(x)), f(x))
    w = np.ones(3)  # what is traced where arrays of jax are arguments
    f = lambda w, x: np.sum(fgrad.scan(lambda c, y: (c * w + y, None), x, x)[0])
    found = fgrad.grad(lambda w: f(w, wide(X)))(w)
    np.testing.assert_allclose(found, fgrad.grad(lambda w: f(w, X))(w))


def test_errors_of_arguments() -> None:
    with pytest.raises(fgrad.errors.IntegerInputError):
        fgrad.grad(lambda x: x)(jnp.int32(3))
    with pytest.raises(fgrad.errors.NonScalarOutputError):
        fgrad.grad(lambda x: x)(wide(X))
    with pytest.raises(fgrad.errors.TreeError):
        fgrad.vjp(lambda x: x, wide(X))[1](np.ones(2))


def test_numpy_stays_numpy() -> None:
    out = fgrad.grad(lambda x: np.sum(x**2))({"a": X, "b": [X]}["a"])
    assert type(out) is np.ndarray
    assert not lazy.has_jax(X, {"a": X}, 3.0, None)
    assert tree.flatten(fgrad.vmap(np.sin)(X))[0][0].base is None
