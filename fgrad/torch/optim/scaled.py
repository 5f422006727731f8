"""Steps divided by what gradients were: RMSprop, Adagrad, Adadelta, Rprop."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from fgrad.torch.creation import tensor
from fgrad.torch.likes import full_like
from fgrad.torch.optim.adam import count_step
from fgrad.torch.optim.optimizer import Optimizer, at_least_zero, decayed
from fgrad.torch.optim.rule import Rule
from fgrad.torch.optim.ruled import RuledOptimizer


class RMSpropNumbers(NamedTuple):
    """What RMSprop's update reads besides arrays.

    Attributes:
        kept: the share of what was in an average.
        new: the share of the gradient, or of its square, in it.
        eps: what keeps quotients finite.
        momentum: how much of the last step is kept.
        rate: how much of the step is added to the parameter.
        decay: how much of the parameter is added to the gradient.
    """

    kept: Any
    new: Any
    eps: Any
    momentum: Any
    rate: Any
    decay: Any


@functools.cache
def _rmsprop(decays: bool, has_momentum: bool, is_centered: bool) -> Rule:
    """G. Hinton, Neural networks for machine learning, 2012, lecture 6e; the variance
    of A. Graves, Generating sequences, 2013, equations 38 to 45.
    """

    def update(x: Any, gradient: Any, state: Any, n: Any) -> Any:
        square, *rest = state
        if decays:
            gradient = gradient + x * n.decay
        square = square * n.kept + n.new * gradient * gradient
        found, variance = [square], square
        if has_momentum:
            momentum, *rest = rest
        if is_centered:
            (mean,) = rest
            mean = mean + n.new * (gradient - mean)
            variance = square - mean * mean
        divisor = np.sqrt(variance) + n.eps
        if has_momentum:
            momentum = momentum * n.momentum + gradient / divisor
            found.append(momentum)
            x = x + momentum * n.rate
        else:
            x = x + gradient / divisor * n.rate
        return x, (*found, mean) if is_centered else tuple(found)

    names = ["square_avg"]
    names += ["momentum_buffer"] if has_momentum else []
    names += ["grad_avg"] if is_centered else []
    return Rule(update, tuple(names), RMSpropNumbers)


class AdagradNumbers(NamedTuple):
    """What Adagrad's update reads besides arrays, as in `RMSpropNumbers`."""

    eps: Any
    rate: Any
    decay: Any


@functools.cache
def _adagrad(decays: bool) -> Rule:
    """J. Duchi, E. Hazan and Y. Singer, Adaptive subgradient methods, 2011."""

    def update(x: Any, gradient: Any, state: Any, n: Any) -> Any:
        (total,) = state
        if decays:
            gradient = gradient + x * n.decay
        total = total + gradient * gradient
        return x + gradient / (np.sqrt(total) + n.eps) * n.rate, (total,)

    return Rule(update, ("sum",), AdagradNumbers)


class RMSprop(RuledOptimizer):
    """Divides by the root of an average of squares.

    ``v = alpha v + (1 - alpha) g**2`` and ``x -= lr * g / (sqrt(v) + eps)`` (Hinton,
    Neural networks for machine learning, lecture 6e, 2012).

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

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([2.0])
    >>> torch.optim.RMSprop([x], lr=0.01).step()
    >>> x
    tensor([0.9000], requires_grad=True)
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

    def rule(self, group: dict[str, Any]) -> Rule:
        """The update of a group."""
        has_momentum = group["momentum"] > 0
        return _rmsprop(bool(group["weight_decay"]), has_momentum, group["centered"])

    def numbers(self, group: dict[str, Any], step: int) -> tuple[float, ...]:
        """The numbers of a step."""
        alpha = group["alpha"]
        rest = group["eps"], group["momentum"], -group["lr"], group["weight_decay"]
        return RMSpropNumbers(*map(float, (alpha, 1 - alpha, *rest)))


class Adagrad(RuledOptimizer):
    """Divides by the root of the sum of all squares so far.

    ``s += g**2`` and ``x -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)``
    (Duchi et al., Adaptive subgradient methods, 2011).

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([2.0])
    >>> torch.optim.Adagrad([x], lr=0.1).step()
    >>> x
    tensor([0.9000], requires_grad=True)
    """

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
                self.state[x] = {"step": tensor(0.0, device="cpu"), "sum": total}

    def rule(self, group: dict[str, Any]) -> Rule:
        """The update of a group."""
        return _adagrad(bool(group["weight_decay"]))

    def numbers(self, group: dict[str, Any], step: int) -> tuple[float, ...]:
        """The numbers of a step."""
        rate = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        return AdagradNumbers(*map(float, (group["eps"], -rate, group["weight_decay"])))


class Adadelta(Optimizer):
    """Divides by an average of squares, and multiplies by one of squared steps.

    ``x -= lr * g * sqrt(u + eps) / sqrt(v + eps)``, with ``u`` the average of squared
    steps and ``v`` that of ``g**2`` (Zeiler, Adadelta, 2012, algorithm 1).

    Raises:
        ValueError: ``rho`` is not between 0 and 1.

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([2.0])
    >>> torch.optim.Adadelta([x]).step()
    >>> x
    tensor([0.9968], requires_grad=True)
    """

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
    """Steps by the sign of the gradient, longer while it stays the same.

    The length is multiplied by ``etas[1]`` while it does, by ``etas[0]`` where it
    changes, and is limited to ``step_sizes`` (Riedmiller and Braun, 1993).

    Raises:
        ValueError: the etas are not ``0 < etas[0] < 1 < etas[1]``.

    >>> x = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> x.grad = torch.tensor([0.001, -1000.0])
    >>> torch.optim.Rprop([x], lr=0.1).step()
    >>> x
    tensor([0.9000, 1.1000], requires_grad=True)
    """

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
