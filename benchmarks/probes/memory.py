"""Peak memory of the gradient of a chain of elementwise operations.

In units of one array: a sin chain must keep one array for each step; a chain of
``x * 1.1 + 0.1`` none; a chain of products one for each step.
"""

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.peers import PEERS
from benchmarks.report import print_table, save
from benchmarks.workload import Workload

LENGTH = 50


def sin_chain(np: Any) -> Callable[..., Any]:
    """x = sin(x)"""

    def chain(x: Any) -> Any:
        for _ in range(LENGTH):
            x = np.sin(x)
        return np.sum(x)

    return chain


def affine_chain(np: Any) -> Callable[..., Any]:
    """x = x * 1.1 + 0.1"""

    def chain(x: Any) -> Any:
        for _ in range(LENGTH):
            x = x * 1.1 + 0.1
        return np.sum(x)

    return chain


def product_chain(np: Any) -> Callable[..., Any]:
    """y = y * x"""

    def chain(x: Any) -> Any:
        y = x
        for _ in range(LENGTH):
            y = y * x
        return np.sum(y)

    return chain


def mixed_chain(np: Any) -> Callable[..., Any]:
    """x = tanh(x * x + 0.5)"""

    def chain(x: Any) -> Any:
        for _ in range(LENGTH):
            x = np.tanh(x * x + 0.5)
        return np.sum(x)

    return chain


CHAINS = (sin_chain, affine_chain, product_chain, mixed_chain)


def peak_bytes(call: Callable[[], Any]) -> int:
    """The most memory that one call holds at a time, its result included."""
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """Peak memory of gradients of elementwise chains, in arrays of the input's size."""
    size = 100_000 if quick else 1_000_000
    point = (np.linspace(0.5, 0.9, size),)
    peers = [p for p in PEERS if p.name in ("fgrad", "autograd") and p.is_installed]
    rows, results = [], {}
    for build in CHAINS:
        workload = Workload(
            name=build.__name__,
            description="",
            make=lambda rng, size: point,
            build=build,
            size=size,
            small=size,
        )
        peaks = {}
        for peer in peers:
            call = peer.prepare(workload, point)
            assert call is not None
            first = peak_bytes(call)
            call()
            peaks[peer.name] = [x / point[0].nbytes for x in (first, peak_bytes(call))]
        results[build.__doc__] = peaks
        cells = [f"{x:.1f}" for pair in peaks.values() for x in pair]
        rows.append([build.__doc__ or "", *cells])
    header = [f"{peer.name} {call}" for peer in peers for call in ("first", "later")]
    title = f"peak arrays of {size} elements, {LENGTH} steps"
    print_table(title, ["step", *header], rows)
    save("memory", {"length": LENGTH, "size": size, "peak_arrays": results})
