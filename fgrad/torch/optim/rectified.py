"""RAdam: Adam that waits until the variance of its step is known."""

from __future__ import annotations

import math
from typing import Any

from fgrad.torch.optim.adam import count_step
from fgrad.torch.optim.optimizer import (
    Optimizer,
    at_least_zero,
    check_betas,
    decayed,
)


class RAdam(Optimizer):
    """Adam with rectified steps: small ones while the mean square is not yet known.

    Liu et al., On the variance of the adaptive learning rate and beyond, 2020,
    algorithm 2.

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        betas: the decay rates of the averages of gradients and of their squares.
        eps: added to the root of the squares.
        weight_decay: how much of the parameter is added to the gradient.
        decoupled_weight_decay: decay the parameter itself instead, as `AdamW`.
        foreach: accepted, without effect.
        maximize: go up, not down.
        capturable: accepted, without effect.
        differentiable: accepted, without effect.

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([2.0])
    >>> torch.optim.RAdam([x], lr=0.1).step()
    >>> x
    tensor([0.8000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        step = count_step(state, x, "exp_avg", "exp_avg_sq")
        first, second = group["betas"]
        if group["decoupled_weight_decay"]:
            x.mul_(1 - group["lr"] * group["weight_decay"])
        else:
            gradient = decayed(x, gradient, group)
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        rate = group["lr"] / (1 - first**step)
        longest = 2 / (1 - second) - 1  # of the average, in steps
        length = longest - 2 * step * second**step / (1 - second**step)
        if length <= 5:
            x.add_(mean, alpha=-rate)
            return
        known = (length - 4) * (length - 2) * longest
        rectified = math.sqrt(known / ((longest - 4) * (longest - 2) * length))
        divisor = square.sqrt().add_(group["eps"])
        scale = math.sqrt(1 - second**step)
        x.addcdiv_(mean, divisor, value=-rate * rectified * scale)
