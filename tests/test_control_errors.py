"""Errors of control flow: class, names and types, advice, and the user's line."""

from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad import grad, vmap
from fgrad.errors import (
    CarryTypeError,
    ConcretizationError,
    FgradError,
    LeakedTracerError,
    LoopError,
    ShapeError,
    TreeError,
)

V = np.arange(3.0)
XS = np.ones((4, 3))


def raised(cls: type[FgradError], function: Any, *args: Any) -> str:
    with pytest.raises(cls) as info:
        function(*args)
    assert type(info.value) is cls
    text = str(info.value)
    assert "test_control_errors.py" in text
    return text


# --- the carry

LOOPS = {
    "scan": lambda body, init: fgrad.scan(lambda c, x: (body(c), None), init, XS),
    "fori_loop": lambda body, init: fgrad.fori_loop(0, 3, lambda k, c: body(c), init),
    "no steps": lambda body, init: fgrad.fori_loop(0, 0, lambda k, c: body(c), init),
    "while_loop": lambda body, init: fgrad.while_loop(lambda c: False, body, init),
    "unknown length": lambda body, init: vmap(
        lambda n: fgrad.fori_loop(0, n, lambda k, c: body(c), init)
    )(np.arange(3)),
}
NAMES = {"no steps": "fori_loop", "unknown length": "fori_loop"}


@pytest.mark.parametrize("loop", LOOPS)
def test_carry_of_another_structure(loop: str) -> None:
    run = LOOPS[loop]
    text = raised(CarryTypeError, run, lambda c: (c["a"], c["b"]), {"a": V, "b": 1.0})
    assert NAMES.get(loop, loop) in text
    assert "structure" in text and "{'a': *, 'b': *}" in text and "(*, *)" in text
    raised(CarryTypeError, run, lambda c: None, V)
    raised(CarryTypeError, run, lambda c: [c], V)


@pytest.mark.parametrize("loop", LOOPS)
def test_carry_of_another_shape(loop: str) -> None:
    shorter = lambda c: {"a": c["a"], "b": [c["b"][0], c["b"][1][:2]]}
    text = raised(CarryTypeError, LOOPS[loop], shorter, {"a": 1.0, "b": [V, V]})
    assert f"carry['b'][1] of {NAMES.get(loop, loop)} changes its type" in text
    assert "f64[3]" in text and "f64[2]" in text
    assert "np.zeros" in text


@pytest.mark.parametrize("loop", LOOPS)
def test_carry_of_another_dtype(loop: str) -> None:
    run = LOOPS[loop]
    text = raised(CarryTypeError, run, lambda c: (c[0], c[1] + 0.5), (V, np.arange(3)))
    assert "carry[1]" in text and "i64[3]" in text and "f64[3]" in text
    assert "astype" in text
    text = raised(CarryTypeError, run, lambda c: c * np.ones(()), np.float32(1.0))
    assert "f32[]" in text and "f64[]" in text
    raised(CarryTypeError, run, lambda c: np.sum(c * V), 1.0 * V)
    raised(CarryTypeError, run, lambda c: c * V, 1.0)
    raised(CarryTypeError, run, lambda c: c > 1, 1.0)


# --- scan

EARLIER = lambda c, x: (c, None)


def test_body_that_returns_no_pair() -> None:
    text = raised(CarryTypeError, fgrad.scan, lambda c, x: c + x, V, XS)
    assert "pair (carry, y)" in text and "Tracer" not in text
    text = raised(CarryTypeError, fgrad.scan, lambda c, x: [c, x], V, XS)
    assert "list" in text
    raised(CarryTypeError, fgrad.scan, lambda c, x: (c, x, x), V, XS)
    raised(CarryTypeError, fgrad.scan, lambda c, x: None, V, XS)


def test_length() -> None:
    text = raised(LoopError, fgrad.scan, EARLIER, V)
    assert "length=" in text
    text = raised(LoopError, fgrad.scan, EARLIER, V, {"a": None, "b": ()})
    assert "length=" in text
    for length in (0, -2):
        text = raised(LoopError, fgrad.scan, EARLIER, V, None, length)
        assert f"length {length}" in text
    text = raised(LoopError, fgrad.scan, EARLIER, V, np.ones((0, 3)))
    assert "length 0" in text
    with pytest.raises(TypeError):
        fgrad.scan(EARLIER, V, None, 2.5)  # type: ignore[arg-type]


