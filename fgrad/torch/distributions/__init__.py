"""``torch.distributions``: densities and samples, with gradients of both.

Plain code on tensors. Samples are drawn by NumPy's generators: the same seed gives the
same numbers, but not PyTorch's.
"""

from fgrad.torch.aliases import add_modules
from fgrad.torch.distributions import (
    constraint_registry as constraint_registry,
)
from fgrad.torch.distributions import constraints as constraints
from fgrad.torch.distributions import cross_divergences as cross_divergences
from fgrad.torch.distributions import kl as kl
from fgrad.torch.distributions import transforms as transforms
from fgrad.torch.distributions import utils as utils
from fgrad.torch.distributions.base import Distribution, ExponentialFamily
from fgrad.torch.distributions.composed import Independent, MultivariateNormal
from fgrad.torch.distributions.constraint_registry import biject_to, transform_to
from fgrad.torch.distributions.continuous import (
    Exponential,
    Laplace,
    Normal,
    Uniform,
)
from fgrad.torch.distributions.continuous_bernoulli import ContinuousBernoulli
from fgrad.torch.distributions.discrete import (
    Categorical,
    Multinomial,
    OneHotCategorical,
    Poisson,
)
from fgrad.torch.distributions.divergence import kl_divergence, register_kl
from fgrad.torch.distributions.gammas import Beta, Chi2, Dirichlet, Gamma
from fgrad.torch.distributions.heavy_tails import (
    Cauchy,
    FisherSnedecor,
    GeneralizedPareto,
    StudentT,
)
from fgrad.torch.distributions.low_rank import LowRankMultivariateNormal, VonMises
from fgrad.torch.distributions.matrices import LKJCholesky, Wishart
from fgrad.torch.distributions.mixtures import MixtureSameFamily
from fgrad.torch.distributions.powers import InverseGamma, Kumaraswamy, Pareto, Weibull
from fgrad.torch.distributions.relaxed import (
    OneHotCategoricalStraightThrough,
    RelaxedBernoulli,
    RelaxedOneHotCategorical,
)
from fgrad.torch.distributions.transformed import TransformedDistribution
from fgrad.torch.distributions.transformed_families import (
    Gumbel,
    HalfCauchy,
    HalfNormal,
    LogisticNormal,
    LogNormal,
)
from fgrad.torch.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    CatTransform,
    ComposeTransform,
    CorrCholeskyTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    PowerTransform,
    ReshapeTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    StackTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
    identity_transform,
)
from fgrad.torch.distributions.trials import (
    Bernoulli,
    Binomial,
    Geometric,
    NegativeBinomial,
)

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "CatTransform",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "ContinuousBernoulli",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "IndependentTransform",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "LowerCholeskyTransform",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "constraints",
    "identity_transform",
    "kl_divergence",
    "register_kl",
    "transform_to",
    "transforms",
]
add_modules(
    "distributions",
    "bernoulli beta binomial categorical dirichlet distribution exponential gamma "
    "geometric half_normal independent kl laplace log_normal multinomial "
    "multivariate_normal normal one_hot_categorical poisson uniform",
)
