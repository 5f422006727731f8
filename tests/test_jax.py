"""What programs on jax promise beyond the table: types, guards, writes, errors."""

import builtins
import subprocess
import sys
import textwrap
import warnings
from typing import Any

import jax
import numpy as np
import pytest
from test_jax_table import assert_same, run_together

import fgrad
import fgrad.lower.jax
from fgrad.control.guard import GuardFailed
from fgrad.errors import BackendError
from fgrad.ir import Eqn, Lit, Program, Var, aval_of
from fgrad.lower.jax import (
    check_guards,
    guards,
    import_jax,
    jax_arguments,
    jax_function,
)
from fgrad.primitive import Primitive


def same_as_numpy(f: Any, *args: Any, margin: float = 100) -> list[Any]:
    """The results on jax, which are those of NumPy."""
    case = fgrad.jit(f).lower(*args), list(args)
    (found,) = run_together([case])
    assert_same(found, case, margin)
    return found


def text_of(f: Any, *args: Any) -> str:
    """The optimised program of XLA."""
    with jax.enable_x64(True):
        return jax.jit(f).lower(*args).compile().as_text()


# --- types


def test_64_bits_without_touching_the_configuration() -> None:
    """In a process where jax has its own defaults, the results have 64 bits."""
    code = """
        import jax, numpy as np, fgrad
        from fgrad.lower.jax import jax_arguments, jax_function
        f = lambda x, n: (np.cumsum(x) / 3, n // 7 + 2**40, np.argmax(x), x > 0.1)
        args = np.linspace(0, 1, 5), np.array([2**40, -3])
        program = fgrad.make_program(f)(*args)
        run = jax.jit(jax_function(program))
        given = jax_arguments(program, args)
        for _ in range(2):
            found = run(*given)
        for one, other in zip(found, program(*args), strict=True):
            assert one.dtype == other.dtype, (one.dtype, other.dtype)
            np.testing.assert_allclose(one, other, 1e-15)
        assert jax.numpy.ones(3).dtype == "float32"
        assert not jax.config.jax_enable_x64
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    subprocess.run(command, check=True, timeout=120)


TYPES = ["float64", "float32", "int64", "int32", "int8", "uint8", "uint64", "bool"]


@pytest.mark.parametrize("dtype", TYPES)
def test_promotion(dtype: str) -> None:
    """With all dtypes and Python numbers, by NumPy's rules and not by jax's."""

    def f(x: Any, *others: Any) -> Any:
        out = []
        for y in (*others, True, 3, 2.5, 1j):
            out += [x * y, np.where(x > 0, x, y), np.equal(x, y)]
            if not isinstance(y, complex):
                out += [np.maximum(x, y), x / (y + 1), np.arctan2(x, y), x < y]
        return out

    others = [np.array([1, 0, 3]).astype(t) for t in TYPES]
    same_as_numpy(f, np.array([2, 1, 0]).astype(dtype), *others)


def test_python_numbers_are_arguments() -> None:
    f = lambda x, n, b: (x * np.float32(2), x + 1, n // 2, n / 2, x * b, n + b)
    same_as_numpy(f, 0.3, 7, True)


def test_integers_are_compared_by_value() -> None:
    f = lambda x, y, z: (x < y, x == y, y <= x, x > -1, z < -1, z != 300)
    x = np.array([0, 1, 2**63 + 1, 2**64 - 1], "uint64")
    same_as_numpy(f, x, np.array([-1, 1, 2**63 - 1, -1]), np.array([1, 255], "uint8"))


FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 7.3, -7.3, 1e300, 1e-300]
SPECIAL = np.array([np.nan, np.inf, -np.inf, *FLOATS])
INTEGERS = np.array([0, 1, -1, 3, -3, 7, -7, 63, 64, 65, 2**62, -(2**63), 2**63 - 1])
UNARY = "floor ceil trunc rint sign fabs isnan isfinite signbit sqrt cbrt log exp tanh"
BINARY = (
    "floor_divide remainder fmod maximum minimum fmax fmin copysign hypot heaviside "
    "arctan2 logaddexp less equal logical_and"
)
WHOLE = "floor_divide remainder fmod gcd lcm left_shift right_shift bitwise_xor maximum"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_special_values() -> None:
    """NaN, infinities, signed zeros, division by zero, integers at their bounds."""

    def f(x: Any, n: Any) -> Any:
        out = [getattr(np, name)(x) for name in UNARY.split()]
        out += [getattr(np, name)(x[:, None], x) for name in BINARY.split()]
        out += [getattr(np, name)(n[:, None], n) for name in WHOLE.split()]
        lines = x[:, None] + np.zeros(3)
        out += [np.sort(x), np.argsort(x, kind="stable"), np.max(lines, axis=1)]
        out += [np.argmax(x), np.argmin(x), np.argmax(lines, axis=1)]
        out += [np.cumsum(x[3:9]), np.maximum.accumulate(x), np.clip(x, -1, 1)]
        return out

    same_as_numpy(f, SPECIAL, INTEGERS)


def test_integer_powers_wrap_as_in_numpy() -> None:
    bases = np.array([0, 1, -1, 2, 3, -7])
    same_as_numpy(lambda x, n: x[:, None] ** n, bases, np.array([0, 1, 5, 63, 64, 101]))


@pytest.mark.skipif(np.longdouble(0).itemsize == 8, reason="it is float64 here")
def test_a_dtype_that_xla_lacks() -> None:
    x = np.ones(3, np.longdouble)
    program = fgrad.make_program(lambda x: np.sin(x))(x)
    with pytest.raises(BackendError, match="dtype"):
        jax_function(program)
    program = fgrad.make_program(lambda x: x.astype(np.longdouble) * 2.0)(np.ones(3))
    with pytest.raises(BackendError, match=r"test_jax.py.*dtype"):
        jax_function(program)(np.ones(3))


def test_arguments_that_jax_has_rounded_are_refused() -> None:
    program = fgrad.jit(lambda x, y: x * y).lower(np.ones(3), 0.1)
    run = jax.jit(jax_function(program))
    with (
        jax.enable_x64(False),
        pytest.raises(BackendError, match=r"f64\[3\].*f32\[3\]"),
    ):
        run(np.ones(3), 0.1)
    x = jax_arguments(program, [np.ones(3), 0.1])[0]
    with jax.enable_x64(False), pytest.raises(BackendError, match=r"float.*f32"):
        run(x, 0.1)


def test_conversions() -> None:
    names = [*TYPES, "uint32", "int16", "float16", "complex64"]
    f = lambda x, z: [y.astype(t) for y in (x, z, x > 1) for t in names]
    x = np.array([0.0, 2.7, -2.7, 300.2, -70000.9, 1e5])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = same_as_numpy(lambda x: f(x, x.astype("float32"))[:-4], x[:4])
        assert len(found) > 20
        same_as_numpy(lambda x: [x.astype(t) for t in ("int8", "uint8", "uint32")], x)


def test_products_have_full_precision_unless_the_user_says_otherwise() -> None:
    x = np.ones((3, 3), "float32")
    program = fgrad.make_program(lambda x: x @ x)(x)
    lower = lambda: jax.jit(jax_function(program)).lower(x).as_text()
    assert "HIGHEST" in lower()
    with jax.default_matmul_precision("default"):
        assert "HIGHEST" not in lower()


# --- reads and writes

X = np.arange(12.0).reshape(3, 4)


def test_the_last_of_repeated_writes_wins() -> None:
    def f(x: Any, rows: Any, columns: Any, v: Any) -> Any:
        a, b, c = np.copy(x), np.copy(x), np.copy(x)
        a[rows] = v
        b[rows, columns] = v[:, 0]
        c[:, columns] = v.T
        return a, b, c

    rng = np.random.default_rng(1)
    rows, columns = rng.integers(-3, 3, (2, 40))
    x = np.zeros((3, 3))
    args = x, rows, columns, rng.uniform(-1, 1, (40, 3))
    avals = [fgrad.Aval(y.shape, y.dtype) for y in args]
    program = fgrad.make_program(f)(*avals)
    (found,) = run_together([(program, list(args))])
    for one, other in zip(found, f(*args), strict=True):
        np.testing.assert_array_equal(one, other)


def test_writes_through_views() -> None:
    def f(x: Any, v: Any) -> Any:
        a, b, c, d = (np.copy(x) * 1.0 for _ in range(4))
        a.T[1] = v
        b.reshape(2, 6)[1, ::2] += v
        c[::2].T[1:3, 0] *= 2.0
        d[1:][::-1][:, ::-1][0] = 3.0
        z = np.copy(x) * (1 + 2j)
        z.real[0] = 7.0
        z.T[2] += 1j
        return a, b, c, d, z

    same_as_numpy(f, X, np.array([1.0, 2.0, 3.0]))


INDICES: list[Any] = [
    (slice(1, None),),
    (slice(None, None, 2), slice(1, 4, 2)),
    (slice(None, None, -1), 1),
    (-1, None, slice(0, 0)),
    (..., -2),
    (slice(2, 0, -1), [0, 2]),
    (
        [0, 0, 1],
        slice(None),
    ),
]


def test_indices() -> None:
    def f(x: Any) -> Any:
        out = []
        for index in INDICES:
            y, z = np.copy(x), np.copy(x)
            y[index] = 2.5
            z[index] += x[index] * 2
            out += [x[index], y, z]
        return out

    same_as_numpy(f, X)
    same_as_numpy(fgrad.grad(lambda x: sum(np.sum(y * y) for y in f(x))), X)


def test_beyond_the_end() -> None:
    """XLA does not raise: reads give the last element, writes are dropped."""
    index, update = (Primitive.registry[name] for name in ("index", "index_update"))
    f = lambda x, i: (index(x, i, at=("$",)), update(x, 9.0, i, at=("$",)))
    avals = fgrad.Aval((3,), "float64"), fgrad.Aval((2,), "int64")
    program = fgrad.make_program(f)(*avals)
    args = np.array([1.0, 2.0, 3.0]), np.array([1, 5])
    with pytest.raises(IndexError):
        program(*args)
    ((read, written),) = run_together([(program, list(args))])
    np.testing.assert_array_equal(read, [2.0, 3.0])
    np.testing.assert_array_equal(written, [1.0, 9.0, 3.0])


# --- control flow


def test_guards_come_out_of_the_program() -> None:
    def f(x: Any, n: Any) -> Any:
        y = x * 2.0 if np.sum(x) > 0 else -x
        return np.sum(y[y > 1.0]) * sum(range(int(n)))

    args = np.array([1.0, -0.5, 2.0]), np.int64(4)
    program = fgrad.jit(f).lower(*args)
    assert [dict(eqn.params)["kind"] for eqn in guards(program)] == [
        "bool",
        "array",
        "int",
    ]
    same_as_numpy(f, *args)
    for other in ((args[0], np.int64(5)), (-args[0], np.int64(4))):
        (found,) = run_together([(program, list(other))])
        with pytest.raises(GuardFailed) as failure:
            check_guards(program, found[1:])
        with pytest.raises(GuardFailed) as on_numpy:
            program(*other)
        assert failure.value.number == on_numpy.value.number


def test_a_loop_of_unknown_length_has_no_reverse_mode() -> None:
    def f(x: Any) -> Any:
        return fgrad.while_loop(lambda y: y < 100.0, lambda y: y * 1.5, x)

    program = fgrad.jit(fgrad.grad(f)).lower(2.0)
    with pytest.raises(BackendError, match="max_steps=") as info:
        jax_function(program)(*program.values, 2.0)
    assert "while_loop" in str(info.value) and "test_jax.py" in str(info.value)


def test_checkpoint_computes_anew() -> None:
    """XLA would merge both passes, and keep what is not to be kept."""

    def counts(layer: Any) -> int:
        def loss(x: Any) -> Any:
            return np.sum(layer(x * 2.0) ** 2)

        x = np.ones((3, 3))
        program = fgrad.make_program(fgrad.value_and_grad(loss))(x)
        text = text_of(jax_function(program), *program.values, x)
        return text.count(" tanh(")

    layer = lambda x: np.tanh(x @ x)
    assert counts(fgrad.checkpoint(layer)) > counts(layer)


def test_external_functions_get_all_bits() -> None:
    seen: list[Any] = []

    def host(x: Any, n: Any, z: Any) -> Any:
        seen.append((x.dtype, n.dtype, z.dtype, type(n)))
        return x / 3, n + 2**40, z * 1j

    said = lambda x, n, z: (x, n, z)
    f = fgrad.external(host, said)
    x, n, z = np.linspace(0, 1, 5), np.int64(2**40 + 1), np.array([1 + 2j, 0.1j])
    found = same_as_numpy(f, x, n, z)
    np.testing.assert_array_equal(found[0], x / 3)
    assert found[1] == n + 2**40
    assert set(seen) == {(x.dtype, n.dtype, z.dtype, np.int64)}


def test_external_functions_on_large_arrays() -> None:
    x = np.linspace(0, 1, 300_000)
    f = fgrad.external(lambda x: np.cumsum(x), lambda x: x)
    same_as_numpy(lambda x: f(x * 2.0) + f(x), x, margin=1e4)


def test_prints_come_in_order(capsys: Any) -> None:
    def f(x: Any) -> Any:
        def step(total: Any, y: Any) -> Any:
            fgrad.print("step {} {n}", total, n=y)
            return total + y, None

        fgrad.print("first {}", x)
        total, _ = fgrad.scan(step, 0.1, x)
        fgrad.print("last {}", total)
        return total

    x = np.array([1.0, 2.0])
    program = fgrad.make_program(f)(fgrad.Aval((2,), "float64"))
    program(x)
    expected = capsys.readouterr().out
    run_together([(program, [x])])
    assert capsys.readouterr().out == expected


def test_branches_are_clipped() -> None:
    branches = [lambda x: x, lambda x: x * 2, lambda x: x * 3]
    f = lambda k, x: fgrad.switch(k, branches, x)
    program = fgrad.make_program(f)(
        fgrad.Aval((), "int64"), fgrad.Aval((2,), "float64")
    )
    for k in (-(2**40), -1, 0, 2, 3, 2**40):
        args = [np.int64(k), np.ones(2)]
        (found,) = run_together([(program, args)])
        np.testing.assert_array_equal(found[0], program(*args)[0])


def test_constants_are_arguments() -> None:
    weights = np.ones(1000)
    program = fgrad.make_program(lambda x: np.sum(x * weights))(np.ones(1000))
    assert "dense" not in str(
        jax.jit(jax_function(program)).lower(weights, weights).as_text()
    ).replace("dense<0.0", "")


# --- jax itself


def test_jax_is_missing(monkeypatch: Any) -> None:
    plain = builtins.__import__

    def without_jax(name: str, *args: Any) -> Any:
        if name == "jax":
            raise ImportError(name)
        return plain(name, *args)

    import_jax.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without_jax)
    with pytest.raises(BackendError, match=r"pip install fgrad\[jax\]"):
        import_jax()


def test_jax_is_too_old(monkeypatch: Any) -> None:
    import_jax.cache_clear()
    monkeypatch.setattr(jax, "__version__", "0.7.2")
    with pytest.raises(BackendError, match=r"jax 0\.8 or later, found 0\.7\.2"):
        import_jax()


def test_fgrad_does_not_import_jax() -> None:
    code = "import sys, fgrad, fgrad.lower.jax; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_primitive_of_the_users() -> None:
    expit = Primitive(
        "expit_for_jax",
        lambda x: 1 / (1 + np.exp(-x)),
        lambda x: x,
        jax=lambda xla, x: 1 / (1 + xla.np.exp(-x)),
    )
    try:
        x = Var(aval_of(np.ones(3)))
        out = Var(x.aval)
        program = Program([x], [Eqn(expit, (x,), (), (out,))], [out, Lit(2.5)])
        (found,) = run_together([(program, [np.ones(3)])])
        assert_same(found, (program, [np.ones(3)]))
        expit.jax = None
        with pytest.raises(BackendError, match="give one"):
            run_together([(program, [np.ones(3)])])
    finally:
        del Primitive.registry["expit_for_jax"]
