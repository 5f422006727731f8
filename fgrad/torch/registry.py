"""Names: functions and methods are registered under all names that PyTorch gives them.

`method` makes a function a method of tensors, `function` one of the module, `operation`
both. The package takes its namespace from here, so that a name is written once, where
the function is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from fgrad.torch.placement import placed
from fgrad.torch.tensor import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])

METHODS: dict[str, Any] = {}
FUNCTIONS: dict[str, Any] = {}


def method(*names: str) -> Callable[[Function], Function]:
    """Make the decorated function a method of tensors under these names, too."""

    def register(function: Function) -> Function:
        METHODS.update(dict.fromkeys(names, function))
        return function

    return register


def function(*names: str) -> Callable[[Function], Function]:
    """Make the decorated function one of ``fgrad.torch`` under these names."""

    def register(function: Function) -> Function:
        FUNCTIONS.update(dict.fromkeys(names, function))
        return function

    return register


def operation(*names: str) -> Callable[[Function], Function]:
    """Make the decorated function a method and one of the module."""

    def register(function: Function) -> Function:
        METHODS.update(dict.fromkeys(names, function))
        FUNCTIONS.update(
            dict.fromkeys((n for n in names if not n.startswith("__")), function)
        )
        return function

    return register


_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def numpy_names(function: Function) -> Function:
    """Accept NumPy's names of keyword arguments, as PyTorch does: ``axis=``."""

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if named:
            named = {_NUMPY_NAMES.get(name, name): x for name, x in named.items()}
        return function(*args, **named)

    return call  # type: ignore[return-value]


def publish(module: ModuleType, *functions: Callable[..., Any]) -> None:
    """Make functions public in a module whose functions stand in several files.

    ``torch.linalg`` and ``torch.special`` are such modules.
    """
    for function in functions:
        setattr(module, function.__name__, placed(function))
        module.__all__.append(function.__name__)


def install_methods() -> None:
    """Give tensors the registered methods and properties."""
    for name, function in METHODS.items():
        setattr(Tensor, name, placed(function))
