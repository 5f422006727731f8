"""Long programs: time and memory of an operation among 1e3 to 1e5 in sequence.

Every measurement has its own array length, so that none finds the structure of another.
"""

import itertools
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.peers import PEERS, Peer
from benchmarks.probes.memory import peak_bytes
from benchmarks.report import human, print_table, save
from benchmarks.workload import Workload

_lengths = itertools.count(3)


def chain_of(operations: int) -> Callable[[Any], Callable[..., Any]]:
    """A loss of about this many operations, two in each turn of a loop."""

    def build(np: Any) -> Callable[..., Any]:
        def chain(x: Any) -> Any:
            for _ in range(operations // 2):
                x = np.sin(x) + 0.5
            return np.sum(x)

        return chain

    return build


def calls(peer: Peer, operations: int) -> Callable[[], Any]:
    """The gradient of a chain on an array of a length not used before."""
    workload = Workload(
        name="chain",
        description="",
        make=lambda rng, size: (np.linspace(0.0, 1.0, size),),
        build=chain_of(operations),
        size=next(_lengths),
        small=3,
    )
    call = peer.prepare(workload, workload.arguments())
    assert call is not None
    return call


def measure(peer: Peer, operations: int) -> dict[str, float]:
    """Seconds and bytes for each operation, at the first and at later calls."""
    call = calls(peer, operations)
    times = []
    for _ in range(4):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    call = calls(peer, operations)
    first = peak_bytes(call)
    call()
    later = peak_bytes(call)
    return {
        "first_seconds": times[0] / operations,
        "second_seconds": times[1] / operations,
        "later_seconds": min(times[2:]) / operations,
        "first_bytes": first / operations,
        "later_bytes": later / operations,
    }


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """Time and peak memory of an operation in programs of 1e3 to 1e5 operations."""
    peers = [p for p in PEERS if p.name in ("fgrad", "autograd") and p.is_installed]
    counts = (1000, 10_000) if quick else (1000, 3000, 10_000, 30_000, 100_000)
    rows, results = [], []
    for count, peer in itertools.product(counts, peers):
        found = measure(peer, count)
        results.append({"operations": count, "peer": peer.name, **found})
        cells = [
            human(x) if name.endswith("seconds") else f"{x:.0f} B"
            for name, x in found.items()
        ]
        rows.append([f"{count} {peer.name}", *cells])
    header = ["first", "second", "later", "memory: first", "later"]
    print_table("for each operation", ["operations, peer", *header], rows)
    save("scaling", results)
