"""Program -> Python source: one statement per equation."""

import itertools
import keyword
import linecache
import math
import weakref
from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any

import numpy as np

from fgrad.form import name_atoms
from fgrad.ir import Atom, Aval, Eqn, Lit, Program, Var
from fgrad.lower.blocks import Run, is_sliced
from fgrad.lower.plan import Plan
from fgrad.lower.threads import run_parts

EXACT = 1 << 11  # integers below it are exact in every floating-point dtype
LARGE = 4096  # elements from which a dead variable is deleted at once

_numbers = itertools.count()
RESERVED = frozenset({*keyword.kwlist, "np", "inf", "nan"})


def generate(
    program: Program, plan: Plan, runs: Sequence[Run] = ()
) -> tuple[str, dict[str, Any]]:
    """The source of ``run(consts and inputs)`` and the globals it needs."""
    return _Generator(program, plan).source(runs)


class _Generator:
    """The lines of a program's source, and the names of its variables so far."""

    def __init__(self, program: Program, plan: Plan) -> None:
        self.program, self.plan = program, plan
        self.table = {
            atom: f"{name}_" if name in RESERVED and type(atom) is Var else name
            for atom, name in name_atoms(program).items()
        }
        self.scope: dict[str, Any] = {"np": np, "inf": np.inf, "nan": np.nan}
        self.kept = set(plan.reuses.values())
        self.lines: list[str] = []

    def source(self, runs: Sequence[Run]) -> tuple[str, dict[str, Any]]:
        program, table = self.program, self.table
        arguments = [table[var] for var in (*program.consts, *program.ins)]
        if arguments:
            self.write(f"{', '.join(arguments)}, = arguments")
            self.write("arguments.clear()")
        starts = {run.start: run for run in runs}
        number = 0
        while number < len(program.eqns):
            run = starts.get(number)
            if run is None:
                self.equation(number)
                number += 1
            else:
                self.blocks(run)
                number = run.stop
        outs = []
        for position, atom in enumerate(program.outs):
            name = _operand(atom, table)
            outs.append(f"{name}.copy()" if position in self.plan.copies else name)
        self.write(f"return [{', '.join(outs)}]")
        return "\n".join(["def run(arguments):", *self.lines]) + "\n", self.scope

    def write(self, line: str, depth: int = 1, eqn: Eqn | None = None) -> None:
        comment = f"  # {eqn.site}" if eqn is not None and eqn.site else ""
        self.lines.append(f"{'    ' * depth}{line}{comment}")

    def equation(self, number: int) -> None:
        eqn, plan = self.program.eqns[number], self.plan
        buffer = plan.reuses.get(number)
        position = plan.in_place.get(number)
        if buffer is None:
            statements = _statements(eqn, self.table, self.scope, position)
        else:
            statements = [_fill(eqn, self.table, buffer)]
        if number in plan.reads:
            name = self.table[eqn.outs[0]]
            statements.append(f"{name} = {name}.copy()")
        for statement in statements:
            self.write(statement, eqn=eqn)
        self.delete(plan.frees[number])

    def delete(self, variables: Sequence[Var]) -> None:
        free = [v for v in variables if v not in self.kept and v.aval.size >= LARGE]
        if free:
            self.write(f"del {', '.join(self.table[v] for v in free)}")

    def blocks(self, run: Run) -> None:
        """A loop over blocks of rows, in which a run of equations is computed."""
        members = self.program.eqns[run.start : run.stop]
        produced = {eqn.outs[0] for eqn in members}
        read_later = {a for eqn in self.program.eqns[run.stop :] for a in eqn.ins}
        kept = produced & (read_later | set(self.program.outs))
        outer = dict(self.table)
        outs = [eqn.outs[0] for eqn in members if eqn.outs[0] in kept]
        for var in outs:
            dtype = var.aval.numpy_dtype.name
            self.write(f"{outer[var]}_all = np.empty({run.shape}, {dtype!r})")
        bounds, depth, last = f"0, {run.shape[0]}", 2, f"i0 + {run.rows}"
        if run.is_shared:
            self.write("def part(first, last):")
            bounds, depth, last = "first, last", 3, f"min({last}, last)"
        self.write(f"for i0 in range({bounds}, {run.rows}):", depth - 1)
        self.write(f"i1 = {last}", depth)
        read = dict.fromkeys(a for eqn in members for a in eqn.ins)
        for atom in read:
            if atom not in produced and is_sliced(atom, run.shape):
                self.table[atom] = f"{outer[atom]}_rows"
                self.write(f"{self.table[atom]} = {outer[atom]}[i0:i1]", depth)
        freed: list[Any] = []
        for number, eqn in enumerate(members, run.start):
            position = self.plan.in_place.get(number)
            dead = self.plan.frees[number]
            if position is not None and eqn.ins[position] not in produced:
                freed.append(eqn.ins[position])
                position = None
            for line in _statements(eqn, self.table, self.scope, position):
                self.write(line, depth, eqn)
            freed += [v for v in dead if v not in produced]
            names = [self.table[v] for v in dead if v in produced and v not in kept]
            if names:
                self.write(f"del {', '.join(names)}", depth)
        for var in outs:
            self.write(f"{outer[var]}_all[i0:i1] = {self.table[var]}", depth)
        if run.is_shared:
            self.scope["run_parts"] = run_parts
            self.write(f"run_parts(part, {run.shape[0]}, {run.rows})")
        for atom in read:
            if atom not in produced:
                self.table[atom] = outer[atom]
        for var in outs:
            self.table[var] = f"{outer[var]}_all"
        self.delete(freed)


