"""Schedulers of schedulers: one after the other, or several at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from fgrad.torch.optim.plateau import ReduceLROnPlateau
from fgrad.torch.optim.scheduler import LRScheduler


class _OfSchedulers(LRScheduler):
    """A schedule made of others, which are all of one optimiser."""

    _schedulers: Sequence[Any]

    def _check(self, optimizer: Any, schedulers: Sequence[Any]) -> None:
        """Raise PyTorch's errors for schedulers that cannot be combined."""
        name = type(self).__name__
        for number, each in enumerate(schedulers):
            place = f"at index {number}"
            if not hasattr(each, "optimizer"):
                raise TypeError(
                    f"{name} {place} should have `optimizer` as its attribute."
                )
            if isinstance(each, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler as it "
                    "requires additional kwargs to be specified when calling `step`, "
                    f"but got one {place} in the given schedulers sequence."
                )
            if optimizer is not each.optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, "
                    f"but got scheduler {type(each).__name__} {place} has "
                    f"{each.optimizer}, which is different from "
                    f"{type(optimizer).__name__}."
                )

    def state_dict(self) -> dict[str, Any]:
        """What the scheduler and those that it is made of hold."""
        state = super().state_dict()
        state.pop("_schedulers")
        state["_schedulers"] = [each.state_dict() for each in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        state = dict(state_dict)
        inner = state.pop("_schedulers")
        self.__dict__.update(state)
        for scheduler, each in zip(self._schedulers, inner, strict=False):
            scheduler.load_state_dict(each)


class SequentialLR(_OfSchedulers):
    """Schedulers one after the other, from given steps on.

    Raises:
        ValueError: there is not one more scheduler than milestones, one is of another
            optimiser, or a `ReduceLROnPlateau`.
        TypeError: one is no scheduler.

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
        if not schedulers:
            raise ValueError(
                f"{type(self).__name__} expects at least one scheduler, but got no "
                "scheduler."
            )
        self._check(optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one "
                "more than the number of milestone points, but got number of "
                f"schedulers {len(schedulers)} and the number of milestones to be "
                f"equal to {len(milestones)}"
            )
        self._schedulers, self._milestones = schedulers, milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo_first_step(self)
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Set the rates of the next step."""
        self.last_epoch += 1
        place = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[place]
        if place > 0 and self._milestones[place - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo_first_step(scheduler: Any) -> None:
    """Take back the step that simple schedulers made when they were created."""
    if not isinstance(scheduler, _OfSchedulers):
        scheduler.last_epoch -= 1
        return
    for each in scheduler._schedulers:
        _undo_first_step(each)


class ChainedScheduler(_OfSchedulers):
    """Several schedulers at once: each changes what the one before it left.

    Raises:
        ValueError: there is no scheduler, one is of another optimiser, or a
            `ReduceLROnPlateau`.
        TypeError: one is no scheduler.

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
            raise ValueError(
                f"{type(self).__name__} expects at least one scheduler to be chained, "
                "but got no scheduler."
            )
        self.optimizer = optimizer or schedulers[0].optimizer
        self._check(self.optimizer, schedulers)
        self._schedulers = schedulers
        self._last_lr = self._rates()

    def step(self) -> None:  # type: ignore[override]
        """Set the rates of the next step."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._rates()
