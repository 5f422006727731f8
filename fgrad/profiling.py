"""``profile``: the time and the bytes of each statement of a jitted function."""

import builtins
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from fgrad.compiled import Compiled, Signature
from fgrad.errors import JitError
from fgrad.ir import Atom, Eqn, Var
from fgrad.jitting import Jitted, jit
from fgrad.lower.blocks import Run
from fgrad.lower.function import Mode, PathWriter, body_writer, path_function
from fgrad.lower.scalars import is_scalar
from fgrad.lower.source import execute
from fgrad.lower.statements import Globals

SHOWN = 40  # statements of a table; the others are summed up


class _OneThread(Run):
    """A run that one thread executes, so that its statements can be timed."""

    is_shared = False


@dataclass
class Row:
    """A statement, and what it took in all calls.

    Attributes:
        text: the statement.
        eqn: the equation that it computes.
        nanoseconds: its time in all calls.
        runs: how often it ran: more than once a call in a loop over blocks.
    """

    text: str
    eqn: Eqn
    nanoseconds: int = 0
    runs: int = 0

    @property
    def nbytes(self) -> int:
        """What the statement reads and writes in one call, wherever that is."""
        atoms: list[Atom] = [*dict.fromkeys(self.eqn.ins), *self.eqn.outs]
        avals = [atom.aval for atom in atoms if type(atom) is Var]
        return sum(aval.size * aval.numpy_dtype.itemsize for aval in avals)

    @property
    def line(self) -> str:
        """The user's line."""
        site = self.eqn.site
        return "derived" if site is None else f"{site}: {site.text}"


