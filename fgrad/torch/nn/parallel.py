"""``nn.DataParallel``, which calls its module: there is one device here."""

from __future__ import annotations

from typing import Any

from fgrad.torch.nn.module import Module


class DataParallel(Module):
    """A module that PyTorch runs on several GPUs; without them it is called as it is.

    Args:
        module: the module.
        device_ids: accepted, without effect.
        output_device: accepted, without effect.
        dim: accepted, without effect.

    >>> list(nn.DataParallel(nn.Linear(2, 3)).state_dict())
    ['module.weight', 'module.bias']
    """

    module: Any

    def __init__(
        self,
        module: Any,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[Any] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)
