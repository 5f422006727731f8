"""The cost of a gradient over that of its function, both jitted by fgrad.

The theory of reverse mode says at most 4 or so operations for each of the function
(Griewank and Walther, Evaluating Derivatives, 2008, section 4.6); the value is part of
what the gradient computes. The function of the Jacobian has no gradient, and the third
derivative's is a workload already; both are left out.
"""

from collections.abc import Sequence
from functools import partial
from statistics import geometric_mean, median
from typing import Any

import numpy as np

import fgrad
from benchmarks.check import difference
from benchmarks.report import human, print_table, save, verdict
from benchmarks.timing import FULL, QUICK, Plan, interleave, ratio
from benchmarks.workload import Workload

GOAL = 3.0
OTHERS = ("jacobian", "third")


def measure(workload: Workload, plan: Plan) -> dict[str, float]:
    """Seconds of the function and of its value and gradient, and their ratio.

    Raises:
        ValueError: the value next to the gradient is not that of the function.
    """
    arguments = workload.arguments()
    if workload.transform == "hvp":  # its last argument is the vector
        arguments = arguments[:-1]
    loss = workload.build(np)
    function, gradient = fgrad.jit(loss), fgrad.jit(fgrad.value_and_grad(loss))
    for _ in range(3):  # traced, interpreted, compiled
        value, (of_gradient, _) = function(*arguments), gradient(*arguments)
    if problem := difference(of_gradient, value):
        raise ValueError(f"{workload.name}: the value {problem}")
    calls = {
        "function": partial(function, *arguments),
        "gradient": partial(gradient, *arguments),
    }
    samples = interleave(calls, plan)
    seconds = {name: median(times) for name, times in samples.items()}
    return {**seconds, "ratio": ratio(samples, "gradient", "function")}


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """A gradient over its function, both jitted by fgrad, for each workload."""
    plan = QUICK if quick else FULL
    chosen = [w for w in workloads if w.transform not in OTHERS]
    results: dict[str, Any] = {w.name: measure(w, plan) for w in chosen}
    rows = []
    for name, found in results.items():
        seconds = human(found["function"]), human(found["gradient"])
        is_met = found["ratio"] <= GOAL
        rows.append([name, *seconds, f"{found['ratio']:.2f}", verdict(is_met)])
    ratios = [found["ratio"] for found in results.values()]
    mean = ["", "", f"{geometric_mean(ratios):.2f}", ""] if ratios else []
    header = ["workload", "function", "value, gradient", "ratio", f"at most {GOAL:g}"]
    footer = ["geometric mean", *mean] if ratios else []
    print_table("gradient over function, both fgrad.jit", header, rows, footer)
    save("cost", results)
