"""Program -> the source of a Python function: one statement per equation."""

import builtins
import itertools
import keyword
import linecache
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fgrad.form import name_atoms
from fgrad.ir import Aval, Eqn, Program, Var
from fgrad.lower.block_source import BlockWriter
from fgrad.lower.blocks import Run
from fgrad.lower.buffers import Buffers
from fgrad.lower.plan import Plan
from fgrad.lower.statements import Globals, Statements, fills, operand
from fgrad.ops.at import slot_shape
from fgrad.sites import Site

LARGE = 4096  # elements from which a dead variable is deleted at once
INDENT = "    "

_numbers = itertools.count()
# Files of functions that are gone. They leave `linecache` when the next one is defined,
# and not when they are collected: that may be while `linecache` goes through its files.
_GONE: deque[str] = deque()
_LEAVING = threading.Lock()
RESERVED = frozenset({*keyword.kwlist, *dir(builtins), "np"})


def names_of(
    program: Program, given: Mapping[Var, str], function: str
) -> dict[Any, str]:
    """A name for each variable; ``given`` are those of inputs and constants."""
    taken = {*RESERVED, *given.values(), function}
    table = dict(name_atoms(program))
    for atom, name in table.items():
        if atom in given:
            table[atom] = given[atom]
        elif type(atom) is Var and name in taken:
            table[atom] = f"{name}_"
    return table


class FunctionWriter:
    """Writes the lines of a program's function.

    Attributes:
        statements: the names of variables so far.
        globals: what the lines refer to.
        lines: what is written, without the first line.
    """

    def __init__(
        self,
        program: Program,
        plan: Plan,
        runs: Sequence[Run] = (),
        buffers: Buffers | None = None,
        names: Mapping[Var, str] | None = None,
        function: str = "run",
        known: Globals | None = None,
    ) -> None:
        self.program, self.plan, self.runs = program, plan, runs
        self.buffers = buffers or Buffers()
        table = names_of(program, names or {}, function)
        self.statements = Statements(table, known)
        self.table, self.globals = table, self.statements.globals
        self.kept = set(plan.reuses.values())
        self.lines: list[str] = []
        self.site: Site | None = None  # of the last comment

    def write(self, line: str, depth: int = 1, eqn: Eqn | None = None) -> None:
        """Add a line, below the user's line that it computes as a comment."""
        site = None if eqn is None else eqn.site
        if site is not None and site != self.site:
            self.site = site
            text = site.text
            self.lines.append(
                f"{INDENT * depth}# {site}" + (f": {text}" if text else "")
            )
        self.lines.append(f"{INDENT * depth}{line}")

    def body(self) -> list[str]:
        """Write all equations; the texts of the outputs."""
        starts = {run.start: run for run in self.runs}
        number = 0
        while number < len(self.program.eqns):
            run = starts.get(number)
            if run is None:
                number += self.slot(number) or self.equation(number)
            else:
                self.blocks(run)
                number = run.end
        outs = []
        for position, atom in enumerate(self.program.outs):
            name = operand(atom, self.table)
            outs.append(f"{name}.copy()" if position in self.plan.copies else name)
        return outs

    def slot(self, number: int) -> int:
        """Write an equation whose result is only written to a slot of an array, by the
        next equation, as one that computes into the slot; how many equations it wrote.
        """
        eqns = self.program.eqns
        eqn, after = eqns[number], eqns[min(number + 1, len(eqns) - 1)]
        if after.prim.slot is None or eqn is after or number + 1 in self.plan.reads:
            return 0
        position = after.prim.slot
        value = eqn.outs[0] if fills(eqn) and eqn.prim.elementwise else None
        if value is None or self.plan.last.get(value) != number + 1:
            return 0
        if after.ins.count(value) != 1 or after.ins.index(value) != position:
            return 0
        if _slot_aval(after) is not value.aval:
            return 0
        *before, last = self.lines_of(number + 1, after)
        target = last.removesuffix(f" = {self.table[value]}")
        if target == last:
            return 0
        for line in before:
            self.write(line, eqn=after)
        (line,) = self.statements.lines(eqn, buffer=target)
        self.write(line.removeprefix(f"{self.table[value]} = "), eqn=eqn)
        freed = [*self.plan.frees[number], *self.plan.frees[number + 1]]
        if number in self.plan.in_place:
            freed += [eqn.ins[self.plan.in_place[number]]]  # type: ignore[list-item] # a literal is not overwritten
        self.delete([var for var in freed if var is not value])
        return 2

    def equation(self, number: int) -> int:
        """Write one equation, and say so: 1."""
        eqn, plan = self.program.eqns[number], self.plan
        for line in self.lines_of(number, eqn):
            self.write(line, eqn=eqn)
        if number in plan.reads:
            name = self.table[eqn.outs[0]]
            self.write(f"{name} = {name}.copy()", eqn=eqn)
        self.delete(plan.frees[number])
        return 1

    def blocks(self, run: Run) -> None:
        """Write a run of elementwise equations as a loop over blocks."""
        block = BlockWriter(self.program, self.plan, run, self.statements)
        for line, depth, eqn in block.lines(self.buffer_of):
            self.write(line, depth, eqn)
        self.delete(block.dead)

    def lines_of(self, number: int, eqn: Eqn) -> list[str]:
        reused = self.plan.reuses.get(number)
        if reused is not None:
            return self.statements.lines(eqn, buffer=self.table[reused])
        position = self.plan.in_place.get(number)
        if position is not None or not eqn.outs:
            return self.statements.lines(eqn, position)
        return self.statements.lines(eqn, buffer=self.buffer_of(eqn.outs[0]))

    def buffer_of(self, var: Var) -> str | None:
        """The expression of an array for a variable, if it does not get a new one."""
        kept = self.buffers.of.get(var)
        return None if kept is None else f"kept{kept}"

    def delete(self, variables: Sequence[Var]) -> None:
        """Free large variables that nothing uses any more."""
        free = [
            self.table[v]
            for v in variables
            if v.aval.size >= LARGE and v not in self.kept and v not in self.buffers.of
        ]
        if free:
            self.write(f"del {', '.join(dict.fromkeys(free))}")


