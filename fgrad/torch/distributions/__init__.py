"""``torch.distributions``: densities and samples, with gradients of both.

Plain code on tensors. Samples are drawn by NumPy's generators: the same seed gives the
same numbers, but not PyTorch's.
"""

from fgrad.torch.aliases import add_modules
from fgrad.torch.distributions.base import Distribution
from fgrad.torch.distributions.composed import Independent, MultivariateNormal
from fgrad.torch.distributions.continuous import (
    Exponential,
    HalfNormal,
    Laplace,
    LogNormal,
    Normal,
    Uniform,
)
from fgrad.torch.distributions.discrete import (
    Categorical,
    Multinomial,
    OneHotCategorical,
    Poisson,
)
from fgrad.torch.distributions.divergence import kl_divergence
from fgrad.torch.distributions.gammas import Beta, Dirichlet, Gamma
from fgrad.torch.distributions.trials import Bernoulli, Binomial, Geometric

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "Gamma",
    "Geometric",
    "HalfNormal",
    "Independent",
    "Laplace",
    "LogNormal",
    "Multinomial",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Poisson",
    "Uniform",
    "kl_divergence",
]
add_modules(
    "distributions",
    "bernoulli beta binomial categorical dirichlet distribution exponential gamma "
    "geometric half_normal independent kl laplace log_normal multinomial "
    "multivariate_normal normal one_hot_categorical poisson uniform",
)
