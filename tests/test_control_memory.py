"""What gradients of loops store, and that a structure seen before derives nothing."""

import functools
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fgrad
import fgrad.lower.numpy
from fgrad import grad
from fgrad.ir import Aval
from fgrad.lower.numpy import Executable
from fgrad.primitive import Primitive

W, X, M = Aval((3,), "float64"), Aval((5, 3), "float64"), Aval((3, 3), "float64")


def scans_of(f: Any, *avals: Any) -> list[Any]:
    """The params and the outputs' shapes of the scans of a gradient."""
    argnums = tuple(range(len(avals)))
    program = fgrad.make_program(grad(f, argnums))(*avals)
    return [
        (dict(eqn.params), [var.aval.shape for var in eqn.outs])
        for eqn in program.eqns
        if eqn.prim.name == "scan"
    ]


def residuals_of(f: Any, *avals: Any) -> list[Any]:
    params, shapes = scans_of(f, *avals)[0]
    return shapes[len(shapes) - params["residuals"] :]


def last(step: Any, init: Any, xs: Any = None, length: int | None = None) -> Any:
    return np.sum(fgrad.scan(step, init, xs, length)[0] ** 2)


def counted(step: Any, init: Any, xs: Any) -> Any:
    count = lambda c, x: ((c[0] + 1, step(*c, x)), c[0])
    return np.sum(fgrad.scan(count, (0, init), xs)[0][1])


def filled(k: Any, c: Any) -> Any:
    c[k] = np.sin(c[k - 1])
    return c


# --- which values are stacked

