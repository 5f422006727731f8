"""Every primitive on each of its samples: value, types, both modes, second order, text.

The rows come from `Primitive.registry`, so a new record is tested without a line here.
``KNOWN_GAPS`` is the counted list of what does not hold yet; an entry that starts to
hold fails the run until it is removed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad.ir import aval_of
from fgrad.primitive import Primitive, Sample
from fgrad.testing import check_grads, pair, samples
from fgrad.trace import TRIE, as_operand

# (primitive, number of the sample or None for all, check): the reason
KNOWN_GAPS: dict[tuple[str, int | None, str], str] = {}

# their params are objects, which have a name in the text of a program and no more
HOLD_FUNCTIONS = {"custom_jvp", "custom_vjp", "custom_vjp_forward", "external", "print"}

ROWS = [
    (prim, number, sample)
    for prim in Primitive.registry.values()
    for number, sample in enumerate(samples(prim))
]


def is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic)


def function_of(
    prim: Primitive, sample: Sample, wanted: Callable[[Any], bool] = is_array
) -> tuple[Callable[..., Any], list[Any]]:
    """The primitive as a function of its ``wanted`` operands, and these operands."""
    chosen = [k for k, x in enumerate(sample.operands) if wanted(x)]

    def call(*xs: Any) -> Any:
        operands = list(sample.operands)
        for k, x in zip(chosen, xs, strict=True):
            operands[k] = x
        return prim(*operands, **sample.params)

    call.__name__ = prim.name
    return call, [sample.operands[k] for k in chosen]


def is_variable(x: Any) -> bool:
    return is_array(x) and aval_of(x).is_inexact


def outs_of(prim: Primitive, result: Any) -> list[Any]:
    return list(result) if prim.multiple else [result]


def varies(prim: Primitive, sample: Sample) -> bool:
    """Whether a floating-point output depends on a floating-point operand."""
    with np.errstate(all="ignore"):
        outs = outs_of(prim, prim.numpy(*sample.operands, **sample.params))
    return (
        not prim.is_constant
        and any(map(is_variable, sample.operands))
        and any(aval_of(out).is_inexact for out in outs)
    )


DIFFERENTIABLE = [
    (prim, number, sample)
    for prim, number, sample in ROWS
    if prim.is_differentiable and varies(prim, sample)
]
FIXED = [
    (prim, number, sample)
    for prim, number, sample in ROWS
    if (prim.is_constant or prim.is_differentiable)
    and not varies(prim, sample)
    and any(map(is_variable, sample.operands))
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Integer samples may divide by zero; the table compares such results, too."""
    with np.errstate(all="ignore"):
        yield


def over(rows: list[Any], check: str) -> Any:
    """Parametrise a test over rows, with the known gaps marked."""
    params = []
    for prim, number, sample in rows:
        reason = KNOWN_GAPS.get((prim.name, number, check)) or KNOWN_GAPS.get(
            (prim.name, None, check)
        )
        mark = pytest.mark.xfail(reason=f"known gap: {reason}", strict=True)
        marks = [mark] if reason else []
        label = f"{prim.name}-{number}"
        params.append(pytest.param(prim, sample, id=label, marks=marks))
    return pytest.mark.parametrize(("prim", "sample"), params)


def assert_same(found: Any, expected: Any) -> None:
    """Equal bit for bit, in dtype, shape and kind (array or scalar)."""
    assert isinstance(found, np.ndarray) == isinstance(expected, np.ndarray)
    assert aval_of(found) is aval_of(expected)
    np.testing.assert_array_equal(found, expected, strict=True)


def random_like(x: Any, rng: np.random.Generator) -> Any:
    values = np.asarray(rng.standard_normal(np.shape(x)))
    if np.iscomplexobj(x):
        values = values + 1j * rng.standard_normal(np.shape(x))
    return values.astype(np.result_type(x))[()]


def unit_roundoff(*groups: list[Any]) -> float:
    """That of the least precise floating-point value."""
    types = [np.result_type(x) for group in groups for x in group]
    return max(float(np.finfo(t).eps) for t in types if t.kind in "fc")


def test_every_primitive_has_samples() -> None:
    without = [name for name, prim in Primitive.registry.items() if not samples(prim)]
    assert [n for n in without if (n, None, "samples") not in KNOWN_GAPS] == []


def test_known_gaps_name_rows() -> None:
    """An entry for a primitive or sample that does not exist would never be noticed."""
    known = {(prim.name, number) for prim, number, _ in ROWS}
    known |= {(name, None) for name in Primitive.registry}
    assert {gap[:2] for gap in KNOWN_GAPS} <= known


