"""Printing is PyTorch's to the letter, over many tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch_oracle import torch

import fgrad.torch as ftorch

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
NICE = st.sampled_from([0.0, -0.0, 1.0, -2.0, 0.5, 1e-5, 1234.5, 1e9, 99999.0, 1e-4])


def same_text(array: Any, requires_grad: bool = False) -> None:
    ours, theirs = ftorch.from_numpy(array.copy()), torch.from_numpy(array.copy())
    if requires_grad:
        ours.requires_grad_(), theirs.requires_grad_()
    assert repr(ours) == repr(theirs)
    assert str(ours) == str(theirs)
    assert f"{ours}" == f"{theirs}"


@given(st.data(), st.sampled_from(["float32", "float64", "float16"]), st.booleans())
def test_floats(data: st.DataObject, dtype: str, requires_grad: bool) -> None:
    width = np.dtype(dtype).itemsize * 8
    elements = st.one_of(
        st.floats(width=width),
        st.floats(-100, 100, width=width),
        st.integers(-2000, 2000).map(float),
        NICE.filter(lambda x: width > 16 or abs(x) < 6e4),
    )
    same_text(data.draw(hnp.arrays(dtype, SHAPES, elements=elements)), requires_grad)


@given(st.data(), st.sampled_from([-3, 0, 2, 6]), st.sampled_from([0, 2]))
def test_floats_of_one_scale(data: st.DataObject, exponent: int, spread: int) -> None:
    seed = data.draw(st.integers(0, 999))
    shape = data.draw(SHAPES)
    rng = np.random.default_rng(seed)
    scale = 10.0 ** (exponent + rng.uniform(-spread, spread, shape))
    same_text(np.asarray(rng.standard_normal(shape) * scale).astype("float32"))


@given(st.data(), st.sampled_from(["bool", "uint8", "int8", "int16", "int32", "int64"]))
def test_integers(data: st.DataObject, dtype: str) -> None:
    same_text(data.draw(hnp.arrays(dtype, SHAPES)))


LONG = [(), (1,), (7,), (40,), (1000,), (1001,), (5000,), (30, 40), (2, 700), (700, 2)]
DEEP = [
    (20, 20, 20),
    (3, 4, 200),
    (0,),
    (0, 3),
    (2, 0, 3),
    (11, 11, 2, 5),
    (3, 3, 3, 3),
]


@pytest.mark.parametrize("shape", [*LONG, *DEEP])
@pytest.mark.parametrize("kind", ["normal", "int", "bool", "large", "tiny", "nan"])
def test_summaries_and_wrapping(shape: tuple[int, ...], kind: str) -> None:
    rng = np.random.default_rng(len(shape))
    values = np.asarray(rng.standard_normal(shape))
    scale = {"large": 1e7, "tiny": 1e-4}.get(kind, 1.0)
    array = np.asarray(values * scale).astype(
        {"int": "int64", "bool": "bool"}.get(kind, "float32")
    )
    if kind == "nan" and array.size:
        array.reshape(-1)[::3] = [np.nan, np.inf, -np.inf][len(shape) % 3]
    same_text(array)


@pytest.mark.parametrize("length", range(1, 40))
def test_suffix_wraps_at_the_line_width(length: int) -> None:
    for module in (ftorch, torch):
        x = module.arange(float(length)).double().requires_grad_()
        text = (
            repr(x),
            repr(x * 2),
            repr(x.reshape(1, -1) * 0.5),
            repr((x * 2).detach()),
        )
        if module is ftorch:
            ours = text
    assert ours == text


OPTIONS: list[dict[str, Any]] = [
    {"precision": 2},
    {"precision": 8},
    {"threshold": 5},
    {"threshold": 5, "edgeitems": 1},
    {"threshold": 5, "edgeitems": 0},
    {"linewidth": 30},
    {"sci_mode": True},
    {"sci_mode": False},
    {"profile": "short"},
    {"profile": "full"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options: dict[str, Any]) -> None:
    arrays = [
        np.linspace(-1, 1, 12).astype("float32").reshape(3, 4),
        np.array([1e-6, 1.0, 1e5]),
        np.arange(1500).reshape(15, 100),
        np.array(3.25, np.float32),
    ]
    try:
        for module in (ftorch, torch):
            module.set_printoptions(**options)
        for array in arrays:
            same_text(array)
    finally:
        for module in (ftorch, torch):
            module.set_printoptions(profile="default")


@pytest.mark.parametrize("default", ["float32", "float64"])
def test_dtype_suffix_follows_the_default(default: str) -> None:
    texts = []
    try:
        for module in (ftorch, torch):
            module.set_default_dtype(getattr(module, default))
            names = ["float16", "float32", "float64", "int32", "int64", "bool"]
            created = [module.ones(2, dtype=getattr(module, name)) for name in names]
            created += [module.ones(0, dtype=getattr(module, name)) for name in names]
            created += [module.tensor(1.5), module.arange(3) / 2, module.rand(0)]
            texts.append(list(map(repr, created)))
    finally:
        for module in (ftorch, torch):
            module.set_default_dtype(module.float32)
    assert texts[0] == texts[1]
