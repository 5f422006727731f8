"""NumPy parity: tracing never changes what a function returns.

Each expression is evaluated on NumPy arrays and on tracers, in several dtypes; values
(bit for bit), shapes and dtypes must be equal. Python numbers follow NEP 50.
``ROUNDED`` names the few expressions whose last bit may differ, with the reason.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fgrad
import fgrad.numpy as fnp

FLOATS = ["float16", "float32", "float64", "longdouble"]
COMPLEX = ["complex64", "complex128"]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def matrix(dtype: str) -> Any:
    values = np.array(
        [[0.31, -0.72, 1.13, 0.2], [0.94, 0.25, -0.46, 1.7], [0.05, 0.66, -1.21, -0.9]]
    )
    if np.dtype(dtype).kind == "c":
        values = values + 1j * values[::-1]
    return values.astype(dtype)


# complex64 means divide in double precision; complex np.power(z, 2) is not z * z to the
# last bit; einsum and initial= sum in another order.
ROUNDED = {"einsum", "sum initial", "mean", "var", "std", "np.power", "float whole"}


def assert_parity(f: Callable[..., Any], *args: Any, name: str = "") -> None:
    """``f`` on tracers, first and second run, nested, and as a program."""
    expected, treedef = fgrad.tree.flatten(f(*args))
    runs = [fgrad.vjp(f, *args)[0] for _ in range(2)]
    tangents = tuple(np.ones_like(x) for x in args)
    runs.append(fgrad.jvp(f, args, tangents)[0])
    outer = lambda *xs: (np.sum(np.real(xs[0])), fgrad.vjp(f, *xs)[0])
    runs.append(fgrad.grad(outer, has_aux=True)(*args)[1])
    program = fgrad.make_program(f)(*args)
    runs.append(fgrad.tree.unflatten(treedef, program(*args)))
    for run in runs:
        for one, other in zip(fgrad.tree.flatten(run)[0], expected, strict=True):
            assert np.shape(one) == np.shape(other)
            assert np.result_type(one) == np.result_type(other)
            if name in ROUNDED:
                bound = 8 * np.finfo(np.result_type(other)).eps
                np.testing.assert_allclose(one, other, bound, bound)
            else:
                np.testing.assert_array_equal(one, other)


UNARY: dict[str, Callable[[Any], Any]] = {
    name: getattr(np, name)
    for name in (
        *("sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "arcsinh", "exp"),
        *("exp2", "expm1", "square", "negative", "positive", "conjugate", "sqrt"),
        *("log", "log1p", "log2", "log10", "reciprocal", "isnan", "isinf", "isfinite"),
        "sign",
    )
}
REAL_UNARY: dict[str, Callable[[Any], Any]] = {
    name: getattr(np, name)
    for name in (
        *("floor", "ceil", "trunc", "rint", "cbrt", "fabs", "deg2rad", "rad2deg"),
        *("degrees", "radians", "signbit", "sinc", "logical_not", "modf"),
    )
} | {
    "abs": abs,
    "round": lambda x: np.round(x, 1),
    "around": lambda x: np.around(x, -1),
    "method round": lambda x: x.round(2),
    "clip": lambda x: np.clip(x, -0.5, 0.5),
    "clip one side": lambda x: np.clip(x, None, 0.5),
    "clip method": lambda x: x.clip(min=0.1),
    "nan_to_num": lambda x: np.nan_to_num(np.log(x)),
    "argmax": lambda x: np.argmax(x, axis=1),
    "argsort": lambda x: np.argsort(x, axis=0),
    "floor_divide": lambda x: x // 0.3,
    "remainder": lambda x: x % 0.3,
    "divmod": lambda x: divmod(x, 0.3),
    "fmod": lambda x: np.fmod(x, 0.3),
    "heaviside": lambda x: np.heaviside(x, 0.5),
    "compare": lambda x: (x > 0.2, x <= 0.2, x == x, x != 0.31),
    "logic": lambda x: np.logical_and(x > 0, x < 1) | ~(x < 0.5),
    "where": lambda x: np.where(x > 0, x, 0),
    "where typed": lambda x: np.where(x > 0, x, np.float32(1)),
    "hypot": lambda x: np.hypot(x, 2),
    "maximum": lambda x: np.maximum(x, 0),
    "logaddexp": lambda x: np.logaddexp(x, 0.0),
    "arctan2": lambda x: np.arctan2(x, 2),
    "copysign": lambda x: np.copysign(x, -1.0),
    "ldexp": lambda x: np.ldexp(x, 2),
    "float_power": lambda x: np.float_power(np.abs(x), 2),
    "min max ptp": lambda x: (np.min(x, 0), np.max(x), np.ptp(x, axis=1)),
    "sort": lambda x: np.sort(x, axis=0),
    "median": lambda x: np.median(x, axis=1),
    "nansum": lambda x: np.nansum(x),
}
ARITHMETIC: dict[str, Callable[[Any], Any]] = {
    "int": lambda x: x * 2 + 1 - x / 3,
    "float": lambda x: (x * 2.5 - 1.5) / 0.5,
    "reflected": lambda x: 2.5 - 3 * x,
    "bool": lambda x: x + True,
    "complex": lambda x: x * 1j,
    "square": lambda x: x**2,
    "cube": lambda x: x**3,
    "fourth": lambda x: x**4,
    "zeroth": lambda x: x**0,
    "first": lambda x: x**1,
    "inverse": lambda x: x**-1,
    "half": lambda x: (x * x) ** 0.5,
    "float whole": lambda x: x**2.0,
    "fraction": lambda x: (x * x + 1) ** 1.5,
    "negative fraction": lambda x: (x * x + 1) ** -0.5,
    "power of two": lambda x: 2**x,
    "power of float": lambda x: 2.0**x,
    "np.power": lambda x: np.power(x, 2),
    "np.power float": lambda x: np.power(x, 3.0),
    "power of array": lambda x: (x * x) ** np.full(4, 2),
    "power of scalar": lambda x: x ** np.float64(2.0),
    "power of small scalar": lambda x: x ** np.float16(2.0),
    "numpy float32": lambda x: x * np.float32(2),
    "numpy float64": lambda x: x + np.float64(0.1),
    "numpy int8": lambda x: x * np.int8(3),
    "numpy int64": lambda x: x * np.int64(3),
    "numpy uint8 array": lambda x: x * np.arange(4, dtype="uint8"),
    "int array": lambda x: np.arange(4) - x,
    "bool array": lambda x: x * np.array([True, False, True, True]),
    "float32 array": lambda x: x * np.ones(4, "float32"),
    "0-d array": lambda x: x * np.array(2.0),
    "0-d int array": lambda x: x * np.array(2),
    "list": lambda x: np.add(x, [1, 2, 3, 4]),
    "matmul": lambda x: x @ x.T,
    "matmul int": lambda x: x @ np.arange(4),
    "dot": lambda x: np.dot(x, np.ones(4)),
    "sum of python": lambda x: sum(x),
    "chain": lambda x: (x - np.mean(x)) / (np.std(x) + 1e-3),
    "in place": lambda x: _in_place(x),
    "dtype argument": lambda x: np.add(x, 1, dtype="complex128"),
    "divmod free": lambda x: np.multiply(x, x) * np.subtract(1, x),
}
REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: (np.sum(x), x.sum(0), np.sum(x, axis=(0, 1), keepdims=True)),
    "sum typed": lambda x: np.sum(x, dtype="complex128"),
    "sum of mask": lambda x: np.sum(x.real > 0, axis=0),
    "sum initial": lambda x: np.sum(x, axis=0, initial=2.5),
    "sum where": lambda x: np.sum(x, axis=0, where=np.eye(3, 4, dtype=bool)),
    "mean": lambda x: (np.mean(x), x.mean(axis=1), np.mean(x, axis=0, keepdims=True)),
    "mean typed": lambda x: np.mean(x, dtype="complex128"),
    "average": lambda x: np.average(x, axis=1, weights=[1, 2, 3, 4]),
    "prod": lambda x: (np.prod(x), np.prod(x, axis=0)),
    "cumsum": lambda x: (np.cumsum(x), np.cumsum(x, axis=1)),
    "cumprod": lambda x: np.cumprod(x, axis=0),
    "add.reduce": lambda x: np.add.reduce(x),
    "var": lambda x: (np.var(x), x.var(axis=0, ddof=1)),
    "std": lambda x: (np.std(x, axis=1), np.std(x)),
    "trace": lambda x: np.trace(x),
    "any all": lambda x: (np.any(x), np.all(x, axis=0)),
    "count": lambda x: np.count_nonzero(x, axis=1),
    "diff": lambda x: np.diff(x, axis=1),
    "outer": lambda x: np.outer(x[0], x[1]),
    "inner": lambda x: np.inner(x, x),
    "vdot": lambda x: np.vdot(x, x),
    "tensordot": lambda x: np.tensordot(x, x, axes=([0], [0])),
    "kron": lambda x: np.kron(x[:2, :2], x[:1]),
    "cross": lambda x: np.cross(x[:, :3], x[:, 1:]),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
}
SHAPES: dict[str, Callable[[Any], Any]] = {
    "reshape": lambda x: (x.reshape(2, 6), np.reshape(x, (-1,)), x.reshape((4, -1))),
    "reshape F": lambda x: np.reshape(x, (4, 3), order="F"),
    "ravel": lambda x: (np.ravel(x), x.T.ravel(), x.ravel(order="F")),
    "transpose": lambda x: (x.T, np.transpose(x), x.transpose(1, 0), x.swapaxes(0, 1)),
    "moveaxis": lambda x: np.moveaxis(x[None], 0, -1),
    "squeeze": lambda x: np.squeeze(x[:, :1]),
    "expand": lambda x: (np.expand_dims(x, 0), x[:, None], np.atleast_3d(x)),
    "broadcast": lambda x: np.broadcast_to(x[0], (2, 4)),
    "concatenate": lambda x: np.concatenate([x, np.ones((1, 4))]),
    "concatenate ints": lambda x: np.concatenate([x, np.ones((1, 4), int)]),
    "concatenate flat": lambda x: np.concatenate([x, x[0]], axis=None),
    "stack": lambda x: (
        np.stack([x, x], -1),
        np.vstack([x[0], x[1]]),
        np.hstack([x, x]),
    ),
    "column_stack": lambda x: np.column_stack([x[0], x[1]]),
    "block": lambda x: np.block([[x, x], [x, x]]),
    "split": lambda x: (
        np.split(x, 2, axis=1),
        np.array_split(x, 2),
        np.hsplit(x, [1, 3]),
    ),
    "tile": lambda x: (
        np.tile(x, 2),
        np.tile(x, (2, 1)),
        np.repeat(x, 2),
        np.repeat(x, [1, 2, 0], 0),
    ),
    "roll": lambda x: (
        np.roll(x, 1),
        np.roll(x, -1, axis=1),
        np.roll(x, (1, 2), (0, 1)),
    ),
    "flip": lambda x: (
        np.flip(x),
        np.flipud(x),
        np.fliplr(x),
        np.rot90(x),
        np.rot90(x, -1),
    ),
    "pad": lambda x: (np.pad(x, 1), np.pad(x, ((0, 1), (2, 0)), constant_values=3)),
    "pad modes": lambda x: [
        np.pad(x, 2, mode=m) for m in ("edge", "wrap", "reflect", "symmetric")
    ],
    "diag": lambda x: (
        np.diag(x),
        np.diag(x[0]),
        np.diagonal(x, 1),
        np.diagflat(x[0, :2]),
    ),
    "triangles": lambda x: (np.tril(x), np.triu(x, 1), np.tril(x, -1)),
    "triangle of a vector": lambda x: np.tril(x[0]),
    "meshgrid": lambda x: np.meshgrid(x[0], x[1, :2]),
    "append": lambda x: (
        np.append(x, x),
        np.delete(x, 1, 0),
        np.insert(x, 1, 9, axis=1),
    ),
    "iteration": lambda x: [*x, len(x)],
    "items": lambda x: (x[0, 0], x[-1], x[..., 0], x.flat[3]),
    "astype": lambda x: (
        x.astype("complex128"),
        x.astype("float64" if x.real.dtype != "float64" else "float32")
        if x.dtype.kind == "f"
        else x,
    ),
    "copies": lambda x: (
        np.copy(x),
        x.copy(),
        np.array(x) if type(x) is np.ndarray else x,
    ),
    "likes": lambda x: (
        np.zeros_like(x),
        np.ones_like(x),
        np.full_like(x, 2),
        np.zeros_like(x, dtype=int),
    ),
    "queries": lambda x: (np.shape(x), np.ndim(x), np.size(x, 0), x.nbytes, x.itemsize),
    "empty": lambda x: (np.sum(x[:0], axis=0), x[:0] * 2, np.concatenate([x[:0], x])),
    "empty products": lambda x: (x[:, :0] @ x[:0, :], np.tensordot(x[:, :0], x[:0], 1)),
    "scalar axes": lambda x: (np.sum(x[0, 0], axis=0), np.sum(x[0, 0])),
    "real imag": lambda x: (x.real, np.real(x), np.imag(x), np.abs(x), np.conj(x)),
    "take": lambda x: (np.take(x, [0, 2], axis=1), np.compress([1, 0, 1], x, axis=0)),
    "select": lambda x: np.select([x.real > 1, x.real > 0], [x, 2 * x], -1),
}


def _in_place(x: Any) -> Any:
    y = x * 1
    y += 1
    y *= 2.5
    y[0] -= np.float64(0.1)
    y[1] = 3
    np.multiply(y, y, out=y)
    return y


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("name", UNARY)
def test_elementwise(name: str, dtype: str) -> None:
    assert_parity(UNARY[name], matrix(dtype), name=name)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", REAL_UNARY)
def test_elementwise_real(name: str, dtype: str) -> None:
    assert_parity(REAL_UNARY[name], matrix(dtype), name=name)


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_and_promotion(name: str, dtype: str) -> None:
    assert_parity(ARITHMETIC[name], matrix(dtype), name=name)


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str, dtype: str) -> None:
    assert_parity(REDUCTIONS[name], matrix(dtype), name=name)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str, dtype: str) -> None:
    assert_parity(SHAPES[name], matrix(dtype), name=name)


SCALARS = [
    0.7,
    np.float16(0.7),
    np.float32(0.7),
    np.float64(0.7),
    np.array(0.7),
    np.array(0.7, "float32"),
    0.7 + 0.2j,
    np.complex64(0.7 + 0.2j),
]
OTHERS = [
    2,
    2.5,
    1j,
    True,
    np.int8(2),
    np.float16(1.5),
    np.float32(1.5),
    np.float64(1.5),
    np.arange(3),
    np.arange(3, dtype="float32"),
    np.array(2, "float32"),
    np.ones(2, "float16"),
    np.ones(2, "complex64"),
]


@pytest.mark.parametrize(
    "other",
    OTHERS,
    ids=lambda x: f"{type(x).__name__}-{np.result_type(x)}{np.shape(x)}",
)
@pytest.mark.parametrize(
    "scalar", SCALARS, ids=lambda x: f"{type(x).__name__}-{np.result_type(x)}"
)
def test_promotion_of_scalars(scalar: Any, other: Any) -> None:
    """A Python float argument is what NumPy makes of it: a float64."""
    x = np.float64(scalar) if type(scalar) is float else scalar
    x = np.complex128(x) if type(x) is complex else x
    f = lambda x: (x + other, other * x, x - other, other / x, np.multiply(x, other))
    expected = f(x)
    for _ in range(2):
        found, _ = fgrad.vjp(f, scalar)
        for one, two in zip(found, expected, strict=True):
            assert np.result_type(one) == np.result_type(two)
            np.testing.assert_array_equal(one, two, strict=True)


@pytest.mark.parametrize(
    "dtypes",
    [
        ("float16", "float32"),
        ("float32", "float64"),
        ("float32", "complex64"),
        ("float16", "complex128"),
    ],
)
def test_mixed_arguments(dtypes: tuple[str, str]) -> None:
    x, y = map(matrix, dtypes)

    def f(x: Any, y: Any) -> Any:
        return (
            x + y,
            x * y,
            x / y,
            x @ y.T,
            np.where(x.real > 0, x, y),
            np.concatenate([x, y]),
            np.stack([x, y]),
            np.tensordot(x, y),
        )

    assert_parity(f, x, y)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "bool"])
def test_integers_beside_traced_values(dtype: str) -> None:
    """Integer arrays that come from traced ones stay NumPy's own integers."""
    k = np.array([[1, 0, 1, 1]] * 3).astype(dtype)

    def f(x: Any) -> Any:
        return (
            k * x,
            k + x,
            np.where(k, x, k),
            x[k == 1],
            np.sum(k * x, axis=0),
            np.floor(x).astype(dtype if dtype != "bool" else int),
            np.maximum(k, x),
        )

    assert_parity(f, matrix("float32"))


