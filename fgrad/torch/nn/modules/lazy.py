"""``torch.nn.modules.lazy``: what makes a module lazy."""

from fgrad.torch.nn.lazy import LazyModuleMixin

__all__ = ["LazyModuleMixin"]
