"""Programs of numbers as code on Python floats: NumPy's results, bit for bit."""

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fgrad
from fgrad.lower.scalars import is_scalar

inf, nan = float("inf"), float("nan")
VALUES = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 3.5, inf, -inf, nan, 1e308, -1e308),
    *(5e-324, -5e-324, 1e-300, 709.0, 710.0, -745.2, 1e22, 1e5, 1.0 - 2**-53),
]
Function = Callable[..., Any]


def bits(tree: Any) -> list[Any]:
    """The type, the dtype and the bits of each number; one for all kinds of nan."""

    def of(x: Any) -> Any:
        array = np.asarray(x)
        is_nan = array.dtype.kind == "f" and np.isnan(array).all()
        return type(x), array.dtype, array.shape, is_nan or array.tobytes()

    return [of(x) for x in fgrad.tree.flatten(tree)[0]]


def observed(f: Function, x: Any) -> tuple[list[Any], bool]:
    """What a function gives, and whether it warns."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        return bits(f(x)), bool(seen)


def numpy_kinds(found: list[Any]) -> list[Any]:
    """What `bits` gives, with NumPy's type in place of Python's of the same numbers."""
    kinds = {float: np.float64, bool: np.bool_}
    return [(kinds.get(cls, cls), *rest) for cls, *rest in found]


def compare(f: Function, values: list[Any], first: Any) -> Any:
    """A jitted function gives the bits of ``f``, and warns only where ``f`` does.

    Python's own numbers have other rules (division by zero raises), so ``f`` is given
    NumPy's; of which kind results are, `test_jit` tests.
    """
    jitted = fgrad.jit(f)
    jitted(first)
    for value in [*values, *values]:
        expected, may_warn = observed(f, np.asarray(value)[()])
        found, warns = observed(jitted, value)
        assert numpy_kinds(found) == numpy_kinds(expected), value
        assert may_warn or not warns, value
    return jitted


# --- many functions

UFUNCS = [
    *(np.sin, np.cos, np.tan, np.tanh, np.exp, np.expm1, np.log, np.log1p, np.log2),
    *(np.log10, np.sqrt, np.sinh, np.cosh, np.arctan, np.arcsin, np.arccos, np.exp2),
    *(np.arcsinh, np.arctanh, np.sign, np.square, np.cbrt, np.reciprocal, np.absolute),
]
FUNCTIONS: dict[str, Function] = {
    **{f.__name__: f for f in UFUNCS},
    "square by power": lambda x: x**2,
    "cube": lambda x: x**3,
    "root": lambda x: x**0.5,
    "inverse": lambda x: x**-1,
    "negative power": lambda x: x**-2.5,
    "exponential": lambda x: 1.5**x,
    "own power": lambda x: x**x,
    "division": lambda x: x / (x - 1.0),
    "by itself": lambda x: x / x,
    "of one": lambda x: 1 / x,
    "negated": lambda x: -x,
    "zeros": lambda x: (x + 0, 0 + x, x - 0, 0 - x, x * 0, x - x),
    "ones": lambda x: (x * 1.0, x / 1, 1 * x, x * -1),
    "integers": lambda x: x * 3 + 2 - 1 / (x + 7),
    "maximum": lambda x: np.maximum(x, 0.0) + np.minimum(x, 1.0),
    "clipped": lambda x: np.clip(x, -1.0, 1.0),
    "select": lambda x: np.where(x > 0, x * x, -x) * 1.0,
    "safe select": lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0) + x,
    "hypotenuse": lambda x: np.hypot(x, 1.0),
    "remainder": lambda x: x % 3.0,
    "sign of": lambda x: np.copysign(x, -1.0) * x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "mixed": lambda x: np.sin(x) * np.exp(-x * x) + x**3 / (1 + x * x),
    "branch": lambda x: x * x * 2.0 if x > 0 else np.sin(x),
    "branches": lambda x: np.log(x) if x > 1 else (x * x if x > 0 else -x / x),
    "container": lambda x: {"a": (x * 2.0, np.cos(x)), "b": [x * x, 2.0]},
}
PLAIN: dict[str, Function] = {
    "comparisons": lambda x: (x > 1, x == x, x <= 0, x != 1, x < 0, x >= 0),
    "logic": lambda x: (np.logical_and(x > 0, x < 2), np.logical_not(x)),
    "truth": lambda x: (x > 0) * x,
    "rounded": lambda x: (np.floor(x), np.ceil(x), np.trunc(x), np.rint(x)),
    "divided": lambda x: x // 2.0,
    "tests": lambda x: (np.isnan(x), np.isinf(x), np.isfinite(x), np.signbit(x)),
    "truth as number": lambda x: np.where(x > 0, True, False) & (x > 1),
}
NESTED = {
    "function": lambda f: f,
    "gradient": fgrad.grad,
    "value and gradient": fgrad.value_and_grad,
    "second": lambda f: fgrad.grad(fgrad.grad(f)),
    "third": lambda f: fgrad.grad(fgrad.grad(fgrad.grad(f))),
    "tangent": lambda f: lambda x: fgrad.jvp(f, (x,), (np.float64(1.0),)),
}
KINDS = {"float": float, "float64": np.float64}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("derive", NESTED)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name: str, derive: str, kind: str) -> None:
    if name == "container" and derive != "function":
        pytest.skip("is no number")
    f = FUNCTIONS[name]
    if name in ("zeros", "ones") and derive != "function":
        f = lambda x, g=f: sum(g(x))
    convert = KINDS[kind]
    derived = NESTED[derive](f)
    if derive == "function":
        compare(derived, [convert(x) for x in VALUES], convert(0.7))
        return
    jitted = fgrad.jit(derived)
    jitted(convert(0.7))
    for value in [*VALUES, *VALUES]:
        expected, may_warn = observed(derived, convert(value))
        found, warns = observed(jitted, convert(value))
        assert found == expected, value
        assert may_warn or not warns, value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PLAIN)
def test_values_of_functions_that_do_not_vary(name: str, kind: str) -> None:
    compare(PLAIN[name], [KINDS[kind](x) for x in VALUES], KINDS[kind](0.7))


def test_these_are_float_code() -> None:
    """Or nothing above would be tested."""
    for name in ("sin", "root", "division", "mixed", "sigmoid"):
        for derive in NESTED.values():
            for kind in KINDS.values():
                assert is_scalar(fgrad.jit(derive(FUNCTIONS[name])).lower(kind(0.7)))


# --- arguments


def test_arrays_without_axes_are_no_floats_in_results() -> None:
    f = lambda x: (np.sin(x) * x, x / (x - 1.0), x > 0)
    jitted = fgrad.jit(f)
    for value in [*VALUES, *VALUES]:
        x = np.array(value)
        assert observed(jitted, x)[0] == observed(f, x)[0], value
        assert x.tobytes() == np.array(value).tobytes()


def test_kinds_of_numbers_mixed() -> None:
    f = lambda x, y, z: (x * y + z, x / y, np.sin(z) - x)
    jitted = fgrad.jit(f)
    some = [0.0, -0.0, 2.0, inf, nan, 1e308]
    for values in itertools.product(some, repeat=3):
        x, y, z = np.float64(values[0]), values[1], np.float64(values[2])
        expected = observed(lambda _: f(x, np.float64(y), z), None)[0]
        assert observed(lambda _: jitted(x, y, z), None)[0] == expected


@pytest.mark.parametrize("dtype", ["f4", "f2", "i8", "c16", "?"])
def test_other_types_keep_their_arithmetic(dtype: str) -> None:
    f = lambda x: (x * x + x, np.sin(x) * 2.0, abs(x), x > 0)
    if dtype == "c16":
        f = lambda x: (x * x + x, np.sin(x) * 2.0, abs(x))
    jitted = fgrad.jit(f)
    for value in [0, 1, 3, 1, 0]:
        x = np.dtype(dtype).type(value)
        assert observed(jitted, x)[0] == observed(f, x)[0]


def test_truth_values() -> None:
    f = lambda flag, x: (np.where(flag, x, -x) * 1.0, x * flag)
    jitted = fgrad.jit(f)
    for flag, x in itertools.product([True, False, True], [0.5, -0.0, inf, nan]):
        expected = observed(lambda y: f(flag, y), np.float64(x))[0]
        assert observed(lambda y: jitted(flag, y), np.float64(x))[0] == expected


def test_results_that_are_arguments_or_constants() -> None:
    f = lambda x: (x, 2.0, -inf, nan, x > 0, None, -0.0, 3, True)
    jitted = fgrad.jit(f)
    for x in (np.float64(1.5), np.float64(-0.0)):
        for _ in range(3):
            assert bits(jitted(x)) == bits(f(x))


# --- warnings and errors


@pytest.mark.parametrize("power", [0.5, -1, -2.5, 3, 1.5])
def test_derivatives_of_powers_do_not_warn(power: float) -> None:
    for derive in (fgrad.grad, fgrad.value_and_grad, NESTED["second"]):
        jitted = fgrad.jit(derive(lambda x: x**power))
        for x in (0.7, 0.7, 0.0, -1.0, 1e-300, 1e308, inf, nan):
            assert not observed(jitted, x)[1], x


def test_error_handling_is_as_before() -> None:
    jitted = fgrad.jit(fgrad.grad(lambda x: np.log(x) * x**0.5))
    before = np.geterr()
    for x in (0.7, 0.7, 0.0, -1.0):
        jitted(x)
        assert np.geterr() == before
    with np.errstate(all="raise"):
        for x in (0.7, 0.0, -1.0):
            jitted(x)  # derivatives never warn
        assert set(np.geterr().values()) == {"raise"}


def test_the_function_itself_warns_and_raises_as_before() -> None:
    jitted = fgrad.jit(lambda x: np.log(x) * 2.0)
    for _ in range(3):
        with pytest.warns(RuntimeWarning, match="invalid value"):
            assert np.isnan(jitted(-1.0))
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            assert jitted(0.0) == -inf
        with np.errstate(all="raise"), pytest.raises(FloatingPointError):
            jitted(-1.0)
    assert jitted(1.0) == 0.0


def test_errors_of_a_path_that_is_not_taken_stay_away() -> None:
    f = lambda x: 1.0 / (x - 1.0) if x != 1.0 else x * 5.0
    jitted = fgrad.jit(f)
    for x in (2.0, 2.0, 1.0, 1.0, 3.0):
        assert not observed(jitted, x)[1]
        assert jitted(x) == f(x)


# --- random programs

OPERATIONS = [
    *("np.sin({0})", "np.cos({0})", "np.exp({0})", "np.log({0})", "np.sqrt({0})"),
    *("np.tanh({0})", "-{0}", "abs({0})", "{0}**2", "{0}**3", "{0}**0.5", "{0}**-1"),
    *("np.where({0} > 0, {0}, x)", "np.floor({0})", "np.log1p({0})", "{0} + 0.0"),
    *("{0} + {1}", "{0} - {1}", "{0} * {1}", "{0} / {1}", "{0} * -0.5 + 3", "2 - {0}"),
    *("np.maximum({0}, {1})", "np.minimum({0}, {1})", "np.arctan2({0}, {1})"),
    *("np.where({0} < {1}, {0}, {1})", "{0} if {0} > {1} else {1} * x", "{0} * 0.0"),
]
steps = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=7,
)


def written(steps: list[tuple[str, int, int]]) -> Function:
    names, lines = ["x", "y"], ["def f(x, y):"]
    for number, (form, one, other) in enumerate(steps):
        value = form.format(names[one % len(names)], names[other % len(names)])
        names.append(f"v{number}")
        lines.append(f"    v{number} = {value}")
    lines.append(f"    return {names[-1]} * x + y")
    scope: dict[str, Any] = {"np": np}
    exec("\n".join(lines), scope)
    return scope["f"]


numbers = st.one_of(st.sampled_from(VALUES), st.floats(-4.0, 4.0), st.floats())


@given(steps, st.lists(st.tuples(numbers, numbers), min_size=2, max_size=4))
@pytest.mark.parametrize("is_gradient", [False, True])
def test_random_programs(
    is_gradient: bool,
    steps: list[tuple[str, int, int]],
    pairs: list[tuple[float, float]],
) -> None:
    f = written(steps)
    if is_gradient:
        f = fgrad.value_and_grad(f, (0, 1))
    jitted = fgrad.jit(f)
    for pair in [(0.7, 1.3), *pairs, *pairs]:
        x, y = map(np.float64, pair)
        expected, may_warn = observed(lambda _, x=x, y=y: f(x, y), None)
        found, warns = observed(lambda _, x=x, y=y: jitted(x, y), None)
        assert found == expected, (x, y)
        assert may_warn or not warns, (x, y)
