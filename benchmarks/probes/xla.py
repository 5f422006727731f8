"""Functions on XLA: what a call costs beyond jax's own, and a training step.

The function that is called returns its first argument, so a call is dispatch alone: of
1, 3 and 20 arrays of jax, and of a dict of 8. The step is that of the MLP of the
workloads with its parameters donated: value, gradient and update in one program.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np

import fgrad
from benchmarks.peers import JAX, XLA, on_device
from benchmarks.report import console, human, print_table, save
from benchmarks.timing import FULL, QUICK, interleave, ratio
from benchmarks.workload import Workload
from benchmarks.workloads import mlp

COUNTS = (1, 3, 20)
LENGTH = 8
RATE = 0.01
Calls = dict[str, Callable[[], Any]]


def first_of(*arguments: Any) -> Any:
    """The first argument."""
    return arguments[0]


def dispatches() -> dict[str, Calls]:
    """For each kind of arguments the calls."""
    jax = import_module("jax")
    arrays = [np.full(LENGTH, float(k)) for k in range(max(COUNTS))]
    cases = {f"{n} arrays": on_device(tuple(arrays[:n])) for n in COUNTS}
    named = {f"w{k}": x for k, x in enumerate(arrays[:8])}
    cases["a dict of 8"] = on_device((named,))
    compiled = {XLA: partial(fgrad.jit, backend="jax"), JAX: jax.jit}
    return {
        label: {name: partial(jit(first_of), *args) for name, jit in compiled.items()}
        for label, args in cases.items()
    }


def steps(batch: int, dtype: str) -> Calls:
    """A training step with donated parameters, for fgrad and for jax."""
    jax = import_module("jax")

    def calls_of(namespace: Any, derive: Any, jit: Any) -> Callable[[], Any]:
        loss = mlp.build(namespace)

        def update(parameters: Any, x: Any, y: Any) -> Any:
            value, grads = derive(loss)(parameters, x, y)
            new = {
                name: {k: layer[k] - RATE * grads[name][k] for k in layer}
                for name, layer in parameters.items()
            }
            return new, value

        step = jit(update, donate_argnums=0)
        made = mlp.make(np.random.default_rng(0), (batch, dtype))
        state, x, y = on_device(made)

        def call() -> Any:
            nonlocal state
            state, value = step(state, x, y)
            return value.block_until_ready()

        return call

    xla = partial(fgrad.jit, backend="jax")
    return {
        XLA: calls_of(np, fgrad.value_and_grad, xla),
        JAX: calls_of(jax.numpy, jax.value_and_grad, jax.jit),
    }


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """Calls on XLA: dispatch beyond jax's own, and a step with donated parameters."""
    rows, results = [], {}
    cases = dispatches()
    cases |= {f"MLP step, {n} rows, {t}": steps(n, t) for n, t in mlp_sizes()}
    for label, calls in cases.items():
        for call in calls.values():
            call()
            call()
        samples = interleave(calls, QUICK if quick else FULL)
        seconds = {name: median(times) for name, times in samples.items()}
        times = ratio(samples, XLA, JAX)
        more = (seconds[XLA] - seconds[JAX]) * 1e6
        results[label] = {"seconds": seconds, "ratio": times}
        cells = [human(seconds[JAX]), human(seconds[XLA])]
        rows.append([label, *cells, f"{times:.2f}x", f"{more:+.2f} µs"])
    header = ["arguments", JAX, XLA, "ratio", "difference"]
    print_table("calls on XLA", header, rows)
    console.print("written:", str(save("xla", results)))


def mlp_sizes() -> list[tuple[int, str]]:
    """The sizes of the workloads."""
    return [workload.size for workload in mlp.WORKLOADS]