class _Clock:
    """Adds the time since the last tick to a row."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.last = 0

    def start(self) -> None:
        self.last = perf_counter_ns()

    def tick(self, number: int) -> None:
        row = self.rows[number]
        row.nanoseconds += perf_counter_ns() - self.last
        row.runs += 1
        self.last = perf_counter_ns()

    def add(self, text: str, eqn: Eqn) -> int:
        self.rows.append(Row(text, eqn))
        return len(self.rows) - 1


class _TimedWriter(PathWriter):
    """Writes the function of a path with a tick behind each statement."""

    clock: _Clock

    def write(self, line: str, depth: int = 1, eqn: Eqn | None = None) -> None:
        super().write(line, depth, eqn)
        is_block_head = line.endswith(":") or line.startswith(" ")
        if eqn is not None and eqn.prim.name != "guard" and not is_block_head:
            super().write(f"tick({self.clock.add(line, eqn)})", depth)


def profile(
    f: Callable[..., Any], *, repeats: int = 10, file: Any = None
) -> Callable[..., Any]:
    """Print where a jitted function spends its time, statement by statement.

    The function is run ``repeats`` times with a clock behind each statement, on one
    thread. The table gives microseconds of a call, their share, the megabytes that the
    statement reads and writes, and the user's line above the statements it led to.

    Args:
        f: what `jit` returned, or a function.
        repeats: how many calls are averaged, after one that is not counted.
        file: where to write the times as collapsed stacks, the format of flame graphs
            (``flamegraph.pl``, https://www.speedscope.app).

    Returns:
        A function of the same arguments that prints the table and returns the result.

    Raises:
        JitError: the arguments are traced.

    >>> import numpy as np, fgrad
    >>> slope = fgrad.jit(fgrad.grad(lambda x: np.sum(np.sin(x) * x)))
    >>> out = fgrad.profile(slope)(np.ones(1000))  # doctest: +ELLIPSIS
    <lambda>: ... us a call in ... statements, mean of 10
    ...
    >>> out.shape
    (1000,)
    """
    jitted = f if isinstance(f, Jitted) else jit(f)

    @functools.wraps(jitted)
    def profiled(*args: Any, **kwargs: Any) -> Any:
        signature = jitted.signature(*args, **kwargs)
        values = jitted.leaves(*args, **kwargs)
        clock = _Clock()
        run = _timed(signature, signature.paths[0], clock)
        out = run(*values)
        for row in clock.rows:
            row.nanoseconds = row.runs = 0
        for _ in range(repeats):
            out = run(*values)
        rows = [row for row in clock.rows if row.runs]
        scalar = is_scalar(signature.paths[0].program)
        for text in _table(signature.name, rows, repeats, scalar):
            builtins.print(text)  # noqa: T201 (its job)
        if file is not None:
            Path(file).write_text(_stacks(signature.name, rows), encoding="utf-8")
        return out

    return profiled


def _timed(signature: Signature, path: Compiled, clock: _Clock) -> Callable[..., Any]:
    """A path as a function that keeps the time, with the paths that leave it."""
    if not path.program.eqns and not path.program.outs:
        raise JitError("there is nothing to profile")
    runs = [
        _OneThread(run.start, run.stop, run.shape, run.ends) for run in path.layout.runs
    ]
    layout = replace(path.layout, runs=runs)
    known = Globals()
    body_writer(known)
    name = signature.identifier()
    writer = _TimedWriter(layout, path.names, name, known, Mode(path.is_quiet))
    writer.clock = clock
    lines = path_function(writer, path.treedef)
    known.values["tick"] = clock.tick
    for number, kind in path.guards():
        known.values[f"other_{number}"] = _other(signature, path, number, kind, clock)
    function = execute(lines, known, name)

    def run(*values: Any) -> Any:
        clock.start()
        return function(*values)

    return run


def _other(
    signature: Signature, path: Compiled, number: int, kind: str, clock: _Clock
) -> Callable[..., Any]:
    plain = signature.other(path, number, kind)
    timed: dict[Any, Callable[..., Any]] = {}

    def run_other(observed: Any, *values: Any) -> Any:
        found = path.others.get((number, kind, observed))
        if found is None:
            return plain(observed, *values)  # which traces it
        if observed not in timed:
            timed[observed] = _timed(signature, found, clock)
        return timed[observed](*values)

    return run_other


def _table(name: str, rows: list[Row], repeats: int, scalar: bool) -> Iterator[str]:
    total = sum(row.nanoseconds for row in rows) or 1
    each = total / repeats / 1e3
    yield f"{name}: {each:.4g} us a call in {len(rows)} statements, mean of {repeats}"
    if scalar:
        yield "(on NumPy scalars here; jit runs it on Python floats)"
    yield f"{'us':>10} {'%':>6} {'MB':>9} {'GB/s':>7}  statement"
    longest = sorted(rows, key=lambda row: -row.nanoseconds)[:SHOWN]
    chosen = {id(row) for row in longest}
    line = None
    for row in rows:
        if id(row) not in chosen:
            continue
        if row.line != line:
            line = row.line
            yield f"{'':>35}  # {line}"
        seconds = row.nanoseconds / repeats / 1e9
        rate = row.nbytes / seconds / 1e9 if seconds else 0.0
        share = 100 * row.nanoseconds / total
        size = row.nbytes / 1e6
        figures = f"{seconds * 1e6:10.3f} {share:6.1f} {size:9.4f} {rate:7.2f}"
        yield f"{figures}  {row.text}"
    rest = [row for row in rows if id(row) not in chosen]
    if rest:
        spent = sum(row.nanoseconds for row in rest)
        yield (
            f"{spent / repeats / 1e3:10.3f} {100 * spent / total:6.1f} {'':>17}  "
            f"{len(rest)} more statements"
        )


def _stacks(name: str, rows: list[Row]) -> str:
    """One line for each statement: function;user's line;statement, nanoseconds."""
    lines = []
    for row in rows:
        frames = [name, row.line, row.text]
        clean = ";".join(frame.replace(";", ",") for frame in frames)
        lines.append(f"{clean} {row.nanoseconds}")
    return "\n".join(lines) + "\n"
