"""Batch rules beyond the samples: ranks, ties, and what they must not spread out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fgrad
from fgrad import vmap
from fgrad.ir import aval_of
from fgrad.ops.decompositions import pinv
from fgrad.testing import assert_program

SIZE = 3


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed + 17 * sum(shape)).standard_normal(shape)


def loop(f: Any, *rows: Any) -> Any:
    return np.stack([f(*row) for row in zip(*rows, strict=True)])


def assert_is_loop(f: Any, flags: Any, *operands: Any) -> None:
    rows = [x if m else [x] * SIZE for x, m in zip(operands, flags, strict=True)]
    axes = tuple(0 if m else None for m in flags)
    found, expected = vmap(f, in_axes=axes)(*operands), loop(f, *rows)
    assert aval_of(found) is aval_of(expected)
    np.testing.assert_allclose(found, expected, 1e-10, 1e-12)


# --- products

LEADING = [(), (2,), (1,), (4, 2), (4, 1)]
FLAGS = [(True, True), (True, False), (False, True)]


@given(
    st.sampled_from([None, *LEADING]),
    st.sampled_from([None, *LEADING]),
    st.sampled_from(FLAGS),
    st.sampled_from([1, 3]),
    st.sampled_from([0, 1, 5]),
)
def test_matmul_of_every_rank(x: Any, y: Any, flags: Any, inner: int, n: int) -> None:
    """A shape of None is that of a vector."""
    x_shape = (inner,) if x is None else (*x, 2, inner)
    y_shape = (inner,) if y is None else (*y, inner, n)
    shapes = [(SIZE,) * m + s for s, m in zip((x_shape, y_shape), flags, strict=True)]
    assert_is_loop(np.matmul, flags, normal(*shapes[0]), normal(*shapes[1], seed=1))


def test_one_product_for_a_common_matrix() -> None:
    """Nothing is spread out, and rows of all elements meet the matrix at once."""
    rows = vmap(np.matmul, in_axes=(0, None))
    assert_program(
        rows,
        (normal(3, 4), normal(4, 2)),
        """
        { lambda ; a:f64[3,4] b:f64[4,2] . let
            c:f64[3,2] = matmul a b
          in (c,) }
        """,
    )
    assert_program(
        rows,
        (normal(3, 5, 4), normal(4, 2)),
        """
        { lambda ; a:f64[3,5,4] b:f64[4,2] . let
            c:f64[15,4] = reshape[shape=(15, 4)] a
            d:f64[15,2] = matmul c b
            e:f64[3,5,2] = reshape[shape=(3, 5, 2)] d
          in (e,) }
        """,
    )
    assert_program(
        vmap(np.matmul, in_axes=(None, 0)),
        (normal(2, 4), normal(3, 4)),
        """
        { lambda ; a:f64[2,4] b:f64[3,4] . let
            c:f64[4,2] = transpose[axes=(1, 0)] a
            d:f64[3,2] = matmul b c
          in (d,) }
        """,
    )


def test_einsum_names_the_batch() -> None:
    f = lambda x, y: np.einsum("ij,jk->ik", x, y)
    program = fgrad.make_program(vmap(f, in_axes=(0, None)))(
        normal(3, 2, 4), normal(4, 5)
    )
    assert [eqn.prim.name for eqn in program.eqns] == ["einsum"]


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("lengths", [(5, 3), (3, 5), (4, 4), (1, 4), (6, 1), (1, 1)])
def test_convolutions(lengths: Any, mode: str, flags: Any) -> None:
    shapes = [(SIZE,) * m + (n,) for n, m in zip(lengths, flags, strict=True)]
    a, v = normal(*shapes[0]), normal(*shapes[1], seed=1)
    assert_is_loop(lambda a, v: np.convolve(a, v, mode), flags, a, v)
    assert_is_loop(lambda a, v: np.correlate(a, v, mode), flags, a, v)


# --- linear algebra


@pytest.mark.parametrize("shape", [(4,), (4, 2), (5, 4, 2)])
@pytest.mark.parametrize("lead", [(), (5,)])
@pytest.mark.parametrize("flags", FLAGS)
def test_solve_of_every_rank(flags: Any, lead: Any, shape: Any) -> None:
    a = normal(*(SIZE,) * flags[0], *lead, 4, 4) + 4 * np.eye(4)
    b = normal(*(SIZE,) * flags[1], *shape)
    if shape == (4,) and lead:
        return  # a vector is solved for one matrix
    assert_is_loop(np.linalg.solve, flags, a, b)


def test_a_common_matrix_is_factorised_once() -> None:
    a, b = np.eye(4), normal(3, 4)
    program = fgrad.make_program(vmap(np.linalg.solve, (None, 0)))(a, b)
    (eqn,) = (eqn for eqn in program.eqns if eqn.prim.name == "solve")
    assert [x.aval.shape for x in eqn.ins] == [(4, 4), (4, 3)]


@pytest.mark.parametrize("flags", FLAGS)
def test_pinv_with_its_own_cut(flags: Any) -> None:
    a = normal(*(SIZE,) * flags[0], 4, 2)
    cut = np.array([1e-15, 0.5, 1.0])[: SIZE if flags[1] else 1]
    assert_is_loop(pinv, flags, a, cut if flags[1] else cut[0])


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("columns", [(), (2,)])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
@pytest.mark.parametrize("rank", [2, 3])
def test_least_squares(shape: Any, rank: int, columns: Any, flags: Any) -> None:
    lead = (SIZE,) * flags[0]
    a = normal(*lead, shape[0], rank) @ normal(*lead, rank, shape[1])
    b = normal(*(SIZE,) * flags[1], shape[0], *columns)
    for part in (0, 2, 3):
        f = lambda a, b: np.linalg.lstsq(a, b, rcond=1e-10)[part]
        assert_is_loop(f, flags, a, b)


# --- order


@given(
    st.lists(st.integers(-2, 2), min_size=SIZE * 4, max_size=SIZE * 4),
    st.lists(st.integers(-3, 3), min_size=SIZE * 6, max_size=SIZE * 6),
    st.sampled_from(["left", "right"]),
    st.sampled_from(FLAGS),
    st.sampled_from([np.nan, 7.0]),
)
def test_searchsorted_with_ties(
    a: Any, v: Any, side: str, flags: Any, last: float
) -> None:
    lines = np.sort(np.reshape(a, (SIZE, 4)) / 2.0, axis=1)
    values = np.reshape(v, (SIZE, 3, 2)) / 2.0
    values[0, 0, 0] = np.nan
    lines[1, 3] = last
    operands = (lines if flags[0] else lines[1], values if flags[1] else values[0])
    assert_is_loop(lambda a, v: np.searchsorted(a, v, side), flags, *operands)
    if np.isnan(operands[0]).any():
        return  # whether NumPy takes such bins to rise or to fall, nothing says
    right = side == "left"
    bins, digitize = operands[0], lambda a, v: np.digitize(v, a, right=right)
    assert_is_loop(digitize, flags, bins, operands[1])
    assert_is_loop(digitize, flags, bins[..., ::-1], operands[1])


def test_digitize_of_bins_that_rise_and_fall() -> None:
    bins = np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    values = np.array([-1.0, 0.0, 0.5, 1.0, 3.0])
    for right in (True, False):
        assert_is_loop(lambda b: np.digitize(values, b, right=right), (True,), bins)


def test_bins_of_no_length() -> None:
    bins, values = np.zeros((SIZE, 0)), np.array([0.5, 1.0])
    assert_is_loop(lambda b: np.searchsorted(b, values), (True,), bins)
