"""``custom_jvp`` and ``custom_vjp``: spelling, trees, dtypes, transforms, caches."""

import dataclasses
import gc
import threading
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fgrad
import fgrad.numpy as fnp
from fgrad.lower.numpy import Executable

X = np.array([0.3, -0.5, 0.9])
XS = np.stack([X, 2 * X])


def close(found: Any, expected: Any, tolerance: float = 1e-10) -> None:
    if isinstance(expected, list) and isinstance(found, np.ndarray):
        expected = np.array(expected)
    one, other = fgrad.tree.flatten(found)[0], fgrad.tree.flatten(expected)[0]
    assert len(one) == len(other)
    for x, y in zip(one, other, strict=True):
        np.testing.assert_allclose(x, y, tolerance, tolerance)


# --- rules that are wrong on purpose: the rule is used, and not the body


def doubled_jvp() -> Any:
    @fgrad.custom_jvp
    def sine(x):
        return np.sin(x)

    sine.defjvp(lambda primals, ts: (sine(*primals), 2 * np.cos(primals[0]) * ts[0]))
    return sine


def doubled_jvps() -> Any:
    @fgrad.custom_jvp
    def sine(x):
        return np.sin(x)

    sine.defjvps(lambda t, out, x: 2 * np.cos(x) * t)
    return sine


def doubled_vjp() -> Any:
    @fgrad.custom_vjp
    def sine(x):
        return np.sin(x)

    sine.defvjp(lambda x: (sine(x), x), lambda x, ct: (2 * np.cos(x) * ct,))
    return sine


def doubled_external_vjp() -> Any:
    cosine = fgrad.external(
        np.cos, lambda x: x, vjp=lambda ct, y, x: (-ct * np.sin(x),)
    )
    rule = lambda ct, y, x: (2 * ct * cosine(x),)
    return fgrad.external(np.sin, lambda x: x, vjp=rule)


def doubled_external_jvp() -> Any:
    rule = lambda ts, y, x: 2 * ts[0] * np.cos(x)
    return fgrad.external(np.sin, lambda x: x, jvp=rule)


def doubled_vectorized() -> Any:
    rule = lambda ts, y, x: 2 * ts[0] * np.cos(x)
    return fgrad.external(np.sin, lambda x: x, jvp=rule, vectorized=True)


DOUBLED = [
    doubled_jvp,
    doubled_jvps,
    doubled_vjp,
    doubled_external_vjp,
    doubled_external_jvp,
    doubled_vectorized,
]
SQUARE_GRAD = 4 * np.sin(X) * np.cos(X)
SQUARE_GRADS = 4 * np.sin(XS) * np.cos(XS)
CURVATURE = 8 * np.cos(X) ** 2 - 4 * np.sin(X) ** 2
CURVATURES = 8 * np.cos(XS) ** 2 - 4 * np.sin(XS) ** 2
HESSIANS = np.stack([np.diag(row) for row in CURVATURES])


def square(f: Any) -> Any:
    return lambda x: np.sum(f(x) ** 2)


def mapped_square(f: Any) -> Any:
    return lambda xs: np.sum(fgrad.vmap(f)(xs) ** 2)


def by_program(f: Any, x: Any) -> Any:
    by_value = fgrad.check(fgrad.make_program(f)(x))
    by_type = fgrad.check(fgrad.make_program(f)(fgrad.Aval(x.shape, x.dtype)))
    close(by_value(x), by_type(x))
    (found,) = by_value(x)
    return found


