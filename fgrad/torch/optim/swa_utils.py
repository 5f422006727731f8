"""``torch.optim.swa_utils``: averages of the parameters of a model."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

from fgrad.torch.creation import tensor
from fgrad.torch.modes import no_grad
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.normalization import BatchNorm
from fgrad.torch.optim.scheduler import LRScheduler, for_each_group
from fgrad.torch.tensor import Tensor

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Any, Any, Any], Any]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] "
            "range."
        )


def get_ema_multi_avg_fn(decay: float = 0.999) -> Average:
    """As `get_ema_avg_fn`, of lists of parameters: the averages are written to.

    Raises:
        ValueError: ``decay`` is outside of ``[0, 1]``.

    >>> averages = [torch.tensor(0.0), torch.tensor(4.0)]
    >>> update = torch.optim.swa_utils.get_ema_multi_avg_fn(0.75)
    >>> update(averages, [torch.tensor(1.0), torch.tensor(0.0)], 1)
    >>> averages
    [tensor(0.2500), tensor(3.)]
    """
    _check_decay(decay)

    def update(averages: Any, current: Any, count: Any) -> None:
        with no_grad():
            for averaged, new in zip(averages, current, strict=True):
                if averages[0].is_floating_point() or averages[0].is_complex():
                    averaged.lerp_(new, 1 - decay)
                else:
                    averaged.copy_(averaged * decay + new * (1 - decay))

    return update


def get_swa_multi_avg_fn() -> Average:
    """As `get_swa_avg_fn`, of lists of parameters: the averages are written to.

    >>> averages = [torch.tensor(0.0)]
    >>> torch.optim.swa_utils.get_swa_multi_avg_fn()(averages, [torch.tensor(1.0)], 3)
    >>> averages
    [tensor(0.2500)]
    """

    def update(averages: Any, current: Any, count: Any) -> None:
        with no_grad():
            for averaged, new in zip(averages, current, strict=True):
                if averages[0].is_floating_point() or averages[0].is_complex():
                    averaged.lerp_(new, 1 / (count + 1))
                elif isinstance(count, Tensor):
                    averaged.addcdiv_(new - averaged, count + 1)  # type: ignore[operator]
                else:
                    averaged.add_(new - averaged, alpha=1.0 / (count + 1))

    return update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """An average in which older parameters fade.

    ``decay * average + (1 - decay) * new``

    Raises:
        ValueError: ``decay`` is outside of ``[0, 1]``.

    >>> average = torch.optim.swa_utils.get_ema_avg_fn(0.75)
    >>> average(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1))
    tensor(0.2500)
    """
    _check_decay(decay)

    def average(averaged: Any, current: Any, count: Any) -> Any:
        return decay * averaged + (1 - decay) * current

    return average


def get_swa_avg_fn() -> Average:
    """The mean of all parameters so far: ``average + (new - average) / (count + 1)``.

    >>> average = torch.optim.swa_utils.get_swa_avg_fn()
    >>> average(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(3))
    tensor(0.2500)
    """

    def average(averaged: Any, current: Any, count: Any) -> Any:
        return averaged + (current - averaged) / (count + 1)

    return average


class AveragedModel(Module):
    """A copy of a model, whose parameters are averages of the model's.

    Izmailov et al., Averaging weights leads to wider optima, 2018.

    Args:
        model: the model.
        device: the CPU.
        avg_fn: of the average, the parameter, and how often it was called; the mean by
            default.
        multi_avg_fn: the same of lists of averages, which it changes, and parameters.
        use_buffers: whether buffers are averaged, too, or copied.

    Raises:
        AssertionError: both functions are given.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> averaged = torch.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 4.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.detach()
    tensor([[2.5000]])
    """

    n_averaged: Any
    module: Any

    def __init__(
        self,
        model: Any,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Average | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError(
                "Only one of avg_fn and multi_avg_fn should be provided"
            )
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def _averaged(self, model: Any) -> list[Any]:
        buffers = model.buffers() if self.use_buffers else ()
        return [x.detach() for x in (*model.parameters(), *buffers)]

    def update_parameters(self, model: Any) -> None:
        """Take the parameters of the model into the average; the first ones are it."""
        averages = self._averaged(self.module)
        current = [
            new.to(averaged.device)
            for averaged, new in zip(averages, self._averaged(model), strict=False)
        ]
        if not self.n_averaged:
            for averaged, new in zip(averages, current, strict=False):
                averaged.copy_(new)
        elif self.multi_avg_fn is not None:
            for own, others in _by_type(averages, current):
                self.multi_avg_fn(own, others, self.n_averaged)
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for averaged, new in zip(averages, current, strict=False):
                averaged.copy_(average(averaged, new, self.n_averaged))
        if not self.use_buffers:
            for own, other in zip(self.module.buffers(), model.buffers(), strict=True):
                own.detach().copy_(other.detach().to(own.device))
        self.n_averaged += 1


def _by_type(
    averages: list[Any], current: list[Any]
) -> Iterable[tuple[list[Any], list[Any]]]:
    """Pairs of lists, in each of which all have the same device and dtype."""
    groups: dict[Any, tuple[list[Any], list[Any]]] = {}
    for averaged, new in zip(averages, current, strict=False):
        key = (averaged.device, averaged.dtype)
        own, other = groups.setdefault(key, ([], []))
        own.append(averaged)
        other.append(new)
    return groups.values()


def update_bn(loader: Any, model: Any, device: Any = None) -> None:
    """Compute the statistics of batch normalisation anew, over a loader.

    >>> layer = nn.BatchNorm1d(1)
    >>> torch.optim.swa_utils.update_bn([torch.tensor([[1.0], [3.0]])], layer)
    >>> layer.running_mean
    tensor([2.])
    """
    layers = [layer for layer in model.modules() if isinstance(layer, BatchNorm)]
    if not layers:
        return
    was_training, momenta = model.training, [layer.momentum for layer in layers]
    model.train()
    with no_grad():
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        for batch in loader:
            x = batch[0] if isinstance(batch, list | tuple) else batch
            model(x if device is None else x.to(device))
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Goes from the rates of the groups to others in some steps, and stays there.

    Izmailov et al., Averaging weights leads to wider optima, 2018.

    Args:
        optimizer: its groups get new rates.
        swa_lr: the rate at the end, or one for each group.
        anneal_epochs: how many steps it takes.
        anneal_strategy: ``"cos"``, by half a wave, or ``"linear"``.
        last_epoch: the step to go on from; -1 for a new beginning.

    Raises:
        ValueError: there are not as many rates as groups, or there is no such strategy,
            or the number of steps is no integer or negative.

    >>> sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    >>> scheduler = torch.optim.swa_utils.SWALR(sgd, 0.5, 2, "linear")
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     sgd.step()
    ...     scheduler.step()
    1.0 0.75 0.5 0.5
    """

    anneal_func: Any

    def __init__(
        self,
        optimizer: Any,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = for_each_group("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                "anneal_strategy must be one of 'cos' or 'linear', instead got "
                f"{anneal_strategy}"
            )
        self._set_anneal_func(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(
                f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}"
            )
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _set_anneal_func(self, anneal_strategy: str) -> None:
        self._anneal_strategy = anneal_strategy
        self.anneal_func = _half_wave if anneal_strategy == "cos" else _line

    def get_lr(self) -> list[float]:
        """The rates of the current step, by the first ones that lead to the last."""
        self._warn_outside_step()
        step = self._step_count - 1
        if not self.anneal_epochs:
            step = max(1, step)
        before, now = (
            self.anneal_func(max(0, min(1, number / max(1, self.anneal_epochs))))
            for number in (step - 1, step)
        )
        rates = []
        for group in self.optimizer.param_groups:
            last, rate = group["swa_lr"], group["lr"]
            first = last if before == 1 else (rate - before * last) / (1 - before)
            rates.append(last * now + first * (1 - now))
        return rates

    def state_dict(self) -> dict[str, Any]:
        """What the scheduler holds, but for the optimiser and the function."""
        state = super().state_dict()
        del state["anneal_func"]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self._set_anneal_func(self._anneal_strategy)


def _half_wave(t: float) -> float:
    return (1 - math.cos(math.pi * t)) / 2


def _line(t: float) -> float:
    return t
