"""``np.linalg``: values and types against NumPy, derivatives against JAX."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fgrad
from fgrad.ops.linalg import adjugate
from fgrad.testing import check_grads, pair

Function = Callable[..., Any]


def array(shape: tuple[int, ...], seed: int = 0, dtype: str = "float64") -> Any:
    rng = np.random.default_rng(seed)
    values = rng.uniform(-1, 1, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.uniform(-1, 1, shape)
    return values.astype(dtype)


def regular(*shape: int, dtype: str = "float64") -> Any:
    return array(shape, sum(shape), dtype) + 2 * np.eye(shape[-1], dtype=dtype)


def hermitian(xp: Any, x: Any) -> Any:
    """Positive definite; JAX and NumPy agree on functions of such a matrix."""
    return x @ xp.conj(xp.swapaxes(x, -1, -2)) + xp.diag(1.0 + xp.arange(x.shape[-1]))


def projector(xp: Any, v: Any) -> Any:
    """Of the first two columns: without regard to their phases."""
    return v[..., :2] @ xp.conj(xp.swapaxes(v[..., :2], -1, -2))


def without_phases(xp: Any, u: Any, s: Any, vh: Any) -> Any:
    return s, (u * xp.exp(s)[..., None, :]) @ vh


SQUARE = [(3, 3), (2, 3, 3)]
TALL, WIDE = [(4, 2), (2, 3, 2)], [(2, 4)]
BOTH = ("float64", "complex128")
REAL = ("float64",)

# name: the function of (numpy or jax.numpy, matrix), shapes, dtypes
UNARY: dict[str, tuple[Function, list[Any], tuple[str, ...]]] = {
    "inv": (lambda xp, x: xp.linalg.inv(x), SQUARE, BOTH),
    "det": (lambda xp, x: xp.linalg.det(x), SQUARE, BOTH),
    "slogdet": (lambda xp, x: xp.linalg.slogdet(x), SQUARE, BOTH),
    "pinv": (lambda xp, x: xp.linalg.pinv(x), [*TALL, *WIDE], BOTH),
    "matrix_power": (lambda xp, x: xp.linalg.matrix_power(x, 5), SQUARE[:1], REAL),
    "negative power": (lambda xp, x: xp.linalg.matrix_power(x, -3), SQUARE[1:], BOTH),
    "cholesky": (lambda xp, x: xp.linalg.cholesky(hermitian(xp, x)), SQUARE, BOTH),
    "upper cholesky": (
        lambda xp, x: xp.linalg.cholesky(hermitian(xp, x), upper=True),
        SQUARE[:1],
        BOTH,
    ),
    "eigh": (lambda xp, x: xp.linalg.eigh(hermitian(xp, x)), SQUARE, REAL),
    "eigh projector": (
        lambda xp, x: projector(xp, xp.linalg.eigh(hermitian(xp, x))[1]),
        SQUARE[:1],
        BOTH,
    ),
    "eigvalsh": (lambda xp, x: xp.linalg.eigvalsh(hermitian(xp, x)), SQUARE, BOTH),
    "svd": (
        lambda xp, x: without_phases(xp, *xp.linalg.svd(x, full_matrices=False)),
        [*SQUARE, *TALL, *WIDE],
        BOTH,
    ),
    "full svd": (
        lambda xp, x: without_phases(xp, *xp.linalg.svd(x)),
        SQUARE[:1],
        REAL,
    ),
    "svdvals": (lambda xp, x: xp.linalg.svdvals(x), [*TALL, *WIDE], BOTH),
    "svd of values": (
        lambda xp, x: xp.linalg.svd(x, compute_uv=False),
        TALL[:1],
        REAL,
    ),
    "hermitian svd": (
        lambda xp, x: without_phases(
            xp, *xp.linalg.svd(hermitian(xp, x), hermitian=True)
        ),
        SQUARE[:1],
        REAL,
    ),
    "qr": (lambda xp, x: tuple(xp.linalg.qr(x)), [*SQUARE, *TALL, *WIDE], REAL),
    "complex qr": (
        lambda xp, x: tuple(xp.linalg.qr(x)),
        [(3, 3), (3, 2), (2, 4)],
        ("complex128",),
    ),
    "r": (lambda xp, x: xp.linalg.qr(x, mode="r"), TALL[:1], REAL),
    "cond": (lambda xp, x: xp.linalg.cond(x), SQUARE, REAL),
    "cond 1": (lambda xp, x: xp.linalg.cond(x, 1), SQUARE[:1], REAL),
    "tensorinv": (
        lambda xp, x: xp.linalg.tensorinv(xp.reshape(x, (2, 2, 4)), 2),
        [(4, 4)],
        REAL,
    ),
    "trace": (lambda xp, x: xp.linalg.trace(x, offset=1), SQUARE, REAL),
    "diagonal": (lambda xp, x: xp.linalg.diagonal(x), SQUARE[1:], REAL),
    "matrix_transpose": (lambda xp, x: xp.linalg.matrix_transpose(x), WIDE, BOTH),
    "matrix_norm": (
        lambda xp, x: xp.linalg.matrix_norm(x, keepdims=True),
        SQUARE,
        BOTH,
    ),
    "vector_norm": (lambda xp, x: xp.linalg.vector_norm(x), SQUARE[1:], BOTH),
    "vector_norm over two": (
        lambda xp, x: xp.linalg.vector_norm(x, axis=(0, 2), ord=3, keepdims=True),
        SQUARE[1:],
        REAL,
    ),
}
BINARY: dict[str, tuple[Function, list[Any], tuple[str, ...]]] = {
    "solve": (
        lambda xp, a, b: xp.linalg.solve(a, b),
        [
            ((3, 3), (3,)),
            ((3, 3), (3, 2)),
            ((2, 3, 3), (3,)),
            ((2, 3, 3), (2, 3, 1)),
            ((3, 3), (2, 3, 2)),
        ],
        BOTH,
    ),
    "lstsq": (
        lambda xp, a, b: xp.linalg.lstsq(a, b)[0],
        [((4, 2), (4,)), ((4, 2), (4, 3)), ((2, 4), (2,)), ((3, 3), (3, 1))],
        BOTH,
    ),
    "lstsq residuals": (
        lambda xp, a, b: xp.linalg.lstsq(a, b)[1::2],
        [((4, 2), (4,)), ((4, 2), (4, 3))],
        REAL,
    ),
    "tensorsolve": (
        lambda xp, a, b: xp.linalg.tensorsolve(xp.reshape(a, (2, 3, 6)), b),
        [((6, 6), (2, 3))],
        REAL,
    ),
    "outer": (lambda xp, x, y: xp.linalg.outer(x, y), [((2,), (3,))], BOTH),
    "cross": (lambda xp, x, y: xp.linalg.cross(x, y), [((2, 3), (2, 3))], REAL),
    "matmul": (lambda xp, x, y: xp.linalg.matmul(x, y), [((2, 3), (3, 2))], BOTH),
    "tensordot": (
        lambda xp, x, y: xp.linalg.tensordot(x, y, axes=1),
        [((2, 3), (3, 2))],
        REAL,
    ),
}


# JAX takes long to compile, so it is asked for complex derivatives of these only
COMPLEX_TOO = ("slogdet", "cholesky", "eigh projector", "svd", "solve", "pinv")


def rows(few: bool = False) -> list[Any]:
    """Function and operands for each shape and dtype of both tables, or for few."""
    found = []
    for name, (f, shapes, dtypes) in (UNARY | BINARY).items():
        if few:
            shapes, dtypes = shapes[:1], dtypes[: 1 + (name in COMPLEX_TOO)]
        for shape in shapes:
            for dtype in dtypes:
                pieces = shape if name in BINARY else (shape,)
                operands = [array(s, k, dtype) for k, s in enumerate(pieces)]
                if len(pieces[0]) > 1 and pieces[0][-1] == pieces[0][-2]:
                    operands[0] = regular(*pieces[0], dtype=dtype)
                label = f"{name}-{'-'.join(map(str, pieces))}-{dtype}"
                found.append(pytest.param(f, operands, id=label.replace(" ", "")))
    return found


def leaves(x: Any) -> list[Any]:
    return [y for part in x for y in leaves(part)] if isinstance(x, tuple) else [x]


def assert_like(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    assert type(found) is type(expected)
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        assert type(one) is type(other)
        assert np.result_type(one) == np.result_type(other)
        np.testing.assert_allclose(one, other, rtol, rtol, strict=True)


def loss_of(xp: Any, f: Function) -> Function:
    """A real function of ``f``'s inexact results, with second derivatives."""

    def loss(*xs: Any) -> Any:
        total = 0.0
        for number, y in enumerate(leaves(f(xp, *xs))):
            weights = np.cos(number + np.arange(y.size).reshape(y.shape))
            total = total + xp.sum(xp.real(weights * y + y * y / 2))
        return total

    return loss


