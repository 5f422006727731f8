"""``jit(backend="jax")``: the results of the function itself, on XLA.

64-bit types are disabled outside, as jax has it by default.
"""

import dataclasses
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_jit import FUNCTIONS, SMOOTH, TRANSFORMS, X
from test_random_programs import INPUTS, play, programs

import fgrad
from fgrad import tree
from fgrad.errors import BackendError, ConcretizationError, JitError
from fgrad.xla import demand


@pytest.fixture(autouse=True)
def as_jax_has_it() -> Iterator[None]:
    with jax.enable_x64(False):
        yield


def on_xla(f: Any, **options: Any) -> Any:
    return fgrad.jit(f, backend="jax", **options)


def wide(x: Any, dtype: Any = None) -> Any:
    """An array of jax with all bits."""
    with jax.enable_x64(True):
        return jnp.asarray(x, dtype)


def same(found: Any, expected: Any, margin: float = 100) -> None:
    """Equal structure, types and dtypes; values to rounding."""
    one, structure = tree.flatten(found)
    other, wanted = tree.flatten(expected)
    assert structure == wanted
    for a, b in zip(one, other, strict=True):
        if isinstance(b, np.ndarray | np.generic):
            assert type(a) is type(b) and a.dtype == b.dtype
        a, b = np.asarray(a), np.asarray(b)
        eps = margin * np.finfo(b.dtype).eps if b.dtype.kind in "fc" else 0
        np.testing.assert_allclose(a, b, eps, eps)


def same_as_jax(found: Any, expected: Any) -> None:
    """Arrays of jax with the values and dtypes of those of NumPy."""
    leaves = tree.flatten(found)[0]
    assert all(isinstance(x, jax.Array) for x in leaves)
    same(tree.map_leaves(lambda x: np.asarray(x)[()], found), expected)


def counted(f: Any) -> Any:
    def count(*args: Any, **kwargs: Any) -> Any:
        count.runs += 1
        return f(*args, **kwargs)

    count.runs = 0
    return count


# --- values, types


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "c16"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name: str, dtype: str) -> None:
    x, f = np.array([3, 1, 2, 0, 5]).astype(dtype), FUNCTIONS[name]
    with np.errstate(all="ignore"):
        try:
            expected = fgrad.jit(f)(x)
        except (fgrad.errors.FgradError, TypeError) as error:
            pytest.skip(f"not supported: {error}")
    jitted = on_xla(f)
    for _ in range(2):
        same(jitted(x), expected)
    y = wide(x)
    for _ in range(2):
        leaves = tree.flatten(jitted(y))[0]
        assert all(isinstance(leaf, jax.Array) for leaf in leaves)
        for a, b in zip(leaves, tree.flatten(expected)[0], strict=True):
            assert a.dtype == np.result_type(b) or isinstance(b, int | float)
            np.testing.assert_allclose(a, b, 1e-5 if dtype == "f4" else 1e-13)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_jit_of_transforms(transform: str, name: str) -> None:
    f = TRANSFORMS[transform](SMOOTH[name])
    jitted = on_xla(f)
    for x in (X, -X, X):
        same(jitted(x), f(x), 1000)


@settings(max_examples=10)
@given(data=st.data())
def test_random_programs(data: Any) -> None:
    steps = data.draw(programs(INPUTS, 10, {"float32"}))
    f = lambda *xs: play(steps, xs)
    try:
        found = on_xla(f)(*INPUTS)
    except BackendError as error:  # a shape depends on values
        assert "elements" in str(error)
        return
    same(found, fgrad.jit(f)(*INPUTS), 2000)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "float32"])
def test_rounded_integers_stay_integers(dtype: str) -> None:
    x = np.array([5, 15, 25, 119, 0, 1]).astype(dtype)
    for decimals in (2, 0, -1, -25):
        f = lambda x: (np.round(x, decimals), x.round(decimals))
        same(on_xla(f)(x), f(x))
        same(fgrad.jit(f)(x), f(x))


def test_results_of_numpy_can_be_written_to() -> None:
    jitted = on_xla(lambda x: (x, x * 2))
    x = np.ones(3)
    for out in jitted(x):
        out[0] = 7.0
    assert x[0] == 1.0


def test_python_numbers_keep_all_bits() -> None:
    jitted = on_xla(lambda x, rate, n: (x * rate, n + 1, rate * 2))
    for x in (wide(X), np.asarray(X)):
        for rate in (0.1, 0.3):
            found = jitted(x, rate, 2**40)
            np.testing.assert_array_equal(np.asarray(found[0]), X * rate)
            assert int(found[1]) == 2**40 + 1 and float(found[2]) == rate * 2
    narrow = jnp.asarray(X, "float32")
    assert jitted(narrow, 0.1, 1)[0].dtype == "float32"
    assert jitted(narrow, np.float64(0.1), 1)[0].dtype == "float64"


