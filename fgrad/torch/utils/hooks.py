"""``torch.utils.hooks``: the handles that registering a hook returns."""

from fgrad.torch.handles import RemovableHandle

__all__ = ["RemovableHandle"]
