"""Schedulers of schedulers: one after the other, or several at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from fgrad.torch.optim.schedules import LRScheduler


class SequentialLR(LRScheduler):
    """Schedulers one after the other, from given steps on.

    Raises:
        ValueError: there is not one more scheduler than milestones.

    >>> sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    >>> schedules = torch.optim.lr_scheduler
    >>> parts = [schedules.ConstantLR(sgd, 0.5, 2), schedules.ExponentialLR(sgd, 0.25)]
    >>> scheduler = schedules.SequentialLR(sgd, parts, milestones=[3])
    >>> for _ in range(5):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     sgd.step()
    ...     scheduler.step()
    0.5 0.5 1.0 1.0 0.25
    """

    def __init__(
        self,
        optimizer: Any,
        schedulers: Sequence[Any],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one "
                "more than the number of milestone points, but got number of "
                f"schedulers {len(schedulers)} and the number of milestones to be "
                f"equal to {len(milestones)}"
            )
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for scheduler in self._schedulers:
            scheduler.last_epoch -= 1
        self._restart(self._schedulers[0])
        self._last_lr = self._schedulers[0].get_last_lr()

    @staticmethod
    def _restart(scheduler: Any) -> None:
        scheduler._step_count += 1
        scheduler.last_epoch += 1
        scheduler._set(scheduler.get_lr())

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next step."""
        self.last_epoch += 1
        place = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[place]
        if place > 0 and self._milestones[place - 1] == self.last_epoch:
            scheduler.step(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(LRScheduler):
    """Several schedulers at once: each changes what the one before it left.

    Raises:
        ValueError: there is no scheduler.

    >>> sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    >>> schedules = torch.optim.lr_scheduler
    >>> parts = [schedules.ConstantLR(sgd, 0.5, 2), schedules.ExponentialLR(sgd, 0.5)]
    >>> scheduler = schedules.ChainedScheduler(parts, sgd)
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     sgd.step()
    ...     scheduler.step()
    0.5 0.25 0.25 0.125
    """

    def __init__(self, schedulers: Sequence[Any], optimizer: Any = None) -> None:
        if not schedulers:
            raise ValueError("ChainedScheduler expects at least one scheduler")
        self._schedulers = list(schedulers)
        self.optimizer = schedulers[0].optimizer
        self._last_lr = self._rates()

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next step."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._rates()
