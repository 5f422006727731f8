"""Distributions made of others, and the normal distribution of vectors."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fgrad.torch import linalg
from fgrad.torch.distributions.base import REAL_VECTOR, Constraints, Distribution
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

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class MultivariateNormal(Distribution):
    """The normal distribution of vectors.

    Args:
        loc: the mean, ``(..., n)``.
        covariance_matrix: ``(..., n, n)``; or one of the following.
        precision_matrix: the inverse of the covariance.
        scale_tril: the lower triangle whose product with its transpose it is.
        validate_args: whether arguments are checked.

    Raises:
        ValueError: not exactly one of the three is given.
        LinAlgError: a covariance or precision is not positive definite.

    >>> m = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    >>> m.log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    arg_constraints: ClassVar[Constraints] = {"loc": REAL_VECTOR}
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
        given = (covariance_matrix, precision_matrix, scale_tril)
        if sum(x is not None for x in given) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may"
                " be specified."
            )
        names = ("covariance_matrix", "precision_matrix", "scale_tril")
        self._given = next(
            name for name, x in zip(names, given, strict=True) if x is not None
        )
        if scale_tril is None:
            whole = covariance_matrix
            if whole is None:
                whole = linalg.inv(precision_matrix)
            scale_tril = linalg.cholesky(whole)
        matrices = scale_tril.shape[:-2]
        batch = np.broadcast_shapes(loc.shape[:-1], matrices)
        self.loc = loc.expand((*batch, *loc.shape[-1:]))
        self.scale_tril = scale_tril.expand((*batch, *scale_tril.shape[-2:]))
        super().__init__(batch, loc.shape[-1:], validate_args)

    @property
    def covariance_matrix(self) -> Any:
        """The covariances of the elements."""
        return self.scale_tril @ self.scale_tril.mT

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self.scale_tril.pow(2).sum(-1)

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise: Any = randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def _half_log_det(self) -> Any:
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        centred = (value - self.loc).unsqueeze(-1)
        scaled = linalg.solve(self.scale_tril, centred).squeeze(-1)
        distance = scaled.pow(2).sum(-1)
        n = self.event_shape[0]
        return -0.5 * (n * math.log(2 * math.pi) + distance) - self._half_log_det()

    def entropy(self) -> Any:
        n = self.event_shape[0]
        return 0.5 * n * (1.0 + math.log(2 * math.pi)) + self._half_log_det()

    def __repr__(self) -> str:
        return (
            f"MultivariateNormal(loc: {self.loc.size()}, {self._given}: "
            f"{self.scale_tril.size()})"
        )
