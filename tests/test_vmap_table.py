"""Every primitive, mapped: all operands at once, and each of them alone.

The oracle is a loop over the elements of the batch.
"""

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import fgrad
from fgrad.ir import aval_of
from fgrad.primitive import Primitive, Sample
from fgrad.testing import samples
from fgrad.trace import as_operand

SIZE = 3

# primitives that vmap runs in a loop: the reason
LOOPS: dict[str, str] = {}


def elements(x: Any) -> list[Any]:
    """One operand for each element of the batch: valid where the first is."""
    if np.result_type(x).kind in "fc":
        return [
            np.asarray(x * (1 - 0.05 * k)).astype(np.result_type(x))[()]
            for k in range(SIZE)
        ]
    if np.ndim(x) == 0:
        return [x] * SIZE
    return [np.roll(x, k, axis=-1) for k in range(SIZE)]


def flags_of(sample: Sample) -> list[tuple[bool, ...]]:
    arrays = [isinstance(x, np.ndarray | np.generic) for x in sample.operands]
    chosen = [k for k, is_array in enumerate(arrays) if is_array]
    rows = [tuple(arrays)] if chosen else []
    if len(chosen) > 1:
        rows += [tuple(k == one for k in range(len(arrays))) for one in chosen]
    return rows


ROWS = [
    (prim, sample, flags, number)
    for prim in Primitive.registry.values()
    for number, sample in enumerate(samples(prim))
    for flags in flags_of(sample)
]


def label(row: Any) -> str:
    prim, _, flags, number = row
    return f"{prim.name}-{number}-{''.join('.x'[flag] for flag in flags)}"


def outs_of(prim: Primitive, result: Any) -> tuple[Any, ...]:
    return result if prim.multiple else (result,)


def make_batch(sample: Sample, flags: Any) -> tuple[list[Any], list[list[Any]]]:
    """The mapped operands, and the operands of each element."""
    columns = [
        elements(x) if flag else [x] * SIZE
        for x, flag in zip(sample.operands, flags, strict=True)
    ]
    mapped = [
        np.stack(column) if flag else column[0]
        for column, flag in zip(columns, flags, strict=True)
    ]
    return mapped, [list(row) for row in zip(*columns, strict=True)]


@pytest.mark.filterwarnings("ignore::fgrad.errors.BatchLoopWarning")
@pytest.mark.parametrize("row", ROWS, ids=label)
def test_mapped_is_the_loop(row: Any) -> None:
    prim, sample, flags, _ = row
    mapped, rows = make_batch(sample, flags)
    f = lambda *operands: prim(*operands, **sample.params)
    axes = tuple(0 if flag else None for flag in flags)
    with np.errstate(all="ignore"):
        found = fgrad.vmap(f, in_axes=axes)(*mapped)
        expected = [outs_of(prim, prim.numpy(*row, **sample.params)) for row in rows]
    for position, out in enumerate(outs_of(prim, found)):
        whole = np.stack([out[position] for out in expected])
        assert aval_of(out) is aval_of(whole)
        tolerance = 1e-5 if whole.dtype in (np.float32, np.complex64) else 1e-12
        np.testing.assert_allclose(out, whole, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("prim", Primitive.registry.values(), ids=lambda p: p.name)
def test_has_a_batch_rule(prim: Primitive) -> None:
    has_rule = prim.elementwise or prim.stacks or prim.batch or prim.batch_params
    assert bool(has_rule) is (prim.name not in LOOPS)
