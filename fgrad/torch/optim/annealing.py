"""Learning rates that fall along a curve, and ones that do so again and again."""

from __future__ import annotations

import math
from typing import Any

from fgrad.torch.optim.scheduler import LRScheduler


class PolynomialLR(LRScheduler):
    """Down to zero as a power of what is left of ``total_iters`` steps.

    ``lr * (1 - step / total_iters)**power``

    >>> sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.PolynomialLR(sgd, total_iters=4)
    >>> for _ in range(5):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     sgd.step()
    ...     scheduler.step()
    1.0 0.75 0.5 0.25 0.0
    """

    def __init__(
        self,
        optimizer: Any,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._rates()
        now, total = self.last_epoch, self.total_iters
        factor = ((1.0 - now / total) / (1.0 - (now - 1) / total)) ** self.power
        return [rate * factor for rate in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        place = min(self.total_iters, self.last_epoch)
        factor = (1.0 - place / self.total_iters) ** self.power
        return [base * factor for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """Down to ``eta_min`` in ``T_max`` steps, along a cosine.

    ``eta_min + (lr - eta_min) * (1 + cos(pi * step / T_max)) / 2`` (Loshchilov and
    Hutter, SGDR, 2017, equation 5, without restarts).

    >>> sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=4)
    >>> for _ in range(5):
    ...     print(round(scheduler.get_last_lr()[0], 4), end=" ")
    ...     sgd.step()
    ...     scheduler.step()
    1.0 0.8536 0.5 0.1464 0.0
    """

    def __init__(
        self, optimizer: Any, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        if self._is_initial:
            return self._rates()
        now, total, low = self.last_epoch, self.T_max, self.eta_min
        if self._step_count == 1 and now > 0:
            return self._get_closed_form_lr()
        if (now - 1 - total) % (2 * total) == 0:
            rise = 1 - math.cos(math.pi / total)
            pairs = zip(self._rates(), self.base_lrs, strict=True)
            return [rate + (base - low) * rise / 2 for rate, base in pairs]
        above = 1 + math.cos(math.pi * now / total)
        below = 1 + math.cos(math.pi * (now - 1) / total)
        return [above / below * (rate - low) + low for rate in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        rise = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        low = self.eta_min
        return [low + (base - low) * rise / 2 for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """A cosine from the first rate down, again and again, each ``T_mult`` as long.

    Loshchilov and Hutter, SGDR, 2017, equation 5; the first one takes ``T_0`` steps.

    Raises:
        ValueError: ``T_0`` or ``T_mult`` is no positive integer.

    >>> sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(sgd, T_0=2)
    >>> for _ in range(5):
    ...     print(round(scheduler.get_last_lr()[0], 4), end=" ")
    ...     sgd.step()
    ...     scheduler.step()
    1.0 0.5 1.0 0.5 1.0
    """

    def __init__(
        self,
        optimizer: Any,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, float | int):
            raise ValueError(
                f"Expected float or int eta_min, but got {eta_min} of type "
                f"{type(eta_min)}"
            )
        self.T_0, self.T_i, self.T_mult = T_0, T_0, T_mult
        self.eta_min, self.T_cur = eta_min, last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        rise, low = 1 + math.cos(math.pi * self.T_cur / self.T_i), self.eta_min
        return [low + (base - low) * rise / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next step, or of a fraction of an epoch.

        Raises:
            ValueError: the epoch is negative.
        """
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            self._advance()
        elif epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        else:
            self._go_to(epoch)
        with self._within_step():
            rates = self.get_lr()
        self._set(rates)

    def _advance(self) -> None:
        self.last_epoch += 1
        self.T_cur += 1
        if self.T_cur >= self.T_i:
            self.T_cur %= self.T_i
            self.T_i *= self.T_mult

    def _go_to(self, epoch: Any) -> None:
        self.last_epoch = math.floor(epoch)
        first, times = self.T_0, self.T_mult
        if epoch < first:
            self.T_i, self.T_cur = first, epoch
        elif times == 1:
            self.T_cur = epoch % first
        else:
            cycles = int(math.log(epoch / first * (times - 1) + 1, times))
            self.T_cur = epoch - first * (times**cycles - 1) / (times - 1)
            self.T_i = first * times**cycles
