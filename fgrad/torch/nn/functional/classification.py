"""Losses of classes: ``nll_loss``, ``cross_entropy``, margins."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.known import examined
from fgrad.torch.nn.functional.losses import check_reduction, node_of, reduced
from fgrad.torch.recording import one
from fgrad.torch.repeating import repeated
from fgrad.torch.softmaxes import log_softmax_of
from fgrad.torch.tensor import Array, Tensor, require_tensor


def _classes(
    name: str, x: Tensor, target: Tensor, ignore_index: int
) -> tuple[Array, int | None]:
    """The classes, after the checks that PyTorch makes, and the ignored one if there.

    Raises:
        ValueError: the batches differ.
        RuntimeError: the classes are no int64 numbers.
        IndexError: there is no such class.
    """
    classes, shape = target._array, x._aval.shape
    lead = shape[:1] if len(shape) > 1 else ()
    if len(shape) > 1 and classes.shape[:1] != lead:
        found = classes.shape[0] if classes.ndim else 0
        raise ValueError(
            f"Expected input batch_size ({shape[0]}) to match target batch_size "
            f"({found})."
        )
    if classes.dtype not in (np.int64, np.uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {target.dtype.kind}"
        )
    if len(shape) == 2 and classes.ndim > 1:
        raise RuntimeError(
            "0D or 1D target tensor expected, multi-target not supported"
        )
    if len(shape) == 4 and classes.ndim != 3:
        raise RuntimeError(
            "only batches of spatial targets supported (3D tensors) but got targets of "
            f"dimension: {classes.ndim}"
        )
    if classes.shape != (*lead, *shape[2:]):
        raise RuntimeError(
            f"Expected target size {[*lead, *shape[2:]]}, got {list(classes.shape)}"
        )
    count = shape[1] if len(shape) > 1 else shape[0]
    seen = examined(classes)
    is_plain = seen.dtype == np.int64 and seen.flags.c_contiguous
    if is_plain and seen.size and not 0 <= ignore_index < count:
        largest = seen.view(np.uint64).max()  # negative ones are large there
        if largest < count:
            return classes, None
    wrong = seen[((seen < 0) | (seen >= count)) & (seen != ignore_index)]
    if wrong.size:
        raise IndexError(f"Target {int(wrong.flat[0])} is out of bounds.")
    return classes, ignore_index


def _counted(classes: Array, ignored: int | None) -> Array:
    """Where classes are not the ignored one."""
    return np.ones(classes.shape, bool) if ignored is None else classes != ignored


def _at(classes: Array) -> tuple[Any, ...]:
    """The index of the elements at classes, which axis 1 is of, or the only one."""
    if not classes.ndim:
        return (classes,)
    lines = np.ogrid[tuple(slice(n) for n in classes.shape)]
    return lines[0], classes, *lines[1:]


def _picked(
    logs: Any,
    classes: Array,
    weight: Any,
    ignore_index: int | None,
    reduction: str,
) -> Any:
    """The weighted mean of ``-logs`` at classes; axis 1 is that of the classes."""
    if ignore_index is None and weight is None:
        return reduced(-logs[_at(classes)], reduction)
    is_counted = _counted(classes, ignore_index)
    safe = np.where(is_counted, classes, 0).astype(np.intp)
    values = -logs[_at(safe)]
    weights = np.ones(classes.shape) if weight is None else weight[safe]
    weights = np.where(is_counted, weights, 0.0).astype(logs.dtype)
    if reduction == "mean":
        return np.sum(values * weights) / np.sum(weights)
    return reduced(values * weights, reduction)


def _nll_node(x: Tensor) -> str:
    return "NllLossBackward0" if x._aval.ndim < 3 else "NllLoss2DBackward0"


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative logarithms of probabilities at classes.

    Args:
        input: logarithms, ``(batch, classes, ...)`` or ``(classes,)``.
        target: classes, ``(batch, ...)`` or a number.
        weight: for each class.
        size_average: no longer in use.
        ignore_index: a class that does not count.
        reduce: no longer in use.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        IndexError: there is no such class.

    >>> scores = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]])
    >>> F.nll_loss(scores, torch.tensor([0, 1]))
    tensor(2.5000)
    """
    x = require_tensor("nll_loss", input)
    check_reduction(reduction)
    _, ignored = _classes("nll_loss", x, target, ignore_index)
    return _nll(x, target, weight, ignored, reduction)


