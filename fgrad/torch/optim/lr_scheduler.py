"""``torch.optim.lr_scheduler``: learning rates that change from step to step."""

from fgrad.torch.optim.annealing import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    PolynomialLR,
)
from fgrad.torch.optim.combined import ChainedScheduler, SequentialLR
from fgrad.torch.optim.cyclic import CyclicLR, OneCycleLR
from fgrad.torch.optim.plateau import ReduceLROnPlateau
from fgrad.torch.optim.scheduler import LRScheduler
from fgrad.torch.optim.schedules import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    StepLR,
)


class _LRScheduler(LRScheduler):
    """The older name of the base, for schedulers of users."""


__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
