"""Adam and its relatives: steps divided by the size that gradients had lately."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fgrad.torch.creation import tensor
from fgrad.torch.likes import zeros_like
from fgrad.torch.optim.optimizer import (
    Optimizer,
    at_least_zero,
    check_betas,
    decayed,
)
from fgrad.torch.optim.rule import Rule
from fgrad.torch.optim.ruled import RuledOptimizer
from fgrad.torch.pairs import maximum
from fgrad.torch.placement import place


def count_step(state: dict[str, Any], x: Any, *names: str) -> int:
    """The number of the step; the first one creates averages of zero."""
    if "step" not in state:
        state["step"] = tensor(0.0, device="cpu")
        for name in names:
            state[name] = place(zeros_like(x), x._device)
    state["step"].add_(1)
    return int(state["step"]._array)


class Numbers(NamedTuple):
    """What Adam's update reads besides arrays.

    Attributes:
        new: the share of the gradient in its average.
        kept: the share of what was in the average of squares.
        squared: the share of the gradient's square in it.
        eps: what keeps quotients finite.
        rate: how much of the quotient is added.
        decay: how much of the parameter is added to the gradient; where the decay is no
            part of the gradient, how much of the parameter is kept.
    """

    new: Any
    kept: Any
    squared: Any
    eps: Any
    rate: Any
    decay: Any


@functools.cache
def _adam(decays: bool, decouples: bool, has_largest: bool) -> Rule:
    """D. Kingma and J. Ba, Adam, 2015, algorithm 1; the decay of I. Loshchilov and F.
    Hutter, 2019, algorithm 2; the largest average of S. Reddi et al., 2018.
    """

    def update(x: Any, gradient: Any, state: Any, n: Any) -> Any:
        mean, square, *largest = state
        if decays and decouples:
            x = x * n.decay
        elif decays:
            gradient = gradient + x * n.decay
        mean = mean + n.new * (gradient - mean)
        square = square * n.kept + n.squared * gradient * gradient
        largest = [np.maximum(old, square) for old in largest]
        (divisor,) = largest or [square]
        step = mean / (np.sqrt(divisor) + n.eps)
        return x + step * n.rate, (mean, square, *largest)

    names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    return Rule(update, names if has_largest else names[:2], Numbers)


class Adam(RuledOptimizer):
    """Adam: steps along averaged gradients, divided by the root of averaged squares.

    ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g**2``, both divided by ``1 -
    b**t``; then ``x -= lr * m / (sqrt(v) + eps)`` (Kingma and Ba, Adam, 2015, algorithm
    1).

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        betas: the decay rates of the averages of gradients and of their squares.
        eps: added to the root of the squares.
        weight_decay: how much of the parameter is added to the gradient.
        amsgrad: divide by the largest average so far.
        maximize: go up, not down.
        foreach: accepted, without effect.
        capturable: accepted, without effect.
        differentiable: accepted, without effect.
        fused: accepted, without effect.
        decoupled_weight_decay: as `AdamW`.

    Raises:
        ValueError: a rate is negative, or a beta is outside of ``[0, 1)``.

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([20.0])
    >>> torch.optim.Adam([x], lr=0.1).step()
    >>> x
    tensor([0.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def rule(self, group: dict[str, Any]) -> Rule:
        """The update of a group."""
        decouples = bool(group["decoupled_weight_decay"])
        return _adam(bool(group["weight_decay"]), decouples, bool(group["amsgrad"]))

    def numbers(self, group: dict[str, Any], step: int) -> tuple[float, ...]:
        """The numbers of a step."""
        first, second = map(float, group["betas"])
        rate, decay = float(group["lr"]), float(group["weight_decay"])
        if group["decoupled_weight_decay"]:
            decay = 1 - rate * decay
        # averages that begin at zero are divided by the sum of their shares so far;
        # that of squares multiplies numbers instead of dividing each element
        scale = math.sqrt(1 - second**step)
        eps, rate = float(group["eps"]) * scale, -rate * scale / (1 - first**step)
        return Numbers(1 - first, second, 1 - second, eps, rate, decay)


class AdamW(Adam):
    """Adam with a weight decay that is not part of the gradient.

    The parameter is multiplied by ``1 - lr * weight_decay`` first (Loshchilov and
    Hutter, Decoupled weight decay regularization, 2019, algorithm 2). Arguments as of
    `Adam`.

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([0.0])
    >>> torch.optim.AdamW([x], lr=0.1, weight_decay=0.5).step()
    >>> x
    tensor([0.9500], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **flags: Any,
    ) -> None:
        flags["decoupled_weight_decay"] = True
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **flags)


def _flags(**given: Any) -> dict[str, Any]:
    known = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
    }
    unknown = set(given) - set(known)
    if unknown:
        raise TypeError(f"unexpected keyword arguments {sorted(unknown)}")
    return known | given


class Adamax(Optimizer):
    """Adam by the largest gradient, not the mean square.

    ``u = max(b2 u, |g| + eps)`` in place of the root (Kingma and Ba, 2015, algorithm
    2). Arguments as of `Adam`, without ``amsgrad``.

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([20.0])
    >>> torch.optim.Adamax([x], lr=0.1).step()
    >>> x
    tensor([0.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        **flags: Any,
    ) -> None:
        at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options | _flags(**flags))

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        step = count_step(state, x, "exp_avg", "exp_inf")
        first, second = group["betas"]
        gradient = decayed(x, gradient, group)
        mean, largest = state["exp_avg"], state["exp_inf"]
        mean.lerp_(gradient, 1 - first)
        size = gradient.abs().add_(group["eps"])
        largest.copy_(maximum(largest.mul_(second), size))
        x.addcdiv_(mean, largest, value=-group["lr"] / (1 - first**step))


class NAdam(Optimizer):
    """Adam with Nesterov's momentum.

    Dozat, Incorporating Nesterov momentum into Adam, 2016. Arguments as of `Adam`;
    ``momentum_decay`` is how fast the momentum reaches ``betas[0]``.

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([20.0])
    >>> torch.optim.NAdam([x], lr=0.1).step()
    >>> x
    tensor([0.8944], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        **flags: Any,
    ) -> None:
        at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options | _flags(**flags))

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        if "mu_product" not in state:
            state["mu_product"] = tensor(1.0)
        step = count_step(state, x, "exp_avg", "exp_avg_sq")
        first, second = group["betas"]
        if group["decoupled_weight_decay"]:
            x.mul_(1 - group["lr"] * group["weight_decay"])
        else:
            gradient = decayed(x, gradient, group)
        decay = group["momentum_decay"]
        share, ahead = (
            first * (1 - 0.5 * 0.96 ** (k * decay)) for k in (step, step + 1)
        )
        state["mu_product"].mul_(share)
        product = float(state["mu_product"]._array)
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        divisor = square.div(1 - second**step).sqrt().add_(group["eps"])
        rate = group["lr"]
        x.addcdiv_(gradient, divisor, value=-rate * (1 - share) / (1 - product))
        x.addcdiv_(mean, divisor, value=-rate * ahead / (1 - product * ahead))
