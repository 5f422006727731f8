"""What all schedules of learning rates share: steps, rates, what is kept of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fgrad.torch.optim.optimizer import Optimizer

ORDER = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch "
    "1.1.0 and later, you should call them in the opposite order: `optimizer.step()` "
    "before `lr_scheduler.step()`.  Failure to do this will result in PyTorch skipping "
    "the first value of the learning rate schedule. See more details at "
    "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
)
EPOCH = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being "
    "deprecated where possible. Please use `scheduler.step()` to step the scheduler. "
    "During the deprecation, if epoch is different from None, the closed form is used "
    "instead of the new chainable form, where available. Please open an issue if you "
    "are unable to replicate your use case: "
    "https://github.com/pytorch/pytorch/issues/new/choose."
)
RESUMED = (
    "param 'initial_lr' is not specified in param_groups[{}] when resuming scheduler "
    "with last_epoch >= 0.\nThis typically happens when:\n1. You're trying to resume "
    "training from a checkpoint but haven't properly loaded the optimizer state\n2. "
    "You're using last_epoch >= 0 for a fresh training run (not recommended)"
)
LAST = (
    "To get the last learning rate computed by the scheduler, please use "
    "`get_last_lr()`."
)
_HIDDEN = ("optimizer", "_count_at_start")


class LRScheduler:
    """Sets learning rates; a subclass gives those of each step in `get_lr`.

    Call ``step()`` after the optimiser's.

    Args:
        optimizer: its groups get new rates.
        last_epoch: the step to go on from; -1 for a new beginning.

    Raises:
        TypeError: ``optimizer`` is none.
        KeyError: it goes on, and a group does not know its first rate.

    >>> class Halved(torch.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [rate / 2**self.last_epoch for rate in self.base_lrs]
    >>> sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    >>> scheduler = Halved(sgd)
    >>> sgd.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.5])
    """

    _get_lr_called_within_step = False
    _is_initial = False
    _last_lr: list[float]

    def __init__(self, optimizer: Any, last_epoch: int = -1) -> None:
        require_optimizer(optimizer)
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(RESUMED.format(number))
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._count_at_start = optimizer.step_count
        self._initial_step()

    def _initial_step(self) -> None:
        """The step that sets the rates at the beginning, or where another one ends."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[float]:
        """The rates of the current step, from those of the last one."""
        raise NotImplementedError

    def _get_closed_form_lr(self) -> list[float]:
        """The rates of the current step, from the first ones where that is possible."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The rates that were set last."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next step."""
        if self._step_count == 1 and self.optimizer.step_count == self._count_at_start:
            warnings.warn(ORDER, UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        """Go to the next step, or to a given one, and set its rates."""
        with self._within_step():
            self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
            closed = epoch is not None
            rates = self._get_closed_form_lr() if closed else self.get_lr()
        self._set(rates)

    @contextmanager
    def _within_step(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_step(self) -> None:
        """Warn of a call of `get_lr` by the user, which gives the rates of no step."""
        if not self._get_lr_called_within_step:
            warnings.warn(LAST, UserWarning, stacklevel=3)

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self._rates()

    def _rates(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What the scheduler holds, but for the optimiser and functions."""
        return {name: x for name, x in self.__dict__.items() if name not in _HIDDEN}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.__dict__.update(state_dict)


def require_optimizer(optimizer: Any) -> None:
    """Raise PyTorch's error for what is no optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def for_each_group(name: str, optimizer: Any, given: Any) -> list[Any]:
    """One value for each group, or a list of them.

    Raises:
        ValueError: there are not as many values as groups.
    """
    count = len(optimizer.param_groups)
    if not isinstance(given, list | tuple):
        return [given] * count
    if len(given) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has "
            f"{len(given)} values, param_groups has {count}."
        )
    return list(given)
