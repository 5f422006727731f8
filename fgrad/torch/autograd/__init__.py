"""``torch.autograd``: gradients of tensors, and what users put in their way.

`backward` and `grad` run the vjp of the recorded program. `Function` gives an operation
a derivative of its own, hooks see gradients on their way, `detect_anomaly` finds where
NaN comes from.
"""

from __future__ import annotations

import importlib
from typing import Any

from fgrad.torch.aliases import add_modules
from fgrad.torch.autograd import anomaly_mode, function, grad_mode, graph
from fgrad.torch.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from fgrad.torch.autograd.function import Function
from fgrad.torch.autograd.gradients import Variable, backward, grad
from fgrad.torch.modes import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "function",
    "grad",
    "grad_mode",
    "graph",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
_LAZY = {  # where names are that are imported when they are first used
    "forward_ad": ("autograd.forward_ad", ""),
    "functional": ("autograd.functional", ""),
    "gradcheck": ("gradcheck", "gradcheck"),
    "gradgradcheck": ("gradcheck", "gradgradcheck"),
}

add_modules("autograd", "gradcheck variable")


def __getattr__(name: str) -> Any:
    if name in _LAZY:  # some import this package
        file, own = _LAZY[name]
        module = importlib.import_module(f"fgrad.torch.{file}")
        return getattr(module, own) if own else module
    raise AttributeError(f"module 'fgrad.torch.autograd' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, *_LAZY]
