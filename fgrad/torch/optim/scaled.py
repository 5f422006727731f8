"""Steps divided by what gradients were: RMSprop, Adagrad, Adadelta, Rprop."""

from __future__ import annotations

from typing import Any

from fgrad.torch.creation import full_like, tensor
from fgrad.torch.optim.adam import count_step
from fgrad.torch.optim.optimizer import Optimizer, at_least_zero, decayed


class RMSprop(Optimizer):
    """Divides by the root of an average of squares.

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        alpha: the decay rate of the average.
        eps: added to the root.
        weight_decay: how much of the parameter is added to the gradient.
        momentum: how much of the last step is kept.
        centered: whether the average is a variance.
        capturable: accepted, without effect.
        foreach: accepted, without effect.
        maximize: go up, not down.
        differentiable: accepted, without effect.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        rest = {"momentum": momentum, "weight_decay": weight_decay, "alpha": alpha}
        at_least_zero(lr=lr, eps=eps, **rest)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        names = ["square_avg"]
        names += ["momentum_buffer"] if group["momentum"] > 0 else []
        names += ["grad_avg"] if group["centered"] else []
        count_step(state, x, *names)
        gradient, alpha = decayed(x, gradient, group), group["alpha"]
        square = state["square_avg"]
        square.mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
        if group["centered"]:
            mean = state["grad_avg"].lerp_(gradient, 1 - alpha)
            square = square.addcmul(mean, mean, value=-1)
        divisor = square.sqrt().add_(group["eps"])
        if group["momentum"] > 0:
            buffer = state["momentum_buffer"]
            buffer.mul_(group["momentum"]).addcdiv_(gradient, divisor)
            x.add_(buffer, alpha=-group["lr"])
        else:
            x.addcdiv_(gradient, divisor, value=-group["lr"])


class Adagrad(Optimizer):
    """Divides by the root of the sum of all squares so far."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        rest = {"lr_decay": lr_decay, "weight_decay": weight_decay}
        start = initial_accumulator_value
        at_least_zero(lr=lr, eps=eps, initial_accumulator_value=start, **rest)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for x in group["params"]:
                total = full_like(x, group["initial_accumulator_value"])
                self.state[x] = {"step": tensor(0.0), "sum": total}

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        step = count_step(state, x)
        gradient, total = decayed(x, gradient, group), state["sum"]
        rate = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        total.addcmul_(gradient, gradient, value=1)
        x.addcdiv_(gradient, total.sqrt().add_(group["eps"]), value=-rate)


class Adadelta(Optimizer):
    """Divides by an average of squares, and multiplies by one of squared steps."""

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        count_step(state, x, "square_avg", "acc_delta")
        gradient = decayed(x, gradient, group)
        rho, eps = group["rho"], group["eps"]
        square, steps = state["square_avg"], state["acc_delta"]
        square.mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
        delta = steps.add(eps).sqrt_().div_(square.add(eps).sqrt_()).mul_(gradient)
        steps.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        x.add_(delta, alpha=-group["lr"])


class Rprop(Optimizer):
    """Steps by the sign of the gradient, longer while it stays the same."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        at_least_zero(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
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
        if "step" not in state:
            count_step(state, x, "prev")
            state["step_size"] = full_like(x, group["lr"])
        else:
            state["step"].add_(1)
        shorter, longer = group["etas"]
        agrees = gradient.mul(state["prev"]).sign()
        factor = agrees.clone().masked_fill_(agrees > 0, longer)
        factor = factor.masked_fill_(agrees < 0, shorter)
        factor = factor.masked_fill_(agrees == 0, 1.0)
        size = state["step_size"].mul_(factor).clamp_(*group["step_sizes"])
        gradient = gradient.masked_fill(agrees < 0, 0.0)
        x.addcmul_(gradient.sign(), size, value=-1)
        state["prev"].copy_(gradient)
