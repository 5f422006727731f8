"""Whole programs on jax: control flow, derivatives of it, and random programs.

64-bit types are disabled outside, as jax has it by default.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from control_cases import CASES, FGRAD
from hypothesis import given, settings
from hypothesis import strategies as st
from test_control_matrix import ARGS, BATCH, TANGENTS, bound, gradient
from test_jax_table import Case, assert_same, run_together
from test_random_programs import INPUTS, play, programs, weights

import fgrad
from fgrad import tree

# (case, transform): the reason. A row that holds must go.
KNOWN_GAPS: dict[tuple[str, str], str] = {}

TRANSFORMS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "value": lambda f: (f, ARGS),
    "vjp": lambda f: (gradient(f), ARGS),
    "jvp": lambda f: (lambda *xs: fgrad.jvp(f, xs, TANGENTS), ARGS),
    "vmap": lambda f: (fgrad.vmap(f), BATCH),
    "vmap of vjp": lambda f: (fgrad.vmap(gradient(f)), BATCH),
    "jvp of vjp": lambda f: (
        lambda *xs: fgrad.jvp(gradient(f), xs, TANGENTS),
        ARGS,
    ),
}
MARGIN = 2000  # unit roundoffs, in programs of many steps
AT_LENGTH = {"vmap of vjp", "jvp of vjp"}


def case_of(f: Any, args: Any) -> Case:
    """The program from types alone."""
    avals = [fgrad.Aval(x.shape, x.dtype) for x in args]
    return fgrad.make_program(f)(*avals), list(args)


def check_case(name: str, transforms: Any) -> None:
    f = bound(CASES[name], np, FGRAD)
    labels, cases = [], []
    for transform in transforms:
        derived, args = TRANSFORMS[transform](f)
        if name == "while_loop_of_unknown_length" and "vjp" in transform:
            with pytest.raises(fgrad.errors.LoopError, match="max_steps="):
                case_of(derived, args)
            continue
        labels.append((name, transform))
        cases.append(case_of(derived, args))
    failed = {}
    for label, found, case in zip(labels, run_together(cases), cases, strict=True):
        try:
            assert_same(found, case, MARGIN)
        except AssertionError as error:
            failed[label] = error
    gaps = {label for label in labels if label in KNOWN_GAPS}
    for label in failed.keys() - gaps:
        raise AssertionError(label) from failed[label]
    assert failed.keys() == gaps, "gaps that are closed: take them from the list"


@pytest.mark.parametrize("name", CASES)
def test_control_flow(name: str) -> None:
    check_case(name, [t for t in TRANSFORMS if t not in AT_LENGTH])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_control_flow_at_length(name: str) -> None:
    check_case(name, TRANSFORMS)


def check_random(steps: Any) -> None:
    """The program and that of its gradient, with guards where Python saw a value."""

    def f(*xs: Any) -> Any:
        return play(steps, xs)

    cts = weights(play(steps, INPUTS))

    def loss(*xs: Any) -> Any:
        pairs = zip(cts, play(steps, xs), strict=True)
        return sum(np.sum(ct * np.sin(y)) for ct, y in pairs)

    traced = [fgrad.jit(g).lower(*INPUTS) for g in (f, fgrad.grad(loss, (0, 1)))]
    cases = [(program, list(INPUTS)) for program in traced]
    for found, case in zip(run_together(cases), cases, strict=True):
        assert_same(found, case, MARGIN)


@settings(max_examples=30)
@given(data=st.data())
def test_random_programs(data: Any) -> None:
    check_random(data.draw(programs(INPUTS, 10, {"float32"})))


@pytest.mark.slow
@settings(max_examples=300)
@given(data=st.data())
def test_random_programs_at_length(data: Any) -> None:
    check_random(data.draw(programs(INPUTS, 20, {"float32"})))


def test_known_gaps_name_rows() -> None:
    rows = {(name, transform) for name in CASES for transform in TRANSFORMS}
    assert set(KNOWN_GAPS) <= rows
    assert all(tree.flatten(reason)[0] for reason in KNOWN_GAPS.values())
