"""Mixtures: a class is drawn, then a sample of its distribution."""

from __future__ import annotations

from typing import Any

from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import Distribution
from fgrad.torch.distributions.discrete import Categorical
from fgrad.torch.modes import no_grad


class MixtureSameFamily(Distribution):
    """A mixture of distributions of one family, along the last axis of their batch.

    Args:
        mixture_distribution: a `Categorical`: how probable each one is.
        component_distribution: the distributions.
        validate_args: whether arguments are checked.

    Raises:
        ValueError: these are no such distributions, or batches do not fit.

    >>> D = torch.distributions
    >>> weights = D.Categorical(torch.tensor([0.5, 0.5]))
    >>> m = D.MixtureSameFamily(weights, D.Normal(torch.tensor([0.0, 2.0]), 1.0))
    >>> m.mean, m.log_prob(torch.tensor(1.0))
    (tensor(1.), tensor(-1.4189))
    """

    def __init__(
        self,
        mixture_distribution: Any,
        component_distribution: Any,
        validate_args: Any = None,
    ) -> None:
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                " The Mixture distribution needs to be an  instance of "
                "torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an instance of "
                "torch.distributions.Distribution"
            )
        own = mixture_distribution.batch_shape
        batch = component_distribution.batch_shape[:-1]
        pairs = zip(reversed(own), reversed(batch), strict=False)
        if any(n != m and 1 not in (n, m) for n, m in pairs):
            raise ValueError(
                f"`mixture_distribution.batch_shape` ({own}) is not compatible with "
                f"`component_distribution.batch_shape`({batch})"
            )
        count = mixture_distribution.logits.shape[-1]
        given = component_distribution.batch_shape[-1]
        if count != given:
            raise ValueError(
                f"`mixture_distribution component` ({count}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({given})"
            )
        self._num_component = count
        event = component_distribution.event_shape
        self._event_ndims = len(event)
        super().__init__(batch, event, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        parts = self._component_distribution.expand((*batch_shape, self._num_component))
        new._component_distribution = parts
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        return new

    @constraints.dependent_property
    def support(self) -> Any:
        """That of the parts."""
        return constraints.MixtureSameFamilyConstraint(
            self._component_distribution.support
        )

    @property
    def mixture_distribution(self) -> Any:
        """How probable each part is."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The parts."""
        return self._component_distribution

    def _weights(self) -> Any:
        """The probabilities of the parts, with axes for events."""
        probs = self._mixture_distribution.probs
        own = len(self._mixture_distribution.batch_shape)
        more = 0 if own == 1 else len(self.batch_shape) - own
        shape = (*probs.shape[:-1], *(1,) * more, probs.shape[-1])
        return probs.reshape((*shape, *(1,) * self._event_ndims))

    def _summed(self, x: Any) -> Any:
        return (self._weights() * x).sum(-1 - self._event_ndims)

    def _wider(self, x: Any) -> Any:
        return x.unsqueeze(-1 - self._event_ndims)

    @property
    def mean(self) -> Any:
        return self._summed(self._component_distribution.mean)

    @property
    def variance(self) -> Any:
        within = self._summed(self._component_distribution.variance)
        distance = self._component_distribution.mean - self._wider(self.mean)
        return within + self._summed(distance.pow(2.0))

    def cdf(self, x: Any) -> Any:
        found = self._component_distribution.cdf(self._wider(x))
        return (found * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, x: Any) -> Any:
        self._validate_sample(x)
        own = self._component_distribution.log_prob(self._wider(x))
        return (own + self._mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            axis = len(sample_shape) + len(self.batch_shape)
            chosen = self._mixture_distribution.sample(sample_shape)
            samples = self._component_distribution.sample(sample_shape)
            lead = (*chosen.shape, 1, *(1,) * self._event_ndims)
            shape = (*samples.shape[:axis], 1, *self.event_shape)
            places = chosen.reshape(lead).expand(shape)
            return samples.gather(axis, places).squeeze(axis)

    def __repr__(self) -> str:
        return (
            f"MixtureSameFamily(\n  {self.mixture_distribution},\n  "
            f"{self.component_distribution})"
        )
