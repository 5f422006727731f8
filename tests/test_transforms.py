"""The functional core: arguments, containers, nesting, aliasing, types of results."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import fgrad
import fgrad.testing
from fgrad.primitive import Primitive
from fgrad.testing import check_grads

X = np.array([[0.3, -0.7, 1.1], [0.9, 0.2, -0.4]])


def product(x: Any, y: Any, z: Any = 1.0) -> Any:
    return np.sum(x * y**2 * z)


# --- which arguments


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, 9.0),
        (1, 12.0),
        (-1, 12.0),
        (-2, 9.0),
        ((0, 1), (9.0, 12.0)),
        ((1, 0), (12.0, 9.0)),
        ((-1,), (12.0,)),
        ([0], (9.0,)),
        ((), ()),
    ],
)
def test_argnums(argnums: Any, expected: Any) -> None:
    assert fgrad.grad(product, argnums)(2.0, 3.0) == expected
    assert fgrad.value_and_grad(product, argnums)(2.0, 3.0) == (18.0, expected)
    assert fgrad.jacrev(product, argnums)(2.0, 3.0) == expected
    assert fgrad.jacfwd(product, argnums)(2.0, 3.0) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"argnames": "y"}, 12.0),
        ({"argnames": "z"}, 18.0),
        ({"argnames": ("z", "x")}, (18.0, 9.0)),
        ({"argnames": ["y"]}, (12.0,)),
        ({"argnums": (1,), "argnames": "z"}, (12.0, 18.0)),
        ({"argnums": 1, "argnames": "z"}, (12.0, 18.0)),
    ],
)
def test_argnames(options: Any, expected: Any) -> None:
    assert fgrad.grad(product, **options)(2.0, 3.0, z=1.0) == expected
    assert fgrad.jacobian(product, **options)(2.0, 3.0, z=1.0) == expected


def test_argnames_find_positional_arguments() -> None:
    assert fgrad.grad(product, argnames="z")(2.0, 3.0, 1.0) == 18.0


@pytest.mark.parametrize(
    "options",
    [
        {"argnums": 2},
        {"argnums": -3},
        {"argnums": (0, 5)},
        {"argnames": "q"},
        {"argnames": "z"},
    ],
)
def test_arguments_that_are_not_there(options: Any) -> None:
    with pytest.raises(TypeError, match="names no argument"):
        fgrad.grad(product, **options)(2.0, 3.0)


def test_keyword_arguments_pass_through() -> None:
    assert fgrad.grad(product)(2.0, y=3.0, z=2.0) == 18.0
    assert fgrad.grad(lambda x, *rest, k: x * rest[1] * k)(2.0, 3.0, 4.0, k=5.0) == 20.0


def test_other_arguments_may_be_anything() -> None:
    def f(x: Any, name: str, table: dict[str, Any], flag: Any) -> Any:
        assert flag is None
        return x * table[name]

    assert fgrad.grad(f)(2.0, "a", {"a": 3, "b": object()}, None) == 3.0


def test_integer_arguments_are_refused_where_differentiated() -> None:
    with pytest.raises(fgrad.errors.IntegerInputError, match=r"1\.0 in place of 1"):
        fgrad.grad(product)(2, 3.0)
    with pytest.raises(fgrad.errors.IntegerInputError, match=r"\['n'\]"):
        fgrad.grad(lambda p: p["x"])({"x": 1.0, "n": np.arange(3)})
    assert fgrad.grad(product)(2.0, 3) == 9.0


# --- auxiliary results


def test_has_aux_returns_values_without_tracers() -> None:
    def f(x: Any) -> Any:
        return np.sum(x**2), {"twice": 2 * x, "name": "n", "count": 3, "view": x[0]}

    gradient, aux = fgrad.grad(f, has_aux=True)(X)
    np.testing.assert_array_equal(gradient, 2 * X)
    np.testing.assert_array_equal(aux["twice"], 2 * X)
    np.testing.assert_array_equal(aux["view"], X[0])
    assert (aux["name"], aux["count"]) == ("n", 3)
    assert type(aux["twice"]) is type(aux["view"]) is np.ndarray
    (value, aux), gradient = fgrad.value_and_grad(f, has_aux=True)(X)
    np.testing.assert_allclose(value, np.sum(X**2))
    value, pullback, aux = fgrad.vjp(f, X, has_aux=True)
    np.testing.assert_array_equal(pullback(2.0)[0], 4 * X)
    value, tangent, aux = fgrad.jvp(f, (X,), (X,), has_aux=True)
    np.testing.assert_allclose(tangent, 2 * np.sum(X**2))
    value, f_jvp, aux = fgrad.linearize(f, X, has_aux=True)
    np.testing.assert_allclose(f_jvp(X), 2 * np.sum(X**2))
    for transform in (fgrad.jacrev, fgrad.jacfwd):
        jacobian, aux = transform(f, has_aux=True)(X)
        np.testing.assert_allclose(jacobian, 2 * X)
        assert type(aux["twice"]) is np.ndarray
    hessian, aux = fgrad.hessian(f, has_aux=True)(X)
    np.testing.assert_allclose(hessian.reshape(6, 6), 2 * np.eye(6))
    np.testing.assert_array_equal(aux["twice"], 2 * X)


def test_aux_of_nested_gradients_belongs_to_the_outer_one() -> None:
    def outer(x: Any) -> Any:
        gradient, aux = fgrad.grad(lambda y: (y**3, y**2), has_aux=True)(x)
        return gradient + aux

    assert fgrad.grad(outer)(2.0) == 6 * 2.0 + 2 * 2.0


def test_missing_aux_says_what_was_expected() -> None:
    with pytest.raises(TypeError, match=r"\(value, aux\)"):
        fgrad.grad(lambda x: x, has_aux=True)(1.0)


# --- containers


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Layer:
    weight: Any
    bias: Any
    inner: Any = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    scale: Any


PARAMS = {
    "layer": Layer(X, [0.5, np.float32(1.5)], Frozen(2.0)),
    "point": Point(1.0, (np.ones(2), None)),
    "none": None,
    "empty": [],
}


def tree_loss(p: Any) -> Any:
    layer, point = p["layer"], p["point"]
    assert type(layer) is Layer
    assert type(point) is Point
    assert p["none"] is None
    total = np.sum(layer.weight**2) * layer.bias[0] + layer.bias[1] ** 2
    return total * layer.inner.scale + point.x * np.sum(point.y[0])


def test_gradient_has_the_structure_of_its_argument() -> None:
    value, gradient = fgrad.value_and_grad(tree_loss)(PARAMS)
    assert value == tree_loss(PARAMS)
    layer, point = gradient["layer"], gradient["point"]
    assert (type(layer), type(layer.inner), type(point)) == (Layer, Frozen, Point)
    np.testing.assert_allclose(layer.weight, 2 * X * 0.5 * 2.0)
    np.testing.assert_allclose(layer.bias, [np.sum(X**2) * 2, 6.0])
    assert layer.bias[1].dtype == np.float32
    np.testing.assert_allclose(point.y[0], np.ones(2))
    assert (point.x, point.y[1], gradient["none"], gradient["empty"]) == (
        2,
        None,
        None,
        [],
    )
    check_grads(tree_loss, (PARAMS,))


def test_products_take_and_return_trees() -> None:
    def f(p: Any) -> Any:
        return {"sum": p.x + p.y, "pair": (p.x * p.y, [p.y])}

    value, pullback = fgrad.vjp(f, Point(2.0, np.ones(3)))
    ct = {"sum": np.ones(3), "pair": (np.zeros(3), [np.ones(3)])}
    (found,) = pullback(ct)
    assert type(found) is Point
    assert found.x == 3.0
    np.testing.assert_array_equal(found.y, [2.0, 2.0, 2.0])
    tangents = (Point(1.0, np.zeros(3)),)
    _, tangent = fgrad.jvp(f, (Point(2.0, np.ones(3)),), tangents)
    assert set(tangent) == {"pair", "sum"}
    np.testing.assert_array_equal(tangent["pair"][0], np.ones(3))
    np.testing.assert_array_equal(tangent["pair"][1][0], np.zeros(3))
    assert value["sum"].shape == (3,)


@pytest.mark.parametrize(
    "call",
    [
        lambda: fgrad.jvp(lambda p: p["a"], ({"a": 1.0},), ({"b": 1.0},)),
        lambda: fgrad.jvp(np.sin, (1.0,), (1.0, 2.0)),
        lambda: fgrad.jvp(np.sin, 1.0, 1.0),
        lambda: fgrad.jvp(np.sin, (np.ones(3),), (np.ones(2),)),
        lambda: fgrad.jvp(np.sin, (np.ones(3),), (1j * np.ones(3),)),
        lambda: fgrad.vjp(np.sin, np.ones(3))[1](1.0),
        lambda: fgrad.vjp(lambda x: (x, x), 1.0)[1](1.0),
        lambda: fgrad.vjp(np.sin, 1.0)[1](1j),
        lambda: fgrad.linearize(np.sin, 1.0)[1](1.0, 1.0),
    ],
)
def test_wrong_structures_raise(call: Any) -> None:
    with pytest.raises(fgrad.errors.TreeError):
        call()


@pytest.mark.parametrize(
    "result",
    [
        lambda x: x,
        lambda x: (np.sum(x),),
        lambda x: [x],
        lambda x: None,
        lambda x: {"a": np.sum(x)},
        lambda x: x[:1],
    ],
)
def test_gradient_of_anything_but_one_number_raises(result: Any) -> None:
    with pytest.raises(fgrad.errors.NonScalarOutputError):
        fgrad.grad(result)(np.ones(3))


@pytest.mark.parametrize("constant", [3.0, 2, np.float32(1.0), np.array(1.0), True])
def test_gradient_of_a_constant_is_zero(constant: Any) -> None:
    gradient = fgrad.grad(lambda x: constant)(X)
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)), strict=True)
    _, pullback = fgrad.vjp(lambda x: (constant, x), X)
    np.testing.assert_array_equal(pullback((1.0, X))[0], X)
    _, tangent = fgrad.jvp(lambda x: (constant, x), (X,), (X,))
    assert tangent[0] == 0
    np.testing.assert_array_equal(tangent[1], X)


def test_result_that_is_the_argument() -> None:
    assert fgrad.grad(lambda x: x)(2.0) == 1.0
    value, pullback = fgrad.vjp(lambda x, y: (y, x, x), 1.0, 2.0)
    assert value == (2.0, 1.0, 1.0)
    assert pullback((1.0, 10.0, 100.0)) == (110.0, 1.0)


# --- closures and nesting


def test_closed_over_arrays_are_constants() -> None:
    scale = np.array([1.0, 2.0, 3.0])

    def f(x: Any) -> Any:
        return np.sum(x * scale + scale)

    np.testing.assert_array_equal(fgrad.grad(f)(X), np.broadcast_to(scale, (2, 3)))
    scale[...] = 7.0  # the next call sees the new values
    np.testing.assert_array_equal(fgrad.grad(f)(X), np.full((2, 3), 7.0))


def test_closed_over_outer_tracers() -> None:
    """d/dx d/dy (x^2 y^3) and its kin, in all nestings of the two modes."""

    def forward(g: Any) -> Any:
        return lambda x: fgrad.jvp(g, (x,), (1.0,))[1]

    for inner in (fgrad.grad, forward):
        for outer in (fgrad.grad, forward):
            f = outer(lambda x, inner=inner: inner(lambda y: x**2 * y**3)(5.0))
            assert f(2.0) == 2 * 2.0 * 3 * 25.0


def test_perturbations_are_not_confused() -> None:
    """d/dx (x d/dy (x + y)) is 1; d/dx (x d/dy (x y)) is 2 x."""

    def forward(g: Any) -> Any:
        return lambda x: fgrad.jvp(g, (x,), (1.0,))[1]

    for inner in (fgrad.grad, forward):
        for outer in (fgrad.grad, forward):
            sums = outer(lambda x, inner=inner: x * inner(lambda y: x + y)(2.0))
            products = outer(lambda x, inner=inner: x * inner(lambda y: x * y)(x))
            assert sums(1.0) == 1.0
            assert products(3.0) == 6.0


def test_perturbation_in_a_returned_function() -> None:
    """The derivative of a curried function keeps the two levels apart."""

    def f(x: Any) -> Any:
        def shift(g: Any) -> Any:
            return lambda y: g(x + y)

        return shift

    step = fgrad.grad(lambda x: f(x)(lambda z: z**3)(2.0))
    assert step(1.0) == 27.0
    both = fgrad.grad(lambda x: fgrad.grad(f(x)(lambda z: z**3))(x))
    assert both(1.0) == 2 * 6 * 2.0


def test_inner_gradient_at_an_outer_value() -> None:
    def outer(x: Any) -> Any:
        return fgrad.grad(lambda y: y * y * x)(x) + fgrad.grad(np.sin)(2.0) * x

    assert outer(3.0) == 18.0 + np.cos(2.0) * 3.0
    np.testing.assert_allclose(fgrad.grad(outer)(3.0), 12.0 + np.cos(2.0))
    np.testing.assert_allclose(fgrad.grad(fgrad.grad(outer))(3.0), 4.0)


def test_five_levels() -> None:
    f: Callable[[Any], Any] = lambda x: x**7
    expected = 2.0**7
    for order in range(5):
        expected *= (7 - order) / 2.0
        f = fgrad.grad(f)
        np.testing.assert_allclose(f(2.0), expected)


def test_control_flow_on_values() -> None:
    def collatz(x: Any) -> Any:
        steps = 0
        while x > 1.5:
            x = x / 2 if steps % 2 else 0.9 * x
            steps += 1
        return x * steps

    check_grads(collatz, (7.3,))
    assert fgrad.grad(lambda x: x if x > 0 else -3 * x)(-1.0) == -3.0
    assert fgrad.grad(lambda x: x ** int(x))(3.2) == 3 * 3.2**2


def test_gradient_through_newton_iterations() -> None:
    def root(a: Any) -> Any:
        x = a
        while abs(x * x - a) > 1e-12:
            x = 0.5 * (x + a / x)
        return x

    np.testing.assert_allclose(fgrad.grad(root)(2.0), 0.5 / np.sqrt(2.0), rtol=1e-9)
    second = fgrad.grad(fgrad.grad(root))(2.0)
    np.testing.assert_allclose(second, -0.25 * 2.0**-1.5, rtol=1e-6)


def test_leaked_tracers_raise() -> None:
    kept = []
    fgrad.grad(lambda x: (kept.append(x), np.sum(x))[1])(X)
    for use in (lambda t: t + 1, lambda t: np.sin(t), lambda t: t[0]):
        with pytest.raises(fgrad.errors.LeakedTracerError, match="has_aux"):
            use(kept[0])


def test_error_inside_leaves_nothing_behind() -> None:
    def f(x: Any) -> Any:
        raise RuntimeError("the user's own")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="user's own"):
            fgrad.grad(f)(1.0)
        assert fgrad.grad(np.sin)(0.0) == 1.0


def test_deep_programs_need_no_stack() -> None:
    def f(x: Any) -> Any:
        for _ in range(5000):
            x = x * 0.9999 + 0.0001
        return x

    np.testing.assert_allclose(fgrad.grad(f)(2.0), 0.9999**5000)
    np.testing.assert_allclose(fgrad.jvp(f, (2.0,), (1.0,))[1], 0.9999**5000)


# --- third derivatives of every smooth unary function

KINKED = {
    "absolute",
    "fabs",
    "sign",
    "complex_sign",
    "angle",
    "nan_to_num",
    "real",
    "imag",
    "conjugate",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "positive",
    "negative",
}
UNARY = sorted(
    name
    for name, prim in Primitive.registry.items()
    if isinstance(prim.numpy, np.ufunc)
    and prim.numpy.nin == 1
    and prim.is_differentiable
    and name not in KINKED
)


def test_the_unary_functions_are_found() -> None:
    assert {"sin", "exp", "log", "tanh", "arccosh", "cbrt", "square"} <= set(UNARY)


@pytest.mark.parametrize("name", UNARY)
def test_third_derivatives(name: str) -> None:
    """Each order in both modes; the third against differences of the second."""
    ufunc = Primitive.registry[name].numpy
    x = np.asarray(Primitive.registry[name].samples()[0].operands[0]).ravel()

    def total(y: Any) -> Any:
        return np.sum(ufunc(y))

    def forward(f: Any) -> Any:
        return lambda y: fgrad.jvp(f, (y,), (np.ones_like(x),))[1]

    def backward(f: Any) -> Any:
        return fgrad.grad(lambda y: np.sum(f(y)))

    third = fgrad.grad(lambda y: np.sum(backward(fgrad.grad(total))(y)))(x)
    for chain in (
        (forward, forward, forward),
        (backward, forward, backward),
        (forward, backward, forward),
        (backward, backward, forward),
    ):
        f: Any = ufunc
        for transform in chain:
            f = transform(f)
        np.testing.assert_allclose(f(x), third, rtol=1e-9, atol=1e-9)
    second = backward(fgrad.grad(total))
    errors = []
    for step in (1e-3, 1e-4, 1e-5):
        slope = (second(x + step) - second(x - step)) / (2 * step)
        errors.append(np.max(np.abs(slope - third) / (1 + np.abs(third))))
    assert min(errors) < 1e-6


# --- Jacobians and Hessians


def vector(p: Any) -> Any:
    return {"a": p["x"] @ p["w"], "b": np.sum(p["x"] ** 2, axis=0) * p["s"]}


POINT = {"x": X, "w": np.array([0.5, -1.0, 2.0]), "s": np.float64(1.5)}


@pytest.mark.parametrize("transform", [fgrad.jacrev, fgrad.jacfwd, fgrad.jacobian])
def test_jacobian_on_trees(transform: Any) -> None:
    jacobian = transform(vector)(POINT)
    shapes = fgrad.tree.map_leaves(np.shape, jacobian)
    a_shapes = {"x": (2, 2, 3), "w": (2, 3), "s": (2,)}
    b_shapes = {"x": (3, 2, 3), "w": (3, 3), "s": (3,)}
    assert shapes == {"a": a_shapes, "b": b_shapes}
    np.testing.assert_array_equal(jacobian["a"]["w"], X)
    np.testing.assert_allclose(jacobian["b"]["s"], np.sum(X**2, axis=0))
    expected = np.zeros((3, 2, 3))
    for k in range(3):
        expected[k, :, k] = 2 * X[:, k] * 1.5
    np.testing.assert_allclose(jacobian["b"]["x"], expected)
    np.testing.assert_array_equal(jacobian["b"]["w"], np.zeros((3, 3)))


def test_jacobian_shapes_of_scalars_and_matrices() -> None:
    cases: list[tuple[Any, Any, tuple[int, ...]]] = [
        (np.sin, 0.5, ()),
        (np.sin, X, (2, 3, 2, 3)),
        (np.sum, X, (2, 3)),
        (lambda s: s * X, 2.0, (2, 3)),
        (lambda x: x[:0], X, (0, 3, 2, 3)),
        (lambda x: x * 2, np.ones((0, 2)), (0, 2, 0, 2)),
    ]
    for f, x, shape in cases:
        for transform in (fgrad.jacrev, fgrad.jacfwd):
            assert np.shape(transform(f)(x)) == shape


def test_jacobian_for_several_arguments() -> None:
    for transform in (fgrad.jacrev, fgrad.jacfwd):
        by_x, by_y = transform(lambda x, y: x * y, (0, 1))(np.ones(2), 2 * np.ones(2))
        np.testing.assert_array_equal(by_x, 2 * np.eye(2))
        np.testing.assert_array_equal(by_y, np.eye(2))


def test_hessian_on_trees() -> None:
    def f(p: Any) -> Any:
        return np.sum(p["x"] @ p["w"] ** 2) * p["s"]

    hessian = fgrad.hessian(f)(POINT)
    assert np.shape(hessian["x"]["x"]) == (2, 3, 2, 3)
    assert np.shape(hessian["w"]["x"]) == (3, 2, 3)
    assert np.shape(hessian["s"]["s"]) == ()
    symmetric = np.moveaxis(hessian["w"]["x"], 0, -1)
    np.testing.assert_allclose(hessian["x"]["w"], symmetric)
    np.testing.assert_allclose(hessian["w"]["w"], 2 * 1.5 * np.diag(X.sum(axis=0)))
    assert hessian["s"]["s"] == 0


def test_hessian_is_the_jacobian_of_the_gradient() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.sin(x) * x[:, :1] ** 2)

    gradient = fgrad.grad(f)
    for transform in (fgrad.jacrev, fgrad.jacfwd):
        expected = transform(gradient)(X)
        np.testing.assert_allclose(fgrad.hessian(f)(X), expected, 1e-12, 1e-12)
    flat = fgrad.hessian(f)(X).reshape(6, 6)
    np.testing.assert_allclose(flat, flat.T, 1e-12, 1e-12)
    vector = np.cos(X)
    along = fgrad.hvp(f)(X, vector)
    np.testing.assert_allclose(along.ravel(), flat @ vector.ravel(), 1e-12, 1e-12)


def test_hvp_on_trees_and_other_arguments() -> None:
    def f(scale: Any, p: Any) -> Any:
        return scale * np.sum(p["x"] ** 3)

    found = fgrad.hvp(f, 1)(2.0, {"x": X}, {"x": np.ones((2, 3))})
    np.testing.assert_allclose(found["x"], 12 * X)


def test_jacobians_inside_gradients() -> None:
    def f(x: Any) -> Any:
        return np.sum(fgrad.jacrev(np.sin)(x) ** 2) + np.sum(fgrad.jacfwd(np.cos)(x))

    check_grads(f, (np.array([0.3, -0.8]),))


def test_jacobian_of_the_jacobian() -> None:
    x = np.array([0.3, -0.8])
    for first in (fgrad.jacrev, fgrad.jacfwd):
        for second in (fgrad.jacrev, fgrad.jacfwd):
            found = second(first(np.sin))(x)
            expected = np.zeros((2, 2, 2))
            expected[[0, 1], [0, 1], [0, 1]] = -np.sin(x)
            np.testing.assert_allclose(found, expected)


# --- linear maps may be applied again and again; results are the caller's own


def squares(p: Any) -> Any:
    return {
        "y": p["x"] ** 2 * p["s"],
        "same": p["x"],
        "view": p["x"].T,
        "sum": p["s"] * 2,
    }


def overwrite(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        leaf[...] = -77.0
    return leaf


def copies(tree: Any) -> Any:
    return fgrad.tree.map_leaves(np.copy, tree)


def assert_trees_equal(one: Any, other: Any) -> None:
    pairs = zip(fgrad.tree.flatten(one)[0], fgrad.tree.flatten(other)[0], strict=True)
    for x, y in pairs:
        np.testing.assert_array_equal(x, y)


def test_pullback_may_be_called_many_times() -> None:
    """Neither its arguments nor its residuals change, whatever is done to results."""
    primals = {"x": X.copy(), "s": np.float64(2.0)}
    value, pullback = fgrad.vjp(squares, primals)
    ct = fgrad.tree.map_leaves(np.ones_like, value)
    first = copies(pullback(ct))
    fgrad.tree.map_leaves(overwrite, value)
    for _ in range(4):
        found = pullback(ct)
        assert_trees_equal(found, first)
        fgrad.tree.map_leaves(overwrite, found)
        assert all(np.all(leaf == 1) for leaf in fgrad.tree.flatten(ct)[0])
        np.testing.assert_array_equal(primals["x"], X)


def test_pullback_is_linear_in_changing_cotangents() -> None:
    value, pullback = fgrad.vjp(squares, {"x": X, "s": 2.0})
    rng = np.random.default_rng(0)
    for k in range(4):
        ct = fgrad.tree.map_leaves(
            lambda y: rng.standard_normal(np.shape(y))[()], value
        )
        expected = 2 * ct["y"] * X * 2.0 + ct["same"] + ct["view"].T
        np.testing.assert_allclose(
            pullback(ct)[0]["x"], expected, 1e-12, err_msg=str(k)
        )


def test_tangent_map_may_be_called_many_times() -> None:
    primals = {"x": X.copy(), "s": np.float64(2.0)}
    value, f_jvp = fgrad.linearize(squares, primals)
    tangent = {"x": np.ones((2, 3)), "s": np.float64(0.5)}
    first = copies(f_jvp(tangent))
    np.testing.assert_allclose(first["y"], 2 * X * 2.0 + X**2 * 0.5)
    fgrad.tree.map_leaves(overwrite, value)
    for _ in range(4):
        found = f_jvp(tangent)
        assert_trees_equal(found, first)
        fgrad.tree.map_leaves(overwrite, found)
        np.testing.assert_array_equal(tangent["x"], np.ones((2, 3)))
        np.testing.assert_array_equal(primals["x"], X)


def test_primals_changed_later_do_not_matter() -> None:
    """What a pullback needs is its own, also of large arguments."""
    for shape in ((3,), (300, 300)):
        x = np.full(shape, 0.5)
        _, pullback = fgrad.vjp(lambda x: np.sin(x) * x, x)
        _, f_jvp = fgrad.linearize(lambda x: np.sin(x) * x, x)
        expected = np.cos(0.5) * 0.5 + np.sin(0.5)
        before = pullback(np.ones(shape))[0], f_jvp(np.ones(shape))
        x[...] = 100.0
        for found in (pullback(np.ones(shape))[0], f_jvp(np.ones(shape)), *before):
            np.testing.assert_allclose(found, np.full(shape, expected))


def test_gradients_do_not_alias_arguments() -> None:
    """The gradient of ``sum(x * y)`` is y, but in memory of its own."""
    x, y = X.copy(), 2 * X
    for f in (lambda x, y: np.sum(x * y), lambda x, y: np.sum(x.T @ y)):
        for _ in range(3):
            by_x, by_y = fgrad.grad(f, (0, 1))(x, y)
            assert not any(np.shares_memory(a, b) for a in (by_x, by_y) for b in (x, y))
            assert not np.shares_memory(by_x, by_y)


def test_cotangents_do_not_alias_each_other() -> None:
    _, pullback = fgrad.vjp(lambda x, y: x + y, X, X)
    ct = np.ones((2, 3))
    for _ in range(3):
        by_x, by_y = pullback(ct)
        assert not np.shares_memory(by_x, by_y)
        assert not np.shares_memory(by_x, ct)
        assert by_x.flags.writeable
        assert by_y.flags.writeable


def test_values_do_not_alias_arguments() -> None:
    x = X.copy()
    for f in (
        lambda x: x,
        lambda x: x.T,
        lambda x: x[0],
        lambda x: np.broadcast_to(x, (4, 2, 3)),
    ):
        value, _ = fgrad.vjp(f, x)
        assert not np.shares_memory(value, x)
        value[...] = 5.0
    np.testing.assert_array_equal(x, X)


# --- types


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "complex64", "complex128", "longdouble"]
)
def test_derivatives_have_the_dtype_of_their_primals(dtype: str) -> None:
    x = np.ones((2, 3), dtype) * np.asarray(0.5, dtype)

    def f(x: Any) -> Any:
        return np.sum(np.abs(np.sin(x) * 2 + x**2 / 3.0) ** 2)

    value, gradient = fgrad.value_and_grad(f)(x)
    assert (gradient.dtype, gradient.shape) == (x.dtype, x.shape)
    assert value.dtype == f(x).dtype == x.real.dtype
    _, tangent = fgrad.jvp(f, (x,), (x,))
    assert tangent.dtype == value.dtype
    hvp = fgrad.jvp(fgrad.grad(f), (x,), (x,))[1]
    assert hvp.dtype == x.dtype


def test_single_precision_stays_single_in_mixtures() -> None:
    x = np.ones(3, "float32")
    weights = np.arange(3.0)  # float64: the product is float64, the gradient is not

    def f(x: Any) -> Any:
        return np.sum(np.tanh(x) * weights)

    assert fgrad.value_and_grad(f)(x)[0].dtype == np.float64
    assert fgrad.grad(f)(x).dtype == np.float32
    by_x, by_w = fgrad.grad(lambda x, w: np.sum(x * w), (0, 1))(x, weights)
    assert (by_x.dtype, by_w.dtype) == (np.float32, np.float64)


def test_results_are_plain_numpy() -> None:
    """Arrays for arrays, NumPy scalars for numbers."""
    assert type(fgrad.grad(np.sin)(0.5)) is np.float64
    assert type(fgrad.grad(np.sum)(X)) is np.ndarray
    assert type(fgrad.value_and_grad(np.sum)(X)[0]) is np.float64
    assert type(fgrad.jvp(np.sin, (0.5,), (1.0,))[1]) is np.float64
    assert type(fgrad.vjp(np.sin, np.float32(0.5))[1](1.0)[0]) is np.float32
    assert type(fgrad.jacobian(np.sin)(0.5)) is np.float64
    assert type(fgrad.grad(lambda z: np.abs(z) ** 2)(1 + 2j)) is np.complex128


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[::2],
        lambda x: x.T,
        lambda x: x[::-1],
        lambda x: np.asfortranarray(x),
        lambda x: np.broadcast_to(x[0], x.shape),
        lambda x: x.astype(">f8"),
    ],
)
def test_any_memory_layout(view: Any) -> None:
    x = view(X)
    np.testing.assert_allclose(fgrad.grad(lambda x: np.sum(x**3))(x), 3 * x**2)
    check_grads(lambda x: np.sin(x) @ x.T, (x,))


def test_read_only_arguments() -> None:
    x = X.copy()
    x.flags.writeable = False
    np.testing.assert_array_equal(fgrad.grad(lambda x: np.sum(x**2))(x), 2 * x)


def test_subclass_and_list_arguments() -> None:
    assert fgrad.grad(lambda p: p[0] * p[1])([2.0, 3.0]) == [3.0, 2.0]
    with pytest.raises(TypeError, match="masked"):
        fgrad.grad(np.sum)(np.ma.masked_array([1.0, 2.0], [True, False]))
    with pytest.raises(TypeError, match="numeric"):
        fgrad.grad(np.sum)(np.array(["a"]))
    with pytest.raises(TypeError, match="numeric"):
        fgrad.grad(lambda x: x)("a")


# --- complex numbers (JAX's convention)


def test_complex_gradients() -> None:
    z = np.array([1 + 2j, -0.5 + 0.3j])
    np.testing.assert_allclose(
        fgrad.grad(lambda z: np.sum(np.abs(z) ** 2))(z), 2 * z.conj()
    )
    np.testing.assert_allclose(fgrad.grad(lambda z: np.sum(z.real))(z), [1, 1])
    np.testing.assert_allclose(fgrad.grad(lambda z: np.sum(z.imag))(z), [-1j, -1j])
    holomorphic = fgrad.grad(lambda z: np.sum(z**3), holomorphic=True)(z)
    np.testing.assert_allclose(holomorphic, 3 * z**2)
    jacobian = fgrad.jacobian(lambda z: z**3, holomorphic=True)(z)
    np.testing.assert_allclose(jacobian, np.diag(3 * z**2))
    with pytest.raises(fgrad.errors.ComplexGradientError, match="holomorphic"):
        fgrad.grad(lambda z: np.sum(z))(z)
    with pytest.raises(fgrad.errors.ComplexGradientError, match="complex arguments"):
        fgrad.grad(lambda z: z, holomorphic=True)(1.0)


def test_real_argument_of_a_complex_function() -> None:
    def f(x: Any) -> Any:
        return np.abs(np.sum(np.exp(1j * x) * np.array([1.0, 2j, -1.0]))) ** 2

    gradient = fgrad.grad(f)(np.array([0.1, 0.2, 0.3]))
    assert gradient.dtype == np.float64
    check_grads(f, (np.array([0.1, 0.2, 0.3]),))


# --- the tools themselves


def test_check_grads_finds_wrong_derivatives() -> None:
    """A value that hides a factor from one mode, or from the second order, is found."""

    def halved(x: Any) -> Any:
        return x * fgrad.stop_gradient(x)

    for modes in (("fwd",), ("rev",)):
        with pytest.raises(AssertionError, match="largest error by step size"):
            check_grads(halved, (np.ones(3),), order=1, modes=modes)
    second = lambda x: x**2 * fgrad.stop_gradient(1.0) + 0 * x
    check_grads(second, (1.5,), order=2)

    def wrong_in_second(x: Any) -> Any:
        return fgrad.grad(lambda y: 0.5 * y * y * fgrad.stop_gradient(y))(x)

    with pytest.raises(AssertionError, match="jvp of"):
        check_grads(wrong_in_second, (1.5,), order=1)
    with pytest.raises(ValueError, match="modes"):
        check_grads(np.sin, (1.0,), modes=("forward",))
    with pytest.raises(ValueError, match="floating-point"):
        check_grads(np.sin, (1,))


def test_check_grads_takes_trees_complex_and_integer_arguments() -> None:
    def f(p: Any, k: Any) -> Any:
        return {"a": p["z"] ** k * p["x"], "n": k, "b": np.abs(p["z"])}

    check_grads(f, ({"z": np.array([1 + 2j, 0.3 - 1j]), "x": 1.5}, 3))
    check_grads(lambda x: x * np.float32(2), (np.float32(1.5),))


def test_assert_program_shows_the_difference() -> None:
    text = "{ lambda ; a:f64[2] . let\n b:f64[2] = cos a\n in (b,) }"
    fgrad.testing.assert_program(np.cos, (np.ones(2),), text)
    fgrad.testing.assert_program(np.cos, (fgrad.Aval((2,), "float64"),), text)
    with pytest.raises(AssertionError, match=r"(?s)-b:f64\[2\] = cos a.*\+b.* = sin a"):
        fgrad.testing.assert_program(np.sin, (np.ones(2),), text)
    with pytest.raises(fgrad.errors.ProgramError):
        fgrad.testing.assert_program(np.sin, (np.ones(2),), "{ lambda }")


def test_samples_by_name_and_record() -> None:
    assert len(fgrad.testing.samples("sin")) == len(Primitive.registry["sin"].samples())
    assert fgrad.testing.samples(Primitive.registry["sin"])[0].operands[0].shape == (
        2,
        3,
    )