def test_slices_of_different_lengths_are_named() -> None:
    xs = {"a": XS, "b": [np.ones(4), np.ones((5, 2))]}
    text = raised(LoopError, fgrad.scan, EARLIER, V, xs)
    assert "xs['a']: 4" in text and "xs['b'][1]: 5" in text
    text = raised(LoopError, fgrad.scan, EARLIER, V, XS, 3)
    assert "xs: 4" in text and "length: 3" in text
    text = raised(LoopError, fgrad.scan, EARLIER, V, {"n": 3})
    assert "xs['n'] is a number" in text
    assert "map" in raised(LoopError, fgrad.map, np.sin, (XS, np.ones(2)))
    assert "map" in raised(LoopError, fgrad.map, np.sin, 1.0)
    assert "map" in raised(LoopError, fgrad.map, np.sin, ())
    assert "map" in raised(LoopError, fgrad.map, np.sin, np.ones((0, 2)))


def test_associative_scan() -> None:
    run = lambda fn, xs, **more: lambda: fgrad.associative_scan(fn, xs, **more)
    text = raised(LoopError, run(np.add, (XS, V)))
    assert "[0]: 4" in text and "[1]: 3" in text
    assert "axis 0" in raised(LoopError, run(np.add, 1.0))
    assert "axis 2" in raised(LoopError, run(np.add, XS, axis=2))
    raised(LoopError, run(np.add, ()))
    raised(TreeError, run(lambda a, b: (a, b), XS))
    text = raised(CarryTypeError, run(lambda a, b: a[:1], XS))
    assert "f64[2,3]" in text and "f64[1,3]" in text
    raised(CarryTypeError, run(lambda a, b: a > b, XS))


# --- while_loop and fori_loop


def test_condition_that_is_not_one_boolean() -> None:
    run = lambda condition: fgrad.while_loop(condition, lambda c: c, V)
    assert "bool[3]" in raised(CarryTypeError, run, lambda c: c > 0)
    assert "np.any" in raised(CarryTypeError, run, lambda c: c > 0)
    assert "f64[]" in raised(CarryTypeError, run, lambda c: np.sum(c))
    assert "nothing" in raised(CarryTypeError, run, lambda c: None)
    assert "bool[], bool[]" in raised(
        CarryTypeError, run, lambda c: (c[0] > 0, c[1] > 0)
    )


def doubling(bound: int | None) -> Any:
    """A while_loop in the body of a scan."""
    loop = lambda c: fgrad.while_loop(
        lambda c: np.sum(c) < 9.0, lambda c: c * 2.0 + 1.0, c, max_steps=bound
    )
    return lambda x: np.sum(fgrad.scan(lambda c, _: (loop(c), None), x, XS)[0])


@pytest.mark.parametrize("f", [doubling(None), fgrad.checkpoint(doubling(None))])
def test_forward_mode_of_unknown_length(f: Any) -> None:
    assert fgrad.jvp(f, (V,), (V,))[1] == 6.0


def test_reverse_mode_of_unknown_length() -> None:
    loop = lambda x: fgrad.while_loop(lambda c: c < 9.0, lambda c: c * 2.0, x)
    program = fgrad.make_program(grad(loop))
    assert "max_steps=" in raised(LoopError, program, fgrad.Aval((), "float64"))
    assert np.array_equal(grad(doubling(None))(V), grad(doubling(9))(V))
    assert np.array_equal(grad(doubling(9))(V), np.full(3, 2.0))
    assert fgrad.jvp(doubling(9), (V,), (V,))[1] == 6.0
    to = lambda n: lambda x: fgrad.fori_loop(0, n, lambda k, c: c * x, x)
    in_types = lambda x, n: grad(to(n))(x)
    avals = fgrad.Aval((), "float64"), fgrad.Aval((), "int64")
    raised(LoopError, fgrad.make_program(in_types), *avals)


def test_bounds() -> None:
    run = lambda n, m: lambda: fgrad.fori_loop(n, m, lambda k, c: c, 1.0)
    for n, m in ((0, 3.0), (0.5, 3), (0, V), (True, 3), (np.arange(2), 3)):
        text = raised(LoopError, run(n, m))
        assert "one integer" in text
    negative = lambda: fgrad.while_loop(lambda c: True, np.sin, 0.0, max_steps=-1)
    assert "max_steps=-1" in raised(LoopError, negative)


# --- branches