def _slot_aval(eqn: Eqn) -> Aval | None:
    """The type of what is written to a slot of an array, if it has no repeats."""
    params = dict(eqn.params)
    at, path = params["at"], params.get("path", ())
    if any(type(entry) is str for entry in at):
        return None
    out = eqn.outs[0].aval
    return Aval(slot_shape(out, at, path, ()), out.dtype)


def run_lines(
    program: Program,
    plan: Plan,
    runs: Sequence[Run] = (),
    name: str = "run",
    known: Globals | None = None,
) -> tuple[list[str], Globals]:
    """The lines of ``name(consts and inputs)``, which empties its list of arguments,
    and what they refer to.
    """
    writer = FunctionWriter(program, plan, runs, function=name, known=known)
    arguments = [writer.table[var] for var in (*program.consts, *program.ins)]
    if arguments:
        writer.write(f"{', '.join(arguments)}, = arguments")
        writer.write("arguments.clear()")
    outs = writer.body()
    writer.write(f"return [{', '.join(outs)}]")
    return [f"def {name}(arguments):", *writer.lines], writer.globals


def execute(lines: Sequence[str], known: Globals, name: str) -> Callable[..., Any]:
    """Define a function, whose lines tracebacks and profilers show."""
    definitions = known.lines()
    gap = ["", ""] if definitions else []
    source = "\n".join([*definitions, *gap, *lines]) + "\n"
    scope = known.values
    file = f"<fgrad program {next(_numbers)}>"
    shown = source.splitlines(keepends=True)
    with _LEAVING:
        while _GONE:
            linecache.cache.pop(_GONE.popleft(), None)
    linecache.cache[file] = (len(source), None, shown, file)
    exec(compile(source, file, "exec"), scope)
    function: Callable[..., Any] = scope[name]
    weakref.finalize(function, _GONE.append, file)
    return function


def compile_program(
    program: Program, plan: Plan, runs: Sequence[Run] = ()
) -> Callable[[list[Any]], list[Any]]:
    """A Python function of the list of constants and inputs, which it empties."""
    return execute(*run_lines(program, plan, runs), "run")
