"""Workloads x peers: prepare, check values, then time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.check import compare
from benchmarks.peers import BASE, HAND, JIT, Call, Peer
from benchmarks.timing import Plan, interleave, ratio
from benchmarks.workload import Workload


@dataclass
class Row:
    """What was measured for one workload.

    Attributes:
        seconds: the median time of a call, for each peer that takes part.
        ratios: the time of each peer over that of the base.
        over_hand: the time of ``fgrad.jit`` over that of ``hand``, if both take part.
        first: the time of the first call, which traces and compiles.
        problems: peers that failed or gave another value, and how; they are not timed.
    """

    workload: Workload
    seconds: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    over_hand: float | None = None
    first: dict[str, float] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        """Whether the workload's bar was met; None where it has none, or no time."""
        if self.workload.bar is None or self.over_hand is None:
            return None
        return self.over_hand <= self.workload.bar

    def as_json(self) -> dict[str, Any]:
        """The row as plain data."""
        return {
            "name": self.workload.name,
            "description": self.workload.description,
            "seconds": self.seconds,
            "ratios": self.ratios,
            "jit_over_hand": self.over_hand,
            "bar": self.workload.bar,
            "first_call_seconds": self.first,
            "problems": self.problems,
        }


def first_calls(
    workload: Workload, peers: Sequence[Peer], small: bool = False
) -> tuple[dict[str, Call], dict[str, float], dict[str, str]]:
    """Run each peer once and compare their results.

    Returns:
        The calls of the peers whose results agree, the seconds of each first call, and
        the problems of the others.
    """
    arguments = workload.arguments(small=small)
    calls: dict[str, Call] = {}
    results: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    problems: dict[str, str] = {}
    for peer in peers:
        if peer.name in workload.without:
            continue
        try:
            call = peer.prepare(workload, arguments)
            if call is None:
                continue
            start = perf_counter()
            results[peer.name] = call()
            seconds[peer.name] = perf_counter() - start
            calls[peer.name] = call
        except Exception as error:  # whatever a peer raises is its row's result
            problems[peer.name] = f"{type(error).__name__}: {error}"
    problems |= compare(results)
    good = {name: call for name, call in calls.items() if name not in problems}
    return good, seconds, problems


def measure(
    workload: Workload, peers: Sequence[Peer], plan: Plan, base: str = BASE
) -> Row:
    """Check the values of all peers, then time those that agree."""
    calls, first, problems = first_calls(workload, peers)
    for call in calls.values():
        call()  # fgrad compiles a structure when it sees it for the second time
    row = Row(workload, first=first, problems=problems)
    samples = interleave(calls, plan)
    row.seconds = {name: median(times) for name, times in samples.items()}
    if base in samples:
        row.ratios = {name: ratio(samples, name, base) for name in samples}
    if JIT in samples and HAND in samples:
        row.over_hand = ratio(samples, JIT, HAND)
    return row
