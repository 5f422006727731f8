"""Scripts on fgrad.torch and on PyTorch's eager mode, the same text with each library.

A script that gives other losses, gradients or parameters than PyTorch's in one of its
first steps is not timed.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from statistics import geometric_mean, median
from typing import Any

from benchmarks.check import difference
from benchmarks.report import console, human, print_table, save, verdict
from benchmarks.script import Script, Step, find_scripts, values_of
from benchmarks.timing import FULL, QUICK, Plan, interleave, ratio
from benchmarks.workload import Workload

OURS, THEIRS = "fgrad.torch", "torch"
STEPS = 3  # that are compared
WARM_UP = 10  # more, of which fgrad compiles the first ones


def steps_of(script: Script) -> dict[str, Step]:
    """The step of a script on each library."""
    return {name: script.build(import_module(name)) for name in (THEIRS, OURS)}


def problem_of(steps: dict[str, Step]) -> str | None:
    """How the first steps of the two libraries differ, or None where they agree."""
    for number in range(1, STEPS + 1):
        values = {name: values_of(step()) for name, step in steps.items()}
        found = difference(values[OURS], values[THEIRS])
        if found:
            return f"step {number}: {found}"
    return None


def measure(script: Script, plan: Plan) -> dict[str, Any]:
    """Times and their ratio, or what is wrong with the values."""
    steps = steps_of(script)
    problem = problem_of(steps)
    if problem:
        return {"bar": script.bar, "problem": problem}
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    samples = interleave(steps, plan)
    seconds = {name: median(times) for name, times in samples.items()}
    times = ratio(samples, OURS, THEIRS)
    return {"bar": script.bar, "seconds": seconds, "ratio": times}


def row_of(name: str, found: dict[str, Any]) -> list[str]:
    """A line of the table."""
    bar = f"{found['bar']:.2f}"
    if "problem" in found:
        return [name, "-", "-", "-", bar, "[red]wrong [/]"]
    cells = [human(found["seconds"][library]) for library in (THEIRS, OURS)]
    is_met = found["ratio"] <= found["bar"]
    return [name, *cells, f"{found['ratio']:.3f}", bar, verdict(is_met)]


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """Scripts on fgrad.torch against the same scripts on PyTorch."""
    if find_spec(THEIRS) is None:
        console.print("PyTorch is not installed, so there is nothing to compare with")
        return
    results = {}
    for script in find_scripts():
        results[script.name] = measure(script, QUICK if quick else FULL)
    rows = [row_of(name, found) for name, found in results.items()]
    ratios = [found["ratio"] for found in results.values() if "ratio" in found]
    footer = ["geometric mean", "", "", f"{geometric_mean(ratios):.3f}"]
    header = ["script", THEIRS, OURS, "ratio", "bar", ""]
    print_table("median time of a step", header, rows, footer if ratios else ())
    for name, found in results.items():
        if "problem" in found:
            text = f"{name}: {found['problem']}"
            console.print(text, style="bold red", markup=False)
    console.print("written:", str(save("torch", results)))
