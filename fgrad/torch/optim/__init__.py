"""``torch.optim``: optimisers and schedulers.

The updates of the common optimisers are rules, plain NumPy code that runs compiled
(`ruled`); those of the others are plain Python over tensors.
"""

from fgrad.torch.aliases import add_modules
from fgrad.torch.optim import lr_scheduler as lr_scheduler
from fgrad.torch.optim import swa_utils as swa_utils
from fgrad.torch.optim.adam import Adam, Adamax, AdamW, NAdam
from fgrad.torch.optim.averaged import ASGD
from fgrad.torch.optim.factored import Adafactor
from fgrad.torch.optim.lbfgs import LBFGS
from fgrad.torch.optim.muon import Muon
from fgrad.torch.optim.optimizer import Optimizer
from fgrad.torch.optim.rectified import RAdam
from fgrad.torch.optim.scaled import Adadelta, Adagrad, RMSprop, Rprop
from fgrad.torch.optim.sgd import SGD

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "swa_utils",
]

add_modules("optim", "adadelta adagrad adamax adamw asgd nadam radam rmsprop rprop")


def __dir__() -> list[str]:
    return __all__