@over(ROWS, "value")
def test_value_and_types(prim: Primitive, sample: Sample) -> None:
    before = [np.copy(x) for x in sample.operands]
    expected = prim.numpy(*sample.operands, **sample.params)
    avals = [aval_of(x) for x in sample.operands]
    inferred = prim.infer(avals, sample.params)
    assert list(inferred) == [aval_of(out) for out in outs_of(prim, expected)]
    f, variables = function_of(prim, sample, is_variable)
    if variables and (prim.is_differentiable or prim.is_constant):
        for _ in range(2):  # the first run extends the trie, the second walks it
            found, _ = fgrad.vjp(f, *variables)
            for one, other in zip(
                outs_of(prim, found), outs_of(prim, expected), strict=True
            ):
                assert_same(one, other)
    for one, other in zip(sample.operands, before, strict=True):
        np.testing.assert_array_equal(one, other)


@over(DIFFERENTIABLE, "grads")
def test_jvp_and_vjp_against_differences(prim: Primitive, sample: Sample) -> None:
    f, variables = function_of(prim, sample, is_variable)
    check_grads(f, variables, order=1)


@over(DIFFERENTIABLE, "products")
def test_modes_agree(prim: Primitive, sample: Sample) -> None:
    """<ct, J t> = <J^T ct, t> to rounding: exact, there is no step size."""
    rng = np.random.default_rng(1)
    f, variables = function_of(prim, sample, is_variable)
    outs = outs_of(prim, f(*variables))
    cts = [random_like(y, rng) for y in outs]
    tangents = [random_like(x, rng) for x in variables]
    pushed = outs_of(prim, fgrad.jvp(f, tuple(variables), tuple(tangents))[1])
    pulled = fgrad.vjp(f, *variables)[1](tuple(cts) if prim.multiple else cts[0])
    for one, other in ((pushed, outs), (pulled, variables)):
        assert list(map(aval_of, one)) == list(map(aval_of, other))
    size = pair(list(map(np.abs, cts)), list(map(np.abs, pushed)))
    size += pair(list(map(np.abs, pulled)), list(map(np.abs, tangents)))
    roundoff = unit_roundoff(variables, outs)
    tolerance = 1e-12 if roundoff < 1e-15 else 100 * roundoff
    assert abs(pair(cts, pushed) - pair(pulled, tangents)) <= tolerance * size


@over(DIFFERENTIABLE, "checkpoint")
def test_checkpointed(prim: Primitive, sample: Sample) -> None:
    """Types are the same; values, both derivatives and vmap agree to rounding."""
    rng = np.random.default_rng(5)
    f, variables = function_of(prim, sample, is_variable)
    wrapped = fgrad.checkpoint(f)
    expected, pull = fgrad.vjp(f, *variables)
    found, pull_anew = fgrad.vjp(wrapped, *variables)
    outs = outs_of(prim, expected)
    cts = [random_like(y, rng) for y in outs]
    ct = tuple(cts) if prim.multiple else cts[0]
    tangents = tuple(random_like(x, rng) for x in variables)
    rows = [(outs_of(prim, found), outs), (pull_anew(ct), pull(ct))]
    rows.append(
        tuple(
            outs_of(prim, fgrad.jvp(g, tuple(variables), tangents)[1])
            for g in (wrapped, f)
        )
    )
    batch = [np.stack([x, x]) for x in variables]
    mapped = (outs_of(prim, fgrad.vmap(g)(*batch)) for g in (wrapped, f))
    rows.append(tuple(mapped))
    roundoff = unit_roundoff(variables, outs)
    for row in rows:
        for one, other in zip(*row, strict=True):
            assert aval_of(one) is aval_of(other)
            scale = 1 + float(np.max(np.abs(other), initial=0))
            np.testing.assert_allclose(one, other, 0, 100 * roundoff * scale)


@over(DIFFERENTIABLE, "second")
def test_second_order(prim: Primitive, sample: Sample) -> None:
    """vjp∘vjp and jvp∘vjp of ``Re(sum(ct * f * f))``: equal, symmetric, and right.

    The square makes the second derivative of linear primitives differ from zero.
    """
    rng = np.random.default_rng(2)
    f, variables = function_of(prim, sample, is_variable)
    outs = outs_of(prim, f(*variables))
    cts = [random_like(y, rng) for y in outs]
    along, across = ([random_like(x, rng) for x in variables] for _ in range(2))

    def loss(*xs: Any) -> Any:
        pairs = zip(cts, outs_of(prim, f(*xs)), strict=True)
        return sum(np.sum(np.real(ct * y * y)) for ct, y in pairs)

    wrt = tuple(range(len(variables)))
    gradient = fgrad.grad(loss, wrt)

    def slope(*xs: Any) -> Any:
        products = zip(gradient(*xs), along, strict=True)
        return sum(np.sum(np.real(g * t)) for g, t in products)

    forward = fgrad.jvp(gradient, tuple(variables), tuple(along))[1]
    backward = fgrad.grad(slope, wrt)(*variables)
    roundoff = unit_roundoff(variables, outs)
    scale = max([float(np.max(np.abs(row), initial=0)) for row in forward])
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_allclose(one, other, 0, 200 * roundoff * (1 + scale))
    there = pair(across, list(forward))
    back = pair(along, list(fgrad.jvp(gradient, tuple(variables), tuple(across))[1]))
    size = pair(list(map(np.abs, across)), list(map(np.abs, forward)))
    assert abs(there - back) <= 200 * roundoff * (1 + size)
    rtol = 1e-6 if roundoff < 1e-15 else 1e-3  # of a result that passed float32
    check_grads(gradient, variables, order=1, modes=("fwd",), rtol=rtol)