def test_integer_overflow_and_division_follow_numpy() -> None:
    def f(x: Any) -> Any:
        n = np.argsort(x[0]).astype("int8")
        return n * np.int8(100), n // 2, n / 2, n % 3, -n, n << 2, ~n, n & 3, x[0] * n

    assert_parity(f, matrix("float64"))


def test_python_control_flow_sees_the_values() -> None:
    def f(x: Any) -> Any:
        n = 0
        while np.linalg.norm(x[0].real) > 0.1 and n < 50 and x[0, 0] < 5:
            x = x * 0.7
            n += 1
        label = f"{x[0, 0]:.3f}"
        return (
            x * n,
            len(label),
            int(x[1, 0] * 100),
            bool(np.any(x > 0)),
            max(x[0]),
        )

    assert_parity(f, matrix("float64"))


def test_warnings_are_the_users_own() -> None:
    """An operation outside its domain warns as in NumPy: once, and not in gradients."""
    x = np.array([-1.0, 1.0])
    with np.errstate(all="warn"):
        with pytest.warns(RuntimeWarning, match="invalid value"):
            fgrad.vjp(np.log, x)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            gradient = fgrad.grad(lambda x: np.sum(np.sqrt(x)))(np.array([0.0, 1.0]))
    assert gradient[0] == np.inf


