"""Random scripts of views, writes, hooks and gradients do what they do in PyTorch.

Known differences, which the scripts avoid: a `clone` of a transposed tensor lies in
memory in C order while it is recorded; what ``exp_`` saves is not the memory of the
tensor, so that later changes through ``.data`` do not reach it. Gradients of gradients
save all that the first ones read, so that `backward` may refuse a write that PyTorch
allows.
"""

from __future__ import annotations

import pytest
from torch_oracle import torch
from torch_random import Outcome, difference, script

import fgrad.torch

TIMES = 5  # learnt, replayed, compiled


KNOWN = {
    1985: "masked_fill_ of an expanded tensor is refused; PyTorch warns",
    3141: "a hook of a view made in no_grad is called",
    4164: "backward through gradients frees what the operations themselves saved",
    4522: "index_put_ of an expanded tensor is refused; PyTorch warns",
    4721: "a hook of a view made in no_grad is called",
}


def check(seed: int) -> None:
    lines = script(seed)
    theirs = Outcome(torch, lines)
    if "INTERNAL ASSERT" in str(theirs.log):
        return
    for time in range(TIMES):
        found = difference(Outcome(fgrad.torch, lines), theirs)
        assert not found, "\n".join([f"seed {seed}, time {time}", *lines, found])


@pytest.mark.parametrize("start", range(0, 240, 20))
def test_random_scripts(start: int) -> None:
    for seed in range(start, start + 20):
        check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 5000, 100))
def test_many_random_scripts(start: int) -> None:
    for seed in range(start, start + 100):
        if seed not in KNOWN:
            check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", KNOWN)
def test_known_gap(seed: int, request: pytest.FixtureRequest) -> None:
    mark = pytest.mark.xfail(reason=f"known gap: {KNOWN[seed]}", strict=True)
    request.applymarker(mark)
    check(seed)
