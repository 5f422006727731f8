"""The first gradient of a network never seen before, in a warm process.

A fresh hidden width each round makes every shape new, so that nothing that depends on
the structure is cached. The second call shows what the caches are worth.
"""

from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.check import compare
from benchmarks.peers import BASE, PEERS
from benchmarks.report import human, print_table, save
from benchmarks.workload import Arguments, Rng, Workload
from benchmarks.workloads import mlp

BATCH, FEATURES, CLASSES = 32, 64, 10


def make(rng: Rng, size: int) -> Arguments:
    """The arguments of the MLP workload for hidden layers of ``size`` units."""
    widths = (FEATURES, size, size, CLASSES)
    parameters = {
        f"layer{number}": {
            "w": rng.standard_normal((rows, widths[number + 1])) / rows**0.5,
            "b": np.zeros(widths[number + 1]),
        }
        for number, rows in enumerate(widths[:-1])
    }
    x = rng.standard_normal((BATCH, FEATURES))
    return parameters, x, np.eye(CLASSES)[rng.integers(CLASSES, size=BATCH)]


def first_and_second(workload: Workload, size: int) -> dict[str, tuple[float, float]]:
    """Seconds of the first and the second call of each peer."""
    arguments = make(np.random.default_rng(0), size)
    seconds = {}
    results: dict[str, Any] = {}
    for peer in PEERS:
        if not peer.is_installed:
            continue
        start = perf_counter()
        call = peer.prepare(workload, arguments)
        if call is None:
            continue
        results[peer.name] = call()
        middle = perf_counter()
        call()
        seconds[peer.name] = (middle - start, perf_counter() - middle)
    problems = compare(results)
    assert not problems, problems
    return seconds


def run(quick: bool) -> None:
    """First gradient of a new MLP in a warm process, against the second one."""
    workload = replace(mlp.WORKLOADS[0], make=make)
    rounds = 5 if quick else 20
    first_and_second(workload, 31)  # warms the process with another structure
    samples = [first_and_second(workload, 32 + number) for number in range(rounds)]
    names = list(samples[0])
    firsts = {name: median(sample[name][0] for sample in samples) for name in names}
    seconds = {name: median(sample[name][1] for sample in samples) for name in names}
    rows = [
        [
            name,
            human(firsts[name]),
            f"{firsts[name] / firsts[BASE]:.2f}x",
            human(seconds[name]),
        ]
        for name in names
    ]
    title = f"MLP {FEATURES}-k-k-{CLASSES}, a new k each time"
    print_table(title, ["peer", "first call", f"/ {BASE}", "second call"], rows)
    save("first", {"first_seconds": firsts, "second_seconds": seconds})
