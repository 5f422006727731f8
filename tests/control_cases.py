"""Functions that use control flow, each written once for fgrad, Python and JAX.

A case takes the array module, a namespace of constructs (`FGRAD`, `PYTHON`: loops and
branches of the language, or `JAX`), a vector, a matrix of four rows and a number.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

import fgrad
from fgrad import tree

CASES: dict[str, Callable[..., Any]] = {}


def case(f: Any) -> Any:
    CASES[f.__name__] = f
    return f


# --- the constructs in plain Python, and those of JAX


def python_scan(
    f: Any, init: Any, xs: Any = None, length: Any = None, reverse: bool = False
) -> Any:
    count = length if xs is None else len(tree.flatten(xs)[0][0])
    rows: list[Any] = [None] * count
    carry = init
    for k in reversed(range(count)) if reverse else range(count):
        carry, rows[k] = f(carry, tree.map_leaves(lambda x: x[k], xs))
    return carry, stacked(rows)


def stacked(rows: Any) -> Any:
    treedef = tree.flatten(rows[0])[1]
    columns = zip(*(tree.flatten(row)[0] for row in rows), strict=True)
    return tree.unflatten(treedef, [np.stack(column) for column in columns])


def python_fori_loop(lower: int, upper: int, body: Any, init: Any) -> Any:
    for k in range(lower, upper):
        init = body(k, init)
    return init


def python_while_loop(cond: Any, body: Any, init: Any, max_steps: Any = None) -> Any:
    steps = 0
    while steps != max_steps and cond(init):
        init = body(init)
        steps += 1
    return init


def python_associative_scan(fn: Any, xs: Any, reverse: bool = False) -> Any:
    rows = [tree.map_leaves(lambda x: x[k : k + 1], xs) for k in range(4)]
    if reverse:
        rows.reverse()
    for k in range(1, len(rows)):
        rows[k] = fn(rows[k - 1], rows[k])
    if reverse:
        rows.reverse()
    return tree.map_leaves(lambda x: x[:, 0], stacked(rows))


def python_vmap(f: Any, in_axes: Any = 0) -> Any:
    def mapped(*args: Any) -> Any:
        axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
        sizes = [len(x) for x, axis in zip(args, axes, strict=True) if axis == 0]
        rows = [
            f(*(x[k] if axis == 0 else x for x, axis in zip(args, axes, strict=True)))
            for k in range(sizes[0])
        ]
        return stacked(rows)

    return mapped


class WithoutRule:
    """A function whose rule is left aside, so that its body is differentiated."""

    def __init__(self, function: Any, *said: Any, **rules: Any) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def defjvp(self, jvp: Any) -> None:
        pass

    def defvjp(self, fwd: Any, bwd: Any) -> None:
        pass


PYTHON = SimpleNamespace(
    scan=python_scan,
    fori_loop=python_fori_loop,
    while_loop=python_while_loop,
    map=lambda f, xs: python_scan(lambda c, x: (c, f(x)), None, xs)[1],
    associative_scan=python_associative_scan,
    cond=lambda p, f, g, *xs: f(*xs) if p else g(*xs),
    switch=lambda k, fs, *xs: fs[min(max(int(k), 0), len(fs) - 1)](*xs),
    checkpoint=lambda f: f,
    vmap=python_vmap,
    grad=fgrad.grad,
    stop=fgrad.stop_gradient,
    custom_jvp=WithoutRule,
    custom_vjp=WithoutRule,
    external=WithoutRule,
)
JAX = SimpleNamespace(
    scan=jax.lax.scan,
    fori_loop=jax.lax.fori_loop,
    while_loop=lambda c, f, init, max_steps=None: jax.lax.while_loop(c, f, init),
    map=jax.lax.map,
    associative_scan=jax.lax.associative_scan,
    cond=jax.lax.cond,
    switch=jax.lax.switch,
    checkpoint=jax.checkpoint,
    vmap=jax.vmap,
    grad=jax.grad,
    stop=jax.lax.stop_gradient,
    custom_jvp=jax.custom_jvp,
    custom_vjp=WithoutRule,  # which JAX does not differentiate forwards
    external=WithoutRule,
)
FGRAD = SimpleNamespace(**vars(fgrad), stop=fgrad.stop_gradient)


# --- the cases: functions of a vector, a matrix of four rows, and a number


@case
def scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        n, h = carry
        h = np.tanh(w * h + x) * s + n * 0.1
        return (n + 1, h), (np.sin(h) * x, n)

    (n, h), (ys, ns) = c.scan(step, (0, w * 0.5), xs)
    return h * n, ys, ns * s


@case
def scan_reversed(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        out = np.exp(-h * x) * w
        return out, {"y": out * s, "before": h * h}

    return c.scan(step, np.cos(w), xs, reverse=True)


@case
def scan_without_xs(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    matrix = xs.T @ xs * 0.1
    return c.scan(lambda h, _: (np.tanh(matrix @ h) + s, h[0]), w, None, length=5)


@case
def scan_of_linear_steps(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    return c.scan(lambda h, x: (0.5 * h + x, s * h), w, xs)


@case
def scan_swapping_carries(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        a, b, fixed = carry
        return (b * s, np.sin(a) * x + fixed, fixed), a * b

    return c.scan(step, (w, w * w, np.exp(w)), xs)


@case
def scan_whose_carry_becomes_active(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        a, b = carry
        return (a * 0.5 + np.sum(b), b * x + s), np.sin(a)

    return c.scan(step, (np.ones(()), np.ones(3)), xs)


@case
def fori_loop(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def step(k: Any, carry: Any) -> Any:
        h, rows = carry
        return np.sin(h * rows[k]) + k * s, rows

    return c.fori_loop(1, 4, step, (w, xs))


@case
def while_loop(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def step(carry: Any) -> Any:
        n, h = carry
        return n + 1, h * 1.3 + np.sin(w) * s + xs[0] * 0.1

    n, h = c.while_loop(lambda v: np.sum(v[1] ** 2) < 40.0, step, (0, w), max_steps=20)
    return n * h


@case
def while_loop_of_unknown_length(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    return c.while_loop(
        lambda h: np.max(np.abs(h)) < s + 3.0, lambda h: h * (1.1 + w * w), np.cos(w)
    )


@case
def map_over_rows(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    return c.map(lambda x: (np.sum(x * w) * s, np.tanh(x)), xs)


@case
def associative_scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def combine(left: Any, right: Any) -> Any:  # affine maps, composed
        return left[0] * right[0], left[1] * right[0] + right[1]

    return c.associative_scan(combine, (np.sin(xs) * s, xs + w))


@case
def associative_scan_reversed(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    return c.associative_scan(lambda a, b: a * b * s, xs + w, reverse=True)


@case
def cond(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    low = lambda h: (np.sin(h) * s, xs[0] * 1.0)
    high = lambda h: (np.exp(h * w), xs[1] * s)
    return c.cond(np.sum(w) > 0.3, low, high, w * 2.0)


@case
def switch(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    number = c.stop(np.floor(4.0 * s)).astype("int64") - 1
    branches = [lambda h: h * s, np.sin, lambda h: h * xs[2] + w]
    return c.switch(number, branches, w * w)


@case
def checkpoint(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    return c.checkpoint(lambda h: (np.sin(np.exp(h) * s), xs @ h))(w)


@case
def scan_in_scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def outer(h: Any, x: Any) -> Any:
        inner = lambda g, y: (np.tanh(g * y + x), g * s)
        end, rows = c.scan(inner, h, xs)
        return end * w, np.sum(rows * rows)

    return c.scan(outer, w, xs)


@case
def cond_in_scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = c.cond(np.sum(h * x) > 0, lambda h: np.sin(h) * s, lambda h: h * w + x, h)
        return h, h * h

    return c.scan(step, w, xs)


@case
def while_in_scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        grow = lambda g: g * 1.5 + s * np.abs(x)
        g = c.while_loop(lambda g: np.sum(np.abs(g)) < 4.0, grow, h, max_steps=12)
        return np.sin(g) * w, g

    return c.scan(step, w, xs)


@case
def scan_in_cond(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    loop = lambda h: c.scan(lambda g, x: (np.sin(g * x) + w, g * s), h, xs)
    plain = lambda h: (h * s, xs * np.cos(h))
    return c.cond(np.sum(w) > 0.3, loop, plain, w)


@case
def checkpoint_in_scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    layer = c.checkpoint(lambda h, x: np.tanh(np.sin(h * w) + x * s))
    return c.scan(lambda h, x: (layer(h, x), h * h), w, xs)


@case
def scan_in_checkpoint(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    loop = lambda h: c.scan(lambda g, x: (np.sin(g * x) * s, g * w), h, xs)
    return c.checkpoint(loop)(np.exp(w))


@case
def while_in_while(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def outer(carry: Any) -> Any:
        n, h = carry
        small = lambda g: np.sum(np.abs(g)) < 3.0
        h = c.while_loop(small, lambda g: g * 1.4 + 0.1 * s, h, max_steps=12)
        return n + 1, np.sin(h) * w

    return c.while_loop(lambda v: v[0] < 3, outer, (0, xs[0]), max_steps=5)[1]


@case
def vmap_in_scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        rows = c.vmap(lambda y, g: np.tanh(y * g) @ w, in_axes=(0, None))(xs, h)
        return np.sin(h) * s + np.sum(rows), rows * x[0]

    return c.scan(step, w, xs)


@case
def grad_in_scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        slope = c.grad(lambda g: np.sum(np.sin(g * x) * w) * s)(h)
        return h - 0.1 * slope, slope

    return c.scan(step, w, xs)


# --- functions with rules: programs that hold them are not read back from text

WITH_RULES: set[str] = set()


def case_with_rules(f: Any) -> Any:
    WITH_RULES.add(f.__name__)
    return case(f)


def layer(np: Any, h: Any, x: Any, s: Any) -> Any:
    return np.tanh(h * x) * s, np.sum(h * h)


def layer_with_jvp(np: Any, c: Any) -> Any:
    f = c.custom_jvp(lambda h, x, s: layer(np, h, x, s))

    def rule(primals: Any, tangents: Any) -> Any:
        h, x, s = primals
        t_h, t_x, t_s = tangents
        y = np.tanh(h * x)
        moved = (1.0 - y * y) * (t_h * x + h * t_x) * s + y * t_s
        return f(*primals), (moved, 2.0 * np.sum(h * t_h))

    f.defjvp(rule)
    return f


def cotangents_of_layer(np: Any, cts: Any, y: Any, h: Any, x: Any, s: Any) -> Any:
    ct, ct_size = cts
    pulled = ct * (1.0 - y * y) * s
    return pulled * x + 2.0 * ct_size * h, pulled * h, np.sum(ct * y)


def layer_with_vjp(np: Any, c: Any) -> Any:
    f = c.custom_vjp(lambda h, x, s: layer(np, h, x, s))

    def forward(h: Any, x: Any, s: Any) -> Any:
        y = np.tanh(h * x)
        return (y * s, np.sum(h * h)), {"y": y, "args": (h, x, s)}

    f.defvjp(forward, lambda r, cts: cotangents_of_layer(np, cts, r["y"], *r["args"]))
    return f


def external_layer(np: Any, c: Any, **options: Any) -> Any:
    def rule(cts: Any, outs: Any, h: Any, x: Any, s: Any) -> Any:
        return cotangents_of_layer(np, cts, np.tanh(h * x), h, x, s)

    said = lambda h, x, s: (h, fgrad.Aval((), "float64"))
    return c.external(lambda h, x, s: layer(np, h, x, s), said, vjp=rule, **options)


@case_with_rules
def custom_jvp(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    return layer_with_jvp(np, c)(w * w, xs[1], np.sin(s))


@case_with_rules
def custom_vjp(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    return layer_with_vjp(np, c)(w * w, xs[1], np.sin(s))


@case_with_rules
def external(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    return external_layer(np, c)(w * w, xs[1], np.sin(s))


@case_with_rules
def custom_jvp_in_scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    f = layer_with_jvp(np, c)
    return c.scan(lambda h, x: f(h + w, x, s), w, xs)


@case_with_rules
def custom_vjp_in_scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    f = layer_with_vjp(np, c)
    return c.scan(lambda h, x: f(h + w, x, s), w, xs)


@case_with_rules
def external_in_scan(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    f = external_layer(np, c)
    return c.scan(lambda h, x: f(h + w, x, s), w, xs)


@case_with_rules
def rules_in_fori_loop(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    f, g = layer_with_vjp(np, c), layer_with_jvp(np, c)

    def step(k: Any, carry: Any) -> Any:
        h, rows = carry
        return g(f(h, rows[k], s)[0], w, s)[0] + k * w, rows

    return c.fori_loop(0, 3, step, (w, xs))


@case_with_rules
def rules_in_while_loop(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    f, g = layer_with_vjp(np, c), external_layer(np, c)

    def step(carry: Any) -> Any:
        n, h = carry
        return n + 1, f(h, xs[0], s)[0] + 1.5 * g(w, h, s)[0]

    return c.while_loop(lambda v: v[0] < 3, step, (0, w), max_steps=6)[1]


@case_with_rules
def rules_in_cond(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    f, g = layer_with_vjp(np, c), layer_with_jvp(np, c)
    low, high = lambda h: f(h, xs[0], s), lambda h: g(xs[1], h * h, s)
    return c.cond(np.sum(w) > 0.3, low, high, w * 2.0)


@case_with_rules
def rules_in_checkpoint(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    f, g = layer_with_vjp(np, c), external_layer(np, c)
    return c.checkpoint(lambda h: g(f(h, xs[0], s)[0], h, s))(np.sin(w))


@case_with_rules
def rules_under_vmap(np: Any, c: Any, w: Any, xs: Any, s: Any) -> Any:
    f, g = layer_with_vjp(np, c), external_layer(np, c)
    return c.vmap(lambda x, h: g(f(h, x, s)[0], x, s), in_axes=(0, None))(xs, w)