TRANSFORMS = {
    "grad": (lambda f: fgrad.grad(square(f))(X), SQUARE_GRAD),
    "value_and_grad": (
        lambda f: fgrad.value_and_grad(square(f))(X),
        (np.sum(np.sin(X) ** 2), SQUARE_GRAD),
    ),
    "jvp": (lambda f: fgrad.jvp(f, (X,), (X,)), (np.sin(X), 2 * np.cos(X) * X)),
    "vjp": (lambda f: fgrad.vjp(f, X)[1](X), 2 * np.cos(X) * X),
    "linearize": (lambda f: fgrad.linearize(f, X)[1](X), 2 * np.cos(X) * X),
    "jacfwd": (lambda f: fgrad.jacfwd(f)(X), np.diag(2 * np.cos(X))),
    "jacrev": (lambda f: fgrad.jacrev(f)(X), np.diag(2 * np.cos(X))),
    "hessian": (lambda f: fgrad.hessian(square(f))(X), np.diag(CURVATURE)),
    "hvp": (lambda f: fgrad.hvp(square(f))(X, X), CURVATURE * X),
    "reverse of reverse": (
        lambda f: fgrad.jacrev(fgrad.grad(square(f)))(X),
        np.diag(CURVATURE),
    ),
    "forward of forward": (
        lambda f: fgrad.jacfwd(fgrad.jacfwd(square(f)))(X),
        np.diag(CURVATURE),
    ),
    "reverse of forward": (
        lambda f: fgrad.jacrev(fgrad.jacfwd(square(f)))(X),
        np.diag(CURVATURE),
    ),
    "third": (
        lambda f: fgrad.grad(fgrad.grad(fgrad.grad(f)))(0.3),
        -2 * np.cos(0.3),
    ),
    "third forward": (
        lambda f: fgrad.jacfwd(fgrad.jacfwd(fgrad.jacfwd(f)))(0.3),
        -2 * np.cos(0.3),
    ),
    "vmap": (lambda f: fgrad.vmap(f)(XS), np.sin(XS)),
    "vmap of vmap": (lambda f: fgrad.vmap(fgrad.vmap(f))(XS), np.sin(XS)),
    "vmap of grad": (lambda f: fgrad.vmap(fgrad.grad(square(f)))(XS), SQUARE_GRADS),
    "grad of vmap": (lambda f: fgrad.grad(mapped_square(f))(XS), SQUARE_GRADS),
    "grad of vmap of vmap": (
        lambda f: fgrad.grad(mapped_square(fgrad.vmap(f)))(XS),
        SQUARE_GRADS,
    ),
    "vmap of jvp": (
        lambda f: fgrad.vmap(lambda x: fgrad.jvp(f, (x,), (x,))[1])(XS),
        2 * np.cos(XS) * XS,
    ),
    "jvp of vmap": (
        lambda f: fgrad.jvp(fgrad.vmap(f), (XS,), (XS,))[1],
        2 * np.cos(XS) * XS,
    ),
    "vmap of hessian": (lambda f: fgrad.vmap(fgrad.hessian(square(f)))(XS), HESSIANS),
    "hvp of vmap": (lambda f: fgrad.hvp(mapped_square(f))(XS, XS), CURVATURES * XS),
    "program": (lambda f: by_program(f, X), np.sin(X)),
    "program of grad": (lambda f: by_program(fgrad.grad(square(f)), X), SQUARE_GRAD),
    "program of hessian": (
        lambda f: by_program(fgrad.hessian(square(f)), X),
        np.diag(CURVATURE),
    ),
    "program of vmap": (lambda f: by_program(fgrad.vmap(f), XS), np.sin(XS)),
    "program of vmap of grad": (
        lambda f: by_program(fgrad.vmap(fgrad.grad(square(f))), XS),
        SQUARE_GRADS,
    ),
}


@pytest.mark.parametrize("make", DOUBLED, ids=lambda make: make.__name__)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_rule_is_used(make: Any, transform: str) -> None:
    run, expected = TRANSFORMS[transform]
    f = make()
    for _ in range(3):  # recorded, interpreted, compiled
        close(run(f), expected)


def while_once(f: Any) -> Any:
    def loop(x: Any) -> Any:
        step = lambda carry: (carry[0] + 1, f(carry[1]))
        return fgrad.while_loop(lambda c: c[0] < 1, step, (0, x), max_steps=3)[1]

    return loop


INSIDE = {
    "scan": lambda f: lambda x: fgrad.scan(lambda c, y: (c, f(y)), 0.0, x)[1],
    "carry": lambda f: (
        lambda x: fgrad.scan(lambda c, _: (f(c), None), x, None, length=1)[0]
    ),
    "fori_loop": lambda f: lambda x: fgrad.fori_loop(0, 1, lambda k, c: f(c), x),
    "while_loop": while_once,
    "cond": lambda f: lambda x: fgrad.cond(np.sum(x) > -99, f, lambda x: x, x),
    "map": lambda f: lambda x: fgrad.map(f, x),
    "checkpoint": fgrad.checkpoint,
}
ON_BODIES = [
    "grad",
    "jvp",
    "hessian",
    "reverse of reverse",
    "vmap",
    "vmap of grad",
    "grad of vmap",
    "vmap of hessian",
    "program of grad",
]


