"""``torch.distributions.utils``: what distributions of users are made with."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from fgrad.torch.distributions.base import together
from fgrad.torch.distributions.trials import away_from_ends

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
]
lazy_property = cached_property


def broadcast_all(*values: Any) -> Any:
    """Numbers and tensors as tensors of one shape.

    Raises:
        ValueError: one is neither.

    >>> torch.distributions.utils.broadcast_all(torch.ones(2), 3.0)
    (tensor([1., 1.]), tensor([3., 3.]))
    """
    return tuple(together(*values))


def clamp_probs(probs: Any) -> Any:
    """Probabilities away from 0 and 1 by the precision of their dtype.

    >>> torch.distributions.utils.clamp_probs(torch.tensor(0.5))
    tensor(0.5000)
    """
    return away_from_ends(probs)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities of logits, of one class or of several along the last axis.

    >>> torch.distributions.utils.logits_to_probs(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Logits of probabilities, of one class or of several along the last axis.

    >>> torch.distributions.utils.probs_to_logits(torch.tensor(0.5), is_binary=True)
    tensor(0.)
    """
    inside = away_from_ends(probs)
    logarithm = inside.log()
    return logarithm - (-inside).log1p() if is_binary else logarithm
