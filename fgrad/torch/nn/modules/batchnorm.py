"""``torch.nn.modules.batchnorm``: batch norms, and their base for ``isinstance``."""

from fgrad.torch.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    _BatchNorm,
    _Normalization,
)

_NormBase = _Normalization
__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "_BatchNorm", "_NormBase"]
