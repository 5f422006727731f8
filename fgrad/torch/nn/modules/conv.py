"""``torch.nn.modules.conv``: convolutions, and their base for ``isinstance``."""

from fgrad.torch.nn.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    _Convolution,
    _Transposed,
)

_ConvNd, _ConvTransposeNd = _Convolution, _Transposed
__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "_ConvNd",
    "_ConvTransposeNd",
]
