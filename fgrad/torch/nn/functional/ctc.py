"""The connectionist temporal classification loss.

A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, Connectionist temporal
classification, 2006: the sum over all alignments, by their equations 6 to 8.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

import fgrad
from fgrad.torch.nn.functional.losses import check_reduction
from fgrad.torch.recording import one
from fgrad.torch.tensor import Array, Tensor, require_tensor

_CALLED = "(while checking arguments for ctc_loss_allocate_outputs)"


def _lengths(name: str, given: Any, batch: int) -> Array:
    """Lengths, of a tensor or a sequence.

    Raises:
        RuntimeError: they are no integers, or not as many as the batch has samples.
    """
    if isinstance(given, Tensor):
        if given.dtype.category > 1:
            raise RuntimeError(f"{name} must be integral")
        found = given._array.astype(np.int64)
    else:
        found = np.array([operator.index(n) for n in given], np.int64)
    if found.ndim > 1 or found.size != batch:
        raise RuntimeError(f"{name} must be of size batch_size")
    return found.reshape(-1)


def _within(name: str, lengths: Array, limit: int) -> None:
    for n in lengths.tolist():
        if not 0 <= n <= limit:
            bound = f"least 0, but got value {n}" if n < 0 else f"most {limit}"
            text = bound if n < 0 else f"{bound}, but got value {n}"
            raise RuntimeError(f"Expected {name} to have value at {text} {_CALLED}")


def _labels(targets: Tensor, lengths: Array, batch: int) -> Array:
    """The labels of each sample in a row, as many as the longest has.

    Raises:
        RuntimeError: there are others than the lengths say.
    """
    given, longest = targets._array, int(max(lengths, default=0))
    if given.ndim == 1:
        if given.size != lengths.sum():
            raise _size(int(lengths.sum()), 0, given.size)
        rows = np.split(given, np.cumsum(lengths)[:-1])
    else:
        if given.shape[0] != batch:
            raise _size(batch, 0, given.shape[0])
        if given.shape[1] < longest:
            raise _size(longest, 1, given.shape[1], "at least ")
        rows = list(given)
    padded = np.zeros((batch, longest), np.int64)
    for row, found, n in zip(padded, rows, lengths.tolist(), strict=True):
        row[:n] = found[:n]
    return padded


def _size(wanted: int, axis: int, found: int, least: str = "") -> RuntimeError:
    return RuntimeError(
        f"Expected tensor to have size {least}{wanted} at dimension {axis}, but got "
        f"size {found} for argument #2 'targets' {_CALLED}"
    )


def _log_of_sum(parts: list[Any]) -> Any:
    """``log(sum(exp(parts)))``, with gradients of zero where the sum is."""
    top = parts[0]
    for part in parts[1:]:
        top = np.where(part > top, part, top)
    top = fgrad.stop_gradient(np.where(top == -np.inf, 0.0, top))
    total = sum(np.exp(part - top) for part in parts)
    is_zero = total == 0
    return np.where(is_zero, -np.inf, np.log(np.where(is_zero, 1.0, total)) + top)


def _shifted(x: Any, count: int) -> Any:
    """States moved on by ``count``; what comes before the first is impossible."""
    before = np.full((x.shape[0], count), -np.inf, x.dtype)
    return np.concatenate([before, x[:, : x.shape[1] - count]], 1)


def _negative_logs(
    logs: Any, states: Array, skips: Array, steps: Array, lengths: Array
) -> Any:
    """``-log p(labels)`` of each sample of ``(T, N, C)`` logarithms.

    Args:
        logs: logarithms of probabilities.
        states: the labels with blanks around each, ``(N, 2 * S + 1)``.
        skips: which states are also reached past the blank before them.
        steps: how many of the T are the sample's.
        lengths: how many labels it has.
    """
    count, batch = logs.shape[:2]
    lines, ends = np.arange(batch), 2 * lengths
    start = np.where(np.arange(states.shape[1]) == 0, 0.0, -np.inf)
    before = np.broadcast_to(start, states.shape).astype(logs.dtype)
    found = before
    for step in range(count):
        emitted = logs[step][lines[:, None], states]
        if step == 0:
            reached = [found, _shifted(found, 1)]
        else:
            leap = np.where(skips, _shifted(found, 2), -np.inf)
            reached = [found, _shifted(found, 1), leap]
        new = _log_of_sum(reached) + emitted
        found = np.where((step < steps)[:, None], new, found)
    last = found[lines, ends]
    other = np.where(lengths > 0, found[lines, np.maximum(ends - 1, 0)], -np.inf)
    return -_log_of_sum([last, other])


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """The negative logarithms of the probabilities of label sequences.

    The gradient is PyTorch's: the one of logits, for ``log_probs`` that are their
    `log_softmax`. It differs from the derivative by ``exp(log_probs)``, which the
    derivative of the softmax takes away again.

    Args:
        log_probs: ``(T, N, C)`` logarithms of probabilities of labels, or ``(T, C)``.
        targets: ``(N, S)`` labels, padded; or those of all samples in one axis.
        input_lengths: how many of the T steps are each sample's.
        target_lengths: how many labels each sample has.
        blank: the label that stands for none.
        reduction: ``"mean"`` divides by the number of labels first; ``"sum"`` or
            ``"none"``.
        zero_infinity: take infinite losses, of samples too short for their labels,
            and their gradients for zero.

    Raises:
        RuntimeError: lengths or labels do not fit.

    >>> import fgrad.torch as torch
    >>> logs = torch.zeros(3, 1, 2).log_softmax(2)
    >>> torch.nn.functional.ctc_loss(logs, torch.tensor([[1]]), (3,), (1,))
    tensor(0.2877)
    """
    x = require_tensor("ctc_loss", log_probs)
    check_reduction(reduction)
    if x._aval.dtype == np.float16:
        raise NotImplementedError("\"ctc_loss_cpu\" not implemented for 'Half'")
    if x._aval.ndim not in (2, 3):
        raise RuntimeError(
            f"Expected 3-dimensional tensor, but got {x._aval.ndim + 1}-dimensional "
            f"tensor for argument #1 'log_probs' {_CALLED}"
        )
    is_single = x._aval.ndim == 2
    shape = (x._aval.shape[0], 1, x._aval.shape[1]) if is_single else x._aval.shape
    count, batch, classes = shape
    steps = _lengths("input_lengths", input_lengths, batch)
    lengths = _lengths("target_lengths", target_lengths, batch)
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    _within("target_lengths", lengths, int(max(lengths, default=0)))
    _within("input_lengths", steps, count)
    labels = _labels(targets, lengths, batch)
    states = np.full((batch, 2 * labels.shape[1] + 1), blank)
    states[:, 1::2] = labels
    skips = np.zeros(states.shape, bool)
    skips[:, 2:] = states[:, 2:] != states[:, :-2]
    is_used = (np.arange(count)[:, None] < steps)[:, :, None]

    def compute(u: Any) -> Any:
        logs = u.reshape(shape)
        losses = _negative_logs(logs, states, skips, steps, lengths)
        chances = np.exp(np.where(is_used, logs, -np.inf))
        losses = losses + np.sum(chances - fgrad.stop_gradient(chances), axis=(0, 2))
        if zero_infinity:
            losses = np.where(np.isinf(losses), 0.0, losses)
        if reduction == "mean":
            return np.mean(losses / np.maximum(lengths, 1).astype(losses.dtype))
        if reduction == "sum":
            return np.sum(losses)
        return losses[0] if is_single else losses

    nodes = {"mean": "MeanBackward0", "sum": "SumBackward0"}
    own = "SqueezeBackward1" if is_single else "CtcLossBackward0"
    return one(nodes.get(reduction, own), compute, x)