def test_mixed_arguments() -> None:
    jitted = on_xla(lambda p, y: (p["w"] @ y, p["b"] + 1))
    p = {"w": wide(np.eye(3)), "b": X}
    for _ in range(3):
        same_as_jax(jitted(p, X), (X, X + 1))
    assert jitted.cache_info()[:2] == (2, 1)


@dataclasses.dataclass
class Params:
    w: Any
    b: Any = None


def test_containers() -> None:
    jitted = on_xla(lambda p, q: Params(p.w * q[0], [q[1], None]))
    for _ in range(3):
        out = jitted(Params(wide(X)), (wide(X), wide(2.0)))
        assert type(out) is Params and out.b[1] is None
        same_as_jax(out.w, X * X)
        out = jitted(Params(X), (X, np.float64(2.0)))
        same((out.w, out.b[0]), (X * X, np.float64(2.0)))


def test_closed_over_arrays() -> None:
    A, B = np.arange(9.0).reshape(3, 3), wide(np.ones(3))
    jitted = on_xla(lambda x: A @ x + B)
    for x in (X, X + 1):
        same_as_jax(jitted(wide(x)), A @ x + 1)
        same(jitted(x), A @ x + 1)


def test_arrays_of_jax_that_are_closed_over_stay_where_they_are() -> None:
    B = wide(np.ones((3, 2)))
    jitted = on_xla(fgrad.grad(lambda x: np.sum(np.tanh(x @ B))))
    f = fgrad.grad(lambda x: np.sum(np.tanh(x @ np.ones((3, 2)))))
    same_as_jax(jitted(wide(X)), f(X))
    (signature,) = jitted._signatures.values()
    assert any(x is B for x in signature.paths[0].constants)


def test_parts_of_large_arrays() -> None:
    def f(w: Any, xs: Any) -> Any:
        c = w[0]
        for k in range(4):
            c = np.tanh(w @ xs[k] + c)
        return np.sum(c)

    w, xs = np.outer(X, X), np.ones((32, 3))
    same(on_xla(fgrad.grad(f, (0, 1)))(w, xs), fgrad.grad(f, (0, 1))(w, xs))


@pytest.mark.parametrize(
    "f",
    [
        lambda a, v: a.T @ v,
        lambda a, v: v @ a.T,
        lambda a, v: a.T @ (a + v),
        lambda a, v: (a + v) @ a.T,
        lambda a, v: a.T @ (a + v).T,
    ],
)
def test_products_with_transposed_matrices_copy_nothing(f: Any) -> None:
    a, v = np.arange(9.0).reshape(3, 3), X
    same(on_xla(f)(a, v), f(a, v))
    loop = lambda a, v: fgrad.scan(lambda c, _: (f(a, c), None), v, length=2)[0]
    if f(a, v).ndim == 1:
        same(on_xla(loop)(a, v), loop(a, v))
    text = on_xla(f).lower(a, v).stablehlo()
    assert "transpose" not in text
    (product,) = (line for line in text.splitlines() if "dot" in line)
    assert "%arg0" in product


def test_diagonals_are_selected() -> None:
    def f(x: Any, v: Any) -> Any:
        y = x * 2.0
        np.einsum("ii->i", y)[:] = v
        np.einsum("ii->i", y[1:, :-1])[...] += v[1:]
        np.einsum("ii->i", y.T[:2, 1:])[...] *= 3.0
        cube = np.zeros((3, 3, 3)) + x
        np.einsum("iij->ji", cube)[:] += x
        return y, np.einsum("iii->i", cube), np.einsum("iji->ij", cube)

    x, v = np.outer(X, X), X
    jitted = on_xla(f)
    same(jitted(x, v), f(x, v))
    total = lambda x, v: sum(np.sum(out**2) for out in f(x, v))
    jitted = on_xla(fgrad.grad(total, (0, 1)))
    same(jitted(x, v), fgrad.grad(total, (0, 1))(x, v))
    text = jitted.lower(x, v).stablehlo()
    assert "scatter" not in text and "gather" not in text
    empty = np.zeros((0, 0))
    same(on_xla(lambda x: np.einsum("ii->i", x))(empty), np.zeros(0))


