"""Muon: updates of matrices whose singular values are about one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fgrad.torch.likes import zeros_like
from fgrad.torch.optim.optimizer import Optimizer, one_number
from fgrad.torch.placement import place
from fgrad.torch.tensor import Array, make

FACTORS = (3.4445, -4.7750, 2.0315)
ADJUSTMENTS = ("original", "match_rms_adamw")


class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal, about, by Newton's method.

    K. Jordan, Muon: an optimizer for hidden layers in neural networks, 2024. The
    iterations are rounded to bfloat16, as PyTorch's.

    Args:
        params: matrices, or groups of them.
        lr: the learning rate.
        weight_decay: how much the parameter decays, times ``lr``.
        momentum: how much of the average gradient is kept.
        nesterov: whether the gradient is added to the average once more.
        ns_coefficients: the factors ``a, b, c`` of an iteration ``a X + b (X X') X + c
            (X X')**2 X``.
        eps: the smallest norm that gradients are divided by.
        ns_steps: how many iterations there are.
        adjust_lr_fn: ``"original"`` (the default) multiplies the rate of an ``(m, n)``
            matrix by ``sqrt(max(1, m / n))``, ``"match_rms_adamw"`` by ``0.2 *
            sqrt(max(m, n))`` (J. Liu et al., Muon is scalable for LLM training, 2025).

    Raises:
        ValueError: an option is out of bounds, or a parameter is no matrix.
        RuntimeError: a parameter is complex.

    >>> x = torch.eye(2, requires_grad=True)
    >>> x.grad = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    >>> torch.optim.Muon([x], lr=0.1, weight_decay=0.0).step()
    >>> x.detach()
    tensor([[ 1.0000, -0.1125],
            [-0.1125,  1.0000]])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = FACTORS,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        one_number(lr)
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn is not None and adjust_lr_fn not in ADJUSTMENTS:
            raise ValueError(
                f"Adjust learning rate function {adjust_lr_fn} is not supported"
            )
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for x in group["params"]:
                if x.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter "
                        f"with size: {x.size()}"
                    )

    def update(
        self, x: Any, gradient: Any, group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """One step for one parameter."""
        if x.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        if not state:
            state["momentum_buffer"] = zeros_like(gradient)
        kept, rate = group["momentum"], float(group["lr"])
        average = state["momentum_buffer"]
        average.lerp_(gradient, 1 - kept)
        change = gradient.lerp(average, kept) if group["nesterov"] else average
        turned = _orthogonal(change._array, group)
        x.mul_(1 - rate * group["weight_decay"])
        adjusted = rate * _adjustment(group["adjust_lr_fn"], *x.shape)
        new = place(make(turned.astype(x._aval.dtype)), x._device)
        x.add_(new, alpha=-adjusted)


def _adjustment(name: str | None, rows: int, columns: int) -> float:
    if name == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


def _orthogonal(matrix: Array, group: dict[str, Any]) -> Array:
    """The factor ``U V'`` of the matrix ``U S V'``, about: singular values near one."""
    if group["ns_steps"] >= 100:
        raise ValueError(
            "Number of steps must be less than 100 for computational efficiency"
        )
    if len(group["ns_coefficients"]) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = (np.float32(factor) for factor in group["ns_coefficients"])
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = _rounded(matrix.T if is_tall else matrix)
    norm = np.sqrt(np.sum(x * x, dtype=np.float32))
    x = _rounded(x / np.maximum(_rounded(norm), _rounded(group["eps"])))
    for _ in range(group["ns_steps"]):
        gram = _rounded(x @ x.T)
        update = _rounded(b * gram + c * (gram @ gram))
        x = _rounded(a * x + update @ x)
    return x.T if is_tall else x


def _rounded(x: Any) -> Array:
    """Numbers rounded to the nearest ones of bfloat16, as float32; ties to even."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    lowest = (bits >> np.uint32(16)) & np.uint32(1)
    kept = (bits + np.uint32(0x7FFF) + lowest) & np.uint32(0xFFFF0000)
    return kept.view(np.float32)
