"""Relaxed classes: samples near unit vectors, with gradients.

C. Maddison, A. Mnih and Y. Teh, The concrete distribution, 2017; E. Jang, S. Gu and B.
Poole, Categorical reparameterization with Gumbel-softmax, 2017.
"""

from __future__ import annotations

from typing import Any, ClassVar

from fgrad.torch.distributions import constraints
from fgrad.torch.distributions.base import Distribution, together
from fgrad.torch.distributions.discrete import Categorical, OneHotCategorical
from fgrad.torch.distributions.transformed import TransformedDistribution
from fgrad.torch.distributions.transforms import ExpTransform, SigmoidTransform
from fgrad.torch.distributions.trials import Binary, away_from_ends
from fgrad.torch.random import rand


def _uniform(shape: Any, like: Any) -> Any:
    return away_from_ends(rand(shape, dtype=like.dtype, device=like.device))


class LogitRelaxedBernoulli(Binary):
    """The logit of a number from a `RelaxedBernoulli` distribution.

    >>> from fgrad.torch.distributions.relaxed import LogitRelaxedBernoulli
    >>> m = LogitRelaxedBernoulli(torch.tensor(1.0), torch.tensor(0.5))
    >>> m.log_prob(torch.tensor(0.0))
    tensor(-1.3863)
    """

    support = constraints.real
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: Any = None,
    ) -> None:
        self.temperature = temperature
        given = self._take(probs, logits)
        super().__init__(given.shape, (), validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        probs = away_from_ends(self.probs.expand(shape))
        u = _uniform(shape, probs)
        logits = u.log() - (-u).log1p() + probs.log() - (-probs).log1p()
        return logits / self.temperature

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits, value = together(self.logits, value)
        difference = logits - value.mul(self.temperature)
        return self.temperature.log() + difference - 2 * difference.exp().log1p()


class _OfBase(TransformedDistribution):
    """What has the parameters of the distribution that it is made of."""

    has_rsample = True

    @property
    def temperature(self) -> Any:
        """How far samples are from the ends: near 0 they are there."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """Those of the classes."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """The probabilities of the classes."""
        return self.base_dist.probs


class RelaxedBernoulli(_OfBase):
    """Numbers between 0 and 1 that are near the ends, with gradients.

    Args:
        temperature: how far from the ends.
        probs: the probability of the upper end; or
        logits: its logit.
        validate_args: whether arguments are checked.

    >>> m = torch.distributions.RelaxedBernoulli(torch.tensor(1.0), torch.tensor(0.5))
    >>> m.log_prob(torch.tensor(0.25))
    tensor(0.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    support = constraints.unit_interval

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: Any = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args)


class ExpRelaxedCategorical(Distribution):
    """The logarithms of a vector from a `RelaxedOneHotCategorical` distribution.

    >>> from fgrad.torch.distributions.relaxed import ExpRelaxedCategorical
    >>> m = ExpRelaxedCategorical(torch.tensor(1.0), torch.tensor([0.5, 0.5]))
    >>> m.event_shape
    torch.Size([2])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    support = constraints.real_vector
    has_rsample = True
    _parts = ("_categorical",)

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: Any = None,
    ) -> None:
        self._categorical = Categorical(probs, logits)
        self.temperature = temperature
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def logits(self) -> Any:
        """Those of the classes."""
        return self._categorical.logits

    @property
    def probs(self) -> Any:
        """The probabilities of the classes."""
        return self._categorical.probs

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._categorical.param_shape

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = _uniform(self._extended_shape(sample_shape), self.logits)
        gumbels = -((-(u.log())).log())
        scores = (self.logits + gumbels) / self.temperature
        return scores - scores.logsumexp(-1, True)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits, value = together(self.logits, value)
        count = self._categorical._num_events
        whole: Any = self.temperature.new_full(self.temperature.shape, float(count))
        factor = whole.lgamma() - self.temperature.log().mul(-(count - 1))
        score = logits - value.mul(self.temperature)
        return (score - score.logsumexp(-1, True)).sum(-1) + factor


class RelaxedOneHotCategorical(_OfBase):
    """Probabilities that are near unit vectors, with gradients.

    Args:
        temperature: how far from unit vectors.
        probs: the probabilities of the classes; or
        logits: their logarithms.
        validate_args: whether arguments are checked.

    >>> p = torch.tensor([0.5, 0.5])
    >>> m = torch.distributions.RelaxedOneHotCategorical(torch.tensor(1.0), p)
    >>> m.log_prob(p)
    tensor(0.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    support = constraints.simplex

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: Any = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args)


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """As `OneHotCategorical`; samples have the gradient of the probabilities.

    Y. Bengio, N. Leonard and A. Courville, Estimating or propagating gradients through
    stochastic neurons, 2013.

    >>> p = torch.tensor([0.5, 0.5], requires_grad=True)
    >>> m = torch.distributions.OneHotCategoricalStraightThrough(p)
    >>> m.rsample().requires_grad
    True
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())
