"""Measurements that are not a workload; each file is found by its ``run(quick)``."""

import importlib
import pkgutil
from collections.abc import Callable


def find_probes() -> dict[str, Callable[[bool], None]]:
    """For each file of this folder its name and its ``run``."""
    names = [info.name for info in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name.rstrip("_"): module.run for name, module in modules.items()}
