"""``numpy.fft``'s names."""

from typing import Any

import numpy as _np

from fgrad.functions.creation import joining
from fgrad.functions.protocol import is_supported


def __getattr__(name: str) -> Any:
    found = getattr(_np.fft, name)
    return joining(found) if is_supported(found) else found


def __dir__() -> list[str]:
    return dir(_np.fft)
