"""Distributions made of others, and the normal distribution of vectors."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from fgrad.torch import linalg
from fgrad.torch.creation import eye
from fgrad.torch.decompositions import solve_triangular
from fgrad.torch.distributions.base import (
    LOWER_CHOLESKY,
    POSITIVE_DEFINITE,
    REAL_VECTOR,
    Constraints,
    Distribution,
)
from fgrad.torch.random import randn


class Independent(Distribution):
    """A distribution whose last axes of the batch are one event.

    `log_prob` and `entropy` are summed over them.

    Raises:
        ValueError: the batch has fewer axes.

    >>> normal = torch.distributions.Normal(torch.zeros(3), 1.0)
    >>> torch.distributions.Independent(normal, 1).log_prob(torch.zeros(3))
    tensor(-2.7568)
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: Any = None,
    ) -> None:
        count = reinterpreted_batch_ndims
        shape = tuple(base_distribution.batch_shape)
        if count > len(shape):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution."
                f"batch_shape), actual {count} vs {len(shape)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, count
        self.has_rsample = base_distribution.has_rsample
        self.has_enumerate_support = (
            not count and base_distribution.has_enumerate_support
        )
        cut = len(shape) - count
        event = (*shape[cut:], *base_distribution.event_shape)
        super().__init__(shape[:cut], event, validate_args)

    def _summed(self, x: Any) -> Any:
        count = self.reinterpreted_batch_ndims
        return x.sum(tuple(range(-count, 0))) if count else x

    @property
    def mean(self) -> Any:
        return self.base_dist.mean

    @property
    def mode(self) -> Any:
        return self.base_dist.mode

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def sample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Any:
        return self._summed(self.base_dist.entropy())

    def enumerate_support(self, expand: bool = True) -> Any:
        if self.reinterpreted_batch_ndims > 0:
            raise NotImplementedError(
                "Enumeration over cartesian product is not implemented"
            )
        return self.base_dist.enumerate_support(expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


def _of_precision(precision: Any) -> Any:
    """The triangle of a covariance: of the reversed precision, inverted."""
    upper = linalg.cholesky(precision.flip(-2, -1)).flip(-2, -1)
    one: Any = eye(precision.shape[-1], dtype=precision.dtype)
    return solve_triangular(upper.mT, one, upper=False)


_TRIANGLES: dict[str, Any] = {
    "covariance_matrix": linalg.cholesky,
    "precision_matrix": _of_precision,
    "scale_tril": lambda triangle: triangle,
}


class MultivariateNormal(Distribution):
    """The normal distribution of vectors.

    Args:
        loc: the mean, ``(..., n)``.
        covariance_matrix: ``(..., n, n)``; or one of the following.
        precision_matrix: the inverse of the covariance.
        scale_tril: the lower triangle whose product with its transpose it is.
        validate_args: whether arguments are checked.

    Raises:
        ValueError: not exactly one of the three is given, it is no matrix, not positive
            definite, or not a lower triangle.
        LinAlgError: a covariance or precision is not positive definite, and arguments
            are not checked.

    >>> m = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    >>> m.log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    arg_constraints: ClassVar[Constraints] = {
        "loc": REAL_VECTOR,
        "covariance_matrix": POSITIVE_DEFINITE,
        "precision_matrix": POSITIVE_DEFINITE,
        "scale_tril": LOWER_CHOLESKY,
    }
    support = REAL_VECTOR
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: Any = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        named = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {name: x for name, x in named.items() if x is not None}
        if len(given) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may"
                " be specified."
            )
        [(name, matrices)] = given.items()
        if matrices.dim() < 2:
            raise ValueError(
                f"{name + ' matrix' * (name == 'scale_tril')} must be at least "
                "two-dimensional, with optional leading batch dimensions"
            )
        batch = np.broadcast_shapes(loc.shape[:-1], matrices.shape[:-2])
        setattr(self, name, matrices.expand((*batch, *matrices.shape[-2:])))
        self.loc = loc.expand((*batch, *loc.shape[-1:]))
        super().__init__(batch, loc.shape[-1:], validate_args)
        self._triangle = _TRIANGLES[name](matrices)

    @cached_property
    def scale_tril(self) -> Any:
        """The lower triangle whose product with its transpose is the covariance."""
        return self._triangle.expand(self._matrix_shape())

    @cached_property
    def covariance_matrix(self) -> Any:
        """The covariances of the elements."""
        covariance = self._triangle @ self._triangle.mT
        return covariance.expand(self._matrix_shape())

    @cached_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariances."""
        return linalg.inv(self.covariance_matrix).expand(self._matrix_shape())

    def _matrix_shape(self) -> tuple[int, ...]:
        return (*self._batch_shape, *self._event_shape, *self._event_shape)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        """Where the density is largest."""
        return self.loc

    @property
    def variance(self) -> Any:
        return self._triangle.pow(2).sum(-1).expand(self.loc.shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise: Any = randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self._triangle @ noise.unsqueeze(-1)).squeeze(-1)

    def _half_log_det(self) -> Any:
        return self._triangle.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        centred = (value - self.loc).unsqueeze(-1)
        scaled = linalg.solve(self._triangle, centred).squeeze(-1)
        distance = scaled.pow(2).sum(-1)
        n = self.event_shape[0]
        return -0.5 * (n * math.log(2 * math.pi) + distance) - self._half_log_det()

    def entropy(self) -> Any:
        n = self.event_shape[0]
        entropy = 0.5 * n * (1.0 + math.log(2 * math.pi)) + self._half_log_det()
        return entropy.expand(self._batch_shape)
