"""Random histories of views and in-place operations against PyTorch."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch_oracle import torch

import fgrad.torch as ftorch

VIEWS: dict[str, Any] = {
    "first": lambda m, t: t[0],
    "last column": lambda m, t: t[..., -1],
    "every second": lambda m, t: t[::2],
    "new axis": lambda m, t: t[None],
    "all": lambda m, t: t[:],
    "flat": lambda m, t: t.view(-1),
    "reshaped": lambda m, t: t.reshape(-1),
    "turned": lambda m, t: t.transpose(0, -1),
    "permuted": lambda m, t: t.permute(tuple(reversed(range(t.dim())))),
    "narrow": lambda m, t: t.narrow(0, 1, 1),
    "select": lambda m, t: t.select(-1, 1),
    "squeezed": lambda m, t: t.squeeze(),
    "diagonal": lambda m, t: t.diagonal(),
    "unbound": lambda m, t: t.unbind()[1],
    "split": lambda m, t: t.split(1)[0],
    "chunk": lambda m, t: t.chunk(2, -1)[-1],
    "parts": lambda m, t: t.tensor_split(2)[0],
    "detached": lambda m, t: t.detach(),
    "moved": lambda m, t: t.movedim(0, -1),
    "viewed as": lambda m, t: t.view_as(t),
    "strided": lambda m, t: t.as_strided((2, 2), (1, 1)),
    "far": lambda m, t: t.as_strided((2,), (3,), t.storage_offset() + 1),
    "whole memory": lambda m, t: t.as_strided((3,), (4,), 0),
    "windows": lambda m, t: t.unfold(-1, 2, 1),
    "blocks": lambda m, t: t.unfold(0, 2, 2),
    "expanded": lambda m, t: t.expand(2, *t.shape),
    "row of expanded": lambda m, t: t.expand(2, *t.shape)[1],
    "broadcast": lambda m, t: t[:1].broadcast_to(t.shape),
    "unflattened": lambda m, t: t.unflatten(0, (-1, 1)),
    "swapped": lambda m, t: t.swapaxes(0, -1),
    "matrix diagonal": lambda m, t: m.diagonal(t, 1, -1, 0),
    "parts of lengths": lambda m, t: t.split([1, len(t) - 1])[1],
    "data": lambda m, t: t.data,
    "real": lambda m, t: t.real,
    "turned round": lambda m, t: t.mT,
    "flattened": lambda m, t: t.flatten(),
}


def _assign(key: Any) -> Any:
    def assign(m: Any, t: Any, number: Any) -> None:
        t[key] = number

    return assign


def _add_at(key: Any) -> Any:
    def add(m: Any, t: Any, number: Any) -> None:
        t[key] += number

    return add


def _assign_array(m: Any, t: Any, number: Any) -> None:
    t[m.tensor([1, 0])] = number


def _assign_masked(m: Any, t: Any, number: Any) -> None:
    t[t > 0.5] = number


def _masked_times(m: Any, t: Any, number: Any) -> None:
    t[t > 0.5] *= number


def _add_data(m: Any, t: Any, number: Any) -> None:
    t.data += 0.25


def _set_data(m: Any, t: Any, number: Any) -> None:
    t.data = t.detach() * 2


def _add_at_places(m: Any, t: Any, number: Any) -> None:
    t.index_put_((m.tensor([0, 0]),), m.as_tensor(number, dtype=t.dtype), True)


def _exchange(m: Any, t: Any, number: Any) -> None:
    t[0], t[1] = t[1].clone(), t[0].clone()


def _assign_rows(m: Any, t: Any, number: Any) -> None:
    t[m.tensor([True] + [False] * (len(t) - 1))] = number


WRITES: dict[str, Any] = {
    "mul_": lambda m, t, n: t.mul_(n),
    "add_": lambda m, t, n: t.add_(n, alpha=2),
    "+=": lambda m, t, n: t.__iadd__(n),
    "sin_": lambda m, t, n: t.sin_(),
    "tanh_": lambda m, t, n: t.tanh_(),
    "zero_": lambda m, t, n: t.zero_(),
    "fill_": lambda m, t, n: t.fill_(n),
    "copy_": lambda m, t, n: t.copy_(n),
    "clamp_": lambda m, t, n: t.clamp_(-1, 1),
    "unsqueeze_": lambda m, t, n: t.unsqueeze_(0),
    "transpose_": lambda m, t, n: t.transpose_(0, -1),
    "squeeze_": lambda m, t, n: t.squeeze_(),
    "t[0] = n": _assign(0),
    "t[..., 1] = n": _assign((..., 1)),
    "t[:] = n": _assign(slice(None)),
    "t[1:] += n": _add_at(slice(1, None)),
    "t[i] = n": _assign_array,
    "t[t > .5] = n": _assign_masked,
    "t[t > .5] *= n": _masked_times,
    "data += n": _add_data,
    "data = n": _set_data,
    "index_put_": _add_at_places,
    "exchange": _exchange,
    "t[mask] = n": _assign_rows,
    "fill_diagonal_": lambda m, t, n: t.fill_diagonal_(0.25),
    "masked_fill_": lambda m, t, n: t.masked_fill_(t > 0.5, 0.125),
    "where_": lambda m, t, n: t.copy_(m.where(t > 0, t, t * n)),
    "own transpose": lambda m, t, n: t.copy_(t.clone().flip(0)),
    "index_fill_": lambda m, t, n: t.index_fill_(0, m.tensor([1]), 0.5),
    "index_add_": lambda m, t, n: t.index_add_(0, m.tensor([0, 0]), t[:2].clone()),
    "addcmul_": lambda m, t, n: t.addcmul_(t.clone(), t.clone(), value=0.5),
    "cumsum_": lambda m, t, n: t.cumsum_(0),
    "pow_": lambda m, t, n: t.pow_(2),
    "div_": lambda m, t, n: t.div_(2),
    "neg_": lambda m, t, n: t.neg_(),
    "lerp_": lambda m, t, n: t.lerp_(t.clone() * 2, 0.5),
}
FILLS = ["zero_", "fill_", "t[:] = n", "t[..., 1] = n", "data = n"]
RESULTS: dict[str, Any] = {
    "square": lambda m, t, n: t * t,
    "times": lambda m, t, n: t * n,
    "exp": lambda m, t, n: (-t * t).exp(),
    "expanded": lambda m, t, n: t.expand(2, *t.shape) * 2,
    "clone": lambda m, t, n: t.clone(),
    "zeros": lambda m, t, n: m.zeros(t.shape, dtype=m.float64),
    "retained": lambda m, t, n: None if t._is_view() else t.retain_grad(),
}

place = st.integers(0, 9)
view = st.tuples(st.just("view"), st.sampled_from(sorted(VIEWS)), place, place)
write = st.tuples(st.just("write"), st.sampled_from(sorted(WRITES)), place, place)
result = st.tuples(st.just("result"), st.sampled_from(sorted(RESULTS)), place, place)
RESHAPING = ["unsqueeze_", "transpose_", "squeeze_"]
step = st.tuples(st.one_of(view, write, view, write, result), st.integers(0, 5))


def _kind(error: Exception) -> Any:
    """The type of an error, and its first line without what rests on the order.

    PyTorch names the view that an assignment makes, asks for its base first, shows the
    operation and the shape that a tensor has later, and counts axes in its own way.
    """
    text = "" if isinstance(error, IndexError) else str(error).split("\n")[0]
    text = re.sub(r"(A view was|Output).*", "a view", text)
    text = re.sub(r", which is output \d of [\w:]+,", "", text)
    return type(error), re.sub(r"Tensor \[[\d, ]*\]", "Tensor", text)


def overlaps(t: Any) -> bool:
    """Whether elements share memory: then the order of writes matters.

    PyTorch's is that of its loops. Expanded axes do not count: there it refuses.
    """
    lines = np.ogrid[tuple(slice(n if step else 1) for n, step in shape_of(t))]
    steps = [line * step for line, (_, step) in zip(lines, shape_of(t), strict=True)]
    places = np.asarray(sum(steps))
    return len(np.unique(places)) < places.size


def shape_of(t: Any) -> list[tuple[int, int]]:
    return list(zip(t.shape, t.stride(), strict=True))


class History:
    """Tensors, to which steps add others, or write."""

    def __init__(self, module: Any) -> None:
        self.module = module
        values = np.linspace(-1.0, 1.5, 12).reshape(3, 4)
        self.leaf = module.tensor(values, requires_grad=True)
        self.tensors = [self.leaf * 1.5, module.zeros(3, 3, dtype=module.float64)]

    def make(self, kind: str, name: str, first: int, second: int, mode: int) -> Any:
        """One step; what it raised, or what it changed, as far as PyTorch shows it."""
        m, tensors = self.module, self.tensors
        target = tensors[first % len(tensors)]
        # PyTorch's history is of another shape than the tensor after these
        mode = mode or (name in RESHAPING)
        try:
            with m.set_grad_enabled(mode > 0):
                self._make(kind, name, target, tensors[second % len(tensors)], mode)
        except Exception as error:
            return _kind(error)
        return [self._state(t) for t in tensors]

    def _make(self, kind: str, name: str, t: Any, other: Any, mode: int) -> None:
        number = 0.5 if mode % 2 else other.reshape(-1)[0] * 0.5
        if kind == "view":
            self.tensors.append(VIEWS[name](self.module, t))
        elif kind == "write" and (name in FILLS or not overlaps(t)):
            WRITES[name](self.module, t, number)
        elif kind == "result":
            made = RESULTS[name](self.module, t, number)
            if made is not None:
                self.tensors.append(made)

    def _state(self, t: Any) -> Any:
        place = "view" if t._is_view() else ""
        shown = t.detach().numpy().round(9) + 0.0
        try:
            is_leaf = t.is_leaf
        except RuntimeError as error:
            is_leaf = str(error)
        return place, t._version, t.requires_grad, is_leaf, tuple(t.shape), shown

    def gradients(self) -> Any:
        """The gradients of all that requires one, or the error."""
        try:
            total = sum(
                (t * (k + 1)).sum()
                for k, t in enumerate(self.tensors)
                if t.requires_grad
            )
            total.backward()
        except Exception as error:
            return _kind(error)
        found = [self.leaf, *(t for t in self.tensors if t.retains_grad)]
        return [None if t.grad is None else t.grad.numpy() for t in found]


def same(mine: Any, other: Any) -> bool:
    """Whether outcomes agree: arrays up to rounding."""
    errors = [x for x in (mine, other) if isinstance(x, tuple) and x[1:] == ("a view",)]
    if errors and all(isinstance(x[0], type) for x in (mine, other)):
        return True  # which of two mistakes is told is not compared
    if isinstance(mine, np.ndarray) and isinstance(other, np.ndarray):
        return bool(np.allclose(mine, other, 1e-6, 1e-7, equal_nan=True))
    if isinstance(mine, list | tuple) and type(mine) is type(other):
        return len(mine) == len(other) and all(map(same, mine, other))
    return bool(mine == other)


@settings(max_examples=50)
@given(st.lists(step, min_size=1, max_size=8))
def test_histories(steps: list[Any]) -> None:
    for _ in range(6):  # learnt, recorded, compiled
        check(steps)


def check(steps: list[Any]) -> None:
    mine, other = History(ftorch), History(torch)
    for (kind, name, first, second), mode in steps:
        ours = mine.make(kind, name, first, second, mode)
        theirs = other.make(kind, name, first, second, mode)
        assume("INTERNAL ASSERT" not in str(theirs))
        assert same(ours, theirs), (kind, name, ours, theirs)
    ours, theirs = mine.gradients(), other.gradients()
    if "modified by an inplace operation" in str(theirs):
        return  # what was computed later, by a compiled program, has memory of its own
    assert same(ours, theirs), (ours, theirs)