def _fill(eqn: Eqn, table: dict[Atom, str], buffer: Var) -> str:
    """The line that computes an equation into a buffer that is free."""
    table[eqn.outs[0]] = table[buffer]
    assert eqn.prim.into is not None
    names = [_operand(atom, table) for atom in eqn.ins]
    form = eqn.prim.into(*(atom.aval for atom in eqn.ins))
    return str(form.format(*names, out=table[buffer]))


def _statements(
    eqn: Eqn, table: dict[Atom, str], scope: dict[str, Any], position: int | None
) -> list[str]:
    """The lines that compute one equation."""
    prim, params = eqn.prim, dict(eqn.params)
    is_float = prim.elementwise and eqn.outs[0].aval.is_inexact
    names = [_operand(atom, table, is_float) for atom in eqn.ins]
    if is_float and eqn.outs[0].aval.ndim:
        names = [
            _constant(atom.value, eqn.outs[0].aval, scope) or name
            if type(atom) is Lit
            else name
            for atom, name in zip(eqn.ins, names, strict=True)
        ]
    in_place = position is not None
    if position is not None:
        table[eqn.outs[0]] = names[position]
    outs = ", ".join(table[var] for var in eqn.outs)
    if prim.statements is not None:
        avals = [atom.aval for atom in eqn.ins]
        found = prim.statements(outs, names, avals, params, in_place)
        if found is not None:
            return list(found)
    if position == 0 and prim.augmented is not None:
        return [prim.augmented.format(*names)]
    is_python = eqn.ins and all(atom.aval.is_python for atom in eqn.ins)
    if prim.expression is not None and not in_place and not is_python:
        return [f"{outs} = {prim.expression.format(*names, **params)}"]
    if in_place and isinstance(prim.numpy, np.ufunc):
        scope[f"np_{prim.name}"] = prim.numpy
        return [f"np_{prim.name}({', '.join(names)}, out={outs})"]
    label = f"{prim.name}_in_place" if in_place else prim.name
    scope[f"np_{label}"] = prim.in_place if in_place else prim.numpy
    keywords = [f"{key}={_static(key, value, scope)}" for key, value in params.items()]
    arguments = names + keywords
    call = f"np_{label}({', '.join(arguments)})"
    if not eqn.outs:
        return [call]
    comma = "," if prim.multiple else ""
    return [f"{outs}{comma} = {call}"]


def _constant(value: Any, aval: Aval, scope: dict[str, Any]) -> str | None:
    """The name of a number as an array without axes, which ufuncs take more quickly."""
    if aval.dtype != np.float64 or type(value) not in (int, float):
        return None
    if not math.isfinite(value) or abs(value) >= EXACT:
        return None
    text = repr(float(value)).removesuffix(".0")
    name = "k" + text.replace("-", "m").replace(".", "_").replace("+", "")
    scope[name] = np.array(float(value))
    return name


def _static(name: str, value: Any, scope: dict[str, Any]) -> str:
    """A param as source: a literal, or the name of a global for a body or a rule."""
    if _is_literal(value):
        return repr(value)
    key = f"{name}_{len(scope)}"
    scope[key] = value
    return key


def _is_literal(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_literal, value))
    return value is None or value is ... or isinstance(value, str | Number)


def _operand(atom: Atom, table: dict[Atom, str], is_float: bool = False) -> str:
    text = table[atom]
    if type(atom) is not Lit:
        return text
    if is_float and type(atom.value) is int and abs(atom.value) < EXACT:
        text = repr(float(atom.value))  # NumPy takes a float more quickly than an int
    if text in ("inf", "-inf", "nan"):
        return f"float({text!r})"
    return f"({text})" if text.startswith("-") else text


def compile_program(
    program: Program, plan: Plan, runs: Sequence[Run] = ()
) -> Callable[[list[Any]], list[Any]]:
    """A Python function of the list of constants and inputs, which it empties."""
    source, scope = generate(program, plan, runs)
    file = f"<fgrad program {next(_numbers)}>"
    lines = source.splitlines(keepends=True)
    linecache.cache[file] = (len(source), None, lines, file)
    exec(compile(source, file, "exec"), scope)
    run: Callable[[list[Any]], list[Any]] = scope["run"]
    weakref.finalize(run, linecache.cache.pop, file, None)
    return run
