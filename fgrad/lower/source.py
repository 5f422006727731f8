"""Program -> Python source: one statement per equation."""

import itertools
import keyword
import linecache
import math
import weakref
from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from fgrad.form import name_atoms
from fgrad.ir import Atom, Aval, Eqn, Lit, Program, Var
from fgrad.lower.plan import Plan

EXACT = 1 << 11  # integers below it are exact in every floating-point dtype
LARGE = 4096  # elements from which a dead variable is deleted at once

_numbers = itertools.count()
RESERVED = frozenset({*keyword.kwlist, "np", "inf", "nan"})


def generate(program: Program, plan: Plan) -> tuple[str, dict[str, Any]]:
    """The source of ``run(consts and inputs)`` and the globals it needs."""
    table = {
        atom: f"{name}_" if name in RESERVED and type(atom) is Var else name
        for atom, name in name_atoms(program).items()
    }
    scope: dict[str, Any] = {"np": np, "inf": np.inf, "nan": np.nan}
    arguments = [table[var] for var in (*program.consts, *program.ins)]
    lines = ["def run(arguments):"]
    if arguments:
        lines.append(f"    {', '.join(arguments)}, = arguments")
        lines.append("    arguments.clear()")
    kept = set(plan.reuses.values())
    for number, eqn in enumerate(program.eqns):
        comment = f"  # {eqn.site}" if eqn.site else ""
        buffer = plan.reuses.get(number)
        if buffer is None:
            statements = _statements(eqn, table, scope, plan.in_place.get(number))
        else:
            statements = [_fill(eqn, table, buffer)]
        if number in plan.reads:
            name = table[eqn.outs[0]]
            statements.append(f"{name} = {name}.copy()")
        lines += [f"    {statement}{comment}" for statement in statements]
        free = [v for v in plan.frees[number] if v not in kept]
        dead = [table[v] for v in free if v.aval.size >= LARGE]
        if dead:
            lines.append(f"    del {', '.join(dead)}")
    outs = []
    for position, atom in enumerate(program.outs):
        name = _operand(atom, table)
        outs.append(f"{name}.copy()" if position in plan.copies else name)
    lines.append(f"    return [{', '.join(outs)}]")
    return "\n".join(lines) + "\n", scope


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
    if prim.expression is not None and not in_place:
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


def compile_program(program: Program, plan: Plan) -> Callable[[list[Any]], list[Any]]:
    """A Python function of the list of constants and inputs, which it empties."""
    source, scope = generate(program, plan)
    file = f"<fgrad program {next(_numbers)}>"
    lines = source.splitlines(keepends=True)
    linecache.cache[file] = (len(source), None, lines, file)
    exec(compile(source, file, "exec"), scope)
    run: Callable[[list[Any]], list[Any]] = scope["run"]
    weakref.finalize(run, linecache.cache.pop, file, None)
    return run
