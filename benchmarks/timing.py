"""Interleaved timing: one turn of each peer, many rounds, medians.

The machine's speed drifts while a table is made, so peers take turns and a ratio is
the median over rounds of the ratio within one round. A turn is one call; a call that
is shorter than `TURN` is repeated to fill it. A call shorter than `WARM` comes after
one that is not timed, since a user's loop finds its own code and memory in the caches,
not those of the peer before (the gradient of scalar-tanh takes 29 µs right after
another library's call, 12 µs in a loop; that of an RNN 1.75 ms and 1.45 ms).
"""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any

TURN = 1e-2  # seconds
WARM = 2e-2  # seconds


@dataclass(frozen=True)
class Plan:
    """How long to measure: each peer gets ``seconds``, within the bounds on rounds.

    The clock is elapsed time, or the CPU time of all threads of this process, which
    counts less of what other processes on a busy machine do.
    """

    seconds: float
    least: int
    most: int
    clock: Callable[[], float] = perf_counter


QUICK = Plan(seconds=0.25, least=5, most=300)
FULL = Plan(seconds=2.0, least=7, most=2000)
CLOCKS = {"wall": perf_counter, "cpu": process_time}
Samples = dict[str, list[float]]


def time_turn(
    call: Callable[[], Any],
    repeats: int,
    clock: Callable[[], float],
    is_warmed: bool,
) -> float:
    """Seconds of one call, the mean of ``repeats``, after one that is not timed."""
    if is_warmed:
        call()
    turns = range(repeats)
    start = clock()
    for _ in turns:
        call()
    return (clock() - start) / repeats


def interleave(calls: Mapping[str, Callable[[], Any]], plan: Plan) -> Samples:
    """Seconds of each call, one sample a round; the calls are warm already.

    A peer that has used up its time leaves after the least number of rounds.
    """
    gc.collect()
    gc.freeze()  # the modules of six libraries are not what a collection should walk
    first = {
        name: time_turn(call, 3, perf_counter, is_warmed=True)
        for name, call in calls.items()
    }
    repeats = {name: max(1, round(TURN / seconds)) for name, seconds in first.items()}
    samples: Samples = {name: [] for name in calls}
    spent = dict.fromkeys(calls, 0.0)
    for number in range(plan.most):
        active = [
            name for name in calls if number < plan.least or spent[name] < plan.seconds
        ]
        if not active:
            break
        for name in active:
            is_short = first[name] < WARM
            seconds = time_turn(calls[name], repeats[name], plan.clock, is_short)
            samples[name].append(seconds)
            spent[name] += seconds * repeats[name]
    return samples


def ratio(samples: Samples, name: str, base: str) -> float:
    """Time of ``name`` over time of ``base``: the median over the rounds of both."""
    pairs = zip(samples[name], samples[base], strict=False)
    return median(x / y for x, y in pairs)