@over(DIFFERENTIABLE, "repeat")
def test_repeated_calls_are_identical(prim: Primitive, sample: Sample) -> None:
    """The first run of a structure is interpreted, later ones are compiled."""
    rng = np.random.default_rng(3)
    f, variables = function_of(prim, sample, is_variable)
    outs = outs_of(prim, f(*variables))
    cts = [random_like(y, rng) for y in outs]
    tangents = tuple(random_like(x, rng) for x in variables)
    TRIE.clear()
    runs = []
    for _ in range(3):
        value, pullback = fgrad.vjp(f, *variables)
        cotangents = pullback(tuple(cts) if prim.multiple else cts[0])
        tangent = fgrad.jvp(f, tuple(variables), tangents)[1]
        runs.append([*outs_of(prim, value), *cotangents, *outs_of(prim, tangent)])
    for run in runs[1:]:
        for one, other in zip(run, runs[0], strict=True):
            assert_same(one, other)


@over(FIXED, "zero")
def test_no_gradient_flows(prim: Primitive, sample: Sample) -> None:
    """Outputs that do not vary smoothly have exact zeros as derivatives."""
    f, variables = function_of(prim, sample, is_variable)
    value, pullback = fgrad.vjp(f, *variables)
    ct = fgrad.tree.map_leaves(lambda y: np.ones_like(as_operand(y)), value)
    tangents = tuple(map(np.ones_like, variables))
    moved = outs_of(prim, fgrad.jvp(f, tuple(variables), tangents)[1])
    for one, other in zip(pullback(ct), variables, strict=True):
        assert_same(one, np.zeros_like(other)[()])
    for one, other in zip(moved, outs_of(prim, value), strict=True):
        assert np.shape(one) == np.shape(other)
        assert not np.any(one)


def assert_can_be_read_back(program: fgrad.Program) -> None:
    if not any(eqn.prim.name in HOLD_FUNCTIONS for eqn in program.eqns):
        assert fgrad.parse(str(program)) == program
        return
    with pytest.raises(fgrad.errors.ProgramError):
        fgrad.parse(str(program))


@over(ROWS, "program")
def test_program(prim: Primitive, sample: Sample) -> None:
    """The program is well formed, the same from types alone, and can be read back."""
    f, arrays = function_of(prim, sample)
    program = fgrad.check(fgrad.make_program(f)(*arrays))
    assert_can_be_read_back(program)
    if arrays:
        abstract = fgrad.make_program(f)(*map(aval_of, arrays))
        assert abstract == program
    expected = outs_of(prim, prim.numpy(*sample.operands, **sample.params))
    for one, other in zip(program(*arrays), expected, strict=True):
        assert_same(one, other)


@over(DIFFERENTIABLE, "derived program")
def test_derived_programs(prim: Primitive, sample: Sample) -> None:
    """The programs of both products are well formed, readable, and compute them."""
    rng = np.random.default_rng(4)
    f, variables = function_of(prim, sample, is_variable)
    outs = outs_of(prim, f(*variables))
    cts = [random_like(y, rng) for y in outs]
    tangents = [random_like(x, rng) for x in variables]
    count = len(variables)

    def push(*xs: Any) -> Any:
        return fgrad.jvp(f, xs[:count], xs[count:])[1]

    def pull(*xs: Any) -> Any:
        ct = xs[count:]
        return fgrad.vjp(f, *xs[:count])[1](ct if prim.multiple else ct[0])

    for product, extra in ((push, tangents), (pull, cts)):
        args = [*variables, *extra]
        program = fgrad.check(fgrad.make_program(product)(*args))
        assert_can_be_read_back(program)
        expected = fgrad.tree.flatten(product(*args))[0]
        for one, other in zip(program(*args), expected, strict=True):
            assert aval_of(one) is aval_of(other)
            np.testing.assert_allclose(one, other, 1e-6, 1e-12)
