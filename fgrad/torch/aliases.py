"""Modules that PyTorch has, whose names are in their package here.

``from torch.distributions.normal import Normal`` finds the class of
`fgrad.torch.distributions`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def add_modules(package: str, names: str, home: str = "") -> None:
    """Have imports find modules that take their names from the package.

    Args:
        package: the package, such as ``"distributions"``.
        names: those of the modules.
        home: where the names are, if not in the package.
    """
    full = f"fgrad.torch.{package}"
    source = sys.modules[f"fgrad.torch.{home}" if home else full]
    for name in names.split():
        sys.modules.setdefault(f"{full}.{name}", Alias(f"{full}.{name}", source))


class Alias(ModuleType):
    """A module whose names are those of another one."""

    def __init__(self, name: str, source: ModuleType) -> None:
        super().__init__(name, f"Names of ``{source.__name__}``.")
        self._source = source

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        return getattr(self._source, name)
