"""``external``: what the black box sees, what it may return, rules, batches, bodies."""

from typing import Any

import numpy as np
import pytest

import fgrad
import fgrad.numpy as fnp
from fgrad.errors import CustomRuleError, DerivativeError
from fgrad.testing import check_grads

X = np.array([0.3, -0.5, 0.9])
XS = np.stack([X, 2 * X])
SCALAR = fgrad.Aval((), "float64")


class Recorder:
    """Wraps a function: checks and counts what it is called with."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.shapes: list[Any] = []
        self.__name__ = "box"

    def __call__(self, *args: Any) -> Any:
        leaves = fgrad.tree.flatten(args)[0]
        for x in leaves:
            assert type(x) is np.ndarray or isinstance(x, np.generic)
            if type(x) is np.ndarray:
                assert not x.flags.writeable
                with pytest.raises(ValueError, match="read-only"):
                    x[...] = 0
        self.shapes.append(tuple(np.shape(x) for x in leaves))
        return self.function(*args)


def close(found: Any, expected: Any, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(found, expected, tolerance, tolerance)


def sine(**options: Any) -> tuple[Any, Recorder]:
    box = Recorder(np.sin)
    rule = lambda ct, out, x: (ct * np.cos(x),)
    return fgrad.external(box, lambda x: x, vjp=rule, **options), box


# --- what is said of the result


def test_kinds_of_results() -> None:
    said = fgrad.Aval((3,), "float64")
    for result in (said, X, lambda x: x, lambda x: np.empty(x.shape)):
        f = fgrad.external(np.sin, result, vjp=lambda ct, y, x: (ct * np.cos(x),))
        close(f(X), np.sin(X))
        close(fgrad.jacrev(f)(X), np.diag(np.cos(X)))
        close(fgrad.jacfwd(f)(X), np.diag(np.cos(X)))
    tree = {"y": said, "rest": (SCALAR, None)}
    f = fgrad.external(
        lambda p: {"y": np.sin(p["x"]), "rest": (np.sum(p["x"]), None)},
        tree,
        vjp=lambda ct, out, p: ({"x": ct["y"] * np.cos(p["x"]) + ct["rest"][0]},),
    )
    assert f({"x": X})["rest"][1] is None
    loss = lambda x: np.sum(f({"x": x})["y"]) + 2 * f({"x": x})["rest"][0]
    close(fgrad.grad(loss)(X), np.cos(X) + 2)
    close(fgrad.vmap(fgrad.grad(loss))(XS), np.cos(XS) + 2)
    close(fgrad.jvp(loss, (X,), (X,))[1], np.sum((np.cos(X) + 2) * X))


def test_numbers() -> None:
    f = fgrad.external(lambda x: float(x) ** 2, SCALAR, vjp=lambda ct, y, x: (2 * x,))
    out = f(3.0)
    assert type(out) is np.float64
    assert fgrad.grad(f)(3.0) == 6.0
    close(fgrad.vmap(fgrad.grad(f))(X), 2 * X)
    single = fgrad.external(
        lambda x: float(x) ** 2, lambda x: x, jvp=lambda ts, y, x: 2 * x * ts[0]
    )
    assert type(single(np.float32(3))) is np.float32
    assert type(fgrad.grad(single)(np.float32(3))) is np.float32


def test_integer_results_and_arguments() -> None:
    f = fgrad.external(
        lambda x, n: (x * n, np.argsort(x)),
        lambda x, n: (x, fgrad.Aval(x.shape, "int64")),
        vjp=lambda cts, out, x, n: (cts[0] * n, None),
    )
    n = np.array([1, 2, 3])
    assert f(X, n)[1].dtype == np.int64
    close(fgrad.grad(lambda x: np.sum(f(x, n)[0][f(x, n)[1]]))(X), n)
    close(fgrad.vmap(lambda x: f(x, n)[1])(XS), np.argsort(XS))
    positions = fgrad.external(np.argsort, lambda x: fgrad.Aval(x.shape, "int64"))
    close(fgrad.grad(lambda x: np.sum(x[positions(x)] * n))(X), [2.0, 1.0, 3.0])


# --- rules


def cosine() -> Any:
    """With a derivative of its own, so that rules written with it have one."""
    rule = lambda ct, y, x: (-ct * np.sin(x),)
    return fgrad.external(np.cos, lambda x: x, vjp=rule)


RULES = {
    "vjp": {"vjp": lambda ct, y, x: (ct * cosine()(x),)},
    "jvp": {"jvp": lambda ts, y, x: ts[0] * cosine()(x)},
    "both": {
        "vjp": lambda ct, y, x: (ct * cosine()(x),),
        "jvp": lambda ts, y, x: ts[0] * cosine()(x),
    },
    "of the result": {"vjp": lambda ct, y, x: (ct * fgrad.grad(np.sin)(x),)},
}


@pytest.mark.parametrize("rules", ["vjp", "jvp", "both"])
def test_both_modes_to_second_order(rules: str) -> None:
    f = fgrad.external(np.sin, lambda x: x, **RULES[rules])
    check_grads(f, (X,), order=2)
    close(fgrad.hessian(lambda x: np.sum(f(x) ** 2))(X), np.diag(2 * np.cos(2 * X)))
    close(fgrad.vmap(fgrad.grad(f))(X), np.cos(X))
    close(fgrad.vmap(fgrad.grad(fgrad.grad(f)))(X), -np.sin(X))


def test_each_mode_takes_its_own_rule() -> None:
    f = fgrad.external(
        np.sin,
        lambda x: x,
        vjp=lambda ct, y, x: (10 * ct,),
        jvp=lambda ts, y, x: 100 * ts[0],
    )
    assert fgrad.grad(f)(1.0) == 10
    assert fgrad.jvp(f, (1.0,), (1.0,))[1] == 100


def test_the_result_in_the_rule() -> None:
    f = fgrad.external(np.exp, lambda x: x, vjp=lambda ct, y, x: (ct * y,))
    for derive in (fgrad.grad, fgrad.jacfwd):
        close(derive(derive(derive(f)))(0.3), np.exp(0.3))


def test_no_rule() -> None:
    f = fgrad.external(np.sin, lambda x: x)
    transforms = (
        fgrad.grad,
        fgrad.hessian,
        lambda f: lambda x: fgrad.jvp(f, (x,), (x,)),
        lambda f: fgrad.grad(fgrad.checkpoint(f)),
        lambda f: lambda x: fgrad.vmap(fgrad.grad(f))(np.ones(2)),
        lambda f: fgrad.make_program(fgrad.grad(f)),
    )
    for derive in transforms:
        with pytest.raises(DerivativeError, match=r"sin .* vjp= or jvp= .*external"):
            derive(f)(1.0)
    close(fgrad.grad(lambda x: x * f(fgrad.stop_gradient(x)))(1.0), np.sin(1.0))
    close(fgrad.vmap(f)(X), np.sin(X))


# --- what the function sees


def test_it_never_sees_tracers() -> None:
    f, box = sine()
    total = lambda x: np.sum(f(x) ** 2)
    for _ in range(2):
        close(fgrad.grad(total)(X), np.sin(2 * X))
        close(fgrad.hessian(total)(X), np.diag(2 * np.cos(2 * X)))
        close(fgrad.vmap(fgrad.grad(total))(XS), np.sin(2 * XS))
        close(fgrad.grad(fgrad.checkpoint(total))(X), np.sin(2 * X))
    assert box.shapes
    seen = len(box.shapes)
    program = fgrad.make_program(fgrad.grad(total))(fgrad.Aval((3,), "float64"))
    assert len(box.shapes) == seen  # types need no call
    close(program(X)[0], np.sin(2 * X))


def test_arrays_that_it_makes_are_plain() -> None:
    def box(x):
        out = fnp.zeros(3)
        assert type(out) is np.ndarray
        out[:] = x * 2
        return out

    f = fgrad.external(box, lambda x: x, vjp=lambda ct, y, x: (2 * ct,))
    close(fgrad.grad(lambda x: np.sum(f(x)))(X), np.full(3, 2.0))


def test_its_buffers_are_copied() -> None:
    buffer = np.zeros(3)

    def box(x):
        np.exp(x, out=buffer)
        return buffer

    f = fgrad.external(box, lambda x: x, vjp=lambda ct, y, x: (ct * y,))
    close(
        fgrad.grad(lambda x: np.sum(f(x) + f(2 * x)))(X), np.exp(X) + 2 * np.exp(2 * X)
    )
    out = f(X)
    f(2 * X)
    close(out, np.exp(X))


def test_its_errors_pass_through() -> None:
    f = fgrad.external(
        lambda x: np.linalg.inv(x * 0.0), lambda x: x, vjp=lambda ct, y, x: (ct,)
    )
    with pytest.raises(np.linalg.LinAlgError):
        fgrad.grad(lambda x: np.sum(f(x)))(np.eye(2))


# --- batches


def test_vmap_calls_once_for_each_element() -> None:
    f, box = sine()
    close(fgrad.vmap(f)(XS), np.sin(XS))
    assert box.shapes == [((3,),)] * 2
    box.shapes.clear()
    close(fgrad.vmap(fgrad.vmap(f))(XS), np.sin(XS))
    assert box.shapes == [((),)] * 6


def test_vectorized_is_called_once() -> None:
    f, box = sine(vectorized=True)
    close(fgrad.vmap(f)(XS), np.sin(XS))
    assert box.shapes == [((2, 3),)]
    box.shapes.clear()
    close(fgrad.vmap(fgrad.grad(lambda x: np.sum(f(x))))(XS), np.cos(XS))
    assert box.shapes == [((2, 3),)]
    box.shapes.clear()
    close(fgrad.vmap(fgrad.vmap(f))(XS), np.sin(XS))
    assert len(box.shapes) == 2  # the outer map is a loop of vectorized calls


@pytest.mark.parametrize("vectorized", [False, True])
def test_unmapped_arguments(vectorized: bool) -> None:
    box = Recorder(lambda x, w: x * w)
    f = fgrad.external(
        box,
        lambda x, w: x,
        vjp=lambda ct, y, x, w: (ct * w, ct * x),
        vectorized=vectorized,
    )
    mapped = fgrad.vmap(f, in_axes=(0, None))
    close(mapped(XS, X), XS * X)
    assert box.shapes == ([((2, 3), (2, 3))] if vectorized else [((3,), (3,))] * 2)
    g_xs, g_w = fgrad.grad(lambda xs, w: np.sum(mapped(xs, w)), (0, 1))(XS, X)
    close(g_xs, np.stack([X, X]))
    close(g_w, np.sum(XS, axis=0))
    other = fgrad.vmap(f, in_axes=(None, 1), out_axes=1)
    close(other(X, XS.T), (X * XS).T)
    assert fgrad.vmap(f, in_axes=(0, None))(np.zeros((0, 3)), X).shape == (0, 3)


# --- in bodies


@pytest.mark.parametrize("vectorized", [False, True])
def test_in_bodies(vectorized: bool) -> None:
    f, _ = sine(vectorized=vectorized)

    def scanned(x):
        return fgrad.scan(lambda c, _: (f(c) * 1.5, f(c)), x, None, length=3)

    def looped(x):
        values = []
        for _ in range(3):
            values.append(np.sin(x))
            x = np.sin(x) * 1.5
        return x, values

    def while_looped(x):
        step = lambda c: (c[0] + 1, f(c[1]) * 1.5)
        return fgrad.while_loop(lambda c: c[0] < 3, step, (0, x), max_steps=5)[1]

    weight = lambda out: np.sum(out[0]) + sum(np.sum(row**2) for row in out[1])
    total = lambda x: np.sum(scanned(x)[0]) + np.sum(scanned(x)[1] ** 2)
    plain = lambda x: weight(looped(x))
    for _ in range(2):
        close(fgrad.grad(total)(X), fgrad.grad(plain)(X))
        close(fgrad.hessian(total)(X), fgrad.hessian(plain)(X))
        close(fgrad.vmap(fgrad.grad(total))(XS), fgrad.vmap(fgrad.grad(plain))(XS))
        ends = lambda x: np.sum(looped(x)[0])
        close(fgrad.grad(lambda x: np.sum(while_looped(x)))(X), fgrad.grad(ends)(X))
    branch = lambda x: fgrad.cond(x > 0, f, lambda x: x * x, x)
    close(fgrad.vmap(fgrad.grad(branch))(X), np.where(X > 0, np.cos(X), 2 * X))
    close(fgrad.vmap(fgrad.grad(fgrad.checkpoint(branch)))(X[:1]), np.cos(X[:1]))


# --- contracts


def complaint(f: Any, *args: Any) -> str:
    with pytest.raises(CustomRuleError) as info:
        fgrad.grad(lambda *xs: np.sum(f(*xs)))(*args)
    assert "test_external.py" in str(info.value)
    return str(info.value)


def test_results_that_are_not_what_was_said() -> None:
    rule = {"vjp": lambda ct, y, x: (ct,)}
    text = complaint(fgrad.external(lambda x: x[:2], lambda x: x, **rule), X)
    assert "f64[2]" in text and "f64[3]" in text and "<lambda>" in text
    box = lambda x: x.astype("float32")
    text = complaint(fgrad.external(box, lambda x: x, **rule), X)
    assert "f32[3]" in text and "f64[3]" in text
    text = complaint(fgrad.external(lambda x: (x, x), lambda x: x, **rule), X)
    assert "structure" in text and "(*, *)" in text
    with pytest.raises(CustomRuleError, match="said was"):
        fgrad.external(lambda x: x[:2], lambda x: x)(X)  # without a transform, too
    text = complaint(fgrad.external(np.sin, "float64", **rule), X)
    assert "'float64'" in text and "Aval" in text
    text = complaint(fgrad.external(lambda x: 1j, SCALAR, **rule), 1.0)
    assert "complex" in text


def test_rules_that_break_their_contract() -> None:
    def with_vjp(rule: Any) -> str:
        return complaint(fgrad.external(np.sin, lambda x: x, vjp=rule), X)

    text = with_vjp(lambda ct, y, x: ct)
    assert "the vjp rule of sin" in text and "tuple" in text
    text = with_vjp(lambda ct, y, x: (ct, ct))
    assert "1 argument" in text and "2" in text
    text = with_vjp(lambda ct, y, x: (ct[:2],))
    assert "f64[2]" in text and "f64[3]" in text and "argument 0" in text
    assert "None" in with_vjp(lambda ct, y, x: (None,))
    f = fgrad.external(np.sin, lambda x: x, jvp=lambda ts, y, x: (ts[0],))
    text = complaint(f, X)
    assert "the jvp rule of sin" in text and "structure" in text