@pytest.mark.parametrize("make", DOUBLED, ids=lambda make: make.__name__)
@pytest.mark.parametrize("construct", INSIDE)
@pytest.mark.parametrize("transform", ON_BODIES)
def test_in_bodies(make: Any, construct: str, transform: str) -> None:
    run, expected = TRANSFORMS[transform]
    f = INSIDE[construct](make())
    for _ in range(2):
        close(run(f), expected)


@pytest.mark.parametrize("make", DOUBLED, ids=lambda make: make.__name__)
def test_structures_seen_before_derive_nothing(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    f = make()
    counted = []
    plain = Executable.__init__

    def counting(self: Any, *args: Any, **kwargs: Any) -> None:
        counted.append(self)
        plain(self, *args, **kwargs)

    def everything() -> None:
        for run, _ in TRANSFORMS.values():
            if run not in programs:
                run(f)
        for construct in INSIDE.values():
            fgrad.hessian(square(construct(f)))(X)

    programs = [run for name, (run, _) in TRANSFORMS.items() if "program" in name]
    everything()
    monkeypatch.setattr(Executable, "__init__", counting)
    everything()
    assert len(counted) == 0


# --- JAX's spelling, and JAX's results


def agree(build: Any, *args: Any) -> None:
    """The same program with both libraries: values and derivatives."""
    f, g = build(fgrad, np), build(jax, jnp)
    close(f(*args), g(*args))
    total = lambda h, m: lambda *xs: m.sum(m.cos(h(*xs)))
    argnums = tuple(range(len(args)))
    one, other = fgrad.grad(total(f, np), argnums), jax.grad(total(g, jnp), argnums)
    close(one(*args), other(*args))
    close(fgrad.jacrev(one, argnums)(*args), jax.jacrev(other, argnums)(*args))
    close(fgrad.jacfwd(one, argnums)(*args), jax.jacrev(other, argnums)(*args))
    rows = [np.stack([x, 2 * x]) for x in args]
    close(fgrad.vmap(one)(*rows), jax.vmap(other)(*rows))


def test_log1pexp_calls_itself() -> None:
    def build(m: Any, np: Any) -> Any:
        @m.custom_jvp
        def log1pexp(x):
            return np.log(1.0 + np.exp(x))

        @log1pexp.defjvp
        def rule(primals, tangents):
            (x,), (t,) = primals, tangents
            return log1pexp(x), t * (1 - 1 / (1 + np.exp(x)))

        return log1pexp

    agree(build, X)
    f = build(fgrad, np)
    with np.errstate(over="ignore"):
        assert fgrad.grad(f)(800.0) == 1.0
    close(fgrad.grad(fgrad.grad(fgrad.grad(f)))(0.0), -0.0)


def test_defjvps_with_none() -> None:
    def build(m: Any, np: Any) -> Any:
        f = m.custom_jvp(lambda x, y: x * y * y)
        f.defjvps(lambda t, out, x, y: 3 * t * y, None)
        return f

    agree(build, X, X + 1.0)
    f = build(fgrad, np)
    close(fgrad.grad(f, (0, 1))(2.0, 5.0), (15.0, 0.0))
    nothing = fgrad.custom_jvp(lambda x: x * 2)
    nothing.defjvps(None)
    close(fgrad.jvp(nothing, (X,), (X,)), (2 * X, 0 * X))


def test_residuals_and_several_arguments() -> None:
    def build(m: Any, np: Any) -> Any:
        @m.custom_vjp
        def f(x, y):
            return np.sin(x) * y

        def fwd(x, y):
            return f(x, y), (np.cos(x), np.sin(x), y)

        def bwd(residuals, ct):
            c, s, y = residuals
            return c * ct * y, 7 * s * ct

        f.defvjp(fwd, bwd)
        return f

    agree(build, X, X + 1.0)


def test_nondiff_argnums() -> None:
    def build(m: Any, np: Any) -> Any:
        def apply(f, x, name):
            return f(x) if name == "plain" else f(2 * x)

        apply = m.custom_vjp(apply, nondiff_argnums=(0, 2))

        def fwd(f, x, name):
            return apply(f, x, name), x

        def bwd(f, name, x, ct):
            return (ct * f(x) * (1.0 if name == "plain" else 10.0),)

        apply.defvjp(fwd, bwd)
        return lambda x: apply(np.sin, x, "plain") + apply(np.cos, x, "other")

    agree(build, X)


def test_nondiff_argnums_of_jvp_in_the_order_given() -> None:
    seen = []
    f = fgrad.custom_jvp(lambda a, x, b: a * x + b, nondiff_argnums=(2, 0))

    @f.defjvp
    def rule(b, a, primals, tangents):
        seen.append((b, a))
        return f(a, *primals, b), 5 * tangents[0]

    assert fgrad.grad(lambda x: f(2.0, x, 3.0))(1.0) == 5.0
    assert set(seen) == {(3.0, 2.0)}


def test_negative_positions_and_unhashable_arguments() -> None:
    f = fgrad.custom_vjp(lambda x, o: o["k"] * x, nondiff_argnums=(-1,))
    f.defvjp(lambda x, o: (o["k"] * x, None), lambda o, r, ct: (10 * o["k"] * ct,))
    options = {"k": 3.0}
    assert fgrad.grad(f)(1.0, options) == 30.0
    options["k"] = 4.0  # the same object with another content
    assert fgrad.grad(f)(1.0, options) == 40.0
    array = np.array([2.0, 3.0])
    g = fgrad.custom_jvp(lambda x, a: x * a, nondiff_argnums=(-1,))
    g.defjvp(lambda a, primals, ts: (g(*primals, a), a * ts[0]))
    close(fgrad.jacfwd(g)(1.0, array), array)
    close(fgrad.jacrev(g)(1.0, array), array)


def test_static_arguments_that_are_equal_and_not_the_same() -> None:
    f = fgrad.custom_jvp(lambda n, x: x * n[0], nondiff_argnums=(0,))
    f.defjvp(lambda n, primals, ts: (f(n, *primals), ts[0] * n[0]))
    assert fgrad.vmap(lambda x: f((1,), x))(np.arange(3)).dtype == np.int64
    assert fgrad.vmap(lambda x: f((1.0,), x))(np.arange(3)).dtype == np.float64
    g = fgrad.custom_jvp(lambda n, x: x + n, nondiff_argnums=(0,))
    g.defjvp(lambda n, primals, ts: (g(n, *primals), ts[0] * np.copysign(1.0, n)))
    assert fgrad.grad(lambda x: g(0.0, x))(1.0) == 1.0
    assert fgrad.grad(lambda x: g(-0.0, x))(1.0) == -1.0


def test_keywords_and_defaults() -> None:
    @fgrad.custom_vjp
    def scaled(x, factor=2.0, *more):
        return x * factor + sum(more)

    def bwd(residuals, ct):
        x, factor, count = residuals
        return ct * factor, ct * x, *(ct * 1.0 for _ in range(int(count)))

    scaled.defvjp(
        lambda x, factor=2.0, *more: (scaled(x, factor, *more), (x, factor, len(more))),
        bwd,
    )
    close(fgrad.grad(scaled)(3.0), 2.0)
    close(fgrad.grad(lambda x: scaled(x, factor=5.0))(3.0), 5.0)
    close(fgrad.grad(lambda k: scaled(factor=k, x=4.0))(3.0), 4.0)
    close(fgrad.grad(lambda k: scaled(1.0, 2.0, k, k))(3.0), 2.0)

    power = fgrad.custom_jvp(lambda x, n=2: x**n, nondiff_argnums=(1,))
    power.defjvp(lambda n, p, t: (power(*p, n), n * p[0] ** (n - 1) * t[0]))
    close(fgrad.grad(power)(3.0), 6.0)
    close(fgrad.grad(lambda x: power(x, n=3))(3.0), 27.0)


# --- trees, numbers, dtypes


@dataclasses.dataclass
class Pair:
    left: Any
    right: Any


def test_trees_everywhere() -> None:
    @fgrad.custom_vjp
    def f(p, q):
        return Pair(p["a"] * q[0], [p["b"], None])

    def fwd(p, q):
        return f(p, q), {"pair": Pair(p["a"], q[0]), "none": None, "two": 2.0}

    def bwd(residuals, ct):
        assert isinstance(ct, Pair)
        assert residuals["none"] is None
        assert type(residuals["two"]) is float
        pair = residuals["pair"]
        p = {"a": ct.left * pair.right, "b": ct.right[0] * residuals["two"]}
        return p, (ct.left * pair.left, None)

    f.defvjp(fwd, bwd)

    def loss(p, q):
        out = f(p, q)
        return np.sum(out.left) + np.sum(out.right[0])

    p, q = {"a": X, "b": X + 1}, (X * 3, None)
    close(fgrad.grad(loss)(p, q), {"a": 3 * X, "b": 2.0 + 0 * X})
    close(fgrad.grad(loss, 1)(p, q), (X, None))
    batch = fgrad.tree.map_leaves(lambda x: np.stack([x, x]), p)
    axes = (0, None)
    close(
        fgrad.vmap(fgrad.grad(loss), in_axes=axes)(batch, q),
        {"a": 3 * XS * 0 + 3 * X, "b": 2.0 + 0 * XS},
    )
    moved = fgrad.jvp(lambda a: f({"a": a, "b": X}, q).left, (X,), (X,))
    close(moved, (3 * X * X, 3 * X * X))


def test_several_results_and_integers() -> None:
    @fgrad.custom_vjp
    def f(x, n):
        return x * n, n + 1, x > 0

    def bwd(residuals, cts):
        _, n = residuals
        ct, *others = cts
        assert [t.dtype.kind for t in others] == ["i", "b"]
        return ct * n, None

    f.defvjp(lambda x, n: (f(x, n), (x, n)), bwd)
    n = np.array([1, 2, 3])
    g = lambda x: np.sum(f(x, n)[0])
    close(fgrad.grad(g)(X), n * 1.0)
    out, tangents = fgrad.jvp(lambda x: f(x, n), (X,), (X,))
    close(out, (X * n, n + 1, X > 0))
    close(tangents[0], X * n)
    close(fgrad.vmap(fgrad.grad(g))(XS), np.stack([n, n]) * 1.0)

    zeros = fgrad.custom_vjp(lambda x, n: x * n)
    zeros.defvjp(lambda x, n: (x * n, n), lambda n, ct: (ct * n, np.zeros(3, np.int64)))
    close(fgrad.grad(lambda x: np.sum(zeros(x, n)))(X), n * 1.0)


def test_none_inside_cotangents() -> None:
    f = fgrad.custom_vjp(lambda p, q: p["x"] * p["n"])
    f.defvjp(
        lambda p, q: (f(p, q), p["n"]), lambda n, ct: ({"x": ct * n, "n": None}, None)
    )
    n = np.array([1, 2, 3])
    close(fgrad.grad(lambda x: np.sum(f({"x": x, "n": n}, {})))(X), n * 1.0)


def test_complex_numbers() -> None:
    def by_vjp(m: Any, np: Any) -> Any:
        f = m.custom_vjp(lambda z: z * z)
        f.defvjp(lambda z: (z * z, z), lambda z, ct: (2 * z * ct,))
        return f

    def by_jvp(m: Any, np: Any) -> Any:
        f = m.custom_jvp(lambda z: z * z)
        f.defjvp(lambda p, t: (f(*p), 2 * p[0] * t[0]))
        return f

    z = np.array([1 + 2j, 0.5 - 1j])
    for build in (by_vjp, by_jvp):
        f, g = build(fgrad, np), build(jax, jnp)
        one = fgrad.grad(lambda z: np.sum(np.abs(f(z)) ** 2))
        other = jax.grad(lambda z: jnp.sum(jnp.abs(g(z)) ** 2))
        close(one(z), other(z))
        close(fgrad.jvp(f, (z,), (1j * z,))[1], 2j * z * z)


def test_rules_with_constructs_in_them() -> None:
    f = fgrad.custom_vjp(lambda x: np.sum(x**2))
    bwd = lambda x, ct: (fgrad.vmap(lambda e: 2 * e * ct)(x),)
    f.defvjp(lambda x: (np.sum(x**2), x), bwd)
    close(fgrad.grad(f)(X), 2 * X)
    close(fgrad.hessian(f)(X), 2 * np.eye(3))
    close(fgrad.vmap(fgrad.hessian(f))(XS), np.stack([2 * np.eye(3)] * 2))
    close(fgrad.jvp(f, (X,), (X,))[1], 2 * X @ X)


def test_products_are_run_again() -> None:
    f = doubled_vjp()
    pullback, push = fgrad.vjp(f, X)[1], fgrad.linearize(f, X)[1]
    for k in range(4):
        close(pullback(k * X)[0], 2 * k * np.cos(X) * X)
        close(push(k * X), 2 * k * np.cos(X) * X)


def test_float32_stays() -> None:
    @fgrad.custom_vjp
    def clipped(low, high, x):
        return x * 1.0

    clipped.defvjp(
        lambda low, high, x: (x * 1.0, (low, high)),
        lambda bounds, ct: (0.0, 0.0, np.clip(ct, *bounds)),
    )

    @fgrad.custom_jvp
    def scaled(x, factor):
        return x * factor

    @scaled.defjvp
    def rule(primals, tangents):
        (x, factor), (t, t_factor) = primals, tangents
        return scaled(x, factor), t * factor + x * t_factor

    x = X.astype(np.float32)
    for f in (lambda x: clipped(-0.1, 0.1, x), lambda x: scaled(x, 2.0)):
        for construct in (lambda f: f, *INSIDE.values()):
            if construct in (INSIDE["scan"],):
                continue
            g = square(construct(f))
            assert fgrad.grad(g)(x).dtype == np.float32
            rows = np.stack([x, x])
            assert fgrad.vmap(fgrad.grad(g))(rows).dtype == np.float32
            assert fgrad.grad(mapped_square(construct(f)))(rows).dtype == np.float32
            assert fgrad.jvp(construct(f), (x,), (x,))[1].dtype == np.float32
    gradients = fgrad.grad(lambda x, k: np.sum(scaled(x, k)), (0, 1))(x, 2.0)
    assert [g.dtype for g in gradients] == [np.float32, np.float64]


def test_closures_over_arrays_are_read_anew() -> None:
    weights = np.array([1.0, 2.0, 3.0])

    @fgrad.custom_vjp
    def f(x):
        return np.sum(weights * x)

    f.defvjp(lambda x: (f(x), None), lambda _, ct: (ct * weights,))
    close(fgrad.grad(f)(X), weights)
    weights = weights * 2
    close(fgrad.grad(f)(X), [2.0, 4.0, 6.0])


def test_python_branches_on_values() -> None:
    @fgrad.custom_vjp
    def f(x):
        while x > 2:
            x = x / 2
        return x * x

    def fwd(x):
        factor = 1.0
        while x > 2:
            x, factor = x / 2, factor / 2
        return f(x), ({"small": x} if factor == 1 else (x, factor))

    def bwd(residuals, ct):
        if isinstance(residuals, dict):
            return (2 * residuals["small"] * ct,)
        x, factor = residuals
        if x > 0:
            return (2 * x * ct * factor,)
        return (0.0,)

    f.defvjp(fwd, bwd)
    # two calls with residuals of different structure, in one gradient
    close(fgrad.grad(lambda x: f(x) + f(x / 8))(8.0), 2 * 2 / 4 + 2 / 8)
    close(fgrad.grad(fgrad.grad(lambda x: f(x) + f(x / 8)))(8.0), 2 / 16 + 2 / 64)

    @fgrad.custom_jvp
    def g(x):
        return (x, x) if x > 0 else x

    g.defjvp(lambda p, t: (g(*p), (t[0], 2 * t[0]) if p[0] > 0 else 3 * t[0]))
    assert fgrad.grad(lambda x: sum(g(x)) + g(-x))(1.0) == 0.0


def test_in_place_code_in_rules() -> None:
    @fgrad.custom_vjp
    def f(x):
        out = fnp.zeros(3)
        out[0] = x
        out[1] += x * x
        return out

    def bwd(x, ct):
        slope = fnp.zeros(3)
        slope[0] = 1.0
        slope[1] = 2 * x
        slope *= ct
        return (np.sum(slope),)

    f.defvjp(lambda x: (f(x), x), bwd)

    @fgrad.custom_jvp
    def g(x):
        out = fnp.zeros(3)
        out[:2] = x
        out[1] *= x
        return out

    @g.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        moved = fnp.zeros(3)
        moved[0] = t
        moved[1] = 2 * x * t
        return g(x), moved

    for h in (f, g):
        s = square(h)
        close(fgrad.grad(s)(0.5), 2 * 0.5 + 4 * 0.5**3)
        close(fgrad.hessian(s)(0.5), 2 + 12 * 0.5**2)
        close(fgrad.vmap(fgrad.grad(s))(np.array([0.5, 0.5])), [1.5, 1.5])
        close(fgrad.grad(mapped_square(h))(np.array([0.5, 0.5])), [1.5, 1.5])
        close(by_program(fgrad.grad(s), np.array(0.5)), 1.5)


def test_results_are_nobody_elses_memory() -> None:
    kept = np.ones(3)
    same = fgrad.custom_vjp(lambda x: x)
    same.defvjp(lambda x: (x, x), lambda x, ct: (ct * x,))

    def loss(x):
        y = x * 2
        z = same(y)
        z[0] = 5.0
        y[1] = 7.0
        return np.sum(z) + np.sum(y)

    x = X.copy()
    for _ in range(3):
        close(fgrad.grad(loss)(x), [2.0, 4 * X[1], 4 * X[2] + 2])
    close(x, X)
    value, _ = fgrad.vjp(same, x)
    value[0] = 9.0
    close(x, X)

    total = fgrad.custom_vjp(np.sum)
    total.defvjp(lambda x: (np.sum(x), None), lambda _, ct: (kept,))
    for _ in range(3):
        close(fgrad.grad(lambda x: total(x) * 1.0 + np.sum(x * x))(X), 1 + 2 * X)
    gradient = fgrad.grad(total)(X)
    gradient += 1.0
    close(kept, np.ones(3))


def test_buffers_that_are_refilled() -> None:
    product = fgrad.custom_vjp(lambda x, b: np.sum(x * b))
    product.defvjp(
        lambda x, b: (np.sum(x * b), (x, b)), lambda r, ct: (ct * r[1], ct * r[0])
    )
    buffer = np.zeros(3)

    def loss(x):
        total = 0.0
        for k in range(3):
            buffer[:] = k
            total = total + product(x, buffer)
        return total

    close(fgrad.grad(loss)(X), np.full(3, 3.0))


def test_methods() -> None:
    class Model:
        def __init__(self, factor):
            self.factor = factor

        def apply(self, x):
            return self.factor * x

        apply = fgrad.custom_vjp(apply, nondiff_argnums=(0,))
        apply.defvjp(
            lambda self, x: (self.factor * x, None),
            lambda self, _, ct: (10 * self.factor * ct,),
        )

    assert fgrad.grad(Model(3.0).apply)(1.0) == 30.0
    assert fgrad.grad(Model(4.0).apply)(1.0) == 40.0
    assert Model(3.0).apply(2.0) == 6.0


def test_nested_functions_with_rules() -> None:
    inner = doubled_jvp()
    outer = fgrad.custom_vjp(lambda x: inner(x) * x)
    outer.defvjp(
        lambda x: (outer(x), x), lambda x, ct: (ct * fgrad.grad(inner)(x) * 10,)
    )
    close(fgrad.grad(outer)(0.3), 20 * np.cos(0.3))
    close(fgrad.grad(fgrad.grad(outer))(0.3), -20 * np.sin(0.3))
    close(fgrad.vmap(fgrad.grad(outer))(X), 20 * np.cos(X))
    close(
        fgrad.grad(lambda x: outer(inner(x)))(0.3),
        40 * np.cos(np.sin(0.3)) * np.cos(0.3),
    )


def test_vmap_with_unmapped_arguments() -> None:
    f = fgrad.custom_vjp(lambda x, w: np.sum(x * w))
    f.defvjp(lambda x, w: (f(x, w), (x, w)), lambda r, ct: (5 * ct * r[1], ct * r[0]))
    mapped = fgrad.vmap(f, in_axes=(0, None))
    loss = lambda xs, w: np.sum(mapped(xs, w) ** 2)
    values = XS @ X
    g_xs, g_w = fgrad.grad(loss, (0, 1))(XS, X)
    close(g_xs, 10 * values[:, None] * X)
    close(g_w, 2 * values @ XS)
    inner = fgrad.vmap(f, in_axes=(None, 0))
    twice = fgrad.vmap(inner, in_axes=(0, None))(XS, XS)
    close(twice, XS @ XS.T)


def test_captured_values_under_vmap() -> None:
    """A function made under `vmap` may close over what is mapped there."""

    def outer(a):
        f = fgrad.custom_vjp(lambda x: a * x * x)
        f.defvjp(lambda x: (f(x), (a, x)), lambda r, ct: (2 * r[0] * r[1] * ct,))
        return fgrad.grad(f)(3.0)

    close(fgrad.vmap(outer)(np.array([1.0, 2.0])), [6.0, 12.0])
    close(fgrad.grad(outer)(2.0), 6.0)
    close(fgrad.vmap(fgrad.grad(outer))(np.array([1.0, 2.0])), [6.0, 6.0])


def test_second_derivative_through_selected_branches() -> None:
    f = fgrad.custom_vjp(np.sin)
    f.defvjp(lambda x: (np.sin(x), np.cos(x)), lambda c, ct: (c * ct,))
    h = lambda x, p: fgrad.cond(p > 0, f, lambda x: x * x, x)
    xs, ps = np.array([0.3, 0.4]), np.array([1.0, -1.0])
    slopes = lambda xs: np.sum(fgrad.vmap(fgrad.grad(h))(xs, ps) * np.array([1.0, 2.0]))
    close(fgrad.grad(slopes)(xs), [-np.sin(0.3), 4.0])
    close(fgrad.vmap(fgrad.grad(fgrad.grad(h)))(xs, ps), [-np.sin(0.3), 2.0])


def test_errors_of_the_function_pass_through() -> None:
    def fails(x):
        raise ValueError("my own complaint")

    for f in (fgrad.custom_jvp(fails), fgrad.custom_vjp(fails)):
        f.defjvp(fails) if isinstance(f, fgrad.custom_jvp) else f.defvjp(fails, fails)
        with pytest.raises(ValueError, match="my own complaint") as info:
            fgrad.grad(f)(1.0)
        assert type(info.value) is ValueError


def test_threads_with_different_structures() -> None:
    @fgrad.custom_vjp
    def f(x):
        return {"a": x} if x[0] > 0 else (x, x)

    def bwd(x, ct):
        return (ct["a"] * 1.0 if isinstance(ct, dict) else ct[0] + ct[1],)

    f.defvjp(lambda x: (f(x), x), bwd)
    wrong = []

    def work(sign: float) -> None:
        x = np.array([sign, 2.0])
        for _ in range(100):
            out, pullback = fgrad.vjp(f, x)
            (found,) = pullback(out)
            if not np.array_equal(found, x if sign > 0 else 2 * x):
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(s,)) for s in (1.0, -1.0, 1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_functions_defined_anew_are_forgotten() -> None:
    references = []
    for k in range(2000):
        weights = np.full(10, float(k))

        @fgrad.custom_vjp
        def f(x):
            return np.sum(weights * x)

        f.defvjp(lambda x: (f(x), None), lambda _, ct: (ct * weights,))
        assert fgrad.grad(lambda x: f(x) ** 2)(np.ones(10))[0] == 20.0 * k * k
        references.append(weakref.ref(f))
    gc.collect()
    assert sum(reference() is not None for reference in references) <= 300


def test_functions_as_arguments_are_forgotten() -> None:
    f = fgrad.custom_vjp(lambda h, x: h(x), nondiff_argnums=(0,))
    f.defvjp(lambda h, x: (h(x), x), lambda h, x, ct: (ct * x,))
    references = []
    for _ in range(800):
        h = lambda x: x * 2
        fgrad.grad(lambda x: fgrad.scan(lambda c, y: (f(h, c) + y, None), x, X)[0])(1.0)
        references.append(weakref.ref(h))
    gc.collect()
    assert sum(reference() is not None for reference in references) <= 600
