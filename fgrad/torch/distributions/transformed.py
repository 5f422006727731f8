"""Distributions of what transforms make of samples of others."""

from __future__ import annotations

from typing import Any

from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import Distribution
from fgrad.torch.distributions.composed import Independent
from fgrad.torch.distributions.transform import (
    ComposeTransform,
    Transform,
    sum_rightmost,
)
from fgrad.torch.modes import no_grad


class TransformedDistribution(Distribution):
    """The distribution of what transforms make of samples of another one.

    Args:
        base_distribution: the other one.
        transforms: a transform, or a list of them, the first one first.
        validate_args: whether arguments are checked.

    Raises:
        ValueError: these are no transforms, or the samples have too few axes.

    >>> D = torch.distributions
    >>> flow = D.TransformedDistribution(D.Normal(0.0, 1.0), [D.ExpTransform()])
    >>> flow.log_prob(torch.tensor(1.0))
    tensor(-0.9189)
    """

    def __init__(
        self, base_distribution: Any, transforms: Any, validate_args: Any = None
    ) -> None:
        if isinstance(transforms, Transform):
            self.transforms: list[Any] = [transforms]
        elif isinstance(transforms, list):
            if not all(isinstance(each, Transform) for each in transforms):
                raise ValueError(
                    "transforms must be a Transform or a list of Transforms"
                )
            self.transforms = transforms
        else:
            raise ValueError(
                f"transforms must be a Transform or list, but was {transforms}"
            )
        whole = ComposeTransform(self.transforms)
        shape = base_distribution.batch_shape + base_distribution.event_shape
        own, needed = len(base_distribution.event_shape), whole.domain.event_dim
        if len(shape) < needed:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {needed}, "
                f"but got {shape}."
            )
        image = whole.forward_shape(shape)
        expanded = whole.inverse_shape(image)
        if tuple(expanded) != tuple(shape):
            batch = expanded[: len(expanded) - own]
            base_distribution = base_distribution.expand(batch)
        if needed > own:
            base_distribution = Independent(base_distribution, needed - own)
        self.base_dist = base_distribution
        change = whole.codomain.event_dim - needed
        ndim = max(whole.codomain.event_dim, own + change)
        cut = len(image) - ndim
        super().__init__(image[:cut], image[cut:], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape: Any = (*batch_shape, *self.event_shape)
        for transform in reversed(self.transforms):
            shape = transform.inverse_shape(shape)
        cut = len(shape) - len(self.base_dist.event_shape)
        new = super().expand(batch_shape, _instance)
        new.base_dist = self.base_dist.expand(shape[:cut])
        return new

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        """What the last transform gives."""
        if not self.transforms:
            return self.base_dist.support
        found = self.transforms[-1].codomain
        more = len(self.event_shape) - found.event_dim
        return constraints.independent(found, more) if more > 0 else found

    @property
    def has_rsample(self) -> Any:
        """Whether the other distribution's samples have gradients."""
        return self.base_dist.has_rsample

    def _transformed(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return self._transformed(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self._transformed(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        ndim, total, y = len(self.event_shape), 0.0, value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            ndim += transform.domain.event_dim - transform.codomain.event_dim
            slope = transform.log_abs_det_jacobian(x, y)
            total = total - sum_rightmost(slope, ndim - transform.domain.event_dim)
            y = x
        own = self.base_dist.log_prob(y)
        return total + sum_rightmost(own, ndim - len(self.base_dist.event_shape))

    def _turned(self, value: Any) -> Any:
        """A probability, seen from the other side where the transforms fall."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return value
        return sign * (value - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._transformed(self.base_dist.icdf(self._turned(value)))