@pytest.mark.parametrize(("f", "operands"), rows())
def test_values_types_and_modes(f: Function, operands: list[Any]) -> None:
    def call(*xs: Any) -> Any:
        return f(np, *xs)

    expected = call(*operands)
    found, pullback = fgrad.vjp(call, *operands)
    assert_like(found, expected, 1e-11)
    tangents = [array(x.shape, 7 + k, x.dtype.name) for k, x in enumerate(operands)]
    pushed = leaves(fgrad.jvp(call, tuple(operands), tuple(tangents))[1])
    cts = [array(np.shape(y), 9, y.dtype.name)[()] for y in leaves(expected)]
    fill = iter(cts)
    pulled = pullback(fgrad.tree.map_leaves(lambda _: next(fill), expected))
    size = 1 + pair(list(map(np.abs, cts)), list(map(np.abs, pushed)))
    assert abs(pair(cts, pushed) - pair(pulled, tangents)) < 1e-10 * size
    check_grads(call, operands, order=1)


@pytest.mark.parametrize(("f", "operands"), rows(few=True))
def test_first_and_second_derivatives_are_those_of_jax(
    f: Function, operands: list[Any]
) -> None:
    wrt, primals = tuple(range(len(operands))), tuple(operands)
    tangents = tuple(array(x.shape, 7, x.dtype.name) for x in operands)
    gradient = fgrad.grad(loss_of(np, f), wrt)
    jax_gradient = jax.grad(loss_of(jnp, f), wrt)
    compiled = jax.jit(
        lambda xs, ts: jax.jvp(jax_gradient, xs, ts),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    first, second = compiled(primals, tangents)

    def slope(*xs: Any) -> Any:
        products = zip(gradient(*xs), tangents, strict=True)
        return sum(np.sum(np.real(g * t)) for g, t in products)

    for one, other in zip(gradient(*primals), first, strict=True):
        np.testing.assert_allclose(one, other, 1e-9, 1e-9, strict=True)
    for one, other in zip(fgrad.grad(slope, wrt)(*primals), second, strict=True):
        scale = 1 + np.max(np.abs(other))
        np.testing.assert_allclose(one, other, 1e-8, 1e-9 * scale, strict=True)


NAMED: list[Function] = [
    np.linalg.eigh,
    np.linalg.qr,
    np.linalg.slogdet,
    lambda x: np.linalg.svd(x, full_matrices=False),
    np.linalg.svd,
    lambda x: np.linalg.eigh(x, UPLO="u"),
    np.linalg.eigvalsh,
    np.linalg.cholesky,
    lambda x: np.linalg.lstsq(x, np.ones((x.shape[-1], 2), "float32")),
]


@pytest.mark.parametrize("f", NAMED)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_result_types_and_precision(f: Function, dtype: str) -> None:
    x = hermitian(np, regular(3, 3, dtype=dtype)).astype(dtype)
    assert_like(
        fgrad.vjp(f, x)[0], f(x), 1e-5 if dtype in ("float32", "complex64") else 0
    )

    def loss(y: Any) -> Any:
        return sum(np.sum(np.abs(part)) for part in leaves(f(y)))

    assert fgrad.grad(loss)(x).dtype == x.dtype


@pytest.mark.parametrize("f", [np.linalg.inv, np.linalg.det, np.linalg.svdvals])
def test_integers_become_double(f: Function) -> None:
    x = np.array([[2, 1], [1, 3]])
    found = fgrad.vjp(lambda t: f(x + t.astype(int)) + t.sum(), np.zeros((2, 2)))[0]
    assert_like(found, f(x) + 0.0)


def test_only_one_triangle_is_read() -> None:
    """The gradient is that of NumPy's function, which does not read the other one."""
    x = hermitian(np, regular(3, 3))
    x[0, 2] = 17.0
    for f in (np.linalg.cholesky, np.linalg.eigvalsh, lambda y: np.linalg.eigh(y)[1]):
        check_grads(f, (x,))
        gradient = fgrad.grad(lambda y, f=f: np.sum(f(y) ** 3))(x)
        np.testing.assert_array_equal(gradient, np.tril(gradient))
    upper = fgrad.grad(lambda y: np.sum(np.linalg.eigvalsh(y, "U") ** 3))(x)
    np.testing.assert_array_equal(upper, np.triu(upper))
    upper = fgrad.grad(lambda y: np.sum(np.linalg.cholesky(y, upper=True)))(x.T)
    np.testing.assert_array_equal(upper, np.triu(upper))


def test_determinant_of_singular_matrices() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(-1, 1, (4, 3)) @ rng.uniform(-1, 1, (3, 4))
    expected = jax.grad(jnp.linalg.det)(low)
    np.testing.assert_allclose(fgrad.grad(np.linalg.det)(low), expected, 1e-10, 1e-12)
    np.testing.assert_allclose(adjugate(low) @ low, 0, 0, 1e-14)
    gradient = fgrad.grad(np.linalg.det)(np.zeros((3, 3)))
    np.testing.assert_array_equal(gradient, np.zeros((3, 3)))
    np.testing.assert_array_equal(fgrad.grad(np.linalg.det)(np.zeros((1, 1))), [[1.0]])


def test_coinciding_eigenvalues() -> None:
    """Functions of the values, and of whole spaces, have the right derivative."""
    x = np.diag([1.0, 1.0, 3.0])
    identity = np.eye(3)
    for values in (np.linalg.eigvalsh, lambda y: np.linalg.eigh(y)[0]):
        gradient = fgrad.grad(lambda y, f=values: np.sum(f(y)))(x)
        np.testing.assert_allclose(gradient, identity, 0, 1e-14)
    gradient = fgrad.grad(lambda y: np.linalg.norm(y, "nuc"))(x)
    np.testing.assert_allclose(gradient, identity, 0, 1e-14)

    def on_plane(y: Any) -> Any:
        return projector(np, np.linalg.eigh(y)[1])

    def on_plane_by_svd(y: Any) -> Any:
        return projector(np, np.linalg.svd(y)[0][:, 1:])

    check_grads(on_plane, (x,), order=1)
    check_grads(on_plane_by_svd, (x,), order=1)

    def top(y: Any) -> Any:
        return np.sum(np.linalg.eigh(y)[1][:, -1] ** 4)

    x = x + 1e-16 * array((3, 3))  # equal to rounding only
    assert np.max(np.abs(fgrad.grad(top)(x))) < 10


def test_singular_values_of_a_rank_deficient_matrix() -> None:
    x = np.outer([1.0, 2.0, 2.0], [3.0, 4.0])
    gradient = fgrad.grad(lambda y: np.linalg.svd(y, full_matrices=False)[1][0])(x)
    np.testing.assert_allclose(gradient, x / 15, 1e-12)

    def truncated(y: Any) -> Any:
        u, s, vh = np.linalg.svd(y, full_matrices=False)
        return np.sum(u[:, :1] * s[0] @ vh[:1])

    assert np.all(np.isfinite(fgrad.grad(truncated)(x)))
    assert np.all(np.isfinite(fgrad.grad(truncated)(np.zeros((3, 2)))))


VECTOR_ORDERS = [None, 2, 1, 3, 2.5, 0.5, -1, -2.0, 0, np.inf, -np.inf]
MATRIX_ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


def norms() -> list[Any]:
    cases: list[Any] = [((5,), order, None) for order in VECTOR_ORDERS]
    cases += [((2, 3), order, axis) for order in (None, 2, 3) for axis in (0, -1)]
    cases += [((3, 2), order, None) for order in MATRIX_ORDERS]
    cases += [((2, 3, 4), order, (2, 0)) for order in MATRIX_ORDERS]
    cases += [((2, 3, 4), None, None), ((2, 3, 4), 1, (0, 1)), ((), None, None)]
    return cases


@pytest.mark.parametrize(("shape", "order", "axis"), norms())
def test_norm(shape: tuple[int, ...], order: Any, axis: Any) -> None:
    x = array(shape, 3)
    for keepdims in (False, True):

        def f(y: Any, keepdims: bool = keepdims) -> Any:
            return np.linalg.norm(y, order, axis, keepdims)

        assert_like(fgrad.vjp(f, x)[0], np.asarray(f(x))[()])
    for dtype in ("complex128", "float32"):
        z = array(shape, 3, dtype)
        assert_like(fgrad.vjp(f, z)[0], np.asarray(f(z))[()], 1e-5)
    if order != 0:
        check_grads(lambda y: np.linalg.norm(y, order, axis), (x,))
    if order not in (0, "nuc") and shape:
        z = array(shape, 3, "complex128")
        check_grads(lambda y: np.linalg.norm(y, order, axis), (z,), order=1)


@pytest.mark.parametrize(
    ("shape", "order"),
    [((3,), order) for order in (None, 2, 1, 3, 2.5, 0.5, np.inf)]
    + [((3, 3), order) for order in ("fro", "nuc", 1, 2, np.inf)],
)
def test_norm_at_zero_has_a_finite_gradient(shape: Any, order: Any) -> None:
    zero = np.zeros(shape)
    value, gradient = fgrad.value_and_grad(lambda y: np.linalg.norm(y, order))(zero)
    assert value == 0.0
    assert np.all(np.isfinite(gradient))
    if order in (None, 2, "fro", 3) and shape == (3,):
        np.testing.assert_array_equal(gradient, zero)
        second = fgrad.hessian(lambda y: np.linalg.norm(y, order))(zero)
        assert np.all(np.isfinite(second))


def test_norm_beside_zero_rows() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    gradient = fgrad.grad(lambda y: np.sum(np.linalg.norm(y, axis=1)))(x)
    np.testing.assert_allclose(gradient, [[0.6, 0.8], [0.0, 0.0]])


def test_norms_of_nothing() -> None:
    x = np.zeros((0,))
    for order in (None, 1, np.inf):
        value, gradient = fgrad.value_and_grad(lambda y: np.linalg.norm(y, order))(x)
        assert value == np.linalg.norm(x, order)
        assert gradient.shape == (0,)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: np.linalg.norm(x, "fro", 0), ValueError),
        (lambda x: np.linalg.norm(x, 5), ValueError),
        (lambda x: np.linalg.norm(x, 2, (0, 0)), ValueError),
        (lambda x: np.linalg.norm(x[None], 2), ValueError),
        (lambda x: np.linalg.norm(x, 2, "x"), TypeError),
        (lambda x: np.linalg.inv(x[:1]), np.linalg.LinAlgError),
        (lambda x: np.linalg.det(x[:1]), np.linalg.LinAlgError),
        (lambda x: np.linalg.matrix_power(x[:1], 2), np.linalg.LinAlgError),
        (lambda x: np.linalg.matrix_power(x, 0.5), TypeError),
        (lambda x: np.linalg.inv(0 * x), np.linalg.LinAlgError),
        (lambda x: np.linalg.cholesky(-x), np.linalg.LinAlgError),
        (lambda x: np.linalg.solve(x, np.ones(3)), ValueError),
        (lambda x: np.linalg.eigh(x, "Q"), ValueError),
        (lambda x: np.linalg.pinv(x, 1e-3, rtol=1e-3), ValueError),
        (lambda x: np.linalg.matrix_rank(x, 1e-3, rtol=1e-3), ValueError),
        (lambda x: np.linalg.outer(x, x), ValueError),
        (lambda x: np.linalg.tensorinv(x, 0), ValueError),
        (lambda x: np.linalg.tensorsolve(x[:1], x[0, :1]), np.linalg.LinAlgError),
        (lambda x: np.linalg.lstsq(x[None], x[None]), np.linalg.LinAlgError),
        (lambda x: np.linalg.cond(x[:0]), np.linalg.LinAlgError),
    ],
)
def test_errors_are_numpys(call: Function, error: type[Exception]) -> None:
    x = np.array([[2.0, 1.0], [1.0, 3.0]])
    with pytest.raises(error):
        call(x)
    with pytest.raises(error):
        fgrad.vjp(call, x)


