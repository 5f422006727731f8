"""Broadcasting: values are NumPy's, cotangents are summed over the axes that spread."""

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fgrad
from fgrad.testing import check_grads

# name: function, partial derivatives by operand (x, y are already of one shape)
BINARY: dict[str, tuple[Any, Any, Any]] = {
    "add": (np.add, lambda x, y: np.ones_like(x), lambda x, y: np.ones_like(x)),
    "subtract": (
        np.subtract,
        lambda x, y: np.ones_like(x),
        lambda x, y: -np.ones_like(x),
    ),
    "multiply": (np.multiply, lambda x, y: y, lambda x, y: x),
    "divide": (np.divide, lambda x, y: 1 / y, lambda x, y: -x / y**2),
    "power": (np.power, lambda x, y: y * x ** (y - 1), lambda x, y: x**y * np.log(x)),
    "hypot": (
        np.hypot,
        lambda x, y: x / np.hypot(x, y),
        lambda x, y: y / np.hypot(x, y),
    ),
    "arctan2": (
        np.arctan2,
        lambda y, x: x / (x**2 + y**2),
        lambda y, x: -y / (x**2 + y**2),
    ),
    "maximum": (
        np.maximum,
        lambda x, y: np.where(x > y, 1.0, np.where(x == y, 0.5, 0.0)),
        lambda x, y: np.where(x < y, 1.0, np.where(x == y, 0.5, 0.0)),
    ),
    "where": (
        lambda x, y: np.where(x > 1, y, x),
        lambda x, y: np.where(x > 1, 0.0, 1.0),
        lambda x, y: np.where(x > 1, 1.0, 0.0),
    ),
}


def draw_array(shape: tuple[int, ...], seed: int, dtype: Any = "float64") -> Any:
    values = np.random.default_rng(seed).uniform(0.3, 1.7, shape)
    return values.astype(dtype)


def sum_to(ct: Any, shape: tuple[int, ...]) -> Any:
    """The reference: each element of ``ct`` is added where its operand came from."""
    count = int(np.prod(shape))
    source = np.broadcast_to(np.arange(count).reshape(shape), ct.shape)
    total = np.zeros(count, ct.dtype)
    np.add.at(total, source.ravel(), ct.ravel())
    return total.reshape(shape)


SHAPES = hnp.mutually_broadcastable_shapes(
    num_shapes=2, max_dims=4, min_side=0, max_side=3
)


def check_binary(name: str, shapes: Any, seed: int) -> None:
    function, *partials = BINARY[name]
    x, y = (draw_array(s, seed + k) for k, s in enumerate(shapes.input_shapes))
    expected = function(x, y)
    value, pullback = fgrad.vjp(function, x, y)
    np.testing.assert_array_equal(value, expected, strict=True)
    ct = np.random.default_rng(seed).standard_normal(shapes.result_shape)
    wide = [np.array(np.broadcast_to(z, shapes.result_shape)) for z in (x, y)]
    along_x = (np.ones_like(x), np.zeros_like(y))
    tangent = fgrad.jvp(function, (x, y), along_x)[1]
    np.testing.assert_allclose(tangent, partials[0](*wide), 1e-12, 1e-12)
    for operand, found, partial in zip((x, y), pullback(ct), partials, strict=True):
        reference = sum_to(np.asarray(ct * partial(*wide)), operand.shape)
        assert np.shape(found) == operand.shape
        np.testing.assert_allclose(found, reference, 1e-12, 1e-12)


@pytest.mark.parametrize("name", BINARY)
@settings(max_examples=25)
@given(shapes=SHAPES, seed=st.integers(0, 99))
def test_two_operands(name: str, shapes: Any, seed: int) -> None:
    check_binary(name, shapes, seed)


@pytest.mark.slow
@settings.get_profile("slow")
@given(name=st.sampled_from(list(BINARY)), shapes=SHAPES, seed=st.integers(0, 999))
def test_two_operands_at_length(name: str, shapes: Any, seed: int) -> None:
    check_binary(name, shapes, seed)


