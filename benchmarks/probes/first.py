"""The first gradient of a network never seen before, in a warm process.

A fresh hidden width each round makes every shape new, so that nothing that depends on
the structure is cached. The calls after it show what the caches are worth.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.check import compare
from benchmarks.peers import BASE, PEERS, Peer
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


def three_calls(
    workload: Workload, peers: Sequence[Peer], size: int
) -> dict[str, list[float]]:
    """Seconds of the first three calls of each peer."""
    arguments = make(np.random.default_rng(0), size)
    seconds: dict[str, list[float]] = {}
    results: dict[str, Any] = {}
    for peer in peers:
        start = perf_counter()
        call = peer.prepare(workload, arguments)
        if call is None:
            continue
        results[peer.name] = call()
        times = [perf_counter() - start]
        for _ in range(2):
            start = perf_counter()
            call()
            times.append(perf_counter() - start)
        seconds[peer.name] = times
    if problems := compare(results):
        raise ValueError(f"peers disagree: {problems}")
    return seconds


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """First gradient of a new MLP in a warm process, against the next two."""
    workload = replace(mlp.WORKLOADS[0], make=make)
    peers = [peer for peer in PEERS if peer.obstacle is None]
    if quick:  # which writes, compiles and loads C++: some ten seconds
        peers = [peer for peer in peers if peer.name != "torch.compile"]
    three_calls(workload, peers, 31)  # warms the process with another structure
    rounds = range(5 if quick else 20)
    samples = [three_calls(workload, peers, 32 + k) for k in rounds]
    medians = {
        name: [median(sample[name][k] for sample in samples) for k in range(3)]
        for name in samples[0]
    }
    rows = [
        [name, human(times[0]), f"{times[0] / medians[BASE][0]:.2f}x"]
        + [human(seconds) for seconds in times[1:]]
        for name, times in medians.items()
    ]
    header = ["peer", "first call", f"/ {BASE}", "second", "third"]
    print_table(f"MLP {FEATURES}-k-k-{CLASSES}, a new k each time", header, rows)
    save("first", {"seconds": medians})
