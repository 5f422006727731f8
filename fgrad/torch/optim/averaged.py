"""ASGD: stochastic gradient descent that also averages its parameters."""

from __future__ import annotations

from typing import Any

from fgrad.torch.creation import ones, tensor, zeros
from fgrad.torch.likes import zeros_like
from fgrad.torch.optim.optimizer import Optimizer, at_least_zero, decayed


class ASGD(Optimizer):
    """Averaged descent (B. Polyak and A. Juditsky, 1992); the average is ``ax``.

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        lambd: how fast parameters and the rate decay.
        alpha: the power with which the rate falls.
        t0: the step from which parameters are averaged.
        weight_decay: how much of the parameter is added to the gradient.
        foreach: accepted, without effect.
        maximize: go up, not down.
        differentiable: accepted, without effect.
        capturable: accepted, without effect.

    >>> import fgrad.torch as torch
    >>> x = torch.ones(1, requires_grad=True)
    >>> optimiser = torch.optim.ASGD([x], lr=0.5)
    >>> (x * x).sum().backward()
    >>> optimiser.step()
    >>> x.detach()
    tensor([-5.0008e-05])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        at_least_zero(lr=lr, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        if not state:
            state["step"] = zeros(())
            state["eta"] = tensor(group["lr"], dtype=state["step"].dtype)
            state["mu"] = ones(())
            state["ax"] = zeros_like(x)
        state["step"] += 1
        step, eta = state["step"].item(), state["eta"].item()
        gradient = decayed(x, gradient, group)
        x.mul_(1 - group["lambd"] * eta)
        x.add_(gradient, alpha=-eta)
        mu, average = state["mu"].item(), state["ax"]
        if mu == 1:
            average.copy_(x)
        else:
            average.add_((x - average).mul_(mu))
        fallen = 1 + group["lambd"] * group["lr"] * step
        state["eta"].fill_(group["lr"] / fallen ** group["alpha"])
        state["mu"].fill_(1 / max(1, step - group["t0"]))
