"""Rates that follow a measure, and cyclic ones."""

from __future__ import annotations

import math
from typing import Any

from fgrad.torch.optim.schedules import LRScheduler


class ReduceLROnPlateau(LRScheduler):
    """Times a factor where a measure has not improved for ``patience`` steps.

    Args:
        optimizer: its groups get new rates.
        mode: ``"min"``, or ``"max"`` for a measure that should grow.
        factor: what rates are multiplied by.
        patience: how many steps without improvement are let pass.
        threshold: what counts as an improvement.
        threshold_mode: ``"rel"``, or ``"abs"``.
        cooldown: how many steps to wait after a change.
        min_lr: the smallest rate.
        eps: smaller changes are not made.

    Raises:
        ValueError: the factor is not below 1, or there is no such mode.

    >>> sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    >>> schedules = torch.optim.lr_scheduler
    >>> scheduler = schedules.ReduceLROnPlateau(sgd, factor=0.5, patience=0)
    >>> for loss in (3.0, 2.0, 2.0):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Any,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        self.optimizer, self.factor, self.mode = optimizer, factor, mode
        self.patience, self.cooldown, self.eps = patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        count = len(optimizer.param_groups)
        is_list = isinstance(min_lr, list | tuple)
        self.min_lrs = list(min_lr) if is_list else [min_lr] * count
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self._rates()

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            bound = self.best * (1 - sign * self.threshold)
        else:
            bound = self.best - sign * self.threshold
        return value < bound if self.mode == "min" else value > bound

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Look at the measure, and change the rates where it stays as it was."""
        value = float(metrics)
        self.last_epoch += 1
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._rates()

    def _reduce(self) -> None:
        pairs = zip(self.optimizer.param_groups, self.min_lrs, strict=True)
        for group, lowest in pairs:
            rate = max(group["lr"] * self.factor, lowest)
            if group["lr"] - rate > self.eps:
                group["lr"] = rate


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    elif "momentum" in group:
        group["momentum"] = momentum


class OneCycleLR(LRScheduler):
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
        ValueError: the strategy is unknown, or the length; or there are more steps.

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
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "You must define either total_steps OR (epochs AND steps_per_epoch)"
                )
            total_steps = epochs * steps_per_epoch
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                "anneal_strategy must be one of 'cos' or 'linear', instead got "
                f"{anneal_strategy}"
            )
        self.total_steps, self._anneal_func_type = total_steps, anneal_strategy
        self.cycle_momentum = cycle_momentum
        peak = float(pct_start * total_steps) - 1
        rise = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
        back = ("max_lr", "initial_lr", "base_momentum", "max_momentum")
        last = ("max_lr", "min_lr", "base_momentum", "max_momentum")
        end = total_steps - 1
        self._schedule_phases: list[Any] = [(peak, rise), (end, last)]
        if three_phase:
            flat = ("initial_lr", "min_lr", "max_momentum", "max_momentum")
            middle = float(2 * pct_start * total_steps) - 2
            self._schedule_phases = [(peak, rise), (middle, back), (end, flat)]
        highest = max_lr if isinstance(max_lr, list | tuple) else None
        for k, group in enumerate(optimizer.param_groups):
            group["max_lr"] = max_lr if highest is None else highest[k]
            group["initial_lr"] = group["max_lr"] / div_factor
            group["min_lr"] = group["initial_lr"] / final_div_factor
            if cycle_momentum:
                _set_momentum(group, max_momentum)
                group["max_momentum"] = max_momentum
                group["base_momentum"] = base_momentum
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
        now = self.last_epoch
        if now > self.total_steps:
            raise ValueError(
                f"Tried to step {now} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        rates = []
        for group in self.optimizer.param_groups:
            start: float = 0
            for end, names in self._schedule_phases:
                if now <= end or end == self.total_steps - 1:
                    share = (now - start) / (end - start)
                    first, last, before, after = names
                    rates.append(self._between(group[first], group[last], share))
                    if self.cycle_momentum:
                        momentum = self._between(group[before], group[after], share)
                        _set_momentum(group, momentum)
                    break
                start = end
        return rates


class CyclicLR(LRScheduler):
    """Up and down between two rates, again and again.

    ``mode`` is ``"triangular"``, ``"triangular2"`` (half as high each time) or
    ``"exp_range"`` (``gamma**step``); the momentum goes the other way if
    ``cycle_momentum`` (Smith, Cyclical learning rates, 2017).

    Raises:
        ValueError: there is no such mode and no ``scale_fn``.

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
        base_lr: float,
        max_lr: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Any = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.max_lrs = [max_lr] * len(optimizer.param_groups)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.scale_mode = mode, gamma, scale_mode
        self._scale_fn = scale_fn
        self.cycle_momentum = cycle_momentum
        self._momenta = (base_momentum, max_momentum)
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group["lr"] = base_lr
            if cycle_momentum:
                _set_momentum(group, max_momentum)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = [base_lr] * len(optimizer.param_groups)

    def _scale(self, cycle: float) -> float:
        if self._scale_fn is not None:
            place = cycle if self.scale_mode == "cycle" else self.last_epoch
            return float(self._scale_fn(place))
        if self.mode == "triangular2":
            return float(1 / (2.0 ** (cycle - 1)))
        return self.gamma**self.last_epoch if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        place = 1.0 + self.last_epoch / self.total_size - cycle
        if place <= self.step_ratio:
            share = place / self.step_ratio
        else:
            share = (place - 1) / (self.step_ratio - 1)
        scale = self._scale(cycle)
        if self.cycle_momentum:
            low, high = self._momenta
            for group in self.optimizer.param_groups:
                _set_momentum(group, high - (high - low) * share * scale)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * share * scale for low, high in pairs]
