"""``torch.nn.modules.conv``: convolutions, and their base for ``isinstance``."""

from fgrad.torch.nn.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvNd,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    ConvTransposeNd,
)

_ConvNd, _ConvTransposeNd = ConvNd, ConvTransposeNd  # PyTorch's names
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
