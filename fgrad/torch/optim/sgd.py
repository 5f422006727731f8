"""Stochastic gradient descent."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from fgrad.torch.optim.optimizer import at_least_zero
from fgrad.torch.optim.rule import Rule
from fgrad.torch.optim.ruled import RuledOptimizer


class Numbers(NamedTuple):
    """What the update reads besides arrays.

    Attributes:
        kept: how much of the momentum is kept.
        new: how much of the gradient is added to it.
        rate: how much of the result is added to the parameter.
        decay: how much of the parameter is added to the gradient.
    """

    kept: Any
    new: Any
    rate: Any
    decay: Any


@functools.cache
def _sgd(
    decays: bool, has_momentum: bool, dampens: bool, looks_ahead: bool, is_first: bool
) -> Rule:
    """I. Sutskever et al., On the importance of initialization and momentum, 2013; the
    rate multiplies the momentum, which begins as the first gradient.
    """

    def update(x: Any, gradient: Any, state: Any, n: Any) -> Any:
        if decays:
            gradient = gradient + x * n.decay
        if not has_momentum:
            return x + gradient * n.rate, ()
        (momentum,) = state
        if is_first:
            momentum = gradient
        else:
            new = gradient * n.new if dampens else gradient
            momentum = momentum * n.kept + new
        step = gradient + momentum * n.kept if looks_ahead else momentum
        return x + step * n.rate, (momentum,)

    return Rule(update, ("momentum_buffer",) if has_momentum else (), Numbers)


class SGD(RuledOptimizer):
    """Stochastic gradient descent, with momentum if wanted.

    ``v = momentum * v + (1 - dampening) * g`` and ``x -= lr * v``; with ``nesterov``
    ``x -= lr * (g + momentum * v)`` (Sutskever et al., On the importance of
    initialization and momentum, 2013).

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

    Raises:
        ValueError: an option is negative; ``nesterov`` without momentum, or with
            dampening.

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([2.0])
    >>> torch.optim.SGD([x], lr=0.1).step()
    >>> x
    tensor([0.8000], requires_grad=True)
    """

    counts_steps = False

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

    def rule(self, group: dict[str, Any]) -> Rule:
        """The update of a group."""
        return _rule(group, False)

    def first_rule(self, group: dict[str, Any]) -> Rule:
        """The first update with momentum."""
        return _rule(group, True)

    def numbers(self, group: dict[str, Any], step: int) -> tuple[float, ...]:
        """The numbers of a step."""
        momentum, dampening = group["momentum"], group["dampening"]
        rest = -group["lr"], group["weight_decay"]
        return Numbers(*map(float, (momentum, 1 - dampening, *rest)))


def _rule(group: dict[str, Any], is_first: bool) -> Rule:
    decays, has_momentum = bool(group["weight_decay"]), bool(group["momentum"])
    dampens, looks_ahead = bool(group["dampening"]), bool(group["nesterov"])
    return _sgd(decays, has_momentum, dampens, looks_ahead, is_first)