@settings(max_examples=25)
@given(
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3),
    dtypes=st.tuples(*[st.sampled_from(["float32", "float64", "complex128"])] * 3),
)
def test_three_operands_of_mixed_types(shapes: Any, dtypes: Any) -> None:
    """Each cotangent has the shape and the dtype of its operand."""

    def f(x: Any, y: Any, z: Any) -> Any:
        return np.where(np.real(x) > 1, x * y, z) - y / z

    args = [
        draw_array(shape, k, dtype)
        for k, (shape, dtype) in enumerate(
            zip(shapes.input_shapes, dtypes, strict=True)
        )
    ]
    value, pullback = fgrad.vjp(f, *args)
    np.testing.assert_array_equal(value, f(*args), strict=True)
    for found, arg in zip(pullback(np.ones_like(value)), args, strict=True):
        assert (np.shape(found), found.dtype) == (arg.shape, arg.dtype)
    check_grads(f, args, order=1)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3, 4), (4, 5)),
        ((3, 4), (6, 4, 2)),
        ((1, 3, 4), (5, 4, 2)),
        ((4,), (5, 4, 2)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((2, 5, 3, 4), (4,)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
    ],
)
def test_matmul_broadcasts_leading_axes(shapes: Any) -> None:
    x, y = (draw_array(shape, k) for k, shape in enumerate(shapes))
    value, pullback = fgrad.vjp(np.matmul, x, y)
    np.testing.assert_array_equal(value, x @ y, strict=True)
    assert [ct.shape for ct in pullback(np.ones_like(value))] == list(shapes)
    check_grads(np.matmul, (x, y), order=2)


@settings(max_examples=40)
@given(shapes=SHAPES)
def test_broadcast_to_and_arrays(shapes: Any) -> None:
    x, y = (draw_array(s, k) for k, s in enumerate(shapes.input_shapes))
    result = shapes.result_shape
    ct = np.random.default_rng(1).standard_normal(result)
    value, pullback = fgrad.vjp(lambda a: np.broadcast_to(a, result), x)
    np.testing.assert_array_equal(value, np.broadcast_to(x, result), strict=True)
    np.testing.assert_allclose(pullback(ct)[0], sum_to(ct, x.shape), 1e-12, 1e-12)
    both, pull_both = fgrad.vjp(lambda a, b: np.broadcast_arrays(a, b), x, y)
    for one, other in zip(both, np.broadcast_arrays(x, y), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    cts = fgrad.tree.map_leaves(lambda _: ct, both)
    for found, operand in zip(pull_both(cts), (x, y), strict=True):
        np.testing.assert_allclose(found, sum_to(ct, operand.shape), 1e-12, 1e-12)


@settings(max_examples=40)
@given(shapes=SHAPES)
def test_writing_broadcasts_the_value(shapes: Any) -> None:
    """``x[...] = v`` sums the cotangent of v over the axes along which it spread."""
    (shape, _), result = shapes.input_shapes, shapes.result_shape
    v, x = draw_array(shape, 0), draw_array(result, 1)
    ct = np.random.default_rng(1).standard_normal(result)

    def f(x: Any, v: Any) -> Any:
        y = x.copy()
        y[...] = 2.0 * v
        return y

    value, pullback = fgrad.vjp(f, x, v)
    np.testing.assert_array_equal(value, f(x, v), strict=True)
    ct_x, ct_v = pullback(ct)
    np.testing.assert_array_equal(ct_x, np.zeros(result))
    np.testing.assert_allclose(ct_v, sum_to(2.0 * ct, shape), 1e-12, 1e-12)


@pytest.mark.parametrize(
    "scalar",
    [2, 2.5, True, np.float32(1.5), np.int8(3), np.array(2.0), np.float64(0.5)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scalars_of_every_kind(scalar: Any, dtype: str) -> None:
    """Python numbers, NumPy scalars and 0-d arrays promote as NumPy promotes them."""
    x = draw_array((2, 3), 0, dtype)
    for f in (lambda x: x * scalar, lambda x: scalar - x, lambda x: (x / scalar) ** 2):
        value, pullback = fgrad.vjp(f, x)
        np.testing.assert_array_equal(value, f(x), strict=True)
        (ct,) = pullback(np.ones_like(value))
        assert (ct.shape, ct.dtype) == (x.shape, x.dtype)
        check_grads(f, (x,))


def test_scalar_argument_spreads() -> None:
    gradient = fgrad.grad(lambda s, x: np.sum(s * x))(2.0, np.arange(4.0))
    assert gradient == 6.0
    assert isinstance(gradient, np.float64)


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((2, 3), (3, 2)), ((2, 0), (3,))])
def test_shapes_that_do_not_fit_raise(shapes: Any) -> None:
    x, y = (np.ones(shape) for shape in shapes)
    with pytest.raises(fgrad.errors.ShapeError, match=r"shapes.*\d"):
        fgrad.grad(lambda x: np.sum(x + y))(x)