def test_branches_of_different_structures() -> None:
    run = lambda f, g: fgrad.cond(True, f, g, V)
    text = raised(CarryTypeError, run, lambda x: (x, x), lambda x: x)
    assert "true_fun" in text and "false_fun" in text and "(*, *)" in text
    text = raised(CarryTypeError, run, lambda x: {"a": x}, lambda x: {"b": x})
    assert "'a'" in text and "'b'" in text
    raised(CarryTypeError, run, lambda x: x, lambda x: None)
    many = lambda: fgrad.switch(0, [np.sin, np.cos, lambda x: (x,)], V)
    assert "branch 2" in raised(CarryTypeError, many)


def test_branches_of_different_types() -> None:
    run = lambda f, g: fgrad.cond(True, lambda x: {"y": f(x)}, lambda x: {"y": g(x)}, V)
    text = raised(CarryTypeError, run, np.sin, lambda x: x[:2])
    assert "['y']" in text and "true_fun f64[3]" in text and "false_fun f64[2]" in text
    assert "astype" in text
    text = raised(CarryTypeError, run, np.sin, lambda x: x.astype("float32"))
    assert "f32[3]" in text
    raised(CarryTypeError, run, np.sin, lambda x: 0.0)
    raised(CarryTypeError, run, np.argmax, lambda x: 0.5)
    many = lambda: fgrad.switch(0, [np.sin, np.cos, np.sum], V)
    text = raised(CarryTypeError, many)
    assert "branch 0 f64[3]" in text and "branch 2 f64[]" in text


def test_predicates() -> None:
    run = lambda p: fgrad.cond(p, np.sin, np.cos, V)
    text = raised(CarryTypeError, run, V > 1)
    assert "(3,)" in text and "np.where" in text and "fgrad.vmap" in text
    pick = lambda k: fgrad.switch(k, [np.sin, np.cos], V)
    for index, name in ((0.5, "float64"), (True, "bool"), (np.arange(2), "(2,)")):
        text = raised(CarryTypeError, pick, index)
        assert "one integer" in text and name in text
    raised(CarryTypeError, lambda: fgrad.switch(0, [], V))


# --- what a body may not do


@pytest.mark.parametrize(
    "run",
    [
        lambda f: fgrad.scan(lambda c, x: (f(c), None), V, XS),
        lambda f: fgrad.fori_loop(0, 3, lambda k, c: f(c), V),
        lambda f: fgrad.while_loop(lambda c: c[0] < 0, f, V),
        lambda f: fgrad.map(f, XS),
        lambda f: fgrad.cond(True, f, f, V),
        lambda f: fgrad.switch(0, [f], V),
        lambda f: fgrad.checkpoint(f)(V),
        lambda f: grad(lambda x: np.sum(fgrad.checkpoint(f)(x)))(V),
        lambda f: vmap(lambda x: fgrad.scan(lambda c, _: (f(c), None), x, XS)[0])(XS),
    ],
)
class TestBodies:
    def test_branching_in_python(self, run: Any) -> None:
        text = raised(ConcretizationError, run, lambda c: c if c[0] > 0 else -c)
        assert "np.where" in text and "fgrad.cond" in text and "if c[0] > 0" in text
        raised(ConcretizationError, run, lambda c: c if np.any(c > 0) else -c)

    def test_leaks(self, run: Any) -> None:
        kept: list[Any] = []
        run(lambda c: (kept.append(c * 2.0), c)[1])
        for use in (lambda t: t + 1, lambda t: np.sin(t), lambda t: t[0]):
            raised(LeakedTracerError, use, kept[0])

    def test_shapes(self, run: Any) -> None:
        text = raised(ShapeError, run, lambda c: c + np.ones(4))
        assert "(3,)" in text and "(4,)" in text

    def test_errors_of_the_body_pass_through(self, run: Any) -> None:
        with pytest.raises(ZeroDivisionError):
            run(lambda c: c / (1 // 0))
        run(lambda c: c * 1.0)  # and leave nothing behind


def test_leaks_between_loops() -> None:
    """A body that uses what an earlier body left behind."""
    kept: list[Any] = []

    def step(c: Any, x: Any) -> Any:
        kept.append(c)
        return c + kept[0], None

    fgrad.scan(step, V, XS)
    raised(LeakedTracerError, fgrad.scan, step, V, XS)


def test_writing_to_a_closed_over_value() -> None:
    def f(w: Any) -> Any:
        w = w.copy()

        def step(c: Any, x: Any) -> Any:
            w[0] = c
            return c * 2.0, None

        return fgrad.scan(step, 1.0, XS)[0] + np.sum(w)

    text = raised(ShapeError, grad(f), V)
    assert "inside the inner function" in text
