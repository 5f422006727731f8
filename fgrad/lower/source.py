"""Program -> Python source: one statement per equation."""

import itertools
import linecache
from collections.abc import Callable
from typing import Any

from fgrad.ir import Atom, Lit, Program, name_atoms
from fgrad.lower.plan import Plan

LARGE = 4096  # elements from which a dead variable is deleted at once

_numbers = itertools.count()
KEYWORDS = frozenset({"as", "do", "if", "in", "is", "or", "and", "def", "del", "for"})


def generate(program: Program, plan: Plan) -> tuple[str, dict[str, Any]]:
    """The source of ``run(consts and inputs)`` and the globals it needs."""
    table = {
        atom: f"{name}_" if name in KEYWORDS else name
        for atom, name in name_atoms(program).items()
    }
    scope: dict[str, Any] = {}
    arguments = [table[var] for var in (*program.consts, *program.ins)]
    lines = ["def run(arguments):"]
    if arguments:
        lines.append(f"    {', '.join(arguments)}, = arguments")
    for number, eqn in enumerate(program.eqns):
        in_place = number in plan.in_place
        function = eqn.prim.in_place if in_place else eqn.prim.numpy
        expression = None if in_place else eqn.prim.expression
        names = [_operand(atom, table) for atom in eqn.ins]
        if expression is not None:
            text = expression.format(*names, **dict(eqn.params))
        else:
            label = f"{eqn.prim.name}_in_place" if in_place else eqn.prim.name
            scope[f"np_{label}"] = function
            params = [f"{key}={value!r}" for key, value in eqn.params]
            text = f"np_{label}({', '.join(names + params)})"
        comma = "," if eqn.prim.multiple else ""
        outs = ", ".join(table[var] for var in eqn.outs)
        comment = f"  # {eqn.site}" if eqn.site else ""
        lines.append(f"    {outs}{comma} = {text}{comment}")
        dead = [table[v] for v in plan.frees[number] if v.aval.size >= LARGE]
        if dead:
            lines.append(f"    del {', '.join(dead)}")
    outs = []
    for position, atom in enumerate(program.outs):
        name = _operand(atom, table)
        outs.append(f"{name}.copy()" if position in plan.copies else name)
    lines.append(f"    return [{', '.join(outs)}]")
    return "\n".join(lines) + "\n", scope


def _operand(atom: Atom, table: dict[Atom, str]) -> str:
    text = table[atom]
    if type(atom) is not Lit:
        return text
    if text in ("inf", "-inf", "nan"):
        return f"float({text!r})"
    return f"({text})" if text.startswith("-") else text


def compile_program(program: Program, plan: Plan) -> Callable[[list[Any]], list[Any]]:
    """A Python function of the list of constants and inputs."""
    source, scope = generate(program, plan)
    file = f"<fgrad program {next(_numbers)}>"
    lines = source.splitlines(keepends=True)
    linecache.cache[file] = (len(source), None, lines, file)
    exec(compile(source, file, "exec"), scope)
    return scope["run"]  # type: ignore[no-any-return]
