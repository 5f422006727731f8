"""Losses between numbers."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

import fgrad
from fgrad.torch.recording import one
from fgrad.torch.tensor import Tensor, require_tensor

SIZES = (
    "Using a target size ({}) that is different to the input size ({}). This will "
    "likely lead to incorrect results due to broadcasting. Please ensure they have the "
    "same size."
)
MEAN_OF_KL = (
    "reduction: 'mean' divides the total loss by both the batch size and the support "
    "size.'batchmean' divides only by the batch size, and aligns with the KL div math "
    "definition.'mean' will be changed to behave the same as 'batchmean' in the next "
    "major release."
)


def reduced(values: Any, reduction: str) -> Any:
    """An array of losses reduced: ``"mean"``, ``"sum"`` or ``"none"``."""
    if reduction == "mean":
        return np.mean(values)
    return np.sum(values) if reduction == "sum" else values


def check_reduction(reduction: str) -> str:
    """A reduction that there is.

    Raises:
        ValueError: there is none of this name.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def node_of(name: str, reduction: str, elementwise: str) -> str:
    """The node of a loss that PyTorch composes: that of its last operation."""
    return {"mean": "MeanBackward0", "sum": "SumBackward0"}.get(reduction, elementwise)


def _pair(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    x, y = require_tensor(name, input), require_tensor(name, target, 2)
    if x._aval.shape != y._aval.shape:
        warnings.warn(SIZES.format(y.shape, x.shape), UserWarning, stacklevel=3)
    return x, y


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squares of the differences of tensors of one shape, reduced.

    Where the shapes differ they are broadcast, with a warning. ``weight`` multiplies
    the squares; ``reduction`` is ``"mean"``, ``"sum"`` or ``"none"``, as for all
    losses.

    Raises:
        ValueError: there is no such reduction.

    >>> F.mse_loss(torch.tensor([1.0, 2.0]), torch.zeros(2))
    tensor(2.5000)
    """
    x, y = _pair("mse_loss", input, target)
    check_reduction(reduction)
    weights = 1 if weight is None else np.broadcast_to(weight._array, x._aval.shape)
    total = float(np.sum(weights)) if weight is not None else 0.0

    def compute(u: Any, v: Any) -> Any:
        difference = u - v
        squares = difference * difference
        if weight is None:
            return reduced(squares, reduction)
        squares = squares * weights
        return (
            np.sum(squares) / total
            if reduction == "mean"
            else reduced(squares, reduction)
        )

    return one("MseLossBackward0", compute, x, y)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The magnitudes of the differences of tensors of one shape, reduced.

    >>> F.l1_loss(torch.tensor([1.0, -2.0]), torch.zeros(2))
    tensor(1.5000)
    """
    x, y = _pair("l1_loss", input, target)
    node = node_of("l1", check_reduction(reduction), "AbsBackward0")
    return one(node, lambda u, v: reduced(np.abs(u - v), reduction), x, y)


def _huber(x: Any, width: float) -> Any:
    """``x**2 / 2`` up to a width, and linear from there on."""
    size = np.abs(x)
    return np.where(size < width, 0.5 * size * size, width * (size - 0.5 * width))


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``d**2 / (2 * beta)`` for differences below ``beta``, else ``|d| - beta / 2``.

    Girshick, Fast R-CNN, 2015, equation 3 (where ``beta`` is 1).

    >>> x = torch.tensor([0.5, 3.0])
    >>> F.smooth_l1_loss(x, torch.zeros(2), reduction="none")
    tensor([0.1250, 2.5000])
    """
    x, y = _pair("smooth_l1_loss", input, target)
    check_reduction(reduction)
    if beta == 0:
        return l1_loss(x, y, reduction=reduction)

    def compute(u: Any, v: Any) -> Any:
        return reduced(_huber(u - v, beta) / beta, reduction)

    return one("SmoothL1LossBackward0", compute, x, y)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """``d**2 / 2`` for differences up to ``delta``, else ``delta * (|d| - delta / 2)``.

    Huber, Robust estimation of a location parameter, 1964.

    >>> x = torch.tensor([0.5, 3.0])
    >>> F.huber_loss(x, torch.zeros(2), reduction="none", delta=2.0)
    tensor([0.1250, 4.0000])
    """
    x, y = _pair("huber_loss", input, target)
    check_reduction(reduction)
    factor = 1.0 if weight is None else weight._array

    def compute(u: Any, v: Any) -> Any:
        return reduced(_huber(u - v, delta) * factor, reduction)

    return one("HuberLossBackward0", compute, x, y)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The divergence of ``target`` from ``input``, which is a logarithm.

    ``target * (log(target) - input)``, of logarithms of targets if ``log_target``.
    ``reduction="batchmean"`` divides the sum by the length of the first axis, which is
    the divergence as defined; ``"mean"`` by the number of elements, with a warning.

    >>> x = torch.tensor([[0.5, 0.5]]).log()
    >>> F.kl_div(x, torch.tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931)
    """
    x, y = require_tensor("kl_div", input), require_tensor("kl_div", target, 2)
    if reduction == "mean":
        warnings.warn(MEAN_OF_KL, UserWarning, stacklevel=2)

    def compute(u: Any, v: Any) -> Any:
        if log_target:
            values = np.exp(v) * (v - u)
        else:
            logarithm = np.log(np.where(v == 0, 1.0, v))
            values = np.where(v == 0, 0.0, v * logarithm) - v * u
        if reduction == "batchmean":
            return np.sum(values) / u.shape[0]
        return reduced(values, reduction)

    last = "DivBackward0" if reduction == "batchmean" else "SubBackward0"
    return one(node_of("kl_div", reduction, last), compute, x, y)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative logarithm of Poisson likelihoods of counts.

    ``exp(input) - target * input``, or ``input - target * log(input + eps)`` without
    ``log_input``. If ``full`` Stirling's approximation of ``log(target!)`` is added for
    targets above 1.

    >>> F.poisson_nll_loss(torch.tensor([0.0]), torch.tensor([3.0]))
    tensor(1.)
    """

    def compute(u: Any, v: Any) -> Any:
        loss = np.exp(u) - v * u if log_input else u - v * np.log(u + eps)
        if full:
            inside = np.where(v > 1, v, 1.0)
            stirling = v * np.log(inside) - v + 0.5 * np.log(2 * math.pi * inside)
            loss = loss + np.where(v > 1, stirling, 0.0)
        return reduced(loss, reduction)

    node = node_of("poisson", check_reduction(reduction), "SubBackward0")
    return one(node, compute, input, target)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative logarithm of normal likelihoods of given variances.

    ``(log(var) + (input - target)**2 / var) / 2``, with ``var`` at least ``eps``; if
    ``full``, ``log(2 * pi) / 2`` is added (Nix and Weigend, 1994). ``var`` is a number,
    or a tensor of the input's shape, perhaps without its last axis.

    Raises:
        ValueError: a variance is negative.

    >>> F.gaussian_nll_loss(torch.zeros(1), torch.tensor([2.0]), torch.ones(1))
    tensor(2.)
    """
    variance = var if isinstance(var, Tensor) else input.new_full(input.shape, var)
    if np.any(variance._array < 0):
        raise ValueError("var has negative entry/entries")
    if variance._aval.ndim == input._aval.ndim - 1:
        variance = variance.unsqueeze(-1)

    def compute(u: Any, v: Any, s: Any) -> Any:
        s = np.maximum(s, eps)
        loss = 0.5 * (np.log(s) + (u - v) * (u - v) / s)
        if full:
            loss = loss + 0.5 * math.log(2 * math.pi)
        return reduced(loss, reduction)

    node = node_of("gaussian", check_reduction(reduction), "MulBackward0")
    return one(node, compute, input, target, variance)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(target * log(input) + (1 - target) * log(1 - input))``, reduced.

    Logarithms are at least -100. ``weight`` multiplies the elements.

    Raises:
        ValueError: the shapes differ.
        RuntimeError: an input is not between 0 and 1.

    >>> F.binary_cross_entropy(torch.tensor([0.5, 0.0]), torch.tensor([1.0, 0.0]))
    tensor(0.3466)
    """
    x, y = input, target
    check_reduction(reduction)
    if x._aval.shape != y._aval.shape:
        raise ValueError(
            f"Using a target size ({y.shape}) that is different to the input size "
            f"({x.shape}) is deprecated. Please ensure they have the same size."
        )
    if not np.all((x._array >= 0) & (x._array <= 1)):
        raise RuntimeError("all elements of input should be between 0 and 1")
    factor = 1.0 if weight is None else weight._array

    def compute(u: Any, v: Any) -> Any:
        yes, no = np.maximum(np.log(u), -100.0), np.maximum(np.log1p(-u), -100.0)
        # PyTorch divides the gradient by u * (1 - u), or by 1e-12 where that is less
        is_end = u * (1 - u) < 1e-12
        change = (u - fgrad.stop_gradient(u)) * 1e12
        yes = np.where(is_end, fgrad.stop_gradient(yes) + change * (1 - u), yes)
        no = np.where(is_end, fgrad.stop_gradient(no) - change * u, no)
        return reduced(((v - 1) * no - v * yes) * factor, reduction)

    return one("BinaryCrossEntropyBackward0", compute, x, y)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """The binary cross entropy of the sigmoids of logits, which does not overflow.

    ``weight`` multiplies the elements, ``pos_weight`` the part of positive targets.

    Raises:
        ValueError: the shapes differ.

    >>> x, y = torch.tensor([0.0, 200.0]), torch.tensor([1.0, 0.0])
    >>> F.binary_cross_entropy_with_logits(x, y, reduction="none")
    tensor([  0.6931, 200.0000])
    """
    x, y = input, target
    check_reduction(reduction)
    if x._aval.shape != y._aval.shape:
        raise ValueError(
            f"Target size ({y.shape}) must be the same as input size ({x.shape})"
        )
    factor = 1.0 if weight is None else weight._array
    positive = None if pos_weight is None else pos_weight._array

    def compute(u: Any, v: Any) -> Any:
        if positive is None:
            loss = (1 - v) * u + np.logaddexp(-u, 0.0)
        else:
            more = (positive - 1) * v + 1
            loss = (1 - v) * u + more * np.logaddexp(-u, 0.0)
        return reduced(loss * factor, reduction)

    return one("BinaryCrossEntropyWithLogitsBackward0", compute, x, y)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + exp(-target * input))``, reduced; targets are 1 and -1.

    >>> F.soft_margin_loss(torch.tensor([0.0]), torch.tensor([-1.0]))
    tensor(0.6931)
    """

    def compute(u: Any, v: Any) -> Any:
        return reduced(np.logaddexp(-v * u, 0.0), reduction)

    check_reduction(reduction)
    return one("SoftMarginLossBackward0", compute, input, target)
