"""The command line: ``python -m benchmarks [what] [options]``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

from rich.progress import Progress

from benchmarks.peers import BASE, JAX, PEERS, XLA, Peer
from benchmarks.plot import plot_rows
from benchmarks.probes import find_probes
from benchmarks.report import (
    console,
    geometric_means,
    print_first_calls,
    print_rows,
    print_table,
    save,
)
from benchmarks.runner import measure
from benchmarks.threads import restart_with
from benchmarks.timing import CLOCKS, FULL, QUICK
from benchmarks.workload import Workload, find_workloads


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ["workloads", *find_probes()]
    parser.add_argument("what", nargs="?", default="workloads", choices=names)
    parser.add_argument("--only", metavar="NAME[,NAME]", help="these workloads only")
    parser.add_argument("--peers", metavar="NAME[,NAME]", help="these peers only")
    parser.add_argument("--base", metavar="NAME", help=f"ratios to this peer ({BASE})")
    parser.add_argument(
        "--quick", action="store_true", help="two or three minutes in all"
    )
    parser.add_argument("--threads", type=int, default=1, help="of each library (1)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="wall or cpu")
    parser.add_argument(
        "--backend",
        choices=["numpy", "jax"],
        default="numpy",
        help=f"jax: {XLA} beside {JAX}, first calls too",
    )
    parser.add_argument("--device", choices=["cpu", "gpu"], help="where jax runs")
    parser.add_argument("--list", action="store_true", help="show what there is")
    return parser.parse_args(arguments)


def choose_workloads(only: str | None, quick: bool) -> list[Workload]:
    """The workloads that are named, else those that belong to the run.

    Raises:
        SystemExit: a name is unknown.
    """
    known = {workload.name: workload for workload in find_workloads()}
    if only is None:
        return [w for w in known.values() if w.quick or not quick]
    return [known[name] for name in checked(only, list(known), "workload")]


def choose_peers(names: str | None) -> list[Peer]:
    """The peers that are named, else all; a note for each that cannot take part."""
    known = {peer.name: peer for peer in PEERS}
    chosen = list(known) if names is None else checked(names, list(known), "peer")
    obstacles = {name: known[name].obstacle for name in chosen}
    for name, obstacle in obstacles.items():
        if obstacle is not None:
            console.print(f"{name} is skipped: {obstacle}", markup=False)
    return [known[name] for name in chosen if obstacles[name] is None]


def choose_base(name: str | None, peers: Sequence[Peer]) -> str:
    """The peer that is named, else fgrad, else the first one that takes part.

    Raises:
        SystemExit: the peer that is named does not take part.
    """
    names = [peer.name for peer in peers]
    if name is None:
        return BASE if BASE in names else names[0]
    if name not in names:
        sys.exit(f"no peer {name!r} takes part; there are: {', '.join(names)}")
    return name


def use_device(kind: str) -> None:
    """Let jax run on the first device of a kind.

    Raises:
        SystemExit: jax is not installed, or sees none.
    """
    if find_spec("jax") is None:
        sys.exit(f"--device {kind} needs jax, which is not installed")
    jax = import_module("jax")
    try:
        device = jax.devices(kind)[0]
    except RuntimeError:
        sys.exit(f"jax sees no {kind}; it has: {', '.join(map(str, jax.devices()))}")
    jax.config.update("jax_default_device", device)
    console.print(f"jax runs on {device.device_kind}", markup=False)


def quick_peers(workload: Workload, peers: Sequence[Peer]) -> list[Peer]:
    """The peers that do not take long to compile the workload; a note for others."""
    slow = [peer.name for peer in peers if peer.name in workload.slow]
    if slow:
        text = f"{workload.name} without {', '.join(slow)}: slow to compile"
        console.print(f"{text}; name them in --peers to have them", markup=False)
    return [peer for peer in peers if peer.name not in slow]


def checked(names: str, known: list[str], what: str) -> list[str]:
    """The comma-separated names, all of which are known."""
    for name in names.split(","):
        if name not in known:
            sys.exit(f"no {what} {name!r}; there are: {', '.join(known)}")
    return names.split(",")


def show_list() -> None:
    """Workloads, peers and probes."""
    lines = [[w.name, w.description] for w in find_workloads()]
    print_table("workloads", ["name", "description"], lines)
    lines = [[p.name, (p.prepare.__doc__ or "").splitlines()[0]] for p in PEERS]
    print_table("peers", ["name", "description"], lines)
    lines = [[name, run.__doc__ or ""] for name, run in find_probes().items()]
    print_table("other measurements", ["name", "description"], lines)


def run_workloads(options: argparse.Namespace) -> int:
    """The table of all workloads; the exit status is 1 where a value was wrong."""
    workloads = choose_workloads(options.only, options.quick)
    on_xla = options.backend == "jax"
    names = options.peers or (f"{XLA},{JAX}" if on_xla else None)
    peers = choose_peers(names)
    if not peers:
        sys.exit("no peer takes part")
    base = choose_base(options.base or (JAX if on_xla else None), peers)
    leaves_slow = options.quick and options.peers is None
    plan = replace(QUICK if options.quick else FULL, clock=CLOCKS[options.clock])
    rows = []
    # a background thread that redraws the bar would be timed with the peers
    with Progress(console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=len(workloads))
        for workload in workloads:
            progress.update(task, description=workload.name, refresh=True)
            chosen = quick_peers(workload, peers) if leaves_slow else peers
            rows.append(measure(workload, chosen, plan, base))
            progress.update(task, advance=1, refresh=True)
    names = [peer.name for peer in peers]
    print_rows(rows, names, base, options.clock)
    if on_xla:
        print_first_calls(rows, XLA, JAX)
    is_part = any((options.only, options.peers, options.base, on_xla, options.device))
    file = "part" if is_part else "quick" if options.quick else "workloads"
    data = {
        "clock": options.clock,
        "base": base,
        "rows": [row.as_json() for row in rows],
        "geometric_means": {k: mean for k, (mean, _) in geometric_means(rows).items()},
    }
    paths = [save(file, data), plot_rows(rows, names, base, file)]
    console.print("written:", *(str(path) for path in paths if path))
    return int(any(row.problems for row in rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    options = parse(arguments)
    if options.device:
        use_device(options.device)
    if options.list:
        show_list()
        return 0
    if options.what == "workloads":
        return run_workloads(options)
    workloads = choose_workloads(options.only, options.quick)
    find_probes()[options.what](options.quick, workloads)
    return 0


if __name__ == "__main__":
    restart_with(parse(None).threads)
    sys.exit(main())
