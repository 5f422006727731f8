"""``torch.optim.swa_utils``: averages of the parameters of a model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from fgrad.torch.creation import tensor
from fgrad.torch.modes import no_grad
from fgrad.torch.nn.module import Module

__all__ = ["AveragedModel", "get_ema_avg_fn", "get_swa_avg_fn", "update_bn"]

Average = Callable[[Any, Any, Any], Any]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """An average in which older parameters fade.

    ``decay * average + (1 - decay) * new``

    >>> average = torch.optim.swa_utils.get_ema_avg_fn(0.75)
    >>> average(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(1))
    tensor(0.2500)
    """

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
        use_buffers: whether buffers are averaged, too, or copied.

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
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", tensor(0))
        self.avg_fn = avg_fn or get_swa_avg_fn()
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Any) -> None:
        """Take the parameters of the model into the average."""
        names = ["parameters"] + ["buffers"] * self.use_buffers
        with no_grad():
            for name in names:
                pairs = zip(
                    getattr(self.module, name)(), getattr(model, name)(), strict=True
                )
                for averaged, current in pairs:
                    self._take(averaged, current)
            if not self.use_buffers:
                for own, other in zip(
                    self.module.buffers(), model.buffers(), strict=True
                ):
                    own.copy_(other)
            self.n_averaged.add_(1)

    def _take(self, averaged: Any, current: Any) -> None:
        count = int(self.n_averaged)
        if not count:
            averaged.copy_(current)
        else:
            averaged.copy_(self.avg_fn(averaged.detach(), current.detach(), count))


def update_bn(loader: Any, model: Any, device: Any = None) -> None:
    """Compute the statistics of batch normalisation anew, over a loader.

    >>> layer = nn.BatchNorm1d(1)
    >>> torch.optim.swa_utils.update_bn([torch.tensor([[1.0], [3.0]])], layer)
    >>> layer.running_mean
    tensor([2.])
    """
    layers = [
        layer
        for layer in model.modules()
        if layer._buffers.get("running_mean") is not None
    ]
    if not layers:
        return
    was_training, momenta = model.training, [layer.momentum for layer in layers]
    model.train()
    with no_grad():
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        for batch in loader:
            model(batch[0] if isinstance(batch, list | tuple) else batch)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    model.train(was_training)
