"""``torch.nn.modules``: the names that scripts import from there."""

from fgrad.torch import nn
from fgrad.torch.aliases import add_modules
from fgrad.torch.nn.modules import batchnorm, conv, lazy, loss, module, utils

globals().update({name: getattr(nn, name) for name in nn.__all__ if name[0].isupper()})
__all__ = [name for name in nn.__all__ if name[0].isupper()]
__all__ += ["batchnorm", "conv", "lazy", "loss", "module", "utils"]
add_modules(
    "nn.modules",
    "activation adaptive channelshuffle container distance dropout flatten fold "
    "instancenorm linear normalization padding pixelshuffle pooling rnn sparse "
    "transformer upsampling",
    home="nn",
)
