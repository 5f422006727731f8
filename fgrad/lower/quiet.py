"""NumPy's floating-point warnings switched off, at a tenth of ``np.errstate``'s cost.

NumPy keeps its error handling in a context variable, which `contextvars` shows. Setting
that costs 80 ns; entering ``np.errstate`` 750.
"""

import contextvars
from collections.abc import Callable
from typing import Any

import numpy as np

_NAME = "numpy.ufunc.extobj"


def _find() -> tuple[Any, Any] | None:
    with np.errstate(all="ignore"):
        context = contextvars.copy_context()
    for variable, value in context.items():
        if variable.name == _NAME:
            return variable, value
    return None


_FOUND = _find()


def quiet_lines(
    scope: dict[str, Any], is_portable: bool
) -> tuple[list[str], list[str]]:
    """Lines before and after an indented block that runs without warnings, and the
    globals that they need: ``np.errstate`` where they are to be portable.
    """
    if _FOUND is None or is_portable:
        return ["with np.errstate(all='ignore'):"], []
    scope["error_state"], scope["ignore_all"] = _FOUND
    before = ["token = error_state.set(ignore_all)", "try:"]
    return before, ["finally:", "    error_state.reset(token)"]


def _in_errstate(function: Callable[..., Any], *arguments: Any) -> Any:
    with np.errstate(all="ignore"):
        return function(*arguments)


def _in_context(function: Callable[..., Any], *arguments: Any) -> Any:
    token = _error_state.set(_ignore_all)
    try:
        return function(*arguments)
    finally:
        _error_state.reset(token)


quietly = _in_errstate if _FOUND is None else _in_context
"""Call a function without warnings."""
if _FOUND is not None:
    _error_state, _ignore_all = _FOUND
