"""The command line: ``python -m benchmarks [what] [options]``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from rich.progress import Progress

from benchmarks.peers import PEERS, Peer
from benchmarks.plot import plot_rows
from benchmarks.probes import find_probes
from benchmarks.report import console, print_rows, print_table, save
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
    parser.add_argument("--quick", action="store_true", help="a minute or two in all")
    parser.add_argument("--threads", type=int, default=1, help="of each library (1)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="wall or cpu")
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
    """The peers that are named, else all; a note for each that is not installed."""
    known = {peer.name: peer for peer in PEERS}
    chosen = list(known) if names is None else checked(names, list(known), "peer")
    for name in chosen:
        if not known[name].is_installed:
            console.print(f"{name} is skipped: {known[name].library} is not installed")
    return [known[name] for name in chosen if known[name].is_installed]


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
    peers = choose_peers(options.peers)
    plan = replace(QUICK if options.quick else FULL, clock=CLOCKS[options.clock])
    rows = []
    # a background thread that redraws the bar would be timed with the peers
    with Progress(console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=len(workloads))
        for workload in workloads:
            progress.update(task, description=workload.name, refresh=True)
            rows.append(measure(workload, peers, plan))
            progress.update(task, advance=1, refresh=True)
    names = [peer.name for peer in peers]
    print_rows(rows, names, options.clock)
    is_part = options.only is not None or options.peers is not None
    file = "part" if is_part else "quick" if options.quick else "workloads"
    data = {"clock": options.clock, "rows": [row.as_json() for row in rows]}
    paths = [save(file, data), plot_rows(rows, names, file)]
    console.print("written:", *(str(path) for path in paths if path))
    return int(any(row.problems for row in rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    options = parse(arguments)
    if options.list:
        show_list()
        return 0
    if options.what == "workloads":
        return run_workloads(options)
    find_probes()[options.what](options.quick)
    return 0


if __name__ == "__main__":
    restart_with(parse(None).threads)
    sys.exit(main())
