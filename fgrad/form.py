"""The text form of programs, one equation a line; `fgrad.text` reads it back.

Programs among the params of an equation (the bodies of control flow) are indented below
it, after the other params. Names start at ``a`` in each program.
"""

from collections.abc import Iterator
from typing import Any

Params = tuple[tuple[str, Any], ...]
Line = tuple[str, Any]  # and the equation that it is part of, or None


def names() -> Iterator[str]:
    """a, b, ..., z, aa, ab, ..."""
    count = 0
    while True:
        name, rest = "", count
        while True:
            name = chr(ord("a") + rest % 26) + name
            rest = rest // 26 - 1
            if rest < 0:
                break
        yield name
        count += 1


def name_atoms(program: Any) -> dict[Any, str]:
    """A name for each variable in order of binding, and the text of each literal."""
    fresh = names()
    table: dict[Any, str] = {}
    for var in (*program.consts, *program.ins):
        table[var] = next(fresh)
    for eqn in program.eqns:
        table.update((a, repr(a.value)) for a in eqn.ins if a not in table)
        table.update((var, next(fresh)) for var in eqn.outs)
    table.update((a, repr(a.value)) for a in program.outs if a not in table)
    return table


def is_program(value: Any) -> bool:
    """Whether a param is a program."""
    return hasattr(value, "eqns")


def programs_in(value: Any) -> list[Any]:
    """The programs that a param consists of or, where it is a tuple, holds."""
    if type(value) is tuple:
        return [program for item in value for program in programs_in(item)]
    return [value] if is_program(value) else []


def plain_params(params: Params) -> Params:
    """The params that hold no programs."""
    return tuple(item for item in params if not programs_in(item[1]))


def format_params(params: Params) -> str:
    """``[axis=(0,), keepdims=False]``, or nothing; without programs."""
    items = ", ".join(f"{name}={value!r}" for name, value in plain_params(params))
    return f"[{items}]" if items else ""


def format_program(program: Any) -> str:
    """The text of a program; ``parse`` reads it back."""
    return "\n".join(line for line, _ in format_lines(program))


def format_lines(program: Any) -> list[Line]:
    """The lines of the text, with the equations that they are part of."""
    return _program("", "", program, "", None)


def _program(indent: str, start: str, program: Any, end: str, owner: Any) -> list[Line]:
    """A program after ``start`` and before ``end``, inside the equation ``owner``."""
    table = name_atoms(program)
    consts, ins = (
        "".join(f" {table[var]}:{var.aval}" for var in variables)
        for variables in (program.consts, program.ins)
    )
    lines: list[Line] = [
        (f"{indent}{start}{{ lambda{consts} ;{ins} . let", owner),
    ]
    for eqn in program.eqns:
        lines += _eqn(f"{indent}    ", eqn, table)
    outs = "".join(f"{table[atom]}," for atom in program.outs)
    return [*lines, (f"{indent}  in ({outs}) }}{end}", owner)]


def _eqn(indent: str, eqn: Any, table: dict[Any, str]) -> list[Line]:
    """``c:f64[3] = sin b``, on several lines where a param holds a program."""
    outs = " ".join(f"{table[var]}:{var.aval}" for var in eqn.outs)
    ins = " ".join(table[atom] for atom in eqn.ins)
    start = f"{indent}{outs} = {eqn.prim.name}" if outs else indent + eqn.prim.name
    plain = plain_params(eqn.params)
    if len(plain) == len(eqn.params):
        return [(f"{start}{format_params(plain)} {ins}".rstrip(), eqn)]
    lines: list[Line] = [(f"{start}[", eqn)]
    inner = f"{indent}    "
    if plain:
        lines.append((f"{inner}{format_params(plain)[1:-1]},", eqn))
    nested = [item for item in eqn.params if item not in plain]
    for number, (name, value) in enumerate(nested, 1):
        end = "," if number < len(nested) else ""
        lines += _value(inner, f"{name}=", value, end, eqn)
    return [*lines, (f"{indent}  ] {ins}".rstrip(), eqn)]


def _value(indent: str, start: str, value: Any, end: str, eqn: Any) -> list[Line]:
    """A param that holds programs, or one of its elements."""
    if is_program(value):
        return _program(indent, start, value, end, eqn)
    if not programs_in(value):
        return [(f"{indent}{start}{value!r}{end}", eqn)]
    lines = [(f"{indent}{start}(", eqn)]
    for item in value:
        lines += _value(f"{indent}  ", "", item, ",", eqn)
    return [*lines, (f"{indent}){end}", eqn)]
