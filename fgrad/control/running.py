"""Loops and branches over bodies that are functions from list to list.

They need NumPy only, so that a module of generated source can hold them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Run = Callable[[list[Any]], list[Any]]


def run_scan(
    *operands: Any,
    run: Run,
    consts: int,
    carry: int,
    length: int,
    reverse: bool,
    stacks: Sequence[tuple[tuple[int, ...], str]],
    quiet: bool,
) -> tuple[Any, ...]:
    """Run a body ``length`` times: the last carry, and its further results stacked.

    Args:
        operands: what the body closes over (``consts`` of them), the initial carry
            (``carry`` of them), and arrays whose slices it takes.
        run: the body.
        length: how many times it runs.
        reverse: whether it begins with the last slices.
        stacks: shape and dtype of each further result.
        quiet: whether floating-point warnings are off.
    """
    closed = operands[:consts]
    state = [np.array(x)[()] for x in operands[consts : consts + carry]]
    xs = operands[consts + carry :]
    stacked = [np.empty((length, *shape), dtype) for shape, dtype in stacks]
    steps = range(length)
    with np.errstate(all="ignore" if quiet else None):
        for step in reversed(steps) if reverse else steps:
            outs = run([*closed, *state, *(x[step] for x in xs)])
            state = outs[:carry]
            for stack, out in zip(stacked, outs[carry:], strict=True):
                stack[step] = out
    return (*state, *stacked)


def run_while(
    *operands: Any,
    test: Run,
    run: Run,
    cond_consts: int,
    body_consts: int,
    max_steps: int | None,
    quiet: bool,
) -> tuple[Any, ...]:
    """Run a body while a test holds, at most ``max_steps`` times: the last carry."""
    for_test = operands[:cond_consts]
    for_body = operands[cond_consts : cond_consts + body_consts]
    state = [np.array(x)[()] for x in operands[cond_consts + body_consts :]]
    steps = 0
    with np.errstate(all="ignore" if quiet else None):
        while steps != max_steps and test([*for_test, *state])[0]:
            state = run([*for_body, *state])
            steps += 1
    return tuple(state)


def run_branch(
    index: Any, *operands: Any, branches: Sequence[Run], quiet: Sequence[bool]
) -> tuple[Any, ...]:
    """Run the branch of this number; the first or the last one if there is none."""
    number = min(max(int(index), 0), len(branches) - 1)
    with np.errstate(all="ignore" if quiet[number] else None):
        return tuple(branches[number](list(operands)))


def run_program(*operands: Any, run: Run, quiet: bool) -> tuple[Any, ...]:
    """Run a body once."""
    with np.errstate(all="ignore" if quiet else None):
        return tuple(run(list(operands)))
