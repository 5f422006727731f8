"""Similarities and distances, and losses made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.fitting import shape_error
from fgrad.torch.nn.functional.losses import check_reduction, node_of, reduced
from fgrad.torch.recording import one
from fgrad.torch.size import axis_of
from fgrad.torch.statistics import vector_norm
from fgrad.torch.tensor import Tensor, require_tensor


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12
) -> Tensor:
    """Divided by the ``p``-norm over an axis, which is taken to be at least ``eps``.

    >>> F.normalize(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
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
    """The cosine of the angle between vectors along an axis.

    ``x1 @ x2 / (max(|x1|, eps) * max(|x2|, eps))``; the shapes are broadcast.

    Raises:
        RuntimeError: the shapes cannot be broadcast.

    >>> F.cosine_similarity(torch.tensor([1.0, 1.0]), torch.tensor([2.0, 0.0]), dim=0)
    tensor(0.7071)
    """
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
    """The ``p``-norm of ``x1 - x2 + eps`` over the last axis.

    ``(N, D)`` and ``(N, D)``, or what broadcasts to it, give ``(N,)``.

    >>> F.pairwise_distance(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
    tensor([5.0000])
    """

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
    """``input`` where the target is 1, ``max(0, margin - input)`` where it is -1.

    >>> x, y = torch.tensor([0.3, 0.3]), torch.tensor([1, -1])
    >>> F.hinge_embedding_loss(x, y, reduction="none")
    tensor([0.3000, 0.7000])
    """

    def compute(u: Any, v: Any) -> Any:
        far = np.where((v == 1) | (u > margin), 0.0, margin - u)
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
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1.

    ``cos`` is the cosine of two vectors ``(batch, D)`` or ``(D,)``; the targets are
    ``(batch,)`` or a number.

    >>> x = torch.tensor([[1.0, 0.0]])
    >>> F.cosine_embedding_loss(x, torch.tensor([[0.0, 2.0]]), torch.tensor([1.0]))
    tensor(1.)
    """
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
    """``max(0, -target * (input1 - input2) + margin)``, reduced.

    A target of 1 says that ``input1`` should be larger, -1 that ``input2`` should.

    >>> low, high = torch.tensor([1.0]), torch.tensor([3.0])
    >>> F.margin_ranking_loss(low, high, torch.tensor([1.0]))
    tensor(2.)
    """

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
    """How much nearer than the margin the negative is than the positive.

    ``max(0, |anchor - positive| - |anchor - negative| + margin)`` of ``p``-norms over
    the last axis; with ``swap`` the negative's distance to the positive counts if it is
    less (Balntas et al., Learning shallow convolutional feature descriptors with
    triplet losses, 2016).

    >>> anchor, far = torch.zeros(1, 1), torch.full((1, 1), 5.0)
    >>> F.triplet_margin_loss(anchor, far, torch.ones(1, 1))
    tensor(5.)
    """

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


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """The triplet loss with a distance function.

    Args:
        anchor: a tensor.
        positive: what is to be near it.
        negative: what is to be farther away, by ``margin``.
        distance_function: of two tensors; `pairwise_distance` by default.
        margin: a positive number.
        swap: use the distance of the negative from the positive where it is less.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the margin is not positive.
        RuntimeError: the ranks differ.

    >>> near, far = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.5]])
    >>> F.triplet_margin_with_distance_loss(torch.zeros(1, 2), near, far)
    tensor(0.5000)
    """
    check_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    first, second, third = (x._aval.ndim for x in (anchor, positive, negative))
    if not first == second == third:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same "
            f"number of dimensions, but got: anchor {first}D, positive {second}D, and "
            f"negative {third}D inputs"
        )
    distance = distance_function or pairwise_distance
    near: Any = distance(anchor, positive)
    far: Any = distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    loss = (margin + near - far).clamp_min(0)
    if reduction == "none":
        return loss  # type: ignore[no-any-return]
    return loss.mean() if reduction == "mean" else loss.sum()  # type: ignore[no-any-return]
