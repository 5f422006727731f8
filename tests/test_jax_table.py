"""Every primitive on jax: values, both derivatives and batches are those of NumPy.

The same program runs on NumPy and, jitted, on jax: types are equal, integers and
booleans too, other values to rounding. The programs of a primitive are compiled
together, since compiling costs some 30 ms each; the run by default takes one sample of
each for derivatives and batches, the slow one all of them.

64-bit types are disabled outside, as jax has it by default: programs do without.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest
from test_table import ROWS, function_of, is_variable, outs_of, random_like, varies
from test_vmap_table import flags_of, make_batch

import fgrad
from fgrad import Program
from fgrad.ir import aval_of
from fgrad.lower.jax import check_guards, jax_arguments, jax_function
from fgrad.primitive import Primitive, Sample

# (primitive, number of the sample, check): the reason. A row that holds must go.
KNOWN_GAPS: dict[tuple[str, int, str], str] = {}
FEW = 1  # samples of a primitive on which derivatives and batches are compared

Case = tuple[Program, list[Any]]


def samples_of(prim: Primitive) -> list[tuple[int, Sample]]:
    return [(number, sample) for one, number, sample in ROWS if one is prim]


def as_case(f: Callable[..., Any], args: list[Any]) -> Case:
    return fgrad.make_program(f)(*args), args


def value_case(prim: Primitive, sample: Sample) -> Case:
    return as_case(*function_of(prim, sample))


def jvp_case(prim: Primitive, sample: Sample) -> Case:
    f, variables = function_of(prim, sample, is_variable)
    rng = np.random.default_rng(1)
    tangents = [random_like(x, rng) for x in variables]
    count = len(variables)

    def push(*xs: Any) -> Any:
        return fgrad.jvp(f, xs[:count], xs[count:])

    return as_case(push, [*variables, *tangents])


def vjp_case(prim: Primitive, sample: Sample) -> Case:
    f, variables = function_of(prim, sample, is_variable)
    rng = np.random.default_rng(2)
    cts = [random_like(y, rng) for y in outs_of(prim, f(*variables))]
    count = len(variables)

    def pull(*xs: Any) -> Any:
        ct = xs[count:]
        return fgrad.vjp(f, *xs[:count])[1](ct if prim.multiple else ct[0])

    return as_case(pull, [*variables, *cts])


def vmap_case(prim: Primitive, sample: Sample) -> Case:
    flags = flags_of(sample)[0]
    mapped, _ = make_batch(sample, flags)
    chosen = [k for k, flag in enumerate(flags) if flag]

    def run(*xs: Any) -> Any:
        operands = list(mapped)
        for k, x in zip(chosen, xs, strict=True):
            operands[k] = x
        axes = tuple(0 if flag else None for flag in flags)
        return fgrad.vmap(lambda *row: prim(*row, **sample.params), axes)(*operands)

    return as_case(run, [mapped[k] for k in chosen])


def differs(prim: Primitive, sample: Sample) -> bool:
    return prim.is_differentiable and varies(prim, sample)


def has_arrays(prim: Primitive, sample: Sample) -> bool:
    return bool(flags_of(sample))


CHECKS: dict[str, tuple[Any, Any]] = {
    "value": (value_case, lambda prim, sample: True),
    "jvp": (jvp_case, differs),
    "vjp": (vjp_case, differs),
    "vmap": (vmap_case, has_arrays),
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def arguments_of(case: Case) -> list[Any]:
    """The constants and inputs of a program as jax arrays of their own types."""
    program, args = case
    return jax_arguments(program, args)


def run_together(cases: list[Case]) -> list[list[Any]]:
    """The results of all programs, which are compiled as one."""
    functions = [jax_function(program) for program, _ in cases]

    @jax.jit
    def run(rows: Any) -> Any:
        return [f(*row) for f, row in zip(functions, rows, strict=True)]

    rows = list(map(arguments_of, cases))
    with jax.enable_x64(False):
        found = run(rows)
    jax.effects_barrier()
    return [[np.asarray(x)[()] for x in row] for row in found]


def assert_same(found: list[Any], case: Case, margin: float = 100) -> None:
    program, args = case
    expected = program(*args)
    count = len(expected)
    check_guards(program, found[count:])
    for one, other in zip(found[:count], expected, strict=True):
        assert aval_of(one) is aval_of(np.asarray(other)[()])
        if aval_of(one).is_inexact:
            scale = 1 + np.max(np.abs(other), initial=0, where=np.isfinite(other))
            roundoff = float(np.finfo(one.dtype).eps)
            np.testing.assert_allclose(one, other, 0, margin * roundoff * scale)
        else:
            np.testing.assert_array_equal(one, other)


def check(prim: Primitive, few: int | None) -> None:
    labels, cases = [], []
    for name, (make, applies) in CHECKS.items():
        chosen = [row for row in samples_of(prim) if applies(prim, row[1])]
        for number, sample in chosen if name == "value" else chosen[:few]:
            labels.append((prim.name, number, name))
            cases.append(make(prim, sample))
    failed = {}
    for label, found, case in zip(labels, run_together(cases), cases, strict=True):
        try:
            assert_same(found, case)
        except AssertionError as error:
            failed[label] = error
    gaps = {label for label in labels if label in KNOWN_GAPS}
    for label in failed.keys() - gaps:
        raise AssertionError(label) from failed[label]
    assert failed.keys() == gaps, "gaps that are closed: take them from the list"


PRIMITIVES = list(dict.fromkeys(prim for prim, _, _ in ROWS))


@pytest.mark.parametrize("prim", PRIMITIVES, ids=lambda prim: prim.name)
def test_primitive(prim: Primitive) -> None:
    check(prim, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("prim", PRIMITIVES, ids=lambda prim: prim.name)
def test_primitive_on_all_samples(prim: Primitive) -> None:
    check(prim, None)


def test_known_gaps_name_rows() -> None:
    known = {(prim.name, number) for prim, number, _ in ROWS}
    assert {gap[:2] for gap in KNOWN_GAPS} <= known
    assert {gap[2] for gap in KNOWN_GAPS} <= set(CHECKS)
