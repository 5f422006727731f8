"""Distributions of matrices: of covariances, and of factors of correlations."""

from __future__ import annotations

import math
import warnings
from functools import cached_property
from numbers import Number
from typing import Any, ClassVar

import numpy as np

from fgrad.torch import linalg
from fgrad.torch.creation import eye, tensor
from fgrad.torch.decompositions import cholesky_solve
from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import (
    Distribution,
    ExponentialFamily,
    drawn,
    together,
)
from fgrad.torch.distributions.composed import TRIANGLES
from fgrad.torch.distributions.gammas import Beta, Chi2
from fgrad.torch.gamma_functions import mvlgamma
from fgrad.torch.random import default_generator, randn
from fgrad.torch.ranges import arange
from fgrad.torch.size import Size

LOW = (
    "Low df values detected. Singular samples are highly likely to occur for ndim - 1 "
    "< df < ndim."
)


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices: uniform ones at concentration 1.

    The density of the matrices is a power of the determinant; above concentration 1
    they are near the identity.

    D. Lewandowski, D. Kurowicka and H. Joe, Generating random correlation matrices
    based on vines and extended onion method, 2009.

    Args:
        dim: the size of the matrices.
        concentration: that power plus 1.
        validate_args: whether arguments are checked.

    Raises:
        ValueError: the size is less than 2.

    >>> m = torch.distributions.LKJCholesky(2, 1.0)
    >>> m.log_prob(torch.eye(2))
    tensor(-0.6931)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: Any = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                "Expected dim to be an integer greater than or equal to 2. Found "
                f"dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = together(concentration)
        count: Any = arange(dim - 1, dtype=self.concentration.dtype)
        offset = count.new_tensor([0.0, *count.tolist()]).to(self.concentration.device)
        rest = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * offset
        self._beta = Beta(offset + 0.5, rest)
        super().__init__(self.concentration.shape, (dim, dim), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._beta = self._beta.expand((*batch_shape, self.dim))
        return new

    def sample(self, sample_shape: Any = ()) -> Any:
        lengths = self._beta.sample(sample_shape)._array[..., None]
        shape = self._extended_shape(sample_shape)
        noise = np.tril(default_generator.numpy.standard_normal(shape), -1)
        sizes = np.linalg.norm(noise, axis=-1, keepdims=True)
        rows = np.sqrt(lengths) * noise / np.where(sizes > 0, sizes, 1.0)
        rest = 1 - np.sum(rows**2, -1)
        tiny = np.finfo(self.concentration._aval.dtype).tiny
        root = np.sqrt(np.maximum(rest, tiny))
        return drawn(rows + root[..., None] * np.eye(self.dim), self.concentration)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order: Any = arange(2, self.dim + 1, device=self.concentration.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        less = self.dim - 1
        alpha = self.concentration + 0.5 * less
        above: Any = mvlgamma(alpha - 0.5, less)
        normal = 0.5 * less * math.log(math.pi) + above - alpha.lgamma() * less
        return (order * diagonal.log()).sum(-1) - normal


class Wishart(ExponentialFamily):
    """The distribution of ``df`` times the covariance of so many normal vectors.

    Args:
        df: how many vectors: more than their length less 1.
        covariance_matrix: that of the vectors; or one of the following.
        precision_matrix: its inverse.
        scale_tril: the lower triangle whose product with its transpose it is.
        validate_args: whether arguments are checked.

    Raises:
        AssertionError: not exactly one of the three is given.
        ValueError: it is no matrix, or ``df`` is too small.

    >>> m = torch.distributions.Wishart(3.0, torch.eye(2))
    >>> m.log_prob(torch.eye(2))
    tensor(-3.5310)
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: Any = None,
    ) -> None:
        named = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {name: x for name, x in named.items() if x is not None}
        if len(given) != 1:
            raise AssertionError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may"
                " be specified."
            )
        [(name, matrices)] = given.items()
        if matrices.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading "
                "batch dimensions"
            )
        batch, event = Size(matrices.shape[:-2]), matrices.shape[-2:]
        if isinstance(df, Number):
            self.df: Any = tensor(df, dtype=matrices.dtype, device=matrices.device)
        else:
            batch = Size(np.broadcast_shapes(batch, df.shape))
            self.df = df.expand(batch)
        if self.df.le(event[-1] - 1).any():
            raise ValueError(
                f"Value of df={df} expected to be greater than ndim - 1 = "
                f"{event[-1] - 1}."
            )
        setattr(self, name, matrices.expand((*batch, *event)))
        if self.df.lt(event[-1]).any():
            warnings.warn(LOW, UserWarning, stacklevel=2)
        super().__init__(batch, event, validate_args)
        self._triangle = TRIANGLES[name](matrices)

    @property
    def arg_constraints(self) -> Any:  # type: ignore[override]
        """Matrices are positive definite, and there are enough vectors."""
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def _matrices(self, x: Any) -> Any:
        return x.expand((*self._batch_shape, *self._event_shape))

    @cached_property
    def scale_tril(self) -> Any:
        """The lower triangle whose product with its transpose is the covariance."""
        return self._matrices(self._triangle)

    @cached_property
    def covariance_matrix(self) -> Any:
        """That of the vectors."""
        return self._matrices(self._triangle @ self._triangle.mT)

    @cached_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        options = {"dtype": self._triangle.dtype, "device": self._triangle.device}
        ones: Any = eye(self._event_shape[-1], **options)
        return self._matrices(cholesky_solve(ones, self._triangle))

    def _times(self, factor: Any, matrices: Any) -> Any:
        return factor.expand(self._batch_shape)[..., None, None] * matrices

    @property
    def mean(self) -> Any:
        return self._times(self.df, self.covariance_matrix)

    @property
    def mode(self) -> Any:
        factor = self.df - self.event_shape[-1] - 1
        factor = factor.masked_fill(factor <= 0, math.nan)
        return self._times(factor, self.covariance_matrix)

    @property
    def variance(self) -> Any:
        matrix = self.covariance_matrix
        diagonal = matrix.diagonal(dim1=-2, dim2=-1)
        products = diagonal[..., :, None] * diagonal[..., None, :]
        return self._times(self.df, matrix.pow(2) + products)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Samples by the decomposition of Bartlett, 1933."""
        size, df = self._event_shape[-1], self.df.expand(self._batch_shape)
        options = {"dtype": df.dtype, "device": df.device}
        counts: Any = arange(size, **options)
        roots = Chi2(df.unsqueeze(-1) - counts, False).rsample(sample_shape).sqrt()
        eps = float(np.finfo(df.dtype.numpy).eps)
        noise: Any = randn(self._extended_shape(sample_shape), **options)
        factor = self._triangle @ (noise.tril(-1) + roots.clamp(min=eps).diag_embed())
        return factor @ factor.mT

    def _half_log_det(self) -> Any:
        return self._triangle.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def _scale(self) -> Any:
        return self._event_shape[-1] * math.log(2) / 2 + self._half_log_det()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        n, size = self.df, self._event_shape[-1]
        normal: Any = mvlgamma(n / 2, size)
        determinant: Any = linalg.slogdet(value)[1]
        solved: Any = cholesky_solve(value, self._triangle)
        trace = solved.diagonal(dim1=-2, dim2=-1).sum(-1)
        return (
            -n * self._scale() - normal + (n - size - 1) / 2 * determinant - trace / 2
        )

    def entropy(self) -> Any:
        n, size = self.df, self._event_shape[-1]
        counts: Any = arange(size, dtype=n.dtype, device=n.device)
        slope = ((n / 2).unsqueeze(-1) - counts / 2).digamma().sum(-1)
        normal: Any = mvlgamma(n / 2, size)
        own = (size + 1) * self._scale() + normal
        return own - (n - size - 1) / 2 * slope + n * size / 2

    @property
    def _natural_params(self) -> Any:
        size = self._event_shape[-1]
        return -self.precision_matrix / 2, (self.df - size - 1) / 2

    def _log_normalizer(self, *natural_params: Any) -> Any:
        x, y = natural_params
        size = self._event_shape[-1]
        half = y + (size + 1) / 2
        determinant: Any = linalg.slogdet(-2 * x)[1]
        normal: Any = mvlgamma(half, size)
        return half * (-determinant + math.log(2) * size) + normal
