"""Normal distributions of long vectors, and of angles."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from fgrad.torch import linalg
from fgrad.torch.bessel_functions import i0e, i1e
from fgrad.torch.creation import eye
from fgrad.torch.decompositions import solve_triangular
from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import Distribution, drawn, together
from fgrad.torch.random import default_generator, randn


class LowRankMultivariateNormal(Distribution):
    """The normal distribution of vectors whose covariance is ``W @ W.T + diag(D)``.

    Solutions are those of a small system, by the identity of Woodbury.

    Args:
        loc: the mean, ``(..., n)``.
        cov_factor: ``W``, ``(..., n, m)``.
        cov_diag: ``D``, ``(..., n)``, positive.
        validate_args: whether arguments are checked.

    Raises:
        ValueError: shapes do not fit.

    >>> zeros, ones = torch.zeros(2), torch.ones(2)
    >>> m = torch.distributions.LowRankMultivariateNormal(zeros, ones[:, None], ones)
    >>> m.covariance_matrix
    tensor([[2., 1.],
            [1., 2.]])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: Any = None
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading "
                "batch dimensions"
            )
        if cov_factor.shape[-2:-1] != event:
            raise ValueError(
                f"cov_factor must be a batch of matrices with shape {event[0]} x m"
            )
        if cov_diag.shape[-1:] != event:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event}")
        leads = (loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        try:
            batch = np.broadcast_shapes(*leads)
        except ValueError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor "
                f"{cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from error
        self.loc = loc.expand((*batch, *event))
        self.cov_factor = cov_factor.expand((*batch, *cov_factor.shape[-2:]))
        self.cov_diag = cov_diag.expand((*batch, *event))
        self.own_factor, self.own_diag = cov_factor, cov_diag
        ones: Any = eye(
            cov_factor.shape[-1], dtype=cov_factor.dtype, device=cov_factor.device
        )
        self.capacitance: Any = linalg.cholesky(self._scaled() @ cov_factor + ones)
        super().__init__(batch, event, validate_args)

    def _scaled(self) -> Any:
        """The factor, transposed, over the diagonal."""
        return self.own_factor.mT / self.own_diag.unsqueeze(-2)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @cached_property
    def variance(self) -> Any:
        """Of each element."""
        found = self.own_factor.pow(2).sum(-1) + self.own_diag
        return found.expand((*self._batch_shape, *self._event_shape))

    def _matrices(self, x: Any) -> Any:
        return x.expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @cached_property
    def scale_tril(self) -> Any:
        """The lower triangle whose product with its transpose is the covariance."""
        root = self.own_diag.sqrt().unsqueeze(-1)
        scaled = self.own_factor / root
        ones: Any = eye(
            self._event_shape[0], dtype=self.loc.dtype, device=self.loc.device
        )
        return self._matrices(root * linalg.cholesky(scaled @ scaled.mT + ones))

    @cached_property
    def covariance_matrix(self) -> Any:
        """The covariances of the elements."""
        found = self.own_factor @ self.own_factor.mT + self.own_diag.diag_embed()
        return self._matrices(found)

    @cached_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariances."""
        half: Any = solve_triangular(self.capacitance, self._scaled(), upper=False)
        diagonal = self.own_diag.reciprocal().diag_embed()
        return self._matrices(diagonal - half.mT @ half)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        options = {"dtype": self.loc.dtype, "device": self.loc.device}
        wide: Any = randn((*shape[:-1], self.cov_factor.shape[-1]), **options)
        own: Any = randn(shape, **options)
        shared = (self.own_factor @ wide.unsqueeze(-1)).squeeze(-1)
        return self.loc + shared + self.own_diag.sqrt() * own

    def log_det(self) -> Any:
        """The logarithm of the determinant of the covariance."""
        diagonal = self.capacitance.diagonal(dim1=-2, dim2=-1)
        return 2 * diagonal.log().sum(-1) + self.own_diag.log().sum(-1)

    def distance(self, x: Any) -> Any:
        """The squared length of vectors, in units of the covariance."""
        scaled = self._scaled() @ x.unsqueeze(-1)
        half: Any = solve_triangular(self.capacitance, scaled, upper=False)
        return (x.pow(2) / self.own_diag).sum(-1) - half.pow(2).sum((-2, -1))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        normal = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (normal + self.log_det() + self.distance(value - self.loc))

    def entropy(self) -> Any:
        normal = self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (0.5 * (normal + self.log_det())).expand(self._batch_shape)


def _log_i0(x: Any) -> Any:
    found: Any = i0e(x)
    return found.log() + x


class VonMises(Distribution):
    """The normal distribution of angles: ``exp(concentration * cos(x - loc))``, scaled.

    Samples lie between ``-pi`` and ``pi`` (R. Mardia and P. Jupp, Directional
    statistics, 2000).

    >>> m = torch.distributions.VonMises(torch.tensor(0.0), torch.tensor(1.0))
    >>> m.log_prob(torch.tensor(0.0))
    tensor(-1.0738)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "concentration": constraints.positive,
    }
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: Any = None) -> None:
        self.loc, self.concentration = together(loc, concentration)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @cached_property
    def variance(self) -> Any:
        """The circular variance: 1 less the mean cosine of the distance."""
        ratio: Any = i1e(self.concentration) / i0e(self.concentration)
        return 1 - ratio

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        given = (self.loc._array, self.concentration._array)
        return drawn(default_generator.numpy.vonmises(*given, shape), self.loc)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        inside = self.concentration * (value - self.loc).cos()
        return inside - math.log(2 * math.pi) - _log_i0(self.concentration)
