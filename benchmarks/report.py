"""Tables on the terminal, JSON and plots in `results/`."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.runner import Row
from benchmarks.threads import MARK

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("numpy", "fgrad", "autograd", "jax", "torch")

console = Console(width=max(Console().width, 140))


def human(seconds: float) -> str:
    """A time with three digits and a unit."""
    for unit, scale in (("s ", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def print_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """A table whose first column is a name and whose others are numbers."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for position, name in enumerate(header):
        table.add_column(name, justify="right" if position else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_rows(rows: Sequence[Row], peers: Sequence[str], clock: str) -> None:
    """Times, and in brackets the time over that of the first peer."""
    base, *others = peers
    lines = [
        [row.workload.name, _time(row, base), *(_cell(row, name) for name in others)]
        for row in rows
    ]
    title = f"median {clock} time of a call (x: time / time of {base})"
    print_table(title, ["workload", *peers], lines)
    for row in rows:
        for name, problem in row.problems.items():
            text = f"{row.workload.name}, {name}: {problem}"
            console.print(text, style="bold red", markup=False)


def _time(row: Row, name: str) -> str:
    if name in row.problems:
        return "[bold red]wrong or failed[/]"
    return human(row.seconds[name]) if name in row.seconds else "-"


def _cell(row: Row, name: str) -> str:
    if name not in row.ratios:
        return _time(row, name)
    times = row.ratios[name]
    colour = "green" if times >= 1.0 else "yellow" if times >= 0.5 else "red"
    return f"{human(row.seconds[name])} [{colour}]{times:6.2f}x[/]"


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "threads": os.environ.get(MARK),
        "commit": _commit(),
        "versions": {name: _version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = (
        line.partition(": ")[2] for line in lines if line.startswith("model name")
    )
    return next(models, platform.processor())


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=RESULTS.parent, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def save(name: str, results: Any) -> Path:
    """Write ``results/NAME.json``: the machine and the results."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    data = {"machine": machine(), "results": results}
    path.write_text(json.dumps(data, indent=1) + "\n")
    return path
