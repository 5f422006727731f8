"""Convolutions, pooling, indexing and joins against PyTorch over random shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from torch_oracle import torch

import fgrad.torch as ftorch

small = st.integers(1, 3)


def compare(function: Callable[..., Any], *arrays: Any) -> None:
    """The value and the gradients of a function of tensors, or the type of error."""
    results = []
    for module in (ftorch, torch):
        leaves = [module.tensor(a, requires_grad=True) for a in arrays]
        try:
            out = function(module, *leaves)
        except (RuntimeError, ValueError, IndexError) as error:
            results.append(type(error))
            continue
        (out * out).sum().backward()
        grads = [x.grad.numpy() for x in leaves if x.grad is not None]
        results.append([out.detach().numpy(), *grads])
    ours, theirs = results
    if isinstance(theirs, type):
        assert ours == theirs
        return
    assert isinstance(ours, list), ours
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, 1e-9, 1e-9)


def draw(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


@given(st.data())
def test_convolutions(data: st.DataObject) -> None:
    ndim, groups = data.draw(st.integers(1, 3)), data.draw(small)
    channels, out = groups * data.draw(small), groups * data.draw(small)
    pair = st.tuples(*[small] * ndim)
    size, dilation = data.draw(pair), data.draw(pair)
    stride = data.draw(st.just((1,) * ndim) | pair)
    padding = data.draw(st.tuples(*[st.integers(0, 2)] * ndim))
    lengths = data.draw(st.tuples(*[st.integers(1, 9 - ndim)] * ndim))
    x = draw((2, channels, *lengths))
    weight = draw((out, channels // groups, *size), 1)

    def convolve(module: Any, u: Any, w: Any, b: Any) -> Any:
        function = getattr(module.nn.functional, f"conv{ndim}d")
        return function(u, w, b, stride, padding, dilation, groups)

    def spread(module: Any, u: Any, w: Any, b: Any) -> Any:
        function = getattr(module.nn.functional, f"conv_transpose{ndim}d")
        return function(u, w, b, stride, padding, 0, groups, dilation)

    compare(convolve, x, weight, draw((out,), 2))
    weight = draw((channels, out // groups, *size), 1)
    compare(spread, x, weight, draw((out,), 2))


@given(st.data())
def test_pooling(data: st.DataObject) -> None:
    ndim, ceil = data.draw(st.integers(1, 2)), data.draw(st.booleans())
    pair = st.tuples(*[small] * ndim)
    size, stride = data.draw(pair), data.draw(pair)
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in size)
    lengths = data.draw(st.tuples(*[st.integers(2, 7)] * ndim))
    # whole numbers, so that elements tie
    x = np.round(2 * draw((2, 2, *lengths)))
    include = data.draw(st.booleans())

    def largest(module: Any, u: Any) -> Any:
        function = getattr(module.nn.functional, f"max_pool{ndim}d")
        return function(u, size, stride, padding, 1, ceil)

    def mean(module: Any, u: Any) -> Any:
        function = getattr(module.nn.functional, f"avg_pool{ndim}d")
        return function(u, size, stride, padding, ceil, include)

    def adaptive(module: Any, u: Any) -> Any:
        return getattr(module.nn.functional, f"adaptive_avg_pool{ndim}d")(u, size)

    compare(largest, x)
    compare(mean, x)
    compare(adaptive, x)


@given(st.data())
def test_gathering(data: st.DataObject) -> None:
    shape = data.draw(st.lists(small, min_size=1, max_size=3).map(tuple))
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    axis = dim % len(shape)
    part = tuple(data.draw(st.integers(1, n)) for n in shape)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    index = rng.integers(0, shape[axis], part)
    lines = rng.integers(0, shape[axis], 4)
    # PyTorch adds repeated writes of scatter in any order; distinct ones are needed
    once = np.argsort(rng.random(shape), axis)
    x, y = draw(shape), draw(shape, 1)

    def given_index(name: str, numbers: Any) -> Callable[..., Any]:
        def call(module: Any, u: Any, *rest: Any) -> Any:
            return getattr(u, name)(dim, module.tensor(numbers), *rest)

        return call

    compare(given_index("gather", index), x)
    compare(given_index("scatter_add", index), x, draw(part, 2))
    compare(given_index("scatter", once), x, y)
    compare(given_index("index_select", lines), x)
    source = list(shape)
    source[axis] = 4
    compare(given_index("index_add", lines), x, draw(tuple(source), 2))


@given(st.data())
def test_joins_and_windows(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple))
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    count, step = data.draw(st.integers(1, 4)), data.draw(small)
    x, y = draw(shape), draw(shape, 1)
    compare(lambda module, u, v: module.cat([u, v, u], dim), x, y)
    compare(lambda module, u, v: module.stack([u, v], dim), x, y)
    compare(lambda module, u: u.chunk(count, dim)[-1] * 2, x)
    compare(lambda module, u: u.unfold(dim, count, step), x)
    compare(lambda module, u: u.roll(count, dim) * u, x)
    compare(lambda module, u: u.repeat_interleave(count, dim), x)
    compare(lambda module, u: u.sort(dim, descending=True)[0].cumsum(dim), x)
    compare(lambda module, u: u.topk(count, dim)[0], x)
    compare(lambda module, u: u.softmax(dim) - u.log_softmax(dim), x)
    compare(lambda module, u: u.std(dim, unbiased=False) + u.norm(dim=dim), x)
    compare(lambda module, u: u.median(dim)[0] + u.amax(dim) - u.logsumexp(dim), x)
