"""Updates on a device of jax: all parameters of a group by one program of XLA."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.jitting import jit
from fgrad.torch.optim.bundles import STEP
from fgrad.torch.optim.rule import Rule
from fgrad.torch.remote import is_remote, remote_of, replace
from fgrad.torch.tensor import Tensor


def step_on_device(
    rule: Rule, params: Sequence[Tensor], optimizer: Any, group: dict[str, Any]
) -> bool:
    """Make a step for parameters of one dtype, if they and all it needs are remote.

    If not, nothing has changed.

    Args:
        rule: the update.
        params: the parameters that have gradients.
        optimizer: has their state, and the numbers of the step.
        group: their group.
    """
    if not params:
        return True
    states = [optimizer.state.get(x) for x in params]
    if not all(_has_all(rule, state) for state in states):
        return False
    held = [[state[name] for name in rule.state] for state in states]
    changing = [*params, *(entry for entries in held for entry in entries)]
    gradients = [x._grad for x in params if x._grad is not None]
    if not all(map(is_remote, changing)):
        return False
    dtype = params[0]._aval.dtype
    if any(x._aval.dtype != dtype for x in (*changing, *gradients)):
        return False
    counts = {int(state[STEP].item()) for state in states if STEP in state}
    if len(counts) > 1:
        return False
    count = counts.pop() + 1 if counts else 0
    run = _compiled(rule, group["maximize"])
    where = params[0]._device
    news = run(
        [remote_of(x, where) for x in params],
        [remote_of(g, where) for g in gradients],
        [[remote_of(entry, where) for entry in entries] for entries in held],
        np.array(optimizer.numbers(group, count), dtype),
    )
    for state in states:
        if STEP in state:
            state[STEP] += 1
    for tensor, new in zip(changing, news, strict=True):
        replace(tensor, new)
    return True


def _has_all(rule: Rule, state: Any) -> bool:
    return state is not None and all(
        isinstance(state.get(name), Tensor) for name in rule.state
    )


@functools.cache
def _compiled(rule: Rule, goes_up: bool) -> Any:
    """The program of a rule: new parameters, and then their new state."""

    def update(xs: Any, gradients: Any, states: Any, numbers: Any) -> Any:
        named = rule.numbers(*[numbers[k] for k in range(len(rule.numbers._fields))])
        news: list[Any] = []
        new_states: list[Any] = []
        for x, gradient, state in zip(xs, gradients, states, strict=True):
            own = -gradient if goes_up else gradient
            new, after = rule.function(x, own, tuple(state), named)
            news.append(new)
            new_states += after
        return [*news, *new_states]

    return jit(update, backend="jax")