def test_what_has_no_derivative_says_so() -> None:
    x = array((3, 2))
    for f, words in (
        (lambda y: np.linalg.svd(y).S.sum(), "full_matrices=False"),
        (lambda y: np.linalg.qr(y, "complete").R.sum(), "mode='reduced'"),
    ):
        with pytest.raises(TypeError, match=words):
            fgrad.grad(f)(x)


def test_pinv_options() -> None:
    x = np.diag([1.0, 0.5, 1e-3])[:, :2] + 0.1
    h = hermitian(np, regular(3, 3))
    for f in (
        lambda y: np.linalg.pinv(y, 0.2),
        lambda y: np.linalg.pinv(y, rtol=None),
        lambda y: np.linalg.pinv(y, rtol=0.3),
        lambda y: np.linalg.pinv(y, np.array(0.2)),
    ):
        assert_like(fgrad.vjp(f, x)[0], f(x))
    check_grads(np.linalg.pinv, (x,))
    assert_like(
        fgrad.vjp(lambda y: np.linalg.pinv(y, hermitian=True), h)[0],
        np.linalg.pinv(h, hermitian=True),
    )
    complex_h = hermitian(np, regular(3, 3, dtype="complex128"))
    assert_like(
        fgrad.vjp(lambda y: np.linalg.pinv(y, hermitian=True), complex_h)[0],
        np.linalg.pinv(complex_h, hermitian=True),
        1e-11,
    )


