"""Optimisers whose update is a rule: plain NumPy code, run compiled where it can be.

The first step runs the rule as it is written, and creates the state. From the second
step on parameters are updated in bundles by compiled code; what is unusual (memory that
is not contiguous, parameters that share memory) still runs as written. A subclass that
defines `update` is asked for every parameter, as with any optimiser.
"""

from __future__ import annotations

from typing import Any

from fgrad.lower.quiet import quietly
from fgrad.torch.creation import tensor
from fgrad.torch.devices import CPU, DEVICES
from fgrad.torch.history import check_writable
from fgrad.torch.likes import zeros_like
from fgrad.torch.optim.bundles import STEP, Bundle, bundles_of
from fgrad.torch.optim.optimizer import Optimizer
from fgrad.torch.optim.remote_steps import step_on_device
from fgrad.torch.optim.rule import Rule
from fgrad.torch.placement import is_elsewhere, place
from fgrad.torch.storage import writing
from fgrad.torch.tensor import Tensor


class Plan:
    """How the parameters of a group are updated.

    Args:
        rule: the update.
        group: the group, some of whose parameters have gradients.
        states: the state of each parameter.
        with_step: whether the state counts steps.

    Attributes:
        bundles: what is updated together.
        rest: parameters that are part of no bundle.
        is_over: a bundle was found changed, so that a new plan is needed.
    """

    def __init__(
        self, rule: Rule, group: dict[str, Any], states: Any, with_step: bool
    ) -> None:
        self._rule, self._group = rule, group
        self._params = list(group["params"])
        self._goes_up = group["maximize"]
        self.bundles: list[Bundle]
        self.bundles, self.rest = bundles_of(
            rule, self._params, states, with_step, self._goes_up
        )
        self.is_over = False
        self._idle = [x for x in self.rest if x._grad is None]

    def fits(self, rule: Rule, group: dict[str, Any]) -> bool:
        """Whether the plan is still that of the group."""
        params = group["params"]
        if self.is_over or rule is not self._rule:
            return False
        if group["maximize"] != self._goes_up:
            return False
        if len(params) != len(self._params):
            return False
        if any(x is not y for x, y in zip(params, self._params, strict=True)):
            return False
        return all(x._grad is None for x in self._idle)


class RuledOptimizer(Optimizer):
    """The base of optimisers that have a rule.

    Attributes:
        counts_steps: whether the state holds the number of steps, as ``step``.
    """

    counts_steps = True

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self._plans: dict[int, Plan] = {}
        self._seen: dict[int, list[bool]] = {}  # which parameters had gradients
        super().__init__(params, defaults)

    def rule(self, group: dict[str, Any]) -> Rule:
        """The update of a group; the same object for the same options."""
        raise NotImplementedError(f"{type(self).__name__} does not define rule()")

    def first_rule(self, group: dict[str, Any]) -> Rule:
        """The update of a parameter that has no state yet: there it is zero."""
        return self.rule(group)

    def numbers(self, group: dict[str, Any], step: int) -> tuple[float, ...]:
        """The numbers that the rule takes, for a step, counted from 1."""
        raise NotImplementedError(f"{type(self).__name__} does not define numbers()")

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        check_writable(x)
        rule, step = self.rule(group), 0
        if self.counts_steps:
            step = _count_step(state)
        missing = [name for name in rule.state if state.get(name) is None]
        state.update({name: place(zeros_like(x), x._device) for name in missing})
        if missing:
            rule = self.first_rule(group)
        held = [state[name] for name in rule.state]
        arrays = tuple([entry._array for entry in held])
        operands = x._array, gradient._array, arrays, self.numbers(group, step)
        new, news = quietly(rule.function, *operands)
        for entry, value in zip((x, *held), (new, *news), strict=True):
            writing(entry)
            entry._array[...] = value
            entry._storage.changed()

    def _update_group(self, number: int, group: dict[str, Any]) -> None:
        if type(self).update is not RuledOptimizer.update:
            super()._update_group(number, group)
            return
        rule, plan = self.rule(group), self._plans.get(number)
        if DEVICES.is_on and is_elsewhere(group["params"]):
            self._step_elsewhere(rule, group)
            return
        if plan is None or not plan.fits(rule, group):
            plan = self._planned(number, group, rule)
        left = group["params"] if plan is None else quietly(self._run, plan, group)
        for x in left:
            self._update_one(x, group)

    def _step_elsewhere(self, rule: Rule, group: dict[str, Any]) -> None:
        params = [x for x in group["params"] if x._grad is not None]
        if not step_on_device(rule, params, self, group):
            for x in params:
                self._update_one(x, group)

    def _run(self, plan: Plan, group: dict[str, Any]) -> list[Tensor]:
        """Update all bundles; the parameters that are left."""
        left = plan.rest
        for bundle in plan.bundles:
            if not bundle.run(self, group):
                plan.is_over = True
                left = left + bundle.params
        return left

    def _planned(self, number: int, group: dict[str, Any], rule: Rule) -> Plan | None:
        """A new plan, where the same parameters have gradients as in the last step."""
        self._plans.pop(number, None)
        has_gradient = [x._grad is not None for x in group["params"]]
        if self._seen.get(number) != has_gradient:
            self._seen[number] = has_gradient
            return None
        plan = Plan(rule, group, self.state, self.counts_steps)
        self._plans[number] = plan
        return plan


def _count_step(state: dict[str, Any]) -> int:
    """The number of the step, counted from 1."""
    if STEP not in state:
        state[STEP] = tensor(0.0, device=CPU)
    count: Tensor = state[STEP]
    writing(count)
    count._array += 1
    count._storage.changed()
    return int(count._array)
