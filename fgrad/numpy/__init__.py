"""NumPy's names: the complete front door, ``import fgrad.numpy as np``.

All of NumPy is here. Functions that fgrad composes, and creation functions, take part in
the trace; everything else is NumPy's own and reaches fgrad through NumPy's protocols.
"""

from typing import Any

import numpy as _np

from fgrad.numpy import (
    creation,
    elementwise,
    indexing,
    methods,
    products,
    protocol,
    reduction,
    shape,
)
from fgrad.numpy.creation import array, asarray

protocol.install_protocol()
methods.install_methods()

__all__ = ["array", "asarray"]
_FAMILIES = (creation, elementwise, indexing, products, reduction, shape)


def __getattr__(name: str) -> Any:
    return getattr(_np, name)
