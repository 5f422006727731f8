"""Exported modules: the same results, with NumPy alone."""

import builtins
import inspect
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad import tree
from fgrad.primitive import Primitive
from tests.control_cases import CASES, FGRAD, WITH_RULES

X = np.array([0.3, -1.2, 0.7])
M = np.random.default_rng(0).standard_normal((3, 100))
Pair = namedtuple("Pair", "first second")


def load(source: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of a module that may not import fgrad."""
    original = builtins.__import__

    def importing(name: str, *args: Any, **kwargs: Any) -> Any:
        assert not name.startswith("fgrad"), "the module needs fgrad"
        return original(name, *args, **kwargs)

    scope: dict[str, Any] = {"__name__": "exported"}
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", importing)
        exec(compile(source, "exported.py", "exec"), scope)
    return scope


def same(found: Any, expected: Any) -> None:
    one, structure = tree.flatten(found)
    other, wanted = tree.flatten(expected)
    assert structure == wanted or repr(structure) == repr(wanted)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), strict=True)


def check(monkeypatch: pytest.MonkeyPatch, f: Any, *args: Any, **kwargs: Any) -> str:
    """The exported module gives what the jitted function gives."""
    jitted = fgrad.jit(f)
    jitted(*args, **kwargs)
    expected = jitted(*args, **kwargs)
    source = str(jitted.source)
    name = next(n for n in source.splitlines() if n.startswith("def ")).split("(")[0]
    function = load(source, monkeypatch)[name.removeprefix("def ")]
    for _ in range(2):
        same(function(*args, **kwargs), expected)
    return source


def cases() -> list[Any]:
    return [
        pytest.param(prim, sample, id=f"{name}-{number}")
        for name, prim in sorted(Primitive.registry.items())
        if not (prim.calls_user or name in ("guard", "full"))
        for number, sample in enumerate(prim.samples())
    ]


@pytest.mark.parametrize(("prim", "sample"), cases())
def test_primitives(prim: Any, sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def f(*operands: Any) -> Any:
        return prim(*operands, **sample.params)

    with np.errstate(all="ignore"):
        check(monkeypatch, f, *sample.operands)


V, S = np.array([0.4, -0.7, 1.1]), 0.3
ROWS = np.random.default_rng(1).uniform(-1, 1, (4, 3))


UNBOUNDED = "while_loop_of_unknown_length"


@pytest.mark.parametrize("name", sorted(set(CASES) - WITH_RULES - {UNBOUNDED}))
def test_control_flow(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def f(v: Any, rows: Any, s: float) -> Any:
        leaves, _ = tree.flatten(CASES[name](fgrad.numpy, FGRAD, v, rows, s))
        return sum(fgrad.numpy.sum(leaf**2) for leaf in leaves)

    check(monkeypatch, fgrad.value_and_grad(f), V, ROWS, S)


def test_derivative_of_an_unbounded_loop() -> None:
    def f(x: Any) -> Any:
        return fgrad.while_loop(lambda y: y < 9.0, lambda y: y * x, x)

    jitted = fgrad.jit(fgrad.grad(f))
    jitted(1.5)
    with pytest.raises(fgrad.errors.ExportError, match="max_steps="):
        _ = jitted.source


def mlp(params: Any, x: Any) -> Any:
    hidden = np.tanh(x @ params["w"] + params["b"])
    return Pair(np.sum(hidden**2), [hidden, None])


def test_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    params = {"w": np.ones((3, 2)), "b": 0.5}
    source = check(monkeypatch, mlp, params, x=ROWS)
    assert "def mlp(params, *, x):" in source
    assert "# test_export.py" in source
    assert 'hidden = np.tanh(x @ params["w"] + params["b"])' in source


def test_closed_over_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = np.array([1.5, np.pi, -0.0]), M
    order = np.asfortranarray(M)
    odd = np.array([np.nan, np.inf, 1e-310])
    mask, small = np.array([True, False, True]), np.array([1.1, 2, 3], "float32")

    def f(x: Any) -> Any:
        total = (x * few) @ many + (x * odd) @ order
        return total, np.where(mask, x, small), x * np.array([1 + 2j, 3, 4])

    source = check(monkeypatch, f, X)
    assert "np.array([1.5, 3.141592653589793, -0.0])" in source


def test_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any) -> Any:
        if np.sum(x) > 0:
            return x * 2.0
        return x[x > -1.0] if np.sum(x) > -10 else -x

    jitted = fgrad.jit(f)
    for x in (X, X + 2.0, X - 0.5):
        jitted(x)
        jitted(x)
    function = load(jitted.source, monkeypatch)["f"]
    for x in (X, X + 2.0, X - 0.5):
        same(function(x), f(x))
    with pytest.raises(ValueError, match=r"test_export.py.*not met before"):
        function(X - 100.0)
    with pytest.raises(ValueError, match="not met before"):
        function(np.array([-0.2, -0.2, -0.2]))  # another mask


def test_arguments_of_other_types_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    jitted = fgrad.jit(lambda x, n: x * n)
    jitted(X, 2.0)
    function = load(jitted.source, monkeypatch)["function"]
    with pytest.raises(TypeError, match=r"x must be an array of shape \(3,\)"):
        function(X[:2], 2.0)
    with pytest.raises(TypeError, match="float64"):
        function(X.astype("f4"), 2.0)
    with pytest.raises(TypeError, match="n must be a float"):
        function(X, 2)


def test_large_programs_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any) -> Any:
        y = x
        for _ in range(30):
            y = np.sin(y) * x + np.exp(-y * y)
        return np.sum(y)

    x = np.linspace(0.0, 1.0, 200_000)
    source = check(monkeypatch, fgrad.value_and_grad(f), x)
    assert "run_parts" in source


def test_scalars(monkeypatch: pytest.MonkeyPatch) -> None:
    source = check(monkeypatch, fgrad.grad(lambda x: np.exp(x) / x + np.sin(x)), 0.7)
    assert "math" in source
    function = load(source, monkeypatch)["function"]
    assert np.isnan(function(0.0))


def test_python_functions_are_refused() -> None:
    solve = fgrad.external(lambda x: x * 2.0, lambda x: x)
    jitted = fgrad.jit(lambda x: np.sum(solve(x)))
    jitted(X)
    with pytest.raises(fgrad.errors.ExportError, match=r"test_export.py.*cannot hold"):
        _ = jitted.source


def test_source_before_a_call() -> None:
    with pytest.raises(fgrad.errors.JitError, match="call it"):
        _ = fgrad.jit(np.sin).source


def test_file_without_fgrad(tmp_path: Path) -> None:
    """In another process, which cannot import fgrad or optree."""
    f = fgrad.value_and_grad(lambda w, x: np.sum(np.tanh(x @ w) ** 2))
    w = np.linspace(-1, 1, 3)
    file = fgrad.export(f, (w, ROWS), tmp_path / "gradient.py")
    expected = fgrad.jit(f)(w, ROWS)
    program = f"""
import sys
sys.modules["fgrad"] = sys.modules["optree"] = None
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np
from gradient import *
value, slope = function(np.linspace(-1, 1, 3), np.array({ROWS.tolist()}))
print(value.hex() if hasattr(value, "hex") else float(value).hex())
print(*(x.hex() for x in slope.tolist()))
"""
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    value, slope = out.stdout.splitlines()
    np.testing.assert_allclose(float.fromhex(value), expected[0], rtol=1e-14)
    found = [float.fromhex(x) for x in slope.split()]
    np.testing.assert_allclose(found, expected[1], rtol=1e-13)
    assert file.name == "gradient.py"


def test_source_is_what_runs() -> None:
    """The statements of the module are those of the function that jit calls."""
    jitted = fgrad.jit(fgrad.grad(lambda x: np.sum(np.sin(x) * x)))
    for _ in range(2):
        jitted(X)
    (signature,) = jitted._signatures.values()
    run = signature.paths[0].function
    own = [line.strip() for line in inspect.getsource(run).splitlines()]
    exported = [line.strip() for line in jitted.source.splitlines()]
    statements = [line for line in own if " = " in line and "token" not in line]
    assert statements
    assert set(statements) <= set(exported)


def test_an_argument_named_like_a_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch, lambda checked, array_key: checked * array_key, X, 2.0)
