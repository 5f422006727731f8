"""``torch.utils``: data sets and loaders."""

from fgrad.torch.utils import data as data

__all__ = ["data"]
