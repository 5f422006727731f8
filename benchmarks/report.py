"""Tables on the terminal, JSON and plots in `results/`."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from benchmarks.peers import HAND, JIT
from benchmarks.runner import Row
from benchmarks.threads import MARK

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("numpy", "fgrad", "autograd", "jax", "torch")

console = Console(width=max(Console().width, 140))
BAR = f"{JIT} / {HAND} (bar)"


def human(seconds: float) -> str:
    """A time with three digits and a unit."""
    for unit, scale in (("s ", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def print_table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    footer: Sequence[str] = (),
) -> None:
    """A table whose first column is a name and whose others are numbers."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for position, name in enumerate(header):
        table.add_column(name, justify="right" if position else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if footer:
        table.add_section()
        table.add_row(*footer)
    unlimited = console.options.update(width=1000)
    width = Measurement.get(console, unlimited, table).maximum
    Console(width=max(console.width, width)).print(table)


def print_rows(
    rows: Sequence[Row], peers: Sequence[str], base: str, clock: str
) -> None:
    """Times, the time over that of the base, and whether bars were met.

    A peer that has no time for any of the workloads has no column.
    """
    found = {name for row in rows for name in (*row.seconds, *row.problems)}
    names = [name for name in dict.fromkeys((base, *peers)) if name in found]
    lines = [
        [row.workload.name, *(_cell(row, name, base) for name in names), _bar_cell(row)]
        for row in rows
    ]
    means = geometric_means(rows)
    cells = ["-" if name == base else _mean_cell(means.get(name)) for name in names]
    footer = ["geometric mean (of)", *cells, _bars_cell(rows)]
    title = f"median {clock} time of a call (x: time / time of {base})"
    print_table(title, ["workload", *names, BAR], lines, footer)
    for row in rows:
        for name, problem in row.problems.items():
            text = f"{row.workload.name}, {name}: {problem}"
            console.print(text, style="bold red", markup=False)
        for name, reason in row.workload.without.items():
            if name in peers:
                text = f"{row.workload.name}, without {name}: {reason}"
                console.print(text, markup=False)


def print_first_calls(rows: Sequence[Row], name: str, base: str) -> None:
    """The first call, which traces and compiles, of one peer over that of another."""
    pairs = [row for row in rows if name in row.first and base in row.first]
    ratios = [row.first[name] / row.first[base] for row in pairs]
    lines = [
        [
            row.workload.name,
            human(row.first[base]),
            f"{human(row.first[name])} {x:5.2f}x",
        ]
        for row, x in zip(pairs, ratios, strict=True)
    ]
    mean = f"({len(ratios)}) {geometric_mean(ratios):.2f}x" if ratios else "-"
    footer = ["geometric mean (of)", "-", mean]
    print_table("first calls", ["workload", base, name], lines, footer)


def geometric_means(rows: Sequence[Row]) -> dict[str, tuple[float, int]]:
    """For each peer the mean of its ratios to the base, and how many there are.

    Each mean is over the workloads that both the peer and the base take part in.
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        for name, times in row.ratios.items():
            found.setdefault(name, []).append(times)
    return {name: (geometric_mean(xs), len(xs)) for name, xs in found.items()}


def _mean_cell(mean: tuple[float, int] | None) -> str:
    return "-" if mean is None else f"({mean[1]}) {mean[0]:6.2f}x"


def verdict(is_met: bool) -> str:
    """Whether a goal was met, as the cell of a table."""
    return "[green]met   [/]" if is_met else "[red]missed[/]"


def _bar_cell(row: Row) -> str:
    if row.over_hand is None:
        return "-"
    if row.is_met is None:
        return f"{row.over_hand:.2f} (none)       "
    return f"{row.over_hand:.2f} ({row.workload.bar:.2f}) {verdict(row.is_met)}"


def _bars_cell(rows: Sequence[Row]) -> str:
    verdicts = [row.is_met for row in rows if row.is_met is not None]
    ratios = [row.over_hand for row in rows if row.over_hand is not None]
    if not ratios:
        return "-"
    return f"{geometric_mean(ratios):.2f}, {sum(verdicts)} of {len(verdicts)} met"


def _time(row: Row, name: str) -> str:
    if name in row.problems:
        return "[bold red]wrong or failed[/]"
    return human(row.seconds[name]) if name in row.seconds else "-"


def _cell(row: Row, name: str, base: str) -> str:
    if name == base or name not in row.ratios:
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
