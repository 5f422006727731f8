"""Transforms of vectors and matrices, and of parts of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fgrad.torch import linalg
from fgrad.torch.creation import eye
from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.elementwise_transforms import clipped_sigmoid
from fgrad.torch.distributions.transform import FEW, Transform
from fgrad.torch.nn.functional.activation import logsigmoid, softplus
from fgrad.torch.nn.functional.vision import pad
from fgrad.torch.size import Size


def _replaced(shape: Any, old: Size, new: Size) -> Any:
    """A shape whose last axes get other lengths."""
    cut = len(shape) - len(old)
    if cut < 0:
        raise ValueError(FEW)
    if tuple(shape[cut:]) != tuple(old):
        raise ValueError(f"Shape mismatch: expected {shape[cut:]} but got {old}")
    return Size((*shape[:cut], *new))


class ReshapeTransform(Transform):
    """Another shape for events.

    Raises:
        ValueError: there would be more elements, or fewer.

    >>> reshape = torch.distributions.ReshapeTransform((4,), (2, 2))
    >>> reshape(torch.ones(3, 4)).shape
    torch.Size([3, 2, 2])
    """

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError("in_shape, out_shape have different numbers of elements")
        super().__init__(cache_size)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.independent(constraints.real, len(self.out_shape))

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return ReshapeTransform(self.in_shape, self.out_shape, cache_size)

    def _call(self, x: Any) -> Any:
        lead = x.shape[: x.dim() - len(self.in_shape)]
        return x.reshape((*lead, *self.out_shape))

    def _inverse(self, y: Any) -> Any:
        lead = y.shape[: y.dim() - len(self.out_shape)]
        return y.reshape((*lead, *self.in_shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x.new_zeros(x.shape[: x.dim() - len(self.in_shape)])

    def forward_shape(self, shape: Any) -> Any:
        return _replaced(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return _replaced(shape, self.out_shape, self.in_shape)


def _lower_places(size: int, diagonal: int) -> tuple[Any, Any]:
    return np.tril_indices(size, diagonal)


def to_lower(x: Any, diagonal: int = 0) -> Any:
    """A lower triangle ``(..., n, n)`` of its elements row by row."""
    count = x.shape[-1]
    size = round(
        -(1 + 2 * diagonal) / 2
        + math.sqrt(
            (1 + 2 * diagonal) ** 2 / 4 + 2 * count + abs(diagonal) * (diagonal + 1)
        )
    )
    found = x.new_zeros((*x.shape[:-1], size, size))
    rows, columns = _lower_places(size, diagonal)
    found[..., rows, columns] = x
    return found


def from_lower(x: Any, diagonal: int = 0) -> Any:
    """The elements of lower triangles, row by row."""
    rows, columns = _lower_places(x.shape[-1], diagonal)
    return x[..., rows, columns]


class CorrCholeskyTransform(Transform):
    """Vectors to Cholesky factors of correlation matrices.

    The hyperbolic tangents of the elements are partial correlations (D. Lewandowski, D.
    Kurowicka and H. Joe, Generating random correlation matrices based on vines and
    extended onion method, 2009).

    >>> torch.distributions.CorrCholeskyTransform()(torch.zeros(1))
    tensor([[1., 0.],
            [0., 1.]])
    """

    domain, codomain = constraints.real_vector, constraints.corr_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        eps = float(np.finfo(x.dtype.numpy).eps)
        lower = to_lower(x.tanh().clamp(min=-1 + eps, max=1 - eps), -1)
        rest = (1 - lower**2).sqrt().cumprod(-1)
        ones: Any = eye(lower.shape[-1], dtype=lower.dtype, device=lower.device)
        return (lower + ones) * pad(rest[..., :-1], [1, 0], value=1)

    def _inverse(self, y: Any) -> Any:
        rest: Any = pad((1 - (y * y).cumsum(-1))[..., :-1], [1, 0], value=1)
        t = from_lower(y, -1) / from_lower(rest, -1).sqrt()
        return (t.log1p() - (-t).log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        rest = from_lower(1 - (y * y).cumsum(-1), -2)
        slopes: Any = x + softplus(-2 * x) - math.log(2.0)
        return 0.5 * rest.log().sum(-1) - 2 * slopes.sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError(FEW)
        count = shape[-1]
        size = round((0.25 + 2 * count) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != count:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return shape[:-1] + Size((size, size))

    def inverse_shape(self, shape: Any) -> Any:
        if len(shape) < 2:
            raise ValueError(FEW)
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        return shape[:-2] + Size((shape[-1] * (shape[-1] - 1) // 2,))


class _OfKind(Transform):
    """A transform without parameters: all of a kind are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self))

    __hash__ = None


class SoftmaxTransform(_OfKind):
    """Vectors to probabilities: exponentials over their sum. It is not bijective.

    >>> torch.distributions.SoftmaxTransform()(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """

    domain, codomain = constraints.real_vector, constraints.simplex

    def _call(self, x: Any) -> Any:
        found = (x - x.max(-1, True)[0]).exp()
        return found / found.sum(-1, True)

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError(FEW)
        return shape

    inverse_shape = forward_shape


class StickBreakingTransform(_OfKind):
    """Vectors to probabilities of one class more: parts of what is left of a stick.

    >>> torch.distributions.StickBreakingTransform()(torch.zeros(2))
    tensor([0.3333, 0.3333, 0.3333])
    """

    domain, codomain = constraints.real_vector, constraints.simplex
    bijective = True

    def _offset(self, x: Any) -> Any:
        size = x.shape[-1]
        return size + 1 - x.new_ones(size).cumsum(-1)

    def _call(self, x: Any) -> Any:
        part = clipped_sigmoid(x - self._offset(x).log())
        rest: Any = pad((1 - part).cumprod(-1), [1, 0], value=1)
        return pad(part, [0, 1], value=1) * rest

    def _inverse(self, y: Any) -> Any:
        first = y[..., :-1]
        tiny = float(np.finfo(y.dtype.numpy).tiny)
        rest = (1 - first.cumsum(-1)).clamp(min=tiny)
        return first.log() - rest.log() + self._offset(first).log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        x = x - self._offset(x).log()
        return (-x + logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError(FEW)
        return shape[:-1] + Size((shape[-1] + 1,))

    def inverse_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError(FEW)
        return shape[:-1] + Size((shape[-1] - 1,))


class LowerCholeskyTransform(_OfKind):
    """Matrices to lower triangles with positive diagonals.

    >>> torch.distributions.LowerCholeskyTransform()(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(_OfKind):
    """Matrices to positive definite ones.

    >>> torch.distributions.PositiveDefiniteTransform()(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Any) -> Any:
        lower = LowerCholeskyTransform()(x)
        return lower @ lower.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(linalg.cholesky(y))
