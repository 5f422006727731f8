"""NumPy's names: the complete front door, ``import fgrad.numpy as np``.

All of NumPy is here. Functions that fgrad composes, and creation functions, take part in
the trace; everything else is NumPy's own and reaches fgrad through NumPy's protocols.
"""

from typing import Any

import numpy as _np

from fgrad.numpy import (
    calculus,
    creation,
    elementwise,
    indexing,
    linalg,
    methods,
    nan,
    products,
    protocol,
    reduction,
    scan,
    shape,
    sorting,
)
from fgrad.numpy.creation import array, asarray
from fgrad.numpy.einsum import einsum

protocol.install_protocol()
methods.install_methods()

__all__ = ["array", "asarray", "einsum"]
_FAMILIES = (
    calculus,
    creation,
    elementwise,
    indexing,
    linalg,
    nan,
    products,
    reduction,
    scan,
    shape,
    sorting,
)


def __getattr__(name: str) -> Any:
    if name in creation.__all__:
        return getattr(creation, name)
    found = getattr(_np, name)
    return creation.joining(found) if protocol.is_supported(found) else found
