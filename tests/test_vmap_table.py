"""Every primitive, mapped: all operands at once, and each of them alone.

The oracle is a loop over the elements of the batch.
"""

from typing import Any

import numpy as np
import pytest
from test_table import function_of, is_variable, outs_of, random_like, varies

import fgrad
from fgrad.ir import aval_of
from fgrad.primitive import Primitive, Sample
from fgrad.testing import samples

SIZE = 3

# primitives that vmap runs in a loop: the reason
LOOPS: dict[str, str] = {}

# (primitive, number of the sample or None for all, check): the reason
KNOWN_GAPS: dict[tuple[str, int | None, str], str] = {}


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


WITH_OPERANDS = [  # others, which make arrays from params, are never mapped
    prim
    for prim in Primitive.registry.values()
    if any(sample.operands for sample in samples(prim))
]


@pytest.mark.parametrize("prim", WITH_OPERANDS, ids=lambda p: p.name)
def test_has_a_batch_rule(prim: Primitive) -> None:
    has_rule = prim.elementwise or prim.stacks or prim.batch or prim.batch_params
    has_rule = has_rule or prim.inlines  # what it does is mapped in its place
    assert bool(has_rule) is (prim.name not in LOOPS)


# --- derivatives: of floating-point operands; the others are closed over


def derivative_rows(check: str) -> Any:
    params = []
    for prim in Primitive.registry.values():
        for number, sample in enumerate(samples(prim)):
            if not prim.is_differentiable or not varies(prim, sample):
                continue
            f, variables = function_of(prim, sample, is_variable)
            reason = KNOWN_GAPS.get((prim.name, number, check)) or KNOWN_GAPS.get(
                (prim.name, None, check)
            )
            mark = pytest.mark.xfail(reason=f"known gap: {reason}", strict=True)
            for flags in flags_of(Sample(tuple(variables))):
                params.append(
                    pytest.param(
                        prim,
                        f,
                        variables,
                        flags,
                        id=label((prim, sample, flags, number)),
                        marks=[mark] if reason else [],
                    )
                )
    return pytest.mark.parametrize(("prim", "f", "variables", "flags"), params)


def axes_of(flags: Any) -> tuple[int | None, ...]:
    return tuple(0 if flag else None for flag in flags)


def random_batch(x: Any, rng: np.random.Generator) -> list[Any]:
    return [random_like(x, rng) for _ in range(SIZE)]


def stacked(rows: Any) -> list[Any]:
    return [np.stack(column) for column in zip(*rows, strict=True)]


def assert_all_close(found: Any, expected: Any) -> None:
    assert list(map(aval_of, found)) == list(map(aval_of, expected))
    for one, other in zip(found, expected, strict=True):
        single = other.dtype in (np.float32, np.complex64)
        scale = 1 + float(np.max(np.abs(other), initial=0))
        np.testing.assert_allclose(one, other, 0, (1e-4 if single else 1e-10) * scale)


@derivative_rows("vmap of vjp")
def test_vmap_of_vjp(prim: Primitive, f: Any, variables: Any, flags: Any) -> None:
    rng = np.random.default_rng(5)
    mapped, rows = make_batch(Sample(tuple(variables)), flags)
    cts = [random_batch(out, rng) for out in outs_of(prim, f(*variables))]

    def pull(ct: Any, *operands: Any) -> Any:
        return fgrad.vjp(f, *operands)[1](ct if prim.multiple else ct[0])

    found = fgrad.vmap(pull, in_axes=(0, *axes_of(flags)))(
        tuple(map(np.stack, cts)), *mapped
    )
    each = zip(zip(*cts, strict=True), rows, strict=True)
    assert_all_close(found, stacked(pull(ct, *row) for ct, row in each))


@derivative_rows("vjp of vmap")
def test_vjp_of_vmap(prim: Primitive, f: Any, variables: Any, flags: Any) -> None:
    rng = np.random.default_rng(6)
    mapped, rows = make_batch(Sample(tuple(variables)), flags)
    cts = [random_batch(out, rng) for out in outs_of(prim, f(*variables))]
    whole = tuple(map(np.stack, cts))
    pullback = fgrad.vjp(fgrad.vmap(f, in_axes=axes_of(flags)), *mapped)[1]
    found = pullback(whole if prim.multiple else whole[0])
    pulled = stacked(
        fgrad.vjp(f, *row)[1](ct if prim.multiple else ct[0])
        for ct, row in zip(zip(*cts, strict=True), rows, strict=True)
    )
    pairs = zip(pulled, flags, strict=True)
    assert_all_close(found, [ct if flag else np.sum(ct, axis=0) for ct, flag in pairs])


@derivative_rows("jvp of vmap")
def test_jvp_of_vmap(prim: Primitive, f: Any, variables: Any, flags: Any) -> None:
    rng = np.random.default_rng(7)
    mapped, rows = make_batch(Sample(tuple(variables)), flags)
    moved = [
        random_batch(x, rng) if flag else [random_like(x, rng)] * SIZE
        for x, flag in zip(variables, flags, strict=True)
    ]
    pairs = zip(moved, flags, strict=True)
    tangents = tuple(np.stack(t) if flag else t[0] for t, flag in pairs)
    batched = fgrad.vmap(f, in_axes=axes_of(flags))
    found = outs_of(prim, fgrad.jvp(batched, tuple(mapped), tangents)[1])
    expected = stacked(
        outs_of(prim, fgrad.jvp(f, tuple(row), t)[1])
        for row, t in zip(rows, zip(*moved, strict=True), strict=True)
    )
    assert_all_close(found, expected)


@derivative_rows("vmap of jvp")
def test_vmap_of_jvp(prim: Primitive, f: Any, variables: Any, flags: Any) -> None:
    rng = np.random.default_rng(8)
    mapped, rows = make_batch(Sample(tuple(variables)), flags)
    tangents = [random_batch(x, rng) for x in variables]

    def push(t: Any, *operands: Any) -> Any:
        return outs_of(prim, fgrad.jvp(f, operands, t)[1])

    found = fgrad.vmap(push, in_axes=(0, *axes_of(flags)))(
        tuple(map(np.stack, tangents)), *mapped
    )
    each = zip(zip(*tangents, strict=True), rows, strict=True)
    assert_all_close(found, stacked(push(t, *row) for t, row in each))


def test_known_gaps_name_primitives() -> None:
    assert {name for name, _, _ in KNOWN_GAPS} | set(LOOPS) <= set(Primitive.registry)