@repeated
def _nll(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignored: int | None,
    reduction: str,
) -> Tensor:
    """The negative logarithms at classes, which were checked."""

    def compute(u: Any, classes: Any, weights: Any = None) -> Any:
        return _picked(u, classes, weights, ignored, reduction)

    given = (target,) if weight is None else (target, weight)
    return one(_nll_node(x), compute, x, constants=given)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy of the softmax of logits with classes, or probabilities.

    ``-log_softmax(input)[target]``; the mean divides by the sum of the weights of the
    targets.

    Args:
        input: logits, ``(batch, classes, ...)`` or ``(classes,)``.
        target: classes, ``(batch, ...)``; or probabilities, as the logits.
        weight: for each class.
        size_average: no longer in use.
        ignore_index: a class that does not count.
        reduce: no longer in use.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: this much of the target is spread over all classes.

    Raises:
        IndexError: there is no such class.

    >>> F.cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """
    x = require_tensor("cross_entropy_loss", input)
    check_reduction(reduction)
    weights = None if weight is None else weight._array
    if x._aval.shape == target._aval.shape and target.dtype.is_floating_point:
        return _with_probabilities(x, target, weights, reduction, label_smoothing)
    _, ignored = _classes("cross_entropy", x, target, ignore_index)
    return _at_classes(x, target, weight, ignored, reduction, label_smoothing)


@repeated
def _at_classes(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignored: int | None,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """The cross entropy with classes, which were checked."""
    axis = 1 if x._aval.ndim > 1 else 0

    def compute(u: Any, classes: Any, weights: Any = None) -> Any:
        logs = log_softmax_of(u, axis)
        loss = _picked(logs, classes, weights, ignored, reduction)
        if not smoothing:
            return loss
        spread = _spread(logs, classes, weights, ignored, axis, reduction)
        return (1 - smoothing) * loss + smoothing / u.shape[axis] * spread

    node = "AddBackward0" if smoothing else _nll_node(x)
    given = (target,) if weight is None else (target, weight)
    return one(node, compute, x, constants=given)


def _spread(
    logs: Any,
    classes: Array,
    weight: Any,
    ignored: int | None,
    axis: int,
    reduction: str,
) -> Any:
    """The loss summed over all classes, as `_picked` reduces."""
    is_counted = _counted(classes, ignored)
    shape = [-1 if k == axis else 1 for k in range(logs.ndim)]
    scaled = logs if weight is None else logs * weight.reshape(shape)
    values = np.where(is_counted, -np.sum(scaled, axis=axis), 0.0)
    if reduction != "mean":
        return reduced(values, reduction)
    if weight is None:
        return np.sum(values) / np.sum(is_counted).astype(logs.dtype)
    total = np.sum(np.where(is_counted, weight[np.where(is_counted, classes, 0)], 0))
    return np.sum(values) / total.astype(logs.dtype)


def _with_probabilities(
    x: Tensor, target: Tensor, weight: Any, reduction: str, smoothing: float
) -> Tensor:
    axis = 1 if x._aval.ndim > 1 else 0
    count = x._aval.shape[axis]
    shape = [-1 if k == axis else 1 for k in range(x._aval.ndim)]
    rows = x._aval.size // count

    def compute(u: Any, v: Any) -> Any:
        logs = log_softmax_of(u, axis)
        chances = v * (1 - smoothing) + smoothing / count if smoothing else v
        scaled = logs if weight is None else logs * weight.reshape(shape)
        values = -np.sum(scaled * chances, axis=axis)
        return (
            np.sum(values) / rows if reduction == "mean" else reduced(values, reduction)
        )

    return one("DivBackward1", compute, x, target)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """How far other classes come within a margin of the right one.

    ``sum_j max(0, weight * (margin - x[y] + x[j]))**p / classes`` over ``j != y``, for
    scores ``(batch, classes)`` or ``(classes,)`` and classes as integers.

    >>> F.multi_margin_loss(torch.tensor([[1.0, 0.5]]), torch.tensor([0]))
    tensor(0.2500)
    """
    x = require_tensor("multi_margin_loss", input)
    classes = np.atleast_1d(target._array)
    weights = None if weight is None else weight._array

    def compute(u: Any) -> Any:
        rows = u if u.ndim > 1 else u[None]
        lines = np.arange(len(classes))
        gaps = np.maximum(margin - rows[lines, classes][:, None] + rows, 0.0)
        gaps = gaps if p == 1 else gaps**p
        if weights is not None:
            gaps = gaps * weights[classes][:, None]
        others = np.arange(rows.shape[1]) != classes[:, None]
        losses = np.sum(np.where(others, gaps, 0.0), 1) / rows.shape[1]
        return reduced(losses if u.ndim > 1 else losses[0], reduction)

    return one("MultiMarginLossBackward0", compute, x)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """How far other classes come within 1 of the right ones, of which there are many.

    Args:
        input: ``(batch, classes)`` or ``(classes,)``.
        target: of the same shape, int64: the right classes, and -1 after the last.
        size_average: no longer in use.
        reduce: no longer in use.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        RuntimeError: the shapes differ, or there is no such class.

    >>> scores = torch.tensor([0.1, 0.2, 0.4, 0.8])
    >>> F.multilabel_margin_loss(scores, torch.tensor([3, 0, -1, 1]))
    tensor(0.8500)
    """
    x = require_tensor("multilabel_margin_loss", input)
    check_reduction(reduction)
    if target._aval.shape != x._aval.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: "
            f"{list(x.shape)}"
        )
    if target._aval.dtype != np.int64:
        raise RuntimeError(f"expected scalar type Long but found {target.dtype.kind}")
    given = np.atleast_2d(target._array)
    count = given.shape[-1]
    if np.any((given < -1) | (given >= count)):
        raise RuntimeError("argument #2 'target' is out of range")
    is_listed = np.cumprod(given != -1, axis=1).astype(bool)
    lines = np.arange(len(given))[:, None]
    classes = np.where(is_listed, given, 0)
    is_right = np.zeros(given.shape, bool)
    np.logical_or.at(is_right, (lines, classes), is_listed)
    pairs = is_listed[:, :, None] & ~is_right[:, None, :]

    def compute(u: Any) -> Any:
        rows = u if u.ndim > 1 else u[None]
        gaps = 1 - rows[lines, classes][:, :, None] + rows[:, None, :]
        losses = np.where(pairs & (gaps > 0), gaps, 0.0)
        sums = np.sum(losses, axis=(1, 2)) / count
        return reduced(sums if u.ndim > 1 else sums[0], reduction)

    return one("MultilabelMarginLossBackward0", compute, x)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of binary cross entropies of logits.

    Input and target are ``(batch, classes)``; the target is 0 or 1.

    >>> F.multilabel_soft_margin_loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))
    tensor(0.6931)
    """
    weights = 1.0 if weight is None else weight._array

    def compute(u: Any, v: Any) -> Any:
        losses = (v * np.logaddexp(-u, 0.0) + (1 - v) * np.logaddexp(u, 0.0)) * weights
        return reduced(np.sum(losses, -1) / u.shape[-1], reduction)

    node = node_of("multilabel", check_reduction(reduction), "DivBackward0")
    return one(node, compute, input, target)
