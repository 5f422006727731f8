"""Methods of tensors: functions that are registered here under the method's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fgrad.torch.tensor import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])

METHODS: dict[str, Any] = {}


def method(*names: str) -> Callable[[Function], Function]:
    """Make the decorated function a method of tensors under these names, too."""

    def register(function: Function) -> Function:
        METHODS.update(dict.fromkeys(names, function))
        return function

    return register


def install_methods() -> None:
    """Give tensors the registered methods and properties."""
    for name, function in METHODS.items():
        setattr(Tensor, name, function)
