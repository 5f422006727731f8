"""Values, dtypes and gradients against PyTorch, over dtypes, shapes and programs."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch_oracle import torch

import fgrad.torch as ftorch

MODULES = (ftorch, torch)
INTEGERS = ["bool", "uint8", "int8", "int16", "int32", "int64"]
DTYPES = [*INTEGERS, "float16", "float32", "float64"]
NUMBERS = [True, 3, 2.5]


def result_of(function: Callable[[], Any]) -> Any:
    """The array of a result, or the type and text of the error."""
    try:
        result = function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return result.detach().numpy() if hasattr(result, "detach") else result


def same(ours: Any, theirs: Any, rtol: float = 1e-5, atol: float = 1e-7) -> None:
    """Equal dtypes, shapes and (nearly) values; or equal errors."""
    if isinstance(theirs, str):
        assert ours == theirs
        return
    assert not isinstance(ours, str), ours
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    if ours.dtype == np.float16:
        rtol, atol = 2e-3, 1e-3
    np.testing.assert_allclose(ours, theirs, rtol, atol)


def tensor(module: Any, values: Any, dtype: str) -> Any:
    return module.tensor(values, dtype=getattr(module, dtype))


OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]


@pytest.mark.parametrize("name", OPERATORS + COMPARISONS)
@pytest.mark.parametrize("shapes", ["11", "01", "10", "00"])
def test_promotion_of_tensors(name: str, shapes: str) -> None:
    function = getattr(operator, name)
    values = {"0": 2, "1": [1, 3]}
    for first, second in itertools.product(DTYPES, DTYPES):
        ours, theirs = (
            result_of(
                lambda module=module: function(
                    tensor(module, values[shapes[0]], first),
                    tensor(module, values[shapes[1]], second),
                )
            )
            for module in MODULES
        )
        same(ours, theirs)


@pytest.mark.parametrize("name", OPERATORS + COMPARISONS)
@pytest.mark.parametrize("number", NUMBERS)
def test_promotion_of_numbers(name: str, number: Any) -> None:
    function = getattr(operator, name)
    for dtype, is_scalar in itertools.product(DTYPES, [True, False]):
        for is_first in (True, False):
            results = []
            for module in MODULES:
                x = tensor(module, 2 if is_scalar else [1, 3], dtype)
                pair = (number, x) if is_first else (x, number)
                results.append(result_of(lambda pair=pair: function(*pair)))
            same(*results)


def test_promote_types() -> None:
    for first, second in itertools.product(DTYPES, DTYPES):
        found, expected = (
            str(module.promote_types(getattr(module, first), getattr(module, second)))
            for module in MODULES
        )
        assert found == expected


UNARY = ["exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "relu", "abs", "neg"]
UNARY += ["square", "reciprocal", "clone"]
SPECIAL = [0.0, -1.5, 0.3, 2.0, 30.0, -30.0, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("name", UNARY)
def test_functions(name: str) -> None:
    for dtype in DTYPES:
        values = SPECIAL if dtype.startswith("float") else [0, 1, 2, 3]
        results = [
            result_of(
                lambda module=module: getattr(tensor(module, values, dtype), name)()
            )
            for module in MODULES
        ]
        same(*results, rtol=1e-4)


@pytest.mark.parametrize("name", UNARY)
def test_gradients_of_functions_at_special_values(name: str) -> None:
    gradients = []
    # at NaN PyTorch's gradient of abs is 0, ours NaN
    values = [x for x in SPECIAL if name != "abs" or x == x]
    for module in MODULES:
        x = module.tensor(values, dtype=module.float64, requires_grad=True)
        getattr(x, name)().sum().backward()
        gradients.append(x.grad.numpy())
    same(*gradients, rtol=1e-6)


REDUCTIONS: list[Callable[[Any], Any]] = [
    lambda x: x.sum(),
    lambda x: x.sum(0),
    lambda x: x.sum((0, -1), keepdim=True),
    lambda x: x.mean(),
    lambda x: x.mean(1),
    lambda x: x.mean((1, 2), True),
    lambda x: x.max(),
    lambda x: x.min(),
]


@pytest.mark.parametrize("number", range(len(REDUCTIONS)))
def test_reductions(number: int) -> None:
    values = np.arange(24).reshape(2, 3, 4) % 7
    for dtype in DTYPES:
        results = [
            result_of(
                lambda module=module: REDUCTIONS[number](tensor(module, values, dtype))
            )
            for module in MODULES
        ]
        same(*results)


SHAPES = [(3,), (2, 3), (3, 2), (4, 2, 3), (4, 3, 2), (1, 3, 2), (2, 1, 2, 3), ()]


@pytest.mark.parametrize("first", SHAPES)
@pytest.mark.parametrize("second", SHAPES)
def test_matmul(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(first), rng.standard_normal(second)

    def run(module: Any) -> Any:
        x = module.tensor(a, requires_grad=True)
        y = module.tensor(b, requires_grad=True)
        out = x @ y
        out.sin().sum().backward()
        return [out.detach().numpy(), x.grad.numpy(), y.grad.numpy()]

    ours, theirs = result_of(lambda: run(ftorch)), result_of(lambda: run(torch))
    if isinstance(theirs, str):
        assert isinstance(ours, str)
        assert ours.split(":")[0] == theirs.split(":")[0]
        return
    for mine, other in zip(ours, theirs, strict=True):
        same(mine, other, rtol=1e-10)


INDICES = [
    "0", "-1", "1:", "::2", "None", "...", "0, 1", ":, 1", "..., 0", "0, ..., 1",
    "[0, 1]", "[[0, 1], [1, 0]],", "0, :, [0, 2]", ":, [0, 2], 1", "[0, 1], :, [1, 0]",
    "mask", "mask, 0", "mask2", "[0, 0, 1]", "None, 0, None", "T([1, 0])", "T(1)",
    ":, T([[0], [2]]), T([1, 3])", "1:1", "0, [0, 2], 1:", "slice(0, 2)", "True",
    "False", "[True, False]", ":, None, [1, 2]", "[1], None, [0], None", "(0, 1, 2)",
]  # fmt: skip

# An element written twice: PyTorch gives all writes a gradient, we the last one.
AMBIGUOUS = ["[[0, 1], [1, 0]],", "[0, 0, 1]", "False"]


@pytest.mark.parametrize("text", INDICES)
def test_indices(text: str) -> None:
    """Reading and its gradient, writing and its gradient."""
    values = np.arange(24.0).reshape(2, 3, 4)

    def run(module: Any, action: str) -> Any:
        names = {"mask": module.tensor([True, False]), "T": module.tensor}
        names["mask2"] = module.tensor([[True, False, True], [False, True, False]])
        x = module.tensor(values, requires_grad=True)
        v = module.tensor(2.0, dtype=module.float64, requires_grad=True)
        names |= {"x": x, "y": x * 2.0, "v": v}
        exec(action, names)
        (names["r"] * names["r"]).sum().backward()
        grads = [z.grad.numpy() for z in (x, v) if z.grad is not None]
        return [names["r"].detach().numpy(), *grads]

    actions = [f"r = y[{text}]", f"y[{text}] = 1.0\nr = y", f"y[{text}] = v\nr = y"]
    for action in actions[: 2 if text in AMBIGUOUS else 3]:
        ours, theirs = run(ftorch, action), run(torch, action)
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            same(mine, other)


STEPS: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x + y,
    lambda x, y: x - 2 * y,
    lambda x, y: x * y,
    lambda x, y: x / (y * y + 1),
    lambda x, y: (x * 0.5).sin(),
    lambda x, y: x.tanh() * y.sigmoid(),
    lambda x, y: x @ y,
    lambda x, y: x.t() - 1,
    lambda x, y: x.relu() + y[0],
    lambda x, y: x.mean(0, keepdim=True) + y,
    lambda x, y: (x**2).sum(1).unsqueeze(1) * 0.1 + y,
    lambda x, y: x.reshape(9).view(3, 3).transpose(0, 1),
    lambda x, y: x.clamp(-1.0, 1.0) + y.abs(),
    lambda x, y: x[[2, 0, 1]] * y.max(),
    lambda x, y: (-(x * x)).exp() + y,
    lambda x, y: x.detach() * y,
    lambda x, y: 1 - x + y.clone(),
    lambda x, y: (x * x + 1).sqrt().log() + y[:, 1:2],
]


@given(
    st.lists(st.tuples(*[st.integers(0, 99)] * 3), min_size=1, max_size=8),
    st.integers(0, 9),
)
def test_random_programs(choices: list[tuple[int, int, int]], seed: int) -> None:
    """Values, gradients, and gradients of a function of the gradients."""
    start = np.random.default_rng(seed).standard_normal((2, 3, 3))

    def run(module: Any) -> list[Any]:
        leaves = [module.tensor(value, requires_grad=True) for value in start]
        values = list(leaves)
        for step, first, second in choices:
            x, y = values[first % len(values)], values[second % len(values)]
            values.append(STEPS[step % len(STEPS)](x, y))
        out = values[-1].sum() + 0 * leaves[0].sum()
        grads = module.autograd.grad(
            out, leaves, create_graph=True, materialize_grads=True
        )
        total = sum((g * g).sum() for g in grads) + 0 * out
        total.backward()
        ends = [z.grad.numpy() for z in leaves if z.grad is not None]
        return [out.detach().numpy(), *(g.detach().numpy() for g in grads), *ends]

    ours, theirs = run(ftorch), run(torch)
    assert len(ours) == len(theirs)
    scale = max(float(np.max(np.abs(other))) for other in theirs)
    if not np.isfinite(scale) or scale > 1e12:
        return
    for mine, other in zip(ours, theirs, strict=True):
        same(mine, other, rtol=1e-8, atol=1e-9 * (1 + scale))
