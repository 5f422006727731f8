"""The table as a picture: how much longer than the base each peer takes."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmarks.report import RESULTS
from benchmarks.runner import Row

MARKS = "osD^vP*Xphd"


def plot_rows(
    rows: Sequence[Row], peers: Sequence[str], base: str, name: str
) -> Path | None:
    """Write ``results/NAME.png``; None without matplotlib."""
    if find_spec("matplotlib") is None:
        return None
    import_module("matplotlib").use("Agg")
    pyplot = import_module("matplotlib.pyplot")
    rows = [row for row in rows if row.ratios][::-1]
    others = [peer for peer in peers if peer != base]
    figure, axes = pyplot.subplots(figsize=(9, 1.5 + 0.32 * len(rows)))
    for number, peer in enumerate(others):
        points = [
            (row.ratios[peer], y) for y, row in enumerate(rows) if peer in row.ratios
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                MARKS[number % len(MARKS)],
                label=peer,
                alpha=0.8,
            )
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [row.workload.name for row in rows])
    axes.set_xlabel(f"time / time of {base} (right of the line: {base} is faster)")
    axes.grid(axis="x", alpha=0.3)
    if axes.lines[1:]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    return path
