"""``torch.nn.modules.loss``: the base of losses, for ``isinstance``."""

from fgrad.torch.nn.loss import LossBase

_Loss = LossBase
__all__ = ["_Loss"]
