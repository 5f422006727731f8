"""Measurements that are not a workload's time; a new file is a new one.

Each file has ``run(quick, workloads)``. The workloads are those of ``--only``, or those
that belong to the run; a probe that has its own computations leaves them aside.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence

from benchmarks.workload import Workload

Run = Callable[[bool, Sequence[Workload]], None]


def find_probes() -> dict[str, Run]:
    """For each file of this folder its name and its ``run``."""
    names = [info.name for info in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name.rstrip("_"): module.run for name, module in modules.items()}
