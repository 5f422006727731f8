"""``detect_anomaly``: which line of the program gave NaN, or made `backward` fail.

The mode is that of the whole process. While it is on, each recorded operation keeps the
lines of the user's program that led to it, and `backward` runs operations one by one:
so an error, or NaN among gradients, is found where it arises, and the warning before
the error shows those lines.
"""

from __future__ import annotations

import warnings

from fgrad.torch.registry import function
from fgrad.torch.watch import WATCH

__all__ = ["detect_anomaly", "set_detect_anomaly"]

SLOW = (
    "Anomaly Detection has been enabled. This mode will increase the runtime and "
    "should only be enabled for debugging."
)

_Modes = tuple[bool, bool, bool, bool]


def _modes() -> _Modes:
    return WATCH.anomaly, WATCH.check_nan, WATCH.forward, WATCH.infinite


def _set_modes(modes: _Modes) -> None:
    WATCH.anomaly, WATCH.check_nan, WATCH.forward, WATCH.infinite = modes
    WATCH.update()


class set_detect_anomaly:
    """Sets the anomaly mode at once; as a context manager, until its end.

    Args:
        mode: whether the mode is on.
        check_nan: NaN among the gradients that an operation passes on is an error.
        check_forward: NaN that an operation makes of operands without NaN is an error
            at once, before `backward`. PyTorch has no such option.
        check_inf: with ``check_forward``, infinities are errors, too.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # that the mode is slow
    ...     with torch.autograd.set_detect_anomaly(True):
    ...         torch.is_anomaly_enabled()
    True
    """

    def __init__(
        self,
        mode: bool,
        check_nan: bool = True,
        *,
        check_forward: bool = False,
        check_inf: bool = False,
    ) -> None:
        self._before = _modes()
        checks = bool(mode and (check_forward or check_inf))
        _set_modes((bool(mode), bool(check_nan), checks, checks and check_inf))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        _set_modes(self._before)


class detect_anomaly:
    """A block in which errors in `backward` name the line that recorded the operation.

    Args:
        check_nan: NaN among the gradients that an operation passes on is an error.
        check_forward: NaN that an operation makes of operands without NaN is an error
            at once, before `backward`. PyTorch has no such option.
        check_inf: with ``check_forward``, infinities are errors, too.

    >>> import warnings
    >>> x = torch.tensor([0.0, 4.0], requires_grad=True)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # that the mode is slow, and all lines
    ...     with torch.autograd.detect_anomaly():
    ...         try:
    ...             (x.sqrt() * 0).sum().backward()
    ...         except RuntimeError as error:
    ...             print(error)
    Function 'SqrtBackward0' returned nan values in its 0th output.
    """

    def __init__(
        self,
        check_nan: bool = True,
        *,
        check_forward: bool = False,
        check_inf: bool = False,
    ) -> None:
        self._before = _modes()
        checks = bool(check_forward or check_inf)
        self._modes = True, bool(check_nan), checks, bool(check_inf)
        warnings.warn(SLOW, UserWarning, stacklevel=2)

    def __enter__(self) -> None:
        self._before = _modes()
        _set_modes(self._modes)

    def __exit__(self, *exception: object) -> None:
        _set_modes(self._before)


@function("set_anomaly_enabled")
def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Turn the anomaly mode on or off, and say whether it looks for NaN.

    >>> torch.set_anomaly_enabled(True)
    >>> torch.is_anomaly_enabled()
    True
    >>> torch.set_anomaly_enabled(False)
    """
    _set_modes((bool(mode), bool(check_nan), False, False))


@function("is_anomaly_enabled")
def is_anomaly_enabled() -> bool:
    """Whether the anomaly mode is on.

    >>> torch.is_anomaly_enabled()
    False
    """
    return WATCH.anomaly


@function("is_anomaly_check_nan_enabled")
def is_anomaly_check_nan_enabled() -> bool:
    """Whether the anomaly mode looks for NaN among gradients.

    >>> torch.is_anomaly_check_nan_enabled()
    True
    """
    return WATCH.check_nan
