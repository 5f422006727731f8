"""What a call of a jitted function costs when the function does nothing.

The function returns its first argument, so a call is: recognise the types of all
arguments, find the compiled program, run it, hand the result over (a copy in fgrad, the
same buffer in jax). The time is that of the whole call as Python sees it, with nothing
subtracted, arrays of 8 float64 or one Python float, and for jax until the result is
there. jax is called with arrays of its own, and with NumPy arrays, which it has to take
over first.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np

import fgrad
from benchmarks.peers import PEERS
from benchmarks.report import print_table, save
from benchmarks.timing import FULL, QUICK, interleave, ratio
from benchmarks.workload import Workload

COUNTS = (1, 3, 20)
LENGTH = 8


def first_of(*arguments: Any) -> Any:
    """The first argument."""
    return arguments[0]


def calls_with(
    arguments: Sequence[Any], with_jax: bool
) -> dict[str, Callable[[], Any]]:
    """A call of the jitted function for each way to call it."""
    calls: dict[str, Callable[[], Any]] = {
        "Python": partial(first_of, *arguments),
        "fgrad.jit": partial(fgrad.jit(first_of), *arguments),
    }
    if not with_jax:
        return calls
    jax = import_module("jax")
    jax.config.update("jax_enable_x64", True)
    of_jax, of_numpy = jax.jit(first_of), jax.jit(first_of)
    on_device = [x if isinstance(x, float) else jax.device_put(x) for x in arguments]
    calls["jax.jit"] = lambda: of_jax(*on_device).block_until_ready()
    calls["jax.jit, NumPy in"] = lambda: of_numpy(*arguments).block_until_ready()
    return calls


def run(quick: bool, workloads: Sequence[Workload]) -> None:
    """A call of a jitted function that does nothing: 1, 3, 20 arrays, one float."""
    with_jax = any(peer.library == "jax" and peer.is_installed for peer in PEERS)
    cases: dict[str, list[Any]] = {
        f"{count} arrays": [np.full(LENGTH, float(k)) for k in range(count)]
        for count in COUNTS
    }
    cases["one float"] = [0.5]
    rows, results = [], {}
    for label, arguments in cases.items():
        calls = calls_with(arguments, with_jax)
        samples = interleave(calls, QUICK if quick else FULL)
        microseconds = {name: median(times) * 1e6 for name, times in samples.items()}
        ratios = {name: ratio(samples, name, "fgrad.jit") for name in samples}
        results[label] = {"microseconds": microseconds, "ratios": ratios}
        cells = [
            f"{time:.2f} {ratios[name]:5.2f}x" for name, time in microseconds.items()
        ]
        rows.append([label, *cells])
    title = f"us a call that returns its first argument, arrays of {LENGTH}"
    header = ["arguments", *calls_with([0.5], with_jax)]
    print_table(f"{title} (x: time / time of fgrad.jit)", header, rows)
    save("calls", results)
