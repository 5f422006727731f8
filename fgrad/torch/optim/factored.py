"""Adafactor: squares of gradients that are kept as one row and one column."""

from __future__ import annotations

from typing import Any

from fgrad.torch.creation import tensor
from fgrad.torch.likes import zeros_like
from fgrad.torch.limits import finfo
from fgrad.torch.optim.optimizer import Optimizer, one_number


class Adafactor(Optimizer):
    """Steps relative to the size of parameters, by squares of gradients in factors.

    N. Shazeer and M. Stern, Adafactor: adaptive learning rates with sublinear memory
    cost, 2018. The mean squares of a matrix are the product of their means over rows
    and over columns; of several axes, the last two are rows and columns.

    Args:
        params: parameters, or groups of them.
        lr: the largest relative step, and the factor of the weight decay.
        beta2_decay: the share of new squares is the number of the step to this power.
        eps: what keeps quotients finite (None for that of the dtype), and the smallest
            size that a parameter is taken to have.
        d: the largest root mean square of an update, which is scaled down to it.
        weight_decay: how much the parameter decays, times ``lr``.
        foreach: accepted, without effect.
        maximize: go up, not down.

    Raises:
        ValueError: an option is out of bounds.
        RuntimeError: a parameter is complex.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> x.grad = torch.tensor([2.0, -2.0])
    >>> torch.optim.Adafactor([x], lr=0.1).step()
    >>> x.detach()
    tensor([0.8419, 2.1581])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        one_number(lr)
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        for number, value in enumerate(eps, 1):
            if value is not None and not value >= 0.0:
                raise ValueError(f"epsilon{number} should be >= 0 but is: {value}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        if x.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        if not state:
            _begin(state, gradient)
        state["step"] += 1
        step, rate = state["step"].item(), float(group["lr"])
        share = step ** group["beta2_decay"]
        smallest, least = group["eps"]
        smallest = finfo(x.dtype).eps if smallest is None else smallest
        relative = min(rate, 1 / step**0.5)
        length = max(least, _root_mean_square(x)) * relative
        if group["weight_decay"]:
            x.mul_(1 - rate * group["weight_decay"])
        squares = _mean_squares(gradient, state, share, smallest)
        change = squares.clamp_(min=smallest * smallest).rsqrt_().mul_(gradient)
        excess = max(1.0, change.norm(2).item() / (change.numel() ** 0.5 * group["d"]))
        x.add_(change, alpha=-length / excess)


def _begin(state: dict[str, Any], gradient: Any) -> None:
    state["step"] = tensor(0.0, device="cpu")
    if gradient.dim() < 2:
        state["variance"] = zeros_like(gradient)
        return
    *lead, rows, columns = gradient.shape
    state["row_var"] = gradient.new_zeros((*lead, rows, 1))
    state["col_var"] = gradient.new_zeros((*lead, 1, columns))


def _root_mean_square(x: Any) -> float:
    return x.norm(2).item() / x.numel() ** 0.5  # type: ignore[no-any-return]


def _mean_squares(
    gradient: Any, state: dict[str, Any], share: float, smallest: float
) -> Any:
    """The averages of squares, into which those of a new gradient are taken."""
    if gradient.dim() < 2:
        state["variance"].lerp_(gradient * gradient, share)
        return state["variance"].clone()
    for name, axis in (("row_var", -1), ("col_var", -2)):
        mean = gradient.norm(dim=axis, keepdim=True).square_()
        state[name].lerp_(mean.div_(gradient.size(axis)), share)
    row, column = state["row_var"], state["col_var"]
    return (row @ column).div_(row.mean(-2, True).clamp_(min=smallest))
