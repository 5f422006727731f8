"""The first call of a jitted gradient: ``fgrad.jit`` against ``jax.jit``.

All caches are cleared and the jitted function is new each time. jax's first call
traces, compiles and runs. fgrad's traces, derives and computes the result; what it
generates and compiles as Python comes at the third call, so the sum of the first three
is shown as well.
"""

import gc
from collections.abc import Callable, Sequence
from importlib import import_module
from statistics import geometric_mean, median
from time import perf_counter
from typing import Any

import fgrad
from benchmarks.check import compare
from benchmarks.peers import JIT, PEERS, Peer
from benchmarks.report import human, print_table, save, verdict
from benchmarks.workload import Workload

GOAL = 30.0  # times faster than jax
JAX = "jax.jit"
CALLS = 4  # the last one finds everything compiled
PATIENCE = 5.0  # seconds; a first call that takes longer is not repeated


def forget(name: str) -> None:
    """Clear the caches of a library."""
    if name == JIT:
        fgrad.clear_caches()
    else:
        import_module("jax").clear_caches()
    gc.collect()


def first_calls(
    peer: Peer, workload: Workload, rounds: int
) -> tuple[list[list[float]], Any]:
    """Seconds of the first calls, for each round, and the result."""
    arguments = workload.arguments()
    seconds: list[list[float]] = []
    result = None
    while len(seconds) < rounds and sum(map(sum, seconds)) < PATIENCE:
        forget(peer.name)
        call = peer.prepare(workload, arguments)
        if call is None:
            break
        seconds.append([])
        for _ in range(CALLS):
            start = perf_counter()
            result = call()
            seconds[-1].append(perf_counter() - start)
    return seconds, result


def measure(
    workload: Workload, peers: Sequence[Peer], rounds: int
) -> dict[str, list[float]]:
    """For each peer the medians of the seconds of its first calls.

    Raises:
        ValueError: the peers disagree.
    """
    found: dict[str, list[float]] = {}
    results: dict[str, Any] = {}
    for peer in peers:
        times, results[peer.name] = first_calls(peer, workload, rounds)
        found[peer.name] = [median(column) for column in zip(*times, strict=True)]
    if problems := compare(results):
        raise ValueError(f"{workload.name}: {problems}")
    return found


def cells_of(found: dict[str, list[float]]) -> list[str]:
    """A row of the table."""
    calls = found[JIT]
    cells = [human(calls[0]), human(sum(calls[:3])), human(calls[-1])]
    if JAX not in found:
        return [*cells, "-", "-", "-", "-"]
    jax = found[JAX][0]
    times, with_compiling = jax / calls[0], jax / sum(calls[:3])
    cells += [human(jax), f"{times:.1f}x", verdict(times >= GOAL)]
    return [*cells, f"{with_compiling:.1f}x"]


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """The first call of a jitted gradient, fgrad against jax, all caches cleared."""
    peers = [p for p in PEERS if p.name in (JIT, JAX) and p.obstacle is None]
    warm(peers, workloads)
    results = {}
    for workload in workloads:
        chosen = [p for p in peers if not (quick and p.name in workload.slow)]
        results[workload.name] = measure(workload, chosen, 3 if quick else 7)
    rows = [[name, *cells_of(found)] for name, found in results.items()]
    pairs = [found for found in results.values() if JAX in found]
    footer = []
    if pairs:
        first = geometric_mean(x[JAX][0] / x[JIT][0] for x in pairs)
        three = geometric_mean(x[JAX][0] / sum(x[JIT][:3]) for x in pairs)
        footer = [
            "geometric mean",
            "",
            "",
            "",
            "",
            f"{first:.1f}x",
            "",
            f"{three:.1f}x",
        ]
    header = ["workload", "fgrad first", "first three", "fourth", "jax first"]
    header += ["/ fgrad first", f"at least {GOAL:g}", "/ first three"]
    print_table("first calls of a jitted gradient", header, rows, footer)
    save("jit_first", results)


def warm(peers: Sequence[Peer], workloads: Sequence[Workload]) -> None:
    """Import and initialise the libraries, which no first call should count."""
    for peer in peers:
        call: Callable[[], Any] | None = peer.prepare(
            workloads[0], workloads[0].arguments(small=True)
        )
        if call is not None:
            call()
