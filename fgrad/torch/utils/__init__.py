"""``torch.utils``: data sets and loaders, handles of hooks, `checkpoint`."""

from fgrad.torch.utils import checkpoint as checkpoint
from fgrad.torch.utils import data as data
from fgrad.torch.utils import hooks as hooks

__all__ = ["checkpoint", "data", "hooks"]
