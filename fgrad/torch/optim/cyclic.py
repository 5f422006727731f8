"""Rates that go up and down, and momenta that go down and up."""

from __future__ import annotations

import math
from types import FunctionType
from typing import Any

from fgrad.torch.optim.scheduler import (
    LRScheduler,
    for_each_group,
    require_optimizer,
)

_PHASE = ("start_lr", "end_lr", "start_momentum", "end_momentum")


class _Cyclic(LRScheduler):
    """A schedule that changes the momentum, or Adam's first beta, too."""

    cycle_momentum: bool
    use_beta1: bool

    def _begin(
        self, optimizer: Any, least: Any, most: Any, last_epoch: int
    ) -> tuple[list[Any], list[Any]]:
        """Give the groups their momenta, the largest one first; all of both.

        Raises:
            ValueError: the optimiser has no momentum.
        """
        known = optimizer.defaults
        if "momentum" not in known and "betas" not in known:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option "
                "enabled"
            )
        self.use_beta1 = "betas" in known
        least = for_each_group("base_momentum", optimizer, least)
        most = for_each_group("max_momentum", optimizer, most)
        groups = optimizer.param_groups if last_epoch == -1 else ()
        for group, lowest, highest in zip(groups, least, most, strict=False):
            self._set_momentum(group, highest)
            group["max_momentum"], group["base_momentum"] = highest, lowest
        return least, most

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class OneCycleLR(_Cyclic):
    """Up to ``max_lr`` and down to next to nothing; the momentum the other way.

    From ``max_lr / div_factor`` in ``pct_start`` of the steps, then down to the first
    rate over ``final_div_factor``, along cosines or lines (Smith and Topin,
    Super-convergence, 2017).

    Args:
        optimizer: its groups get new rates, and momenta.
        max_lr: the largest rate, or one for each group.
        total_steps: the length of the cycle; or
        epochs: how many there are, and
        steps_per_epoch: how long each is.
        pct_start: the part of the steps that goes up.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: whether the momentum changes.
        base_momentum: the smallest momentum.
        max_momentum: the largest one.
        div_factor: how much smaller the first rate is than the largest.
        final_div_factor: how much smaller the last rate is than the first.
        three_phase: whether the way down takes as long as the way up, then the rest.
        last_epoch: the step to go on from.

    Raises:
        ValueError: the strategy is unknown, or the length; or there are more steps;
            lists are not as long as the groups, or there is no momentum to change.
        TypeError: ``optimizer`` is none.

    >>> sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], momentum=0.9)
    >>> scheduler = torch.optim.lr_scheduler.OneCycleLR(sgd, 1.0, 10)
    >>> for _ in range(4):
    ...     print(round(scheduler.get_last_lr()[0], 4), end=" ")
    ...     sgd.step()
    ...     scheduler.step()
    0.04 0.52 1.0 0.9505
    """

    def __init__(
        self,
        optimizer: Any,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        require_optimizer(optimizer)
        self.optimizer = optimizer
        self.total_steps = _length(total_steps, epochs, steps_per_epoch)
        self._schedule_phases = _phases(pct_start, self.total_steps, three_phase)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(
                f"Expected float between 0 and 1 pct_start, but got {pct_start}"
            )
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                "anneal_strategy must be one of 'cos' or 'linear', instead got "
                f"{anneal_strategy}"
            )
        self._anneal_func_type = anneal_strategy
        highest = for_each_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, highest, strict=True):
                group["initial_lr"], group["max_lr"] = rate / div_factor, rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._begin(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[float]:
        """The rates of the current step.

        Raises:
            ValueError: there were more steps than in the cycle.
        """
        self._warn_outside_step()
        now = self.last_epoch
        if now > self.total_steps:
            raise ValueError(
                f"Tried to step {now} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        *before, last = self._schedule_phases
        start, phase = 0.0, last
        for each in before:
            if now <= each["end_step"]:
                phase = each
                break
            start = each["end_step"]
        share = (now - start) / (phase["end_step"] - start)
        rates = []
        for group in self.optimizer.param_groups:
            ends = (group[phase["start_lr"]], group[phase["end_lr"]])
            rates.append(self._between(*ends, share))
            if self.cycle_momentum:
                ends = (group[phase["start_momentum"]], group[phase["end_momentum"]])
                self._set_momentum(group, self._between(*ends, share))
        return rates


def _length(total: Any, epochs: Any, steps_per_epoch: Any) -> int:
    """How many steps a cycle has, given as such or by epochs."""
    if total is None and (epochs is None or steps_per_epoch is None):
        raise ValueError(
            "You must define either total_steps OR (epochs AND steps_per_epoch)"
        )
    given = {"total_steps": total}
    if total is None:
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    for name, number in given.items():
        if number <= 0 or not isinstance(number, int):
            raise ValueError(f"Expected positive integer {name}, but got {number}")
    return math.prod(given.values())


def _phases(part: Any, total: int, three_phase: bool) -> list[dict[str, Any]]:
    """Where each phase of a cycle ends, and what it goes from and to."""
    up = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
    back = ("max_lr", "initial_lr", "base_momentum", "max_momentum")
    down = ("max_lr", "min_lr", "base_momentum", "max_momentum")
    rest = ("initial_lr", "min_lr", "max_momentum", "max_momentum")
    phases = [(float(part * total) - 1, up), (total - 1, down)]
    if three_phase:
        middle = float(2 * part * total) - 2
        phases = [phases[0], (middle, back), (total - 1, rest)]
    return [
        {"end_step": end, **dict(zip(_PHASE, names, strict=True))}
        for end, names in phases
    ]


class CyclicLR(_Cyclic):
    """Up and down between two rates, again and again.

    ``mode`` is ``"triangular"``, ``"triangular2"`` (half as high each time) or
    ``"exp_range"`` (``gamma**step``); the momentum goes the other way if
    ``cycle_momentum`` (Smith, Cyclical learning rates, 2017).

    Raises:
        ValueError: there is no such mode and no ``scale_fn``, lists are not as long as
            the groups, or the optimiser has no momentum to change.
        TypeError: ``optimizer`` is none.

    >>> sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], momentum=0.9)
    >>> scheduler = torch.optim.lr_scheduler.CyclicLR(sgd, 1.0, 3.0, step_size_up=2)
    >>> for _ in range(5):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     sgd.step()
    ...     scheduler.step()
    1.0 2.0 3.0 2.0 1.0
    """

    def __init__(
        self,
        optimizer: Any,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Any = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.8,
        max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ) -> None:
        require_optimizer(optimizer)
        self.optimizer = optimizer
        lowest = for_each_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, lowest, strict=True):
                group["lr"] = rate
        self.max_lrs = for_each_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode, self.gamma, self._scale_fn_custom = mode, gamma, scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode, self.cycle_momentum = scale_mode, cycle_momentum
        if cycle_momentum:
            momenta = self._begin(optimizer, base_momentum, max_momentum, last_epoch)
            self.base_momentums, self.max_momentums = momenta
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lowest

    def scale_fn(self, x: float) -> float:
        """How high a cycle is, or the rate at a step, as a part of the first one."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)  # type: ignore[no-any-return]
        if self.mode == "triangular2":
            return float(1 / (2.0 ** (x - 1)))
        return float(self.gamma**x) if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        place = 1.0 + self.last_epoch / self.total_size - cycle
        if place <= self.step_ratio:
            share = place / self.step_ratio
        else:
            share = (place - 1) / (self.step_ratio - 1)
        by_cycle = self.scale_mode == "cycle"
        scale = self.scale_fn(cycle if by_cycle else self.last_epoch)
        if self.cycle_momentum:
            momenta = zip(self.base_momentums, self.max_momentums, strict=True)
            pairs = zip(self.optimizer.param_groups, momenta, strict=True)
            for group, (low, high) in pairs:
                self._set_momentum(group, high - (high - low) * share * scale)
        rates = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * share * scale for low, high in rates]

    def state_dict(self) -> dict[str, Any]:
        """What the scheduler holds; of a callable object its attributes."""
        state = super().state_dict()
        custom = state.pop("_scale_fn_custom")
        is_object = custom is not None and not isinstance(custom, FunctionType)
        state["_scale_fn_custom"] = custom.__dict__.copy() if is_object else None
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        state = dict(state_dict)
        attributes = state.pop("_scale_fn_custom")
        self.__dict__.update(state)
        if attributes is not None:
            self._scale_fn_custom.__dict__.update(attributes)
