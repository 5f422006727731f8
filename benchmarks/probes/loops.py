"""Gradients of loops: time for each step and peak memory of ``scan``, unrolled loops,
and checkpointed chains.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np

import fgrad
from benchmarks.probes.memory import peak_bytes
from benchmarks.report import print_table, save
from benchmarks.timing import QUICK, interleave
from benchmarks.workload import Workload

CARRY = 1000
LAYERS = 100


def scanned(length: int) -> Callable[..., Any]:
    """c = tanh(w c + 0.1) as a scan."""

    def f(w: Any, c: Any) -> Any:
        def step(c: Any, _: Any) -> tuple[Any, None]:
            return np.tanh(w * c + 0.1), None

        return np.sum(fgrad.scan(step, c, length=length)[0])

    return f


def unrolled(length: int) -> Callable[..., Any]:
    """The same as a Python loop."""

    def f(w: Any, c: Any) -> Any:
        for _ in range(length):
            c = np.tanh(w * c + 0.1)
        return np.sum(c)

    return f


def chain(wrap: Callable[[Any], Any], group: int) -> Callable[..., Any]:
    """A chain of layers, wrapped one by one and, if ``group``, in groups."""

    def layer(x: Any) -> Any:
        return np.sin(np.cos(x) * x + np.tanh(x) * x)

    def layers(x: Any, count: int) -> Any:
        for _ in range(count):
            x = wrap(layer)(x)
        return x

    def f(x: Any) -> Any:
        if not group:
            return np.sum(layers(x, LAYERS))
        for _ in range(LAYERS // group):
            x = wrap(lambda x: layers(x, group))(x)
        return np.sum(x)

    return f


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """Time and peak memory of gradients of scans and of checkpointed chains."""
    rng = np.random.default_rng(0)
    args = rng.normal(size=CARRY) * 0.1, rng.normal(size=CARRY)
    lengths = (100, 1000, 3000) if quick else (1000, 10_000)
    rows: list[list[str]] = []
    results: dict[str, Any] = {"scan": {}, "checkpoint": {}}
    for length in lengths:
        calls = {}
        for build in (scanned, unrolled):
            gradient = fgrad.grad(build(length), (0, 1))
            calls[build.__name__] = partial(gradient, *args)
        for call in (*calls.values(), *calls.values()):
            call()
        samples = interleave(calls, QUICK)
        for name, call in calls.items():
            microseconds = median(samples[name]) / length * 1e6
            carries = peak_bytes(call) / (length * args[1].nbytes)
            results["scan"][f"{name} {length}"] = microseconds, carries
            row = f"{microseconds:.1f}", f"{carries:.2f}"
            rows.append([name, str(length), *row])
    header = ["loop", "steps", "us a step", "peak / carries of all steps"]
    print_table(f"gradient of c = tanh(w c + 0.1), carry of {CARRY}", header, rows)
    x = np.linspace(0.1, 0.9, 100_000)
    kinds = {
        "plain": chain(lambda layer: layer, 0),
        "checkpointed": chain(fgrad.checkpoint, 0),
        "in groups, too": chain(fgrad.checkpoint, 10),
    }
    for name, f in kinds.items():
        gradient = fgrad.grad(f)
        gradient(x)
        peak = peak_bytes(partial(gradient, x))
        results["checkpoint"][name] = peak / x.nbytes
    table = [[name, f"{arrays:.0f}"] for name, arrays in results["checkpoint"].items()]
    print_table(f"gradient of {LAYERS} layers", ["chain", "peak arrays"], table)
    save("loops", results)