def test_numbers_after_stop_gradient() -> None:
    """Also where transforms nest, the value comes out of all of them."""

    def f(x: Any) -> Any:
        weights = [float(fgrad.stop_gradient(v)) for v in x]
        assert all(type(weight) is float for weight in weights)
        return np.sum(x * weights)

    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(fgrad.grad(f)(x), x)
    assert fgrad.grad(lambda s: np.sum(fgrad.grad(f)(s * x)))(2.0) == 0.0


WRONG: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "add": (lambda x: x + np.ones(5), ValueError),
    "matmul": (lambda x: x @ x, ValueError),
    "matmul of a scalar": (lambda x: x @ 2, ValueError),
    "reshape": (lambda x: x.reshape(5), ValueError),
    "concatenate": (lambda x: np.concatenate([x, x[0]]), ValueError),
    "stack": (lambda x: np.stack([x, x[0]]), ValueError),
    "axis": (lambda x: np.sum(x, axis=2), ValueError),
    "squeeze": (lambda x: np.squeeze(x, axis=0), ValueError),
    "transpose": (lambda x: np.transpose(x, (0, 0)), ValueError),
    "broadcast": (lambda x: np.broadcast_to(x, (3, 5)), ValueError),
    "split": (lambda x: np.split(x, 2), ValueError),
    "max of nothing": (lambda x: np.max(x[:0]), ValueError),
    "index": (lambda x: x[3], IndexError),
    "len": (lambda x: len(x[0, 0]), TypeError),
    "iteration": (lambda x: [*x[0, 0]], TypeError),
    "bool": (lambda x: bool(x), ValueError),
    "branch": (lambda x: 3 if x > 0 else 4, ValueError),
    "float as index": (lambda x: [1, 2][x[0, 0]], TypeError),
    "attribute": (lambda x: x.no_such_attribute, AttributeError),
    "hash": (lambda x: {x: 1}, TypeError),
    "string": (lambda x: x + "a", TypeError),
    "None": (lambda x: x + None, TypeError),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_of_numpys_kind(name: str) -> None:
    f, kind = WRONG[name]
    with pytest.raises(kind):
        f(matrix("float64"))
    with pytest.raises(kind):
        fgrad.vjp(f, matrix("float64"))


