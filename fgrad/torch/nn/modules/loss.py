"""``torch.nn.modules.loss``: the base of losses, for ``isinstance``."""

from fgrad.torch.nn.loss import _Loss

__all__ = ["_Loss"]
