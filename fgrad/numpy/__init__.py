"""NumPy's names: the complete front door, ``import fgrad.numpy as np``.

All of NumPy is here. Creation functions take part in the trace: what they make can
receive traced values. Functions that have a rule also take lists of traced numbers.
Everything else is NumPy's own.
"""

import importlib
from typing import Any

import numpy as _np

from fgrad.functions.creation import (
    arange,
    array,
    asarray,
    empty,
    eye,
    full,
    geomspace,
    identity,
    joining,
    linspace,
    logspace,
    ones,
    tri,
    zeros,
)
from fgrad.functions.protocol import is_supported
from fgrad.numpy import linalg

__all__ = [
    "arange",
    "array",
    "asarray",
    "empty",
    "eye",
    "full",
    "geomspace",
    "identity",
    "linalg",
    "linspace",
    "logspace",
    "ones",
    "tri",
    "zeros",
]


def __getattr__(name: str) -> Any:
    if name == "fft":  # imported on first use, as by NumPy
        return importlib.import_module("fgrad.numpy.fft")
    found = getattr(_np, name)
    return joining(found) if is_supported(found) else found


def __dir__() -> list[str]:
    return sorted({*__all__, *dir(_np)})
