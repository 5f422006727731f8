"""The workloads of `benchmarks/` at tiny sizes: all peers find the same values."""

import importlib
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.check import compare, difference
from benchmarks.peers import (
    BASE,
    JAX,
    PEERS,
    XLA,
    lacks_compiler,
    leaves_of,
    map_leaves,
)
from benchmarks.runner import Row, first_calls, measure
from benchmarks.timing import Plan
from benchmarks.workload import Workload, find_workloads

NUMPY_LIBRARIES = ("fgrad", "autograd", "numpy")
NUMPY_PEERS = [peer for peer in PEERS if peer.library in NUMPY_LIBRARIES]
INSTALLED = [peer for peer in NUMPY_PEERS if peer.is_installed]
WORKLOADS = find_workloads()
ONCE = Plan(seconds=0.0, least=1, most=1)
has_rich = pytest.mark.skipif(
    importlib.util.find_spec("rich") is None, reason="the table is made by rich"
)

has_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is an extra"
)


def named(name: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.name == name)


def small(name: str) -> Workload:
    """The workload with its tiny size in place of that of a benchmark."""
    return replace(named(name), size=named(name).small)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_peers_agree(workload: Workload) -> None:
    calls, _, problems = first_calls(workload, INSTALLED, small=True)
    assert problems == {}
    assert BASE in calls
    assert len(calls) >= 2, "a workload needs something to be compared with"


@pytest.mark.parametrize("name", ["logistic-1e3x20", "scalar-tanh", "hvp-1e4"])
def test_peers_on_xla_agree(name: str) -> None:
    pytest.importorskip("jax")
    peers = [peer for peer in PEERS if peer.name in (BASE, XLA, JAX)]
    calls, first, problems = first_calls(named(name), peers, small=True)
    assert problems == {} and set(calls) == set(first) == {BASE, XLA, JAX}


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

    workload = named("rosenbrock-10")
    broken = replace(workload, hand=wrong, hand_out=None)
    row = measure(broken, INSTALLED, ONCE)
    assert "off by" in row.problems[BASE]
    assert BASE not in row.seconds


def test_shapes_and_counts_are_compared() -> None:
    right = (1.0, {"a": np.ones(2)})
    assert compare({"hand": right, "x": right}) == {}
    assert "shape" in compare({"hand": right, "x": (1.0, np.ones(3))})["x"]
    assert "arrays" in compare({"hand": right, "x": 1.0})["x"]
    assert "finite" in compare({"hand": right, "x": (np.nan, np.ones(2))})["x"]


@pytest.mark.parametrize(
    "workload", [w for w in WORKLOADS if w.hand_out], ids=lambda w: w.name
)
def test_buffers_are_used_anew_at_each_call(workload: Workload) -> None:
    """The hand-written gradient keeps nothing of a call before, nor the arguments."""
    assert workload.hand is not None
    assert workload.hand_out is not None
    arguments = workload.arguments(small=True)
    hand_out = workload.hand_out(*arguments)
    hand_out(*arguments)
    chosen, *others = arguments
    moved = map_leaves(lambda leaf: leaf * leaf.dtype.type(1.25), chosen)
    before = map_leaves(np.copy, moved)
    assert difference(hand_out(moved, *others), workload.hand(moved, *others)) is None
    assert difference(moved, before) is None


def test_a_peer_that_cannot_run_a_workload_is_left_out() -> None:
    workload = replace(small("cnn"), without={"hand": "it is only a test"})
    calls, _, problems = first_calls(workload, INSTALLED)
    assert "hand" not in calls
    assert problems == {}


def test_ratios_are_those_to_the_base_and_to_hand() -> None:
    row = measure(small("rosenbrock-10"), INSTALLED, ONCE, base="fgrad.jit")
    assert row.ratios["fgrad.jit"] == 1.0
    assert row.over_hand == pytest.approx(1.0 / row.ratios["hand"])
    assert row.is_met == (row.over_hand <= 1.0)
    assert row.as_json()["bar"] == 1.0
    assert measure(small("gmm-1e3"), INSTALLED, ONCE).is_met is None


