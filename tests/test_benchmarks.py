"""The workloads of `benchmarks/` at tiny sizes: all peers find the same values."""

import importlib.util
from typing import Any

import numpy as np
import pytest

from benchmarks.check import compare, difference
from benchmarks.peers import BASE, PEERS, leaves_of
from benchmarks.runner import first_calls, measure
from benchmarks.timing import Plan
from benchmarks.workload import Workload, find_workloads

PYTHON_PEERS = [peer for peer in PEERS if peer.name in (BASE, "autograd", "hand")]
INSTALLED = [peer for peer in PYTHON_PEERS if peer.is_installed]
WORKLOADS = find_workloads()


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_peers_agree(workload: Workload) -> None:
    calls, _, problems = first_calls(workload, INSTALLED, small=True)
    assert problems == {}
    assert BASE in calls
    assert len(calls) >= 2, "a workload needs something to be compared with"


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_repeated_calls_give_the_same_values(workload: Workload) -> None:
    """The second call compiles, the third one runs what was compiled."""
    fgrad_peer = next(peer for peer in PEERS if peer.name == BASE)
    call = fgrad_peer.prepare(workload, workload.arguments(small=True))
    assert call is not None
    first = call()
    for _ in range(2):
        assert difference(call(), first) is None


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_results_have_the_types_of_the_arguments(workload: Workload) -> None:
    arguments = workload.arguments(small=True)
    fgrad_peer = next(peer for peer in PEERS if peer.name == BASE)
    call = fgrad_peer.prepare(workload, arguments)
    assert call is not None
    (dtype,) = {np.asarray(leaf).dtype for leaf in leaves_of(arguments[0])}
    assert {np.asarray(leaf).dtype for leaf in leaves_of(call())} == {dtype}


def test_a_wrong_value_is_reported_and_not_timed() -> None:
    def wrong(*arguments: Any) -> Any:
        assert workload.hand is not None
        value, gradient = workload.hand(*arguments)
        return value, gradient * (1 + 1e-6)

    workload = next(w for w in WORKLOADS if w.name == "rosenbrock-10")
    broken = Workload(**{**vars(workload), "hand": wrong})
    row = measure(broken, INSTALLED, Plan(seconds=0.0, least=1, most=1))
    assert "off by" in row.problems[BASE]
    assert BASE not in row.seconds


def test_shapes_and_counts_are_compared() -> None:
    right = (1.0, {"a": np.ones(2)})
    assert compare({"hand": right, "x": right}) == {}
    assert "shape" in compare({"hand": right, "x": (1.0, np.ones(3))})["x"]
    assert "arrays" in compare({"hand": right, "x": 1.0})["x"]
    assert "finite" in compare({"hand": right, "x": (np.nan, np.ones(2))})["x"]


@pytest.mark.skipif(
    importlib.util.find_spec("rich") is None, reason="the table is made by rich"
)
def test_the_command_line_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.__main__ import main

    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert all(workload.name in shown for workload in WORKLOADS)
    with pytest.raises(SystemExit, match="no workload 'nonsense'"):
        main(["--only", "nonsense"])
