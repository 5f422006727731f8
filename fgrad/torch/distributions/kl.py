"""``torch.distributions.kl``: divergences, and how to add some."""

from fgrad.torch.distributions import cross_divergences as cross_divergences
from fgrad.torch.distributions.divergence import kl_divergence, register_kl

__all__ = ["kl_divergence", "register_kl"]
