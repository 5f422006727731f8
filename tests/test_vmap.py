"""``fgrad.vmap``: axes, containers, nesting, in-place code, indexing, errors.

The reference is a loop over the elements, in NumPy, or JAX.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_indexing import SHAPES, mixed_indices

import fgrad
from fgrad import grad, vmap
from fgrad.errors import (
    BatchAxisError,
    BatchLoopWarning,
    ConcretizationError,
    LeakedTracerError,
    ShapeError,
    TracerConversionError,
    TreeError,
)
from fgrad.ir import aval_of
from fgrad.primitive import Primitive


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed + 17 * sum(shape)).standard_normal(shape)


def loop(f: Any, *columns: Any) -> Any:
    """The results of ``f`` for each element, stacked."""
    return np.stack([f(*row) for row in zip(*columns, strict=True)])


def same(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    assert aval_of(found) is aval_of(expected)
    np.testing.assert_allclose(found, expected, tolerance, tolerance)


# --- axes and containers


X, Y, V = normal(4, 3), normal(4, 3, seed=1), normal(3)


def test_all_arguments_along_axis_zero() -> None:
    same(vmap(lambda x, y: x @ y)(X, Y), loop(np.dot, X, Y))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_one_axis_for_all(axis: int) -> None:
    x, y = normal(2, 3, 4), normal(2, 3, 4, seed=1)
    found = vmap(lambda x, y: x @ y.T, in_axes=axis)(x, y)
    rows = np.moveaxis(x, axis, 0), np.moveaxis(y, axis, 0)
    same(found, loop(lambda x, y: x @ y.T, *rows))


@pytest.mark.parametrize("axes", [(0, None), [0, None], (-2, None)])
def test_none_is_not_mapped(axes: Any) -> None:
    same(vmap(np.dot, in_axes=axes)(X, V), X @ V)


def test_different_axes() -> None:
    found = vmap(lambda x, y: x * y, in_axes=(0, 1))(X, Y.T)
    same(found, X * Y)


def test_containers_of_axes() -> None:
    def f(p: Any, x: Any) -> Any:
        return {"sum": p["w"] @ x + p["b"][0], "b": p["b"]}

    p = {"w": normal(2, 3, 4), "b": (normal(4, 2), normal(5))}
    axes = ({"w": 2, "b": (0, None)}, None)
    found = vmap(f, axes, out_axes={"sum": 0, "b": (1, None)})(p, V)
    rows = zip(np.moveaxis(p["w"], 2, 0), p["b"][0], strict=True)
    same(found["sum"], np.stack([w @ V + b for w, b in rows]))
    same(found["b"][0], p["b"][0].T)
    same(found["b"][1], p["b"][1])


def test_axes_are_an_upper_part_of_the_tree() -> None:
    p = {"w": normal(4, 3), "b": [normal(4), normal(4, 2)]}
    found = vmap(lambda p, x: p["w"] @ x + p["b"][0], in_axes=({"w": 0, "b": 0}, None))
    same(found(p, V), p["w"] @ V + p["b"][0])


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Point:
    x: Any
    y: Any


def test_namedtuples_and_dataclasses() -> None:
    def f(pair: Pair) -> Point:
        return Point(pair.first * 2, pair.second.x + pair.second.y)

    found = vmap(f)(Pair(X, Point(X, Y)))
    same(found.x, 2 * X)
    same(found.y, X + Y)


def test_none_in_a_tree_stays() -> None:
    out, nothing = vmap(lambda p: (p[0] + 1, p[1]))((X, None))
    same(out, X + 1)
    assert nothing is None


def test_results_of_every_structure() -> None:
    found = vmap(lambda x: {"a": [x, (x.sum(), 1.0)], "b": ()})(X)
    assert found["b"] == ()
    same(found["a"][0], X)
    same(found["a"][1][0], X.sum(1))
    same(found["a"][1][1], np.ones(4))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_out_axes(axis: int) -> None:
    found = vmap(lambda x: np.outer(x, V), out_axes=axis)(X)
    same(found, np.moveaxis(loop(lambda x: np.outer(x, V), X), 0, axis))


def test_out_axes_of_several_results() -> None:
    a, b, c = vmap(lambda x: (x, x, V * 2), out_axes=(0, 1, None))(X)
    same(a, X)
    same(b, X.T)
    same(c, V * 2)


def test_unmapped_results_are_repeated() -> None:
    found = vmap(lambda x: V)(X)
    same(found, np.tile(V, (4, 1)))
    found[0] = 7  # not a broadcast view
    assert not np.any(found[1:] == 7)
    assert not np.any(V == 7)


def test_axis_size() -> None:
    same(vmap(lambda: np.ones(2), axis_size=3)(), np.ones((3, 2)))
    same(vmap(lambda x: x * 2, in_axes=None, axis_size=2)(V), np.stack([2 * V] * 2))
    same(vmap(lambda x: x * 2, axis_size=4)(X), 2 * X)


def test_keyword_arguments_are_mapped_over_axis_zero() -> None:
    def f(x: Any, *, scale: Any, shift: Any = 0.0) -> Any:
        return x * scale + shift

    same(vmap(f, in_axes=None)(2.0, scale=X[:, 0]), 2 * X[:, 0])
    same(vmap(f)(X, scale=V[[0, 1, 2, 0]], shift=Y), X * V[[0, 1, 2, 0], None] + Y)


def test_lists_and_numbers_as_arguments() -> None:
    same(vmap(lambda x, n: x * n, in_axes=(0, None))(np.arange(3), 2), np.arange(3) * 2)
    same(vmap(lambda row: row[0] + row[1])([X, Y]), X + Y)


def test_name_and_docstring_are_kept() -> None:
    def named(x: Any) -> Any:
        """Words."""
        return x

    assert vmap(named).__name__ == "named"
    assert vmap(named).__doc__ == "Words."


def test_one_call_of_the_function() -> None:
    calls = []
    vmap(lambda x: calls.append(x.shape) or x)(X)
    assert calls == [(3,)]


# --- nesting


def test_outer_product_by_two_maps() -> None:
    u, v = normal(4), normal(3)
    both = vmap(vmap(lambda x, y: x * y, in_axes=(None, 0)), in_axes=(0, None))
    same(both(u, v), np.outer(u, v))


def test_both_axes_of_a_matrix() -> None:
    same(vmap(vmap(np.sin))(X), np.sin(X))
    same(vmap(vmap(lambda x: x + 1, in_axes=0, out_axes=0), in_axes=1)(X), X.T + 1)
    same(
        vmap(vmap(np.sum, in_axes=1), in_axes=0)(normal(2, 3, 4)),
        normal(2, 3, 4).sum(1),
    )


def test_product_of_matrices_by_maps() -> None:
    a, b = normal(4, 3), normal(3, 5)
    rows = vmap(np.dot, in_axes=(None, 1))
    same(vmap(rows, in_axes=(0, None))(a, b), a @ b)


def test_pairwise_distances() -> None:
    def distance(x: Any, y: Any) -> Any:
        return np.sqrt(np.sum((x - y) ** 2))

    both = vmap(vmap(distance, (None, 0)), (0, None))
    same(both(X, Y), np.sqrt(np.sum((X[:, None] - Y[None]) ** 2, axis=-1)))


def test_closure_over_an_array_of_the_outer_map() -> None:
    def outer(x: Any, m: Any) -> Any:
        return vmap(lambda row: row @ x + np.sum(x))(m)

    m = normal(4, 2, 3)
    same(vmap(outer)(X, m), loop(lambda x, m: m @ x + x.sum(), X, m))


def test_three_levels() -> None:
    x = normal(2, 3, 4)
    f = vmap(vmap(vmap(lambda a, b, c: a * b + c, (0, None, 0)), (0, 0, 0)))
    same(f(x, x[..., 0], x), x * x[..., :1] + x)


def test_closure_over_arrays() -> None:
    w = normal(3, 3)
    same(vmap(lambda x: np.tanh(w @ x) + V)(X), np.tanh(X @ w.T) + V)


# --- with derivatives


def sum_of_sines(x: Any) -> Any:
    return np.sum(np.sin(x) * x)


def test_grad_inside() -> None:
    same(vmap(grad(sum_of_sines))(X), loop(grad(sum_of_sines), X))


def test_grad_outside() -> None:
    f = lambda x: np.sum(vmap(sum_of_sines)(x) ** 2)
    expected = jax.grad(
        lambda x: jnp.sum(jax.vmap(lambda x: jnp.sum(jnp.sin(x) * x))(x) ** 2)
    )
    same(grad(f)(X), np.asarray(expected(X)))


def test_grad_inside_and_outside() -> None:
    def f(x: Any) -> Any:
        return np.sum(vmap(grad(sum_of_sines))(x) ** 2)

    def g(x: Any) -> Any:
        inner = jax.grad(lambda x: jnp.sum(jnp.sin(x) * x))
        return jnp.sum(jax.vmap(inner)(x) ** 2)

    same(grad(f)(X), np.asarray(jax.grad(g)(X)))
    v = normal(4, 3, seed=9)
    same(
        fgrad.jvp(grad(f), (X,), (v,))[1],
        np.asarray(jax.jvp(jax.grad(g), (X,), (v,))[1]),
    )


def test_hessians_of_each_element() -> None:
    found = vmap(fgrad.hessian(sum_of_sines))(X)
    same(found, loop(fgrad.hessian(sum_of_sines), X))


def test_map_inside_grad_inside_map() -> None:
    def f(x: Any, m: Any) -> Any:
        return grad(lambda x: np.sum(vmap(lambda row: np.tanh(row @ x))(m)))(x)

    m = normal(4, 5, 3)
    same(vmap(f)(X, m), loop(f, X, m))
    same(vmap(f, in_axes=(0, None))(X, m[0]), loop(lambda x: f(x, m[0]), X))


def test_vjp_and_jvp_of_a_map_with_unmapped_arguments() -> None:
    w, ct = normal(2, 3), normal(4, 2)
    f = vmap(lambda w, x: np.tanh(w @ x), in_axes=(None, 0))
    value, pullback = fgrad.vjp(f, w, X)
    jax_value, jax_pullback = jax.vjp(lambda w, x: jnp.tanh(x @ w.T), w, X)
    same(value, np.asarray(jax_value))
    for one, other in zip(pullback(ct), jax_pullback(ct), strict=True):
        same(one, np.asarray(other))


def test_directional_derivatives_of_a_batch_of_directions() -> None:
    x, directions = V, normal(5, 3)
    found = vmap(lambda t: fgrad.jvp(np.sin, (x,), (t,))[1])(directions)
    same(found, np.cos(x) * directions)
    pullback = fgrad.vjp(np.sin, x)[1]
    same(vmap(lambda ct: pullback(ct)[0])(directions), np.cos(x) * directions)


def network(np: Any, p: Any, x: Any, label: Any) -> Any:
    hidden = np.tanh(p["w1"] @ x + p["b1"])
    logits = p["w2"] @ hidden + p["b2"]
    top = np.max(logits)
    return top + np.log(np.sum(np.exp(logits - top))) - logits[label]


def test_gradients_of_each_example() -> None:
    p = {
        "w1": normal(6, 5),
        "b1": normal(6),
        "w2": normal(4, 6),
        "b2": normal(4),
    }
    inputs, labels = normal(7, 5), np.array([0, 1, 2, 3, 2, 1, 0])
    gradient = grad(lambda p, x, label: network(np, p, x, label))
    found = vmap(gradient, in_axes=(None, 0, 0))(p, inputs, labels)
    single = [gradient(p, x, y) for x, y in zip(inputs, labels, strict=True)]
    under_jax = jax.grad(lambda p, x, label: network(jnp, p, x, label))
    expected = jax.vmap(under_jax, in_axes=(None, 0, 0))(p, inputs, labels)
    for name in p:
        same(found[name], np.stack([row[name] for row in single]))
        same(found[name], np.asarray(expected[name]), 1e-10)


def test_clipped_gradients_are_differentiable() -> None:
    def clipped(w: Any, x: Any) -> Any:
        g = vmap(grad(lambda w, x: np.sum(np.tanh(w * x))), (None, 0))(w, x)
        norms = np.sqrt(np.sum(g**2, axis=1, keepdims=True))
        return np.sum(g / np.maximum(1.0, norms))

    fgrad.testing.check_grads(clipped, (V, X), order=1)


# --- values that Python asks for


def test_if_on_an_unmapped_argument() -> None:
    def f(x: Any, flag: Any) -> Any:
        return x * 2 if flag > 0 else x

    same(vmap(f, in_axes=(0, None))(X, 1.0), 2 * X)
    same(vmap(f, in_axes=(0, None))(X, np.float64(-1.0)), X)


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x if x[0] > 0 else -x,
        lambda x: x if np.any(x > 0) else -x,
        lambda x: [x for _ in range(int(x[0]))],
        lambda x: x[x > 0],
        lambda x: x[: np.argmax(x)],
    ],
    ids=["if", "any", "int", "mask", "slice"],
)
def test_python_cannot_branch_on_mapped_values(ask: Any) -> None:
    with pytest.raises(ConcretizationError, match=r"where.*cond"):
        vmap(ask)(X)


def test_mapped_values_are_no_numbers() -> None:
    with pytest.raises(TracerConversionError):
        vmap(lambda x: float(x[0]))(X)


def test_where() -> None:
    found = vmap(lambda x: np.where(x > 0, np.log(np.abs(x)), x**2))(X)
    same(found, np.where(X > 0, np.log(np.abs(X)), X**2))
    found = vmap(lambda x, y: np.where(x[0] > 0, x, y))(X, Y)
    same(found, np.where(X[:, :1] > 0, X, Y))


def test_a_leaked_tracer() -> None:
    kept = []
    vmap(lambda x: kept.append(x) or x)(X)
    with pytest.raises(LeakedTracerError):
        kept[0] + 1
    with pytest.raises(LeakedTracerError):
        np.sum(kept[0])


def test_a_leaked_tracer_after_an_error() -> None:
    kept = []

    def fails(x: Any) -> Any:
        kept.append(x)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        vmap(fails)(X)
    same(vmap(np.sin)(X), np.sin(X))


def test_printing() -> None:
    shown = []
    vmap(lambda x: shown.append(repr(x)) or x)(X)
    assert "f64[3]" in shown[0]


# --- memory


def assert_apart(*arrays: Any) -> None:
    for k, one in enumerate(arrays):
        assert one.flags.writeable
        for other in arrays[:k]:
            assert not np.may_share_memory(one, other)


@pytest.mark.parametrize("axes", [0, 1])
def test_results_alias_nothing(axes: int) -> None:
    x = normal(3, 3)
    once, twice, view, turned = vmap(
        lambda x: (x, x, x[1:], np.reshape(x, (3, 1))), in_axes=axes
    )(x)
    assert_apart(x, once, twice, view, turned)


def test_the_same_result_twice() -> None:
    one, other = vmap(lambda x: (y := x + 1, y))(X)
    assert_apart(X, one, other)
    one, other = vmap(lambda x: (V, V))(X)
    assert_apart(V, one, other)
    one, other = vmap(lambda x: (V, V), out_axes=None)(X)
    assert_apart(V, one, other)


def test_results_alias_nothing_inside_a_trace() -> None:
    def f(x: Any) -> Any:
        same, again = vmap(lambda row: (row, row))(x)
        doubled, view = vmap(lambda row: (y := row * 2, y[1:]))(x)
        same[0], doubled[1], view[2] = 0.0, 0.0, 0.0
        return np.sum(x**2 + again**3 + doubled * same) + np.sum(view**2)

    def g(x: Any) -> Any:
        same, again, doubled, view = x.copy(), x.copy(), x * 2, x[:, 1:] * 2
        same[0], doubled[1], view[2] = 0.0, 0.0, 0.0
        return np.sum(x**2 + again**3 + doubled * same) + np.sum(view**2)

    same(fgrad.value_and_grad(f)(X)[0], g(X))
    same(grad(f)(X), grad(g)(X))


def test_a_view_and_its_base() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        return y, y[1:], y.reshape(3, 1)

    assert_apart(*vmap(f)(X))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.__setitem__(0, 9.0),
        lambda x: x.__setitem__(slice(1, None), 9.0),
        lambda x: x.__iadd__(1.0),
        lambda x: x[1:].__imul__(2.0),
        lambda x: x.__setitem__(x > 0, 0.0),
        lambda x: np.add(x, 1.0, out=x),
        lambda x: x.sort(),
        lambda x: x.fill(3.0),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_arrays_of_the_caller_stay(change: Any, axis: int) -> None:
    def f(x: Any) -> Any:
        change(x)
        return x

    x = normal(3, 3)
    before = x.copy()
    found = vmap(f, in_axes=axis)(x)
    np.testing.assert_array_equal(x, before)
    rows = np.moveaxis(before, axis, 0).copy()
    same(found, loop(f, rows))


def test_closed_over_arrays_are_not_written_to() -> None:
    buffer = np.zeros(3)

    def f(x: Any) -> Any:
        buffer[0] = x[0]
        return x

    with pytest.raises(TracerConversionError):
        vmap(f)(X)
    assert not buffer.any()


# --- in-place code

POSITIONS = np.array([2, 0, 1, 2])


def static_position(x: Any, y: Any, i: Any) -> Any:
    x = np.copy(x)
    x[1] = y[0]
    return x


def mapped_position(x: Any, y: Any, i: Any) -> Any:
    x = np.copy(x)
    x[i] = y[0] * 2
    return x


def number_at_mapped_position(x: Any, y: Any, i: Any) -> Any:
    x[i] = 0.5
    return x


def added_at_mapped_position(x: Any, y: Any, i: Any) -> Any:
    x[i] += y[1]
    return x * 2


def sum_in_place(x: Any, y: Any, i: Any) -> Any:
    z = x
    z += y
    return x - y[0]


def slices(x: Any, y: Any, i: Any) -> Any:
    x[1:] = y[:-1]
    x[::2] *= 3
    return x


def through_a_view(x: Any, y: Any, i: Any) -> Any:
    z = x[1:]
    z[0] = 0
    z[1:] += y[0]
    return x


def view_after_its_base(x: Any, y: Any, i: Any) -> Any:
    z = x[1:]
    x[:] = y
    return z + x[1:]


def row_at_mapped_position(x: Any, y: Any, i: Any) -> Any:
    m = np.outer(x, y)
    m[i] = y
    m[:, i] += x
    m[i, i] = 0.0
    return m


def through_a_transpose(x: Any, y: Any, i: Any) -> Any:
    m = np.outer(x, y)
    m.T[1] = x
    m.T[i, 1:] -= 1.0
    return m


def through_a_reshape(x: Any, y: Any, i: Any) -> Any:
    m = x * 2
    m.reshape(3, 1)[1:, 0] = y[1:]
    m.reshape(1, 3)[0, i] = 4.0
    return m


def through_a_diagonal(x: Any, y: Any, i: Any) -> Any:
    m = np.outer(x, y)
    np.fill_diagonal(m, x)
    return m


def mask(x: Any, y: Any, i: Any) -> Any:
    x[x > 0] = 0
    x[y < 0] = -1.0
    return x


def mask_of_a_matrix(x: Any, y: Any, i: Any) -> Any:
    m = np.outer(x, y)
    m[m > 0.1] = 0.25
    return m


def static_mask(x: Any, y: Any, i: Any) -> Any:
    x[np.array([True, False, True])] = y[:2]
    return x


def repeated_positions(x: Any, y: Any, i: Any) -> Any:
    x[np.array([0, 0, 1])] = y
    np.add.at(x, np.array([2, 2, 2]), y)
    return x


def repeated_mapped_positions(x: Any, y: Any, i: Any) -> Any:
    both = np.stack([i, i * 0, i])
    x[both] = y
    np.add.at(x, both, y)
    return x


def loop_of_writes(x: Any, y: Any, i: Any) -> Any:
    out = x * 0
    for k in range(3):
        out[k] = x[k] * (out[k - 1] + y[k])
    return out


def scalars_are_rebound(x: Any, y: Any, i: Any) -> Any:
    total = x[0]
    total += y[1]
    return x[0] + total


def out_argument(x: Any, y: Any, i: Any) -> Any:
    np.multiply(x, y, out=x)
    np.exp(y[:1], out=x[1:2])
    return x + y


def masked_ufunc(x: Any, y: Any, i: Any) -> Any:
    np.arctan(y, out=x, where=y > 0)
    return x


def take_along(x: Any, y: Any, i: Any) -> Any:
    x[1:] = np.take_along_axis(x * y, np.stack([i, i]), axis=0)
    return x


IN_PLACE = [
    static_position,
    mapped_position,
    number_at_mapped_position,
    added_at_mapped_position,
    sum_in_place,
    slices,
    through_a_view,
    view_after_its_base,
    row_at_mapped_position,
    through_a_transpose,
    through_a_reshape,
    through_a_diagonal,
    mask,
    mask_of_a_matrix,
    static_mask,
    repeated_positions,
    repeated_mapped_positions,
    loop_of_writes,
    scalars_are_rebound,
    out_argument,
    masked_ufunc,
    take_along,
]
MAPPED = [(0, 0, 0), (0, None, None), (0, 0, None), (0, None, 0)]


def plain(f: Any) -> Any:
    """On NumPy arrays, which the function may change."""
    return lambda x, y, i: f(np.copy(x), np.copy(y), i)


def columns(axes: Any, *args: Any) -> Any:
    return [x if a == 0 else [x] * 4 for x, a in zip(args, axes, strict=True)]


def in_place_arguments(axes: Any) -> list[Any]:
    whole = (X, Y, POSITIONS)
    return [x if a == 0 else x[0] for x, a in zip(whole, axes, strict=True)]


@pytest.mark.parametrize("axes", MAPPED, ids=str)
@pytest.mark.parametrize("f", IN_PLACE)
def test_in_place(f: Any, axes: Any) -> None:
    args = in_place_arguments(axes)
    expected = loop(plain(f), *columns(axes, *args))
    before = [np.copy(x) for x in args]
    for _ in range(2):
        found = vmap(f, in_axes=axes)(*args)
        same(found, expected)
    for x, y in zip(args, before, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("f", IN_PLACE)
def test_gradient_of_in_place(f: Any) -> None:
    def weighted(x: Any, y: Any, i: Any) -> Any:
        out = f(np.copy(x), y, i)
        return np.sum(out**2 * np.cos(np.arange(1.0, 1 + out.size)).reshape(out.shape))

    both = lambda x, y, i: grad(weighted, (0, 1))(x, y, i)
    inside = vmap(both)(X, Y, POSITIONS)
    total = lambda x, y: np.sum(vmap(weighted)(x, y, POSITIONS))
    outside = grad(total, (0, 1))(X, Y)
    rows = [both(*row) for row in zip(X, Y, POSITIONS, strict=True)]
    for k in range(2):
        expected = np.stack([row[k] for row in rows])
        same(inside[k], expected)
        same(outside[k], expected)


@pytest.mark.parametrize("axes", MAPPED, ids=str)
@pytest.mark.parametrize("f", IN_PLACE)
def test_in_place_in_nested_maps(f: Any, axes: Any) -> None:
    """The outer map has all arguments, the inner one those of ``axes``."""
    whole = (
        normal(2, 4, 3),
        normal(2, 4, 3, seed=1),
        np.array([POSITIONS, POSITIONS[::-1]]),
    )
    args = [x if a == 0 else x[:, 0] for x, a in zip(whole, axes, strict=True)]
    expected = loop(lambda *row: loop(plain(f), *columns(axes, *row)), *args)
    same(vmap(vmap(f, in_axes=axes))(*args), expected)


@pytest.mark.parametrize("f", IN_PLACE)
def test_program_of_in_place(f: Any) -> None:
    """The program, from types alone, is right, and can be read back."""
    args = (X, Y, POSITIONS)
    program = fgrad.check(fgrad.make_program(vmap(f))(*map(aval_of, args)))
    same(program(*args)[0], loop(plain(f), *args))
    assert fgrad.parse(str(program)) == program


def test_write_into_an_outer_map() -> None:
    def outer(x: Any) -> Any:
        def inner(y: Any) -> Any:
            z = np.copy(x)
            z[0] = y
            return z

        return vmap(inner)(V)

    expected = np.stack([[[v, *x[1:]] for v in V] for x in X])
    with pytest.raises(ShapeError, match="inside the inner function"):
        vmap(outer)(X)
    assert expected.shape == (4, 3, 3)


# --- indexing

TABLE = normal(5, 3)


@pytest.mark.parametrize(
    "read",
    [
        lambda x, i: x[i],
        lambda x, i: x[i, :],
        lambda x, i: x[:, i],
        lambda x, i: x[..., i],
        lambda x, i: x[i, i],
        lambda x, i: x[i, 1:],
        lambda x, i: x[None, i],
        lambda x, i: x[1:, None, i],
        lambda x, i: x[i - 3],
        lambda x, i: x[np.argmax(x[:, 0])],
        lambda x, i: x[np.argsort(x[:, 1])],
        lambda x, i: x[np.stack([i, i]), np.array([0, 1])],
        lambda x, i: x[np.stack([i, i])[:, None], np.array([0, 1])],
    ],
)
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_reading_at_mapped_positions(read: Any, axes: Any) -> None:
    x, i = normal(4, 3, 3), POSITIONS
    args = [x if axes[0] == 0 else x[0], i if axes[1] == 0 else i[0]]
    expected = loop(read, *columns(axes, *args))
    mapped = lambda x: vmap(read, in_axes=axes)(x, args[1])
    same(fgrad.vjp(mapped, args[0])[0], expected)  # a raw array has no mapped index
    if axes[0] == 0:
        same(mapped(args[0]), expected)


def test_raw_arrays_have_no_mapped_index() -> None:
    with pytest.raises((ConcretizationError, TracerConversionError)):
        vmap(lambda i: TABLE[i])(POSITIONS)


def test_rows_of_a_table() -> None:
    words = np.array([[0, 4, 4], [1, 2, 0]])

    def rows(table: Any) -> Any:
        sums = vmap(lambda w: table[w].sum(0))(words)
        return sums, vmap(vmap(lambda w: table[w]))(words)

    sums, each = fgrad.vjp(rows, TABLE)[0]
    same(sums, TABLE[words].sum(1))
    same(each, TABLE[words])


def test_gradient_of_an_embedding() -> None:
    words = np.array([[0, 4, 4], [1, 2, 0]])

    def loss(table: Any) -> Any:
        return np.sum(vmap(lambda w: np.tanh(table[w]).sum(0))(words) ** 2)

    def jax_loss(table: Any) -> Any:
        return jnp.sum(jnp.tanh(table[words]).sum(1) ** 2)

    same(grad(loss)(TABLE), np.asarray(jax.grad(jax_loss)(TABLE)))


# --- dtypes and shapes


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * 2,
        lambda x: x + 1.5,
        lambda x: np.sin(x),
        lambda x: np.sum(x),
        lambda x: np.mean(x),
        lambda x: x @ x,
        lambda x: x > 0,
        lambda x: np.argmax(x),
        lambda x: x[0],
        lambda x: x[0] * 2.5,
        lambda x: x[0] / 2,
        lambda x: x.astype("float32"),
        lambda x: np.ones(2, "float32") * x[0],
        lambda x: np.concatenate([x, np.zeros(1, "float32")]),
        lambda x: np.where(x > 0, x, 0),
        lambda x: np.cumsum(x),
        lambda x: x**2,
        lambda x: 1j * x,
        lambda x: np.float64(2.0) * x,
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "complex64"])
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_types_are_those_of_numpy(f: Any, dtype: str) -> None:
    x = (3 * normal(4, 3)).astype(dtype)
    same(vmap(f)(x), loop(f, x), 1e-5 if dtype in ("float32", "complex64") else 1e-12)


def test_numbers_as_elements() -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append((x.shape, x.ndim, x.dtype))
        return x * 2.0

    same(vmap(f)(np.arange(3, dtype="float32")), 2 * np.arange(3, dtype="float32"))
    assert seen == [((), 0, np.dtype("float32"))]


def test_python_numbers_as_results() -> None:
    same(vmap(lambda x: 2)(X), np.full(4, 2))
    same(vmap(lambda x: 2.0)(X), np.full(4, 2.0))
    same(vmap(lambda x: True)(X), np.full(4, True))


@pytest.mark.parametrize(
    "f",
    [
        np.sin,
        np.sum,
        np.sort,
        np.cumsum,
        lambda x: x @ V,
        lambda x: np.outer(x, x),
        lambda x: x[1:],
        lambda x: x[np.array([0, 0])],
        lambda x: np.einsum("i,i", x, x),
        lambda x: np.convolve(x, V),
        lambda x: np.linalg.solve(np.eye(3), x),
        lambda x: np.linalg.norm(x),
        grad(sum_of_sines),
    ],
)
def test_no_elements(f: Any) -> None:
    found = vmap(f)(np.zeros((0, 3)))
    assert aval_of(found) is aval_of(vmap(f)(np.ones((2, 3)))[:0])


def test_one_element() -> None:
    same(vmap(grad(sum_of_sines))(X[:1]), grad(sum_of_sines)(X[0])[None])


def test_transposed_and_strided_arrays() -> None:
    x = normal(6, 8)[::2, ::-2]
    same(vmap(lambda r: np.cumsum(r) * r[::-1])(x), np.cumsum(x, 1) * x[:, ::-1])
    same(vmap(np.cumsum, in_axes=1)(x), np.cumsum(x, 0).T)


# --- operations without a rule


def test_an_operation_without_a_rule_runs_in_a_loop() -> None:
    bare = Primitive("test_bare", lambda x: np.sin(x), lambda x: x, is_constant=True)
    try:
        with pytest.warns(BatchLoopWarning, match="test_bare once for each of 4"):
            found = vmap(bare)(X)
        same(found, np.sin(X))
        same(vmap(bare)(X), np.sin(X))  # one warning for each primitive
        same(vmap(bare)(X[:0]), X[:0])
    finally:
        del Primitive.registry["test_bare"]


# --- errors


def test_axes_that_differ_in_length() -> None:
    with pytest.raises(BatchAxisError, match=r"argument 0 \(axis 0\): 4.*argument 1"):
        vmap(np.add)(X, X.T)
    with pytest.raises(BatchAxisError, match=r"argument 0\['a'\].*argument k"):
        vmap(lambda p, k: p["a"] + k)({"a": X}, k=V)
    with pytest.raises(BatchAxisError, match="axis_size"):
        vmap(np.sin, axis_size=5)(X)


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_does_not_exist(axis: int) -> None:
    with pytest.raises(BatchAxisError, match=r"argument 0 has no axis.*\(4, 3\)"):
        vmap(np.sin, in_axes=axis)(X)


def test_numbers_have_no_axis() -> None:
    with pytest.raises(BatchAxisError, match="argument 1 has no axis 0"):
        vmap(np.multiply)(X, 2.0)


def test_nothing_is_mapped() -> None:
    with pytest.raises(BatchAxisError, match="axis_size"):
        vmap(np.sin, in_axes=None)(X)
    with pytest.raises(BatchAxisError, match="axis_size"):
        vmap(lambda: 1.0)()


def test_axes_that_do_not_match_the_arguments() -> None:
    with pytest.raises(BatchAxisError, match="2 entries for 1 positional"):
        vmap(np.sin, in_axes=(0, 0))(X)
    with pytest.raises(TreeError, match="in_axes"):
        vmap(lambda p: p["a"], in_axes=({"b": 0},))({"a": X})
    with pytest.raises(TreeError, match="in_axes"):
        vmap(lambda p: p[0], in_axes=((0, 0, 0),))((X, X))
    with pytest.raises(BatchAxisError, match="int or None"):
        vmap(np.sin, in_axes=(0.5,))(X)
    with pytest.raises((BatchAxisError, TreeError), match="in_axes"):
        vmap(np.sin, in_axes="0")(X)


def test_axes_that_do_not_match_the_results() -> None:
    with pytest.raises(TreeError, match="out_axes"):
        vmap(lambda x: (x, x), out_axes=(0, 0, 0))(X)
    with pytest.raises(TreeError, match="out_axes"):
        vmap(lambda x: {"a": x}, out_axes={"b": 0})(X)
    with pytest.raises(BatchAxisError, match="out_axes=2"):
        vmap(lambda x: x, out_axes=2)(X)
    with pytest.raises(BatchAxisError, match="int or None"):
        vmap(lambda x: x, out_axes=0.5)(X)


def test_a_mapped_result_has_an_axis() -> None:
    with pytest.raises(BatchAxisError, match="out_axes=None"):
        vmap(lambda x: x, out_axes=None)(X)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="shape"):
        vmap(lambda x: x + np.ones(4))(X)
    with pytest.raises(ValueError):
        vmap(lambda x: x @ np.ones(4))(X)
    with pytest.raises(IndexError):
        vmap(lambda x: x[7])(X)
    with pytest.raises(ValueError):
        vmap(lambda x: x.reshape(7))(X)


# --- random indices


@st.composite
def batches(draw: Any) -> Any:
    """Three arrays, an index of one, and the index arrays in it that are mapped."""
    shape = draw(SHAPES)
    key = draw(mixed_indices(shape))
    x = np.arange(3.0 * np.prod(shape)).reshape((3, *shape))
    try:
        x[0][key]
    except IndexError:
        assume(False)
    positions = [
        k
        for k, entry in enumerate(key)
        if isinstance(entry, np.ndarray | list) and np.asarray(entry).dtype != bool
    ]
    chosen = [k for k in positions if draw(st.booleans())]
    return x, key, {k: moved(key[k], draw(st.integers(0, 2))) for k in chosen}


def moved(entry: Any, step: int) -> Any:
    """A batch of index arrays: the elements of one, rolled."""
    array = np.asarray(entry, np.intp)
    return np.stack([np.roll(array, step * k) for k in range(3)])


def with_arrays(key: Any, chosen: Any, arrays: Any) -> tuple[Any, ...]:
    replaced = dict(zip(chosen, arrays, strict=True))
    return tuple(replaced.get(k, entry) for k, entry in enumerate(key))


@given(batches(), st.booleans())
@settings(max_examples=200)
def test_random_reads(case: Any, x_mapped: bool) -> None:
    x, key, chosen = case
    x_mapped = x_mapped or not chosen
    f = lambda x, *arrays: x[with_arrays(key, chosen, arrays)]
    axes = (0 if x_mapped else None, *(0 for _ in chosen))
    mapped = lambda x: vmap(f, in_axes=axes)(x, *chosen.values())
    base, rows = (x, x) if x_mapped else (x[0], [x[0]] * 3)
    found, pullback = fgrad.vjp(mapped, base)
    same(found, loop(f, rows, *chosen.values()))
    if x_mapped:
        same(mapped(x), found)
    ct = np.arange(1.0, 1 + found.size).reshape(found.shape)
    parts = np.zeros_like(x)
    for k in range(3):
        slot = with_arrays(key, chosen, [array[k] for array in chosen.values()])
        np.add.at(parts[k], slot, ct[k])
    same(pullback(ct)[0], parts if x_mapped else parts.sum(0))


@given(batches(), st.sampled_from(["shared", "number", "own"]), st.booleans())
@settings(max_examples=300)
def test_random_writes(case: Any, kind: str, is_sum: bool) -> None:
    x, key, chosen = case
    slot = np.shape(x[0][key])
    size = int(np.prod(slot))
    v = {
        "shared": -1.0 - np.arange(size).reshape(slot),
        "number": np.float64(-0.5),
        "own": -1.0 - np.arange(3 * size).reshape((3, *slot)),
    }[kind]

    def f(x: Any, v: Any, *arrays: Any) -> Any:
        out = np.copy(x)
        if is_sum:
            out[with_arrays(key, chosen, arrays)] += v
        else:
            out[with_arrays(key, chosen, arrays)] = v
        return out

    axes = (0, 0 if kind == "own" else None, *(0 for _ in chosen))
    before = np.copy(x), np.copy(v)
    mapped = vmap(f, in_axes=axes)
    found, pullback = fgrad.vjp(lambda x, v: mapped(x, v, *chosen.values()), x, v)
    vs = v if kind == "own" else [v] * 3
    same(found, loop(f, x, vs, *chosen.values()))
    same(mapped(x, v, *chosen.values()), found)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(v, before[1])
    ct = np.arange(1.0, 1 + found.size).reshape(found.shape)
    pulled = [
        fgrad.vjp(lambda x, v: f(x, v, *arrays), one, value)[1](seed)
        for one, value, seed, *arrays in zip(x, vs, ct, *chosen.values(), strict=True)
    ]
    x_ct, v_ct = map(np.stack, zip(*pulled, strict=True))
    found_x, found_v = pullback(ct)
    same(found_x, x_ct)
    same(found_v, v_ct if kind == "own" else v_ct.sum(0))