def test_arrays_of_one_number_are_not_passed() -> None:
    ones, zeros = np.ones((2, 3), "float32"), np.array([0.0, -0.0, 0.0])
    f = lambda x: (x * ones, x / zeros, np.full(3, 2.0) @ x, zeros[:1])
    lowered = on_xla(f).lower(X)
    assert [var.aval.shape for var in lowered.program.consts] == [(3,)]
    with np.errstate(all="ignore"):
        same(on_xla(f)(X), f(X))


def test_jax_is_not_initialised_before_a_call() -> None:
    """`jax.distributed.initialize` must come before that."""
    code = """
        import jax, numpy as np, fgrad
        f = fgrad.jit(np.sin, backend="jax")
        g, h = fgrad.to_jax(np.sin), fgrad.from_jax(jax.numpy.sin)
        jax.config.update("jax_num_cpu_devices", 3)
        assert len(jax.devices()) == 3
        f(np.ones(2))
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    subprocess.run(command, check=True, timeout=120)


def test_no_arguments() -> None:
    same(on_xla(lambda: np.ones(2))(), np.ones(2))


# --- arguments


def test_keywords_statics_methods_decorators() -> None:
    @fgrad.jit(backend="jax", static_argnames="mode", static_argnums=2)
    def f(x: Any, y: Any = 2.0, n: int = 1, *, mode: str = "add") -> Any:
        for _ in range(n):
            x = x + y if mode == "add" else x * y
        return x

    for _ in range(2):
        same_as_jax(f(wide(X)), X + 2)
        same_as_jax(f(wide(X), 3.0, 2, mode="times"), X * 9)
        same_as_jax(f(wide(X), y=wide(X)), X + X)
    assert f.cache_info().misses == 3

    class Model:
        scale = 3.0

        @fgrad.jit(backend="jax", static_argnums=0)
        def run(self, x: Any) -> Any:
            return x * self.scale

    same(Model().run(X), X * 3)


def test_keywords_and_statics_are_told_by_code(monkeypatch: Any) -> None:
    def f(x: Any, y: Any, n: Any = 1, *, self: Any = 0.0, mode: Any = None) -> Any:
        return (x - y * self) * n if mode is None else np.clip(x * n, *mode)

    jitted = on_xla(f, static_argnums=2, static_argnames="mode")
    x, y, limits = wide(X), wide(X[::-1].copy()), (0.0, 1.0)
    calls: list[tuple[list[Any], dict[str, Any], Any]] = [
        ([x, y], {"self": y, "n": 2}, (X - X[::-1] ** 2) * 2),
        ([x], {"n": 3, "y": y, "self": x}, (X - X[::-1] * X) * 3),
        ([x, y, 2], {"mode": limits}, np.clip(X * 2, 0.0, 1.0)),
    ]
    for args, kwargs, expected in calls * 2:
        same_as_jax(jitted(*args, **kwargs), expected)
    with monkeypatch.context() as patch:
        patch.setattr(type(jitted), "_split", None)
        for args, kwargs, expected in calls:
            same_as_jax(jitted(*args, **kwargs), expected)
            turned = dict(reversed(kwargs.items()))
            same_as_jax(jitted(*args, **turned), expected)
    for n in (2, 2.0, True, -1):  # equal, and yet other programs
        same_as_jax(jitted(x, y, n, self=y), (X - X[::-1] ** 2) * n)
    assert jitted.cache_info().misses == 7
    with pytest.raises(TypeError, match="missing 1 required"):
        jitted(x)


def test_scalars_are_told_by_code(monkeypatch: Any) -> None:
    jitted = on_xla(lambda x: x * 2)
    values = [0.1, np.float64(0.1), np.float32(0.1), 3]
    for x in values * 2:
        same(jitted(x), x * 2)
    monkeypatch.setattr(type(jitted), "_split", None)
    for x in values:
        same(jitted(x), x * 2)


def test_numbers_as_results() -> None:
    f = lambda x, n: (x, [x * n, np.sin(x)], {"n": x + 1})
    jitted = on_xla(f)
    for x in (0.3, np.float64(0.3), np.float32(0.3), 2, np.int64(2)):
        for _ in range(2):
            same(jitted(x, 2), fgrad.jit(f)(x, 2))
    branch = lambda x: (x * 2, x * 3) if x > 0 else (x, x)
    jitted = on_xla(branch)
    for x in (1.0, -1.0, 2.0):
        same(jitted(x), branch(x))


def test_donated_arrays_are_used_up() -> None:
    jitted = on_xla(lambda x, y: (x * 2, y + 1), donate_argnums=0)
    for _ in range(3):
        x, y = wide(X), wide(X)
        same_as_jax(jitted(x, y), (X * 2, X + 1))
        assert x.is_deleted() and not y.is_deleted()
    same(jitted(X, X), (X * 2, X + 1))


def test_what_another_path_may_need_is_not_donated() -> None:
    jitted = on_xla(lambda x: x * 2 if x[0] > 0 else -x, donate_argnums=0)
    for sign in (1, -1, 1):
        same_as_jax(jitted(wide(sign * X)), X * 2 if sign > 0 else X)


# --- caches


def test_one_program_for_each_type() -> None:
    f = counted(lambda x, y: x * 2 + y)
    jitted = on_xla(f)
    one = jnp.float32(1)
    shapes = [(3,), (2, 2), (3,), (4,), (2, 2), (4,), (3,)]
    for shape in shapes:
        for dtype in ("float32", "int32"):
            out = jitted(jnp.ones(shape, dtype), one)
            assert out.shape == shape
            assert out.dtype == np.result_type(np.dtype(dtype), np.float32)
    assert f.runs == 6
    assert jitted.cache_info() == (8, 6, 6, 6)
    jitted.clear_cache()
    assert jitted.cache_info() == (8, 6, 0, 0)
    jitted(jnp.ones(3), one)
    assert jitted.cache_info() == (8, 7, 1, 1)


def test_arrays_of_jax_go_straight_to_jax() -> None:
    """What runs for them is jax's own compiled function."""
    jitted = on_xla(lambda p: {"w": p["w"] * 2})
    p = {"w": jnp.ones(3)}
    jitted(p)
    (entry,) = jitted._entries.values()
    run = entry.dispatch.__globals__["run"]
    assert type(run) is type(jax.jit(np.sin))
    found = run(p["w"])
    assert set(found) == {"w"}


