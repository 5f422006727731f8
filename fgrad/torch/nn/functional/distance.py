"""Similarities and distances, and losses made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.arithmetic import shape_error
from fgrad.torch.nn.functional.losses import check_reduction, node_of, reduced
from fgrad.torch.recording import one
from fgrad.torch.size import axis_of
from fgrad.torch.statistics import vector_norm
from fgrad.torch.tensor import Tensor, require_tensor


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12
) -> Tensor:
    """Divided by the ``p``-norm over an axis, which is taken to be at least ``eps``."""
    x = require_tensor("normalize", input)
    axes = tuple(
        axis_of(k, x._aval.ndim) for k in (dim if isinstance(dim, tuple) else (dim,))
    )

    def compute(u: Any) -> Any:
        norms = vector_norm(u, p, axes, True)
        return u / np.where(norms < eps, eps, norms)

    return one("DivBackward0", compute, x)


def _cosine(x: Any, y: Any, axis: int, eps: float) -> Any:
    norms = [vector_norm(z, 2, (axis,), True) for z in (x, y)]
    first, second = (
        z / np.where(n < eps, eps, n) for z, n in zip((x, y), norms, strict=True)
    )
    return np.sum(first * second, axis=axis)


def cosine_similarity(
    x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8
) -> Tensor:
    """The cosine of the angle between vectors along an axis."""
    x, y = require_tensor("cosine_similarity", x1), require_tensor("cosine", x2, 2)
    complaint = shape_error(x._array, y._array)
    if complaint is not None:
        raise complaint
    ndim = max(x._aval.ndim, y._aval.ndim)
    axis = axis_of(dim, ndim) - ndim
    return one("SumBackward1", lambda u, v: _cosine(u, v, axis, eps), x, y)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The ``p``-norm of ``x1 - x2 + eps`` over the last axis."""

    def compute(u: Any, v: Any) -> Any:
        return vector_norm(u - v + eps, p, (-1,), keepdim)

    return one("NormBackward1", compute, x1, x2)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The input where the target is 1, the margin's rest where it is -1."""

    def compute(u: Any, v: Any) -> Any:
        far = np.where(v == 1, 0.0, np.maximum(margin - u, 0.0))
        return reduced(far + np.where(v == -1, 0.0, u), reduction)

    node = node_of("hinge", check_reduction(reduction), "AddBackward0")
    return one(node, compute, input, target)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cosine`` for the target 1, what exceeds the margin for -1."""
    sign = target._array

    def compute(u: Any, v: Any) -> Any:
        # PyTorch adds this to the squared norms, not to the norms
        eps = 1e-12
        product = np.sum(u * v, -1)
        squares = (np.sum(u * u, -1) + eps) * (np.sum(v * v, -1) + eps)
        cosine = product / np.sqrt(squares)
        apart = np.maximum(cosine - margin, 0.0)
        loss = np.where(sign == 1, 1 - cosine, np.where(sign == -1, apart, 0.0))
        return reduced(loss, reduction)

    node = node_of("cosine", check_reduction(reduction), "AddBackward0")
    return one(node, compute, input1, input2)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, -target * (input1 - input2) + margin)``, reduced."""

    def compute(u: Any, v: Any, t: Any) -> Any:
        gap = -t * (u - v) + margin
        return reduced(np.where(gap < 0, 0.0, gap), reduction)

    node = node_of("ranking", check_reduction(reduction), "ClampMinBackward0")
    return one(node, compute, input1, input2, target)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """How much nearer than the margin the negative is than the positive."""

    def distance(u: Any, v: Any) -> Any:
        return vector_norm(u - v + eps, p, (-1,), False)

    def compute(a: Any, b: Any, c: Any) -> Any:
        far = distance(a, c)
        if swap:
            far = np.minimum(far, distance(b, c))
        gap = margin + distance(a, b) - far
        return reduced(np.where(gap < 0, 0.0, gap), reduction)

    node = node_of("triplet", check_reduction(reduction), "ClampMinBackward0")
    return one(node, compute, anchor, positive, negative)
