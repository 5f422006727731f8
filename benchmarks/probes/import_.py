"""What ``import fgrad`` costs on top of ``import numpy``."""

import os
import subprocess
import sys
from collections.abc import Sequence
from statistics import median

from benchmarks.peers import PEERS
from benchmarks.report import human, print_table, save
from benchmarks.workload import Workload

SNIPPET = """
from time import perf_counter
start = perf_counter()
import {library}
print(perf_counter() - start)
"""
EXTRA = ("numpy", "optree", "fgrad", "autograd.numpy")


def seconds_to_import(library: str) -> float:
    """The time of the import statement in a fresh process."""
    command = [sys.executable, "-c", SNIPPET.format(library=library)]
    environment = {
        k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"
    }
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    )
    return float(done.stdout)


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """Import time of fgrad over that of numpy, in fresh processes, interleaved."""
    installed = {peer.library for peer in PEERS if peer.is_installed}
    slow = [] if quick else sorted(installed & {"jax", "torch"})
    libraries = [x for x in EXTRA if x.partition(".")[0] in {*installed, "optree"}]
    libraries += slow
    for library in libraries:
        seconds_to_import(library)  # fills the caches of the file system
    samples: dict[str, list[float]] = {library: [] for library in libraries}
    for _ in range(10 if quick else 20):
        for library, times in samples.items():
            times.append(seconds_to_import(library))
    ratios = {
        library: median(x / y for x, y in zip(times, samples["numpy"], strict=True))
        for library, times in samples.items()
    }
    rows = [
        [library, human(median(times)), f"{ratios[library]:.2f}x"]
        for library, times in samples.items()
    ]
    print_table("import in a fresh process", ["library", "time", "/ numpy"], rows)
    save("import", {"seconds": samples, "ratios": ratios})
