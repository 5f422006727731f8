"""The first call of a gradient on XLA: ``jit(backend="jax")`` against ``jax.jit``.

Tracing, lowering, compiling and running, with all caches cleared; the two take turns,
since what else runs on the machine disturbs compilation more than anything. The time
of the processor, of all threads, is disturbed less than elapsed time.
"""

from collections.abc import Sequence
from importlib import import_module
from statistics import geometric_mean, median
from time import perf_counter, process_time

import fgrad
from benchmarks.peers import JAX, PEERS, XLA, Peer
from benchmarks.probes.jit_first import forget, warm
from benchmarks.report import human, print_table, save
from benchmarks.workload import Arguments, Workload

ROUNDS, QUICK_ROUNDS = 7, 3
PATIENCE = 60.0  # seconds for a workload; then no further round begins
Seconds = tuple[float, float]  # elapsed, and of the processor


def first_call(peer: Peer, workload: Workload, arguments: Arguments) -> Seconds:
    """Seconds of one call, after all is forgotten."""
    fgrad.clear_caches()
    forget(peer.name)
    call = peer.prepare(workload, arguments)
    assert call is not None
    start, used = perf_counter(), process_time()
    call()
    return perf_counter() - start, process_time() - used


def measure(
    workload: Workload, peers: Sequence[Peer], rounds: int
) -> dict[str, Seconds]:
    """For each peer the medians over the rounds."""
    arguments = workload.arguments()
    found: dict[str, list[Seconds]] = {peer.name: [] for peer in peers}
    start = perf_counter()
    for number in range(rounds):
        if number and perf_counter() - start > PATIENCE:
            break
        for peer in peers:
            found[peer.name].append(first_call(peer, workload, arguments))
    return {
        name: (median(x for x, _ in times), median(x for _, x in times))
        for name, times in found.items()
    }


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """The first call on XLA, fgrad against jax, caches cleared, medians."""
    import_module("jax")
    peers = [peer for peer in PEERS if peer.name in (XLA, JAX)]
    warm(peers, workloads)
    chosen = [w for w in workloads if not quick or JAX not in w.slow]
    rounds = QUICK_ROUNDS if quick else ROUNDS
    results = {w.name: measure(w, peers, rounds) for w in chosen}
    ratios = {
        name: [one / other for one, other in zip(found[XLA], found[JAX], strict=True)]
        for name, found in results.items()
    }
    rows = [
        [name, human(found[JAX][0]), human(found[XLA][0])]
        + [f"{x:.2f}x" for x in ratios[name]]
        for name, found in results.items()
    ]
    means = [geometric_mean(column) for column in zip(*ratios.values(), strict=True)]
    footer = ["geometric mean", "", "", *(f"{mean:.2f}x" for mean in means)]
    header = ["workload", JAX, XLA, "elapsed", "processor"]
    print_table("first calls on XLA", header, rows, footer)
    save("xla_first", results)
