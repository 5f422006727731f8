"""``torch.nn.modules.batchnorm``: batch norms, and their base for ``isinstance``."""

from fgrad.torch.nn.normalization import (
    BatchNorm,
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    NormBase,
)

_BatchNorm, _NormBase = BatchNorm, NormBase  # PyTorch's names
__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "_BatchNorm", "_NormBase"]
