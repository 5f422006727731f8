"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from fgrad.torch.optim.optimizer import Optimizer, at_least_zero, decayed


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        momentum: how much of the last step is kept.
        dampening: how much less the gradient counts in the momentum.
        weight_decay: how much of the parameter is added to the gradient.
        nesterov: whether the momentum looks ahead.
        maximize: go up, not down.
        foreach: accepted, without effect.
        differentiable: accepted, without effect.
        fused: accepted, without effect.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        at_least_zero(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        gradient, momentum = decayed(x, gradient, group), group["momentum"]
        if momentum:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = gradient.clone()
            else:
                buffer.mul_(momentum).add_(gradient, alpha=1 - group["dampening"])
            ahead = group["nesterov"]
            gradient = gradient.add(buffer, alpha=momentum) if ahead else buffer
        x.add_(gradient, alpha=-group["lr"])
