"""Rates that follow a measure."""

from __future__ import annotations

import math
import warnings
from typing import Any

from fgrad.torch.optim.scheduler import EPOCH, LRScheduler, require_optimizer

MORE_GROUPS = (
    "The number of param groups in the `optimizer` ({}) differs from when "
    "`ReduceLROnPlateau` was initialized ({}), usually due to a new param group being "
    "added to the optimizer. Please modify the `min_lrs` field to match the length of "
    "the `optimizer` param groups."
)


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
        ValueError: the factor is not below 1, there is no such mode, or there are not
            as many smallest rates as groups.
        TypeError: ``optimizer`` is none.

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
        require_optimizer(optimizer)
        self.factor, self.optimizer = factor, optimizer
        self._take_lowest(min_lr)
        self.patience, self.cooldown, self.eps = patience, cooldown, eps
        self.last_epoch = 0
        self._last_lr = self._rates()
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.mode, self.threshold = mode, threshold
        self.threshold_mode = threshold_mode
        self.best = self.mode_worse
        self.cooldown_counter = self.num_bad_epochs = 0

    def _take_lowest(self, min_lr: Any) -> None:
        """Keep the smallest rate of each group."""
        count = len(self.optimizer.param_groups)
        is_list = isinstance(min_lr, list | tuple)
        if is_list and len(min_lr) != count:
            raise ValueError(f"expected {count} min_lrs, got {len(min_lr)}")
        self.default_min_lr = None if is_list else min_lr
        self.min_lrs = list(min_lr) if is_list else [min_lr] * count

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            bound = self.best * (1 - sign * self.threshold)
        else:
            bound = self.best - sign * self.threshold
        return value < bound if self.mode == "min" else value > bound

    @property
    def in_cooldown(self) -> bool:
        """Whether it waits after a change."""
        return self.cooldown_counter > 0

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Look at the measure, and change the rates where it stays as it was."""
        value = float(metrics)
        if epoch is not None:
            warnings.warn(EPOCH, UserWarning, stacklevel=2)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._rates()

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(MORE_GROUPS.format(len(groups), len(self.min_lrs)))
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            rate = max(group["lr"] * self.factor, lowest)
            if group["lr"] - rate > self.eps:
                group["lr"] = rate