@pytest.mark.parametrize("workload", ["cnn", "mlp-32-float32", "logistic-1e3x20"])
def test_torch_has_the_same_function(workload: str) -> None:
    pytest.importorskip("torch")
    peers = [peer for peer in PEERS if peer.name in ("hand", "torch")]
    calls, _, problems = first_calls(small(workload), peers)
    assert problems == {}
    assert len(calls) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torch_compile_has_the_same_value() -> None:
    peers = [peer for peer in PEERS if peer.name in ("hand", "torch.compile")]
    if obstacle := peers[0].obstacle:
        pytest.skip(obstacle)
    calls, _, problems = first_calls(small("rosenbrock-10"), peers)
    assert problems == {}
    assert len(calls) == 2


def test_torch_compile_needs_a_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peer = next(peer for peer in PEERS if peer.name == "torch.compile")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert "no C++ compiler: g++ or clang++" in (lacks_compiler() or "")
    if peer.is_installed:
        assert peer.obstacle == lacks_compiler()
    else:
        assert peer.obstacle == "torch is not installed"


@has_rich
def test_the_table_has_means_and_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.report import geometric_means, print_rows

    first = Row(
        named("cnn"), {"fgrad": 1e-3, "hand": 2e-3}, {"fgrad": 1.0, "hand": 2.0}
    )
    second = Row(
        named("rnn"), {"fgrad": 1e-3, "hand": 8e-3}, {"fgrad": 1.0, "hand": 8.0}
    )
    first.over_hand, second.over_hand = 0.9, 1.6
    rows = [first, second]
    assert geometric_means(rows)["hand"] == (pytest.approx(4.0), 2)
    print_rows(rows, ["fgrad", "jax", "hand"], "fgrad", "wall")
    header, cnn, rnn, mean = (
        line for line in capsys.readouterr().out.splitlines() if "  " in line.strip()
    )
    assert "jax" not in header
    assert "0.90 (1.00) met" in cnn
    assert "1.60 (1.10) missed" in rnn
    assert "(2)   4.00x" in mean
    assert "1.20, 1 of 2 met" in mean


@has_rich
@pytest.mark.parametrize("name", ["calls", "cost", "jit_first"])
def test_probes_run(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On tiny workloads, without jax, and without writing a file."""
    probe = importlib.import_module(f"benchmarks.probes.{name}")
    saved: dict[str, Any] = {}
    without_jax = [peer for peer in PEERS if peer.library != "jax"]
    monkeypatch.setattr(probe, "save", saved.__setitem__)
    monkeypatch.setattr(probe, "PEERS", without_jax, raising=False)
    monkeypatch.setattr(probe, "QUICK", ONCE, raising=False)
    probe.run(True, [small("rosenbrock-10"), small("hvp-1e4"), small("jacobian-100")])
    shown = capsys.readouterr().out
    assert len(saved[name]) >= 2
    assert all(label in shown for label in saved[name])


@has_rich
def test_the_command_line_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.__main__ import main

    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert all(workload.name in shown for workload in WORKLOADS)
    assert "jit_first" in shown
    with pytest.raises(SystemExit, match="no workload 'nonsense'"):
        main(["--only", "nonsense"])
    with pytest.raises(SystemExit, match="no peer 'jax' takes part; there are: fgrad"):
        main(["--peers", "fgrad", "--base", "jax"])


@has_rich
@has_jax
def test_a_device_that_is_not_there() -> None:
    from benchmarks.__main__ import main

    jax = importlib.import_module("jax")
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("there is one")
    with pytest.raises(SystemExit, match="jax sees no gpu; it has: "):
        main(["--backend", "jax", "--device", "gpu"])


@has_rich
@has_jax
def test_first_calls_on_xla(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = importlib.import_module("benchmarks.probes.xla_first")
    saved: dict[str, Any] = {}
    monkeypatch.setattr(probe, "save", saved.__setitem__)
    monkeypatch.setattr(probe, "QUICK_ROUNDS", 1)
    probe.run(True, [small("rosenbrock-10")])
    assert "geometric mean" in capsys.readouterr().out
    assert set(saved["xla_first"]["rosenbrock-10"]) == {"jax.jit", "fgrad.jit(jax)"}


@has_rich
def test_quick_leaves_out_what_is_slow_to_compile() -> None:
    from benchmarks.__main__ import quick_peers

    names = [peer.name for peer in quick_peers(named("lstm"), PEERS)]
    assert "jax" in names
    assert not {"jax.jit", "torch.compile"} & set(names)
    assert quick_peers(named("rnn"), PEERS) == PEERS