FRONT_DOOR: dict[str, Callable[[Any, Any], Any]] = {
    "array of numbers": lambda np, x: np.array([x[0, 0], 2.0, x[1, 1] * 2]),
    "array of rows": lambda np, x: np.array([x[0], x[1] * 2]),
    "nested": lambda np, x: np.array([[x[0, 0], 1], [2, x[1, 1]]]),
    "asarray": lambda np, x: np.asarray([x[0, 0], x[0, 1]]) * 2,
    "array of an array": lambda np, x: np.array(x),
    "zeros": lambda np, x: np.zeros((2, 3)) + x[0, 0],
    "ones": lambda np, x: np.ones(3, dtype="float32") * x[0, 0],
    "linspace": lambda np, x: np.linspace(0, 1, 3) * x[0, 0],
    "eye": lambda np, x: np.eye(3) @ x,
    "plain functions": lambda np, x: np.tanh(x) + np.sum(x),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FRONT_DOOR)
def test_the_front_door_gives_what_numpy_gives(name: str, dtype: str) -> None:
    """``import fgrad.numpy as np`` on plain values, and on traced ones."""
    x = matrix(dtype)
    f = FRONT_DOOR[name]
    expected = f(np, x)
    np.testing.assert_array_equal(f(fnp, x), expected, strict=True)
    value, _ = fgrad.vjp(lambda x: f(fnp, x), x)
    np.testing.assert_array_equal(value, expected, strict=True)
