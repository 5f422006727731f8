"""Names of the user's that generated source uses, too."""

import ast
import builtins
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fgrad

NAMES = [
    *("abs", "bool", "float", "int", "len", "list", "math", "min", "range", "tuple"),
    *("getattr", "type", "observed", "np", "kept", "result", "last", "zip"),
    *("float64s", "part", "token", "i0", "array_key", "ValueError", "IndexError"),
]


def scalar(x: Any) -> Any:
    return abs(x) * 2.0 + np.sin(x) / x


def blocked(x: Any) -> Any:
    z = x
    for k in range(8):
        z = np.sin(z) * (k + 1.0) + x
    return np.sum(z), z


def masked(x: Any) -> Any:
    return np.sum(x[np.sin(x) > 0.5]) if np.sum(x) > 0 else x * 2.0


def looped(x: Any) -> Any:
    return fgrad.scan(lambda c, k: (c * k, c), x, np.ones(3))


CASES: dict[str, tuple[Callable[..., Any], Any]] = {
    "scalar": (scalar, 0.7),
    "blocked": (blocked, np.linspace(0.1, 1.0, 300_000)),
    "masked": (masked, np.linspace(0.1, 1.0, 9000)),
    "looped": (looped, np.ones(3)),
}


def named(code: str, f: Callable[..., Any]) -> Any:
    scope = {"_function": f}
    exec(code, scope)
    return next(
        value
        for key, value in scope.items()
        if key not in ("_function", "__builtins__")
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_functions_and_arguments(name: str, case: str) -> None:
    f, argument = CASES[case]
    for code in (
        f"def {name}(x): return _function(x)",
        f"def g({name}): return _function({name})",
    ):
        jitted = fgrad.jit(named(code, f))
        for _ in range(3):
            found = fgrad.tree.flatten(jitted(argument))[0]
            for one, other in zip(
                found, fgrad.tree.flatten(f(argument))[0], strict=True
            ):
                np.testing.assert_allclose(one, other, 1e-9)
        scope: dict[str, Any] = {}
        exec(jitted.source, scope)
        label = jitted.signature(argument).identifier()
        exported = fgrad.tree.flatten(scope[label](argument))[0]
        for one, other in zip(exported, found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_long_programs_do_not_name_variables_as_functions() -> None:
    """The names of variables go on from ``z`` to ``aa``, and to ``abs``."""

    def long(x: Any) -> Any:
        for k in range(900):
            x = np.abs(x * 0.999 - k % 2)
        return x

    x = np.linspace(-1.0, 1.0, 5)
    for f in (long, fgrad.grad(lambda x: np.sum(long(x)))):
        jitted = fgrad.jit(f)
        for _ in range(3):
            np.testing.assert_array_equal(jitted(x), f(x))
        nodes = [
            n for n in ast.walk(ast.parse(jitted.source)) if isinstance(n, ast.Name)
        ]
        stored = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
        assert stored.isdisjoint(dir(builtins))
    assert len(stored) > 800