def test_threads() -> None:
    jitted = on_xla(lambda x: x * 2 if x[0] > 0 else -x)
    failures: list[Any] = []

    def work(number: int) -> None:
        try:
            for k in range(20):
                x = np.full(2 + number % 2, (-1.0) ** (k + number))
                found = np.asarray(jitted(wide(x)))
                np.testing.assert_array_equal(found, x * 2 if x[0] > 0 else -x)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# --- guards


def test_paths() -> None:
    def f(x: Any, n: Any) -> Any:
        y = x * 2 if np.sum(x) > 0 else -x
        for _ in range(int(n)):
            y = y + 1 if y[0] > 0 else y - 1
        return y

    counting = counted(f)
    jitted = on_xla(counting)
    cases = [(X, 1), (-X, 1), (X, 2), (-X, 2), (X, 1), (-X, 1)]
    for make in (lambda x: x, wide):
        for x, n in cases * 2:
            found = jitted(make(x), np.int64(n) if make is not wide else wide(n))
            np.testing.assert_allclose(np.asarray(found), f(x, n))
    assert counting.runs == 8
    assert jitted.cache_info() == (16, 8, 2, 8)


def test_a_guard_that_xla_sees_otherwise(monkeypatch: Any) -> None:
    """Rounding may differ between what is traced and what runs: what runs counts."""
    plain = demand.Evaluation.__call__
    monkeypatch.setattr(
        demand.Evaluation, "__call__", lambda self, args: not plain(self, args)
    )
    jitted = on_xla(lambda x: x * 2 if x[0] > 0 else -x)
    for _ in range(3):
        same(jitted(X), X * 2)
        same(jitted(-X), X)


def test_values_of_large_arrays_are_computed_on_the_device(monkeypatch: Any) -> None:
    jitted = on_xla(lambda x, n: x * 2 if np.sum(x) > n[0] * 0.1 else -x)
    monkeypatch.setattr(demand, "NUMPY_LIMIT", 0)
    monkeypatch.setattr(demand.Evaluation, "_on_numpy", None)
    same_as_jax(jitted(wide(X), wide([1])), -X)
    same(jitted(X + 1, np.array([1])), X * 2 + 2)


def test_nothing_is_computed_that_is_not_asked_for(monkeypatch: Any) -> None:
    monkeypatch.setattr(demand, "Evaluation", None)
    same_as_jax(on_xla(fgrad.grad(lambda x: np.sum(x**2)))(wide(X)), X * 2)


def test_too_many_paths() -> None:
    jitted = on_xla(lambda n: n * sum(range(int(n))), max_paths=2)
    with pytest.raises(JitError, match="2 paths"):
        for n in range(3):
            jitted(n)


# --- with other transforms, and with jax