def test_pinv_at_deficient_rank() -> None:
    """Along directions that keep the rank, the derivative is the limit."""
    left, right = array((4, 2)), array((2, 3), 1)
    check_grads(lambda x, y: np.linalg.pinv(x @ y, 1e-9), (left, right))


def test_least_squares() -> None:
    a, b = array((4, 2)), array((4,), 1)
    for right in (b, array((4, 3), 2)):
        result = fgrad.vjp(lambda x, y=right: np.linalg.lstsq(x, y), a)[0]
        assert_like(result, np.linalg.lstsq(a, right))
    deficient = np.outer(a[:, 0], [1.0, 2.0])
    result = fgrad.vjp(lambda x: np.linalg.lstsq(x, b), deficient)[0]
    assert_like(result, np.linalg.lstsq(deficient, b), 1e-11)
    wide = fgrad.vjp(lambda x: np.linalg.lstsq(x.T, b[:2], rcond=-1), a)[0]
    assert_like(wide, np.linalg.lstsq(a.T, b[:2], rcond=-1), 1e-11)
    program = fgrad.make_program(lambda x: np.linalg.lstsq(x, b)[1])(
        fgrad.Aval((4, 2), "float64")
    )
    np.testing.assert_allclose(program(a)[0], np.linalg.lstsq(a, b)[1])
    check_grads(lambda x, y: np.linalg.lstsq(x, y)[0], (a, b))