CONSTANT = np.array([0.1, 0.2, 0.3])
CARRY = (5, 3)
GOLDEN: dict[str, tuple[Any, tuple[Any, ...], list[Any]]] = {
    "the carry before": (
        lambda x: last(lambda c, x: (np.tanh(CONSTANT * c + x), None), CONSTANT, x),
        (X,),
        [CARRY],
    ),
    "the carry before, once": (
        lambda w, x: last(lambda c, x: (np.tanh(w * c + np.sin(c) * x), None), w, x),
        (W, X),
        [CARRY],
    ),
    "nothing for linear steps": (
        lambda w, x: last(lambda c, x: (np.sin(CONSTANT) * c + x, None), w, x),
        (W, X),
        [],
    ),
    "nothing that depends on constants only": (
        lambda w, x: last(lambda c, x: (np.exp(np.sin(w)) + x, None), w, x),
        (W, X),
        [],
    ),
    "no slices": (
        lambda x: last(lambda c, x: (c + np.sin(x) * np.exp(x), None), CONSTANT, x),
        (X,),
        [],
    ),
    "no integers": (
        lambda w, x: counted(lambda n, c, x: c + x * np.exp(x), w, x),
        (W, X),
        [],
    ),
    "an integer that is carried and read": (
        lambda w, x: counted(lambda n, c, x: c + x * (n > 2), w, x),
        (W, X),
        [(5,)],
    ),
    "elementwise chains are computed anew": (
        lambda x: last(
            lambda c, x: (np.exp(np.sin(np.cos(c * x) + x) * 0.1), None), CONSTANT, x
        ),
        (X,),
        [CARRY],
    ),
    "a matrix product under a nonlinearity, and the carry": (
        lambda m, w: last(lambda c, _: (np.sin(m @ c) * c, None), w, None, 5),
        (M, W),
        [CARRY, CARRY],
    ),
    "a matrix product that two nonlinearities read, once": (
        lambda m, w: last(
            lambda c, _: (np.sin(m @ c) * np.cos(m @ c) * 0.5, None), w, None, 5
        ),
        (M, W),
        [CARRY, CARRY],
    ),
    "the carry after a step is that before the next": (
        lambda m, w: last(lambda c, _: (np.tanh(m @ c), None), w, None, 5),
        (M, W),
        [CARRY],
    ),
    "elements of a buffer, not the buffer": (
        lambda w: np.sum(fgrad.fori_loop(1, 3, filled, w)),
        (W,),
        [(2,)],
    ),
    "the carry, where all its elements are read": (
        lambda w: last(lambda c, _: (c * c[0] * c[1] * c[2], None), w, None, 5),
        (W,),
        [CARRY],
    ),
    "sums are small": (
        lambda w, x: last(lambda c, x: (x / np.sum(x * np.sin(c)), None), w, x),
        (W, X),
        [CARRY, (5,)],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_residuals(name: str) -> None:
    f, avals, expected = GOLDEN[name]
    assert residuals_of(f, *avals) == expected


def test_what_does_not_change_is_computed_once() -> None:
    f = lambda w, x: last(lambda c, x: (c * np.exp(np.sin(w)) + x, None), w, x)
    for params, _ in scans_of(f, W, X):
        names = [eqn.prim.name for eqn in params["body"].eqns]
        assert "sin" not in names and "exp" not in names


def test_integers_have_no_cotangents() -> None:
    def f(w: Any, x: Any) -> Any:
        step = lambda c, x: ((c[0] + 1, np.sin(c[1] * x), c[2] & (c[0] > 2)), c[0])
        (_, end, flag), _ = fgrad.scan(step, (0, w, True), x)
        return np.sum(end) * flag

    (forward, _), (backward, shapes) = scans_of(f, W, X)
    assert forward["carry"] == 3
    assert backward["carry"] == 1
    assert shapes == [(3,), (5, 3)]


def test_closed_over_values_have_one_sum_each() -> None:
    f = lambda m, w, x: last(lambda c, x: (np.tanh(m @ c + w) * x, None), w, x)
    _, (backward, shapes) = scans_of(f, M, W, X)
    assert backward["carry"] == 3  # the sums for m and w, the cotangent of the carry
    assert sorted(shapes) == [(3,), (3,), (3, 3), (5, 3)]


# --- memory and the size of programs


def peak(run: Callable[[], Any]) -> int:
    run()  # derive
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_scan_stores_its_carries() -> None:
    w = np.linspace(0.1, 0.9, 1000)
    f = grad(lambda w: last(lambda c, _: (np.tanh(c * w + 0.1), None), w, None, 10_000))
    assert peak(lambda: f(w)) < 80e6 * 1.25


def test_programs_do_not_grow_with_the_length() -> None:
    def count(length: int) -> int:
        step = lambda c, _: (np.tanh(c * 0.5) + c, np.sum(c))
        f = lambda w: np.sum(fgrad.scan(step, w, None, length)[1])
        program = fgrad.make_program(grad(f))(W)
        bodies = [dict(eqn.params).get("body") for eqn in program.eqns]
        return len(program.eqns) + sum(len(body.eqns) for body in bodies if body)

    assert count(3) == count(100) == count(100_000)


SIZE = 100_000
ARRAY = 8 * SIZE


def layer(x: Any) -> Any:
    for _ in range(4):
        x = x * x * 0.3 + x * 0.1
    return x


def chain(layer: Any, count: int) -> Callable[[], Any]:
    def f(x: Any) -> Any:
        for _ in range(count):
            x = layer(x)
        return np.sum(x)

    x = np.linspace(0, 1, SIZE)
    return lambda: grad(f)(x)


def test_checkpointed_layers_store_their_inputs() -> None:
    plain = peak(chain(layer, 20))
    checkpointed = peak(chain(fgrad.checkpoint(layer), 20))
    assert plain > 75 * ARRAY
    assert checkpointed < (20 + 20) * ARRAY
    long = peak(chain(fgrad.checkpoint(layer), 100))
    assert long < (100 + 20) * ARRAY
    one = fgrad.checkpoint(layer)

    def ten(x: Any) -> Any:
        for _ in range(10):
            x = one(x)
        return x

    assert peak(chain(fgrad.checkpoint(ten), 10)) < (10 + 10 + 20) * ARRAY


def test_checkpoints_in_a_scan_store_carries() -> None:
    x = np.linspace(0, 1, SIZE)

    def run(layer: Any) -> int:
        step = lambda c, _: (layer(np.cumsum(c) / SIZE), None)
        f = grad(lambda x: last(step, x, None, 30))
        return peak(lambda: f(x))

    deep = lambda x: np.cumsum(np.sin(np.cumsum(np.sin(np.cumsum(np.sin(x))))))
    assert run(fgrad.checkpoint(deep)) < 45 * ARRAY < run(deep)


# --- nothing is derived twice


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is derived and compiled while a test runs."""
    log: list[Any] = []
    create, compile_program = Executable.__init__, fgrad.lower.numpy.compile_program

    def creating(self: Any, program: Any, *args: Any) -> None:
        log.append(program)
        create(self, program, *args)

    def compiling(program: Any, *args: Any) -> Any:
        log.append(program)
        return compile_program(program, *args)

    monkeypatch.setattr(Executable, "__init__", creating)
    monkeypatch.setattr(fgrad.lower.numpy, "compile_program", compiling)
    yield log


def constructs(rate: Any, table: Any, x: Any) -> Any:
    step = lambda c, y: (np.sin(c * rate + table) * y, c)
    x = fgrad.scan(step, x, np.ones((4, 3)))[0]
    x = fgrad.cond(np.sum(x) > 100, lambda x: x * rate, lambda x: x + table, x)
    x = fgrad.checkpoint(lambda x: np.exp(x) * table)(x)
    x = fgrad.associative_scan(lambda a, b: a * b, x)
    grow = lambda c: (c[0] + 1, c[1] * rate + table)
    x = fgrad.while_loop(lambda c: c[0] < 3, grow, (0, x))[1]
    x = fgrad.fori_loop(0, 3, lambda k, c: c * rate + k, x)
    pick = lambda y, z: fgrad.cond(y > 0, np.sin, lambda y: y * rate, z)
    return np.sum(fgrad.map(lambda y: y * rate, x) + fgrad.vmap(pick)(x, x))


TRANSFORMS: dict[str, Any] = {
    "value": lambda f: f,
    "grad": grad,
    "hessian": fgrad.hessian,
    "vmap of grad": lambda f: lambda x: fgrad.vmap(grad(f))(np.stack([x, x])),
    "jvp": lambda f: lambda x: fgrad.jvp(f, (x,), (x,)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_structure_seen_before_derives_nothing(made: list[Any], name: str) -> None:
    x = np.array([0.2, 0.5, 0.7])
    table = np.ones(3)

    def run(rate: Any) -> Any:
        return TRANSFORMS[name](lambda x: constructs(rate, table, x))(x)

    first = run(0.5)
    run(0.5), run(0.5)
    assert made
    made.clear()
    results = [first]
    for rate in (0.25, 0.75):
        table[:] = rate
        results.append(run(rate))
    assert not made
    leaves = [fgrad.tree.flatten(result)[0][-1] for result in results]
    assert not np.allclose(leaves[0], leaves[1])
    assert not np.allclose(leaves[1], leaves[2])


def test_rules_are_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a trip count that was seen before, however other ones came between."""
    x = np.array([0.2, 0.5, 0.7])

    def f(x: Any, bound: float) -> Any:
        loop = fgrad.while_loop(lambda c: np.sum(c) < bound, lambda c: c * 1.5 + x, x)
        return np.sum(loop * loop)

    for bound in (5.0, 5.0, 5.0, 9.0, 9.0):
        grad(f)(x, bound)
    calls: list[Any] = []
    for name in ("multiply", "add", "scan"):
        prim = Primitive.registry[name]
        infer = functools.partial(counted_call, calls, prim.aval)
        monkeypatch.setattr(prim, "aval", infer)
    grad(f)(x, 5.0)
    grad(f)(x, 9.0)
    assert not calls


def counted_call(calls: list[Any], function: Any, *args: Any, **params: Any) -> Any:
    calls.append(function)
    return function(*args, **params)