def test_inside_transforms() -> None:
    f = SMOOTH["mixed"]
    jitted = on_xla(f)
    same(fgrad.grad(jitted)(X), fgrad.grad(f)(X))
    same(fgrad.jit(jitted)(X), f(X))
    same(on_xla(fgrad.vmap(jitted))(np.stack([X, -X])), np.stack([f(X), f(-X)]))
    inner = on_xla(lambda y: y * 2)
    same(fgrad.grad(lambda x: np.sum(inner(x) + on_xla(lambda: x * x)()))(X), 2 + 2 * X)


def test_inside_jax() -> None:
    jitted = on_xla(fgrad.grad(lambda x: np.sum(x**3)))
    x = jnp.arange(3.0)
    np.testing.assert_allclose(jax.jit(jitted)(x), 3 * x**2)
    np.testing.assert_allclose(jax.vmap(jitted)(x[:, None])[:, 0], 3 * x**2)
    branching = on_xla(lambda x: x if x > 0 else -x)
    branching(x[1])
    for f in (branching, on_xla(lambda x: x if x > 0 else -x)):
        with pytest.raises(ConcretizationError, match="jax"):
            jax.jit(f)(x[1])


def test_debug_nans() -> None:
    jitted = on_xla(lambda x: np.sum(np.log(x)))
    jitted(X + 2)
    with fgrad.debug_nans():
        same(jitted(X + 2), np.sum(np.log(X + 2)))
        assert isinstance(jitted(wide(X + 2)), jax.Array)
        for x in (X, wide(X)):
            with pytest.raises(fgrad.errors.NonFiniteError, match="log"):
                jitted(x)


# --- errors


def test_no_such_backend() -> None:
    with pytest.raises(BackendError, match="backend='tpu' is none of numpy, jax"):
        fgrad.jit(np.sin, backend="tpu")


def test_jax_is_missing(monkeypatch: Any) -> None:
    from fgrad.lower.jax import import_jax

    def missing(name: str, *args: Any) -> Any:
        if name == "jax":
            raise ImportError(name)
        return plain(name, *args)

    plain = __import__
    import_jax.cache_clear()
    monkeypatch.setattr("builtins.__import__", missing)
    with pytest.raises(BackendError, match=r"pip install fgrad\[jax\]"):
        on_xla(np.sin)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(x[x > 0]),
        lambda x: x[np.nonzero(x)[0]],
        lambda x: np.flatnonzero(x > 0),
        lambda x: np.repeat(x, np.argsort(x)),
    ],
)
def test_shapes_that_depend_on_values(f: Any) -> None:
    with pytest.raises(BackendError, match=r"np\.where.*test_xla_jit.py"):
        on_xla(f)(X)


def test_arguments_that_are_no_arrays() -> None:
    with pytest.raises(TypeError, match="static_argnums"):
        on_xla(lambda x, mode: x)(X, "add")
    with pytest.raises(TypeError, match="static_argnums"):
        on_xla(lambda x: x)(np.array([None]))
    with pytest.raises(BackendError, match=r"bfloat16.*astype"):
        on_xla(lambda x: x)(jnp.ones(3, "bfloat16"))
    with pytest.raises(BackendError, match="random"):
        on_xla(lambda x: x)(jax.random.key(0))
    with pytest.raises(BackendError, match="dtype object"):
        on_xla(lambda x: x * np.array([None, 1, 2]))(X)


def test_a_type_that_xla_lacks() -> None:
    with pytest.raises(BackendError, match=r"astype.*test_xla_jit") as info:
        on_xla(lambda x: x.astype(np.longdouble) * 2)(X)
    assert "partial_eval" not in str(info.value)


def test_a_loop_of_unknown_length() -> None:
    f = lambda x: fgrad.while_loop(lambda y: y < 100.0, lambda y: y * 1.5, x)
    with pytest.raises(BackendError, match=r"max_steps=.*") as info:
        on_xla(fgrad.grad(f))(2.0)
    assert "test_xla_jit.py" in str(info.value)
    same(on_xla(f)(2.0), f(2.0))


def test_float_of_a_traced_value() -> None:
    with pytest.raises(fgrad.errors.TracerConversionError, match="static"):
        on_xla(lambda x: float(x) * 2)(1.0)


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (lambda x: x[x > 1], r"an index x\[\.\.\.\]"),
        (lambda x: np.nonzero(x > 1)[0], "np.nonzero"),
        (lambda x: np.unique(x), "np.unique"),
        (lambda x: np.repeat(x, x.astype(int)), "np.repeat"),
    ],
)
def test_shapes_that_depend_on_values_name_the_function(f: Any, name: str) -> None:
    with pytest.raises(
        fgrad.errors.BackendError, match=f"{name} asks for the elements"
    ):
        fgrad.jit(f, backend="jax")(np.arange(4.0))