def test_rank_and_identity_are_constants() -> None:
    x = array((2, 3, 3))
    singular = np.outer([1.0, 2.0], [3.0, 4.0])
    for f in (
        np.linalg.matrix_rank,
        lambda y: np.linalg.matrix_rank(y, tol=0.5),
        lambda y: np.linalg.matrix_rank(y, rtol=0.5),
        lambda y: np.linalg.matrix_rank(y, tol=np.array([0.1, 2.0])),
        lambda y: np.linalg.matrix_power(y, 0),
    ):
        found = []
        fgrad.grad(lambda y, f=f: (found.append(f(y)), np.sum(y))[1])(x)
        assert_like(found[0], f(x))
    ranks = []

    def loss(y: Any) -> Any:
        ranks.extend([np.linalg.matrix_rank(y), np.linalg.matrix_rank(y[0])])
        ranks.append(np.linalg.matrix_rank(y + y.T, hermitian=True))
        return np.sum(y)

    fgrad.grad(loss)(singular)
    assert ranks == [1, 1, 2]


def test_condition_of_a_singular_matrix() -> None:
    assert fgrad.vjp(np.linalg.cond, np.zeros((2, 2)))[0] == np.inf


def test_the_front_door_has_all_of_linalg() -> None:
    names = [name for name in np.linalg.__all__ if name != "LinAlgError"]
    x = np.array([[2.0, 1.0], [1.0, 3.0]])
    assert fgrad.numpy.linalg.LinAlgError is np.linalg.LinAlgError
    for name in names:
        assert callable(getattr(fgrad.numpy.linalg, name))
    assert_like(fgrad.numpy.linalg.eigh(x), np.linalg.eigh(x), 0)
    assert_like(fgrad.numpy.linalg.norm([3.0, 4.0]), np.linalg.norm([3.0, 4.0]), 0)


def test_the_gradient_of_solve_factorises_once_more_only() -> None:
    program = fgrad.make_program(
        fgrad.grad(lambda a, b: np.sum(np.linalg.solve(a, b)))
    )(regular(3, 3), array((3,)))
    names = [eqn.prim.name for eqn in program.eqns]
    assert names.count("solve") + names.count("left_divide") == 2
    assert "inv" not in names
