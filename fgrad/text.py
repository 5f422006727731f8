"""The parser of the text form of programs: the inverse of ``str(program)``."""

import ast
import re
from typing import Any

import numpy as np

from fgrad.errors import ProgramError
from fgrad.ir import (
    PYTHON_AVALS,
    PYTHON_NUMBERS,
    Atom,
    Aval,
    Eqn,
    Lit,
    Program,
    Var,
    check,
    dtype_name,
)
from fgrad.primitive import Primitive

_DTYPES = {
    dtype_name(code): np.dtype(code)
    for code in ("?", *"bhilBHILefgdFDG", "i8", "u8", "i4", "u4")
}
_PYTHON = {number.__name__: PYTHON_AVALS[number] for number in PYTHON_NUMBERS}
_HEAD = re.compile(r"^\{ lambda(?P<consts>[^;]*);(?P<ins>.*)\. let$")
_INLINE_HEAD = re.compile(r"^(\{ lambda[^;]*;.*?\. let) (.*)$")
_EQN = re.compile(r"^(?P<outs>[^=]*?) = (?P<prim>\w+)(?P<rest>.*)$")
_TAIL = re.compile(r"^in \((?P<outs>.*)\) \}$")


def _parse_aval(text: str) -> Aval:
    if text in _PYTHON:
        return _PYTHON[text]
    name, _, lengths = text.rstrip("]").partition("[")
    if name not in _DTYPES:
        raise ProgramError(f"{text!r} is not a type such as f64[3]")
    return Aval([int(n) for n in lengths.split(",") if n], _DTYPES[name])


def _split_params(rest: str) -> tuple[str, str]:
    """Split ``[axis=(0,)] a b`` into the params and the operands."""
    if not rest.startswith("["):
        return "", rest.strip()
    depth, quoted = 0, False
    for position, char in enumerate(rest):
        quoted ^= char == "'"
        if not quoted:
            depth += (char in "[(") - (char in "])")
        if depth == 0:
            return rest[1:position], rest[position + 1 :].strip()
    raise ProgramError(f"unbalanced brackets in {rest!r}")


def _literal(text: str) -> Any:
    """A Python literal; ``inf`` and ``nan`` are numbers too."""
    if text.endswith(("j", "j)")):
        return complex(text)  # its signs of zero would not survive an expression
    return _literal_node(ast.parse(text, mode="eval").body)


def _literal_node(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in ("inf", "nan"):
        return float(node.id)
    if isinstance(node, ast.Name) and node.id == "Ellipsis":
        return ...
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_literal_node(node.operand)
    if isinstance(node, ast.Tuple):
        return tuple(map(_literal_node, node.elts))
    return ast.literal_eval(node)


def _parse_params(text: str) -> tuple[tuple[str, Any], ...]:
    if not text:
        return ()
    call = ast.parse(f"f({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    return tuple((item.arg or "", _literal_node(item.value)) for item in call.keywords)


class _Parser:
    def __init__(self) -> None:
        self.variables: dict[str, Var] = {}

    def declare(self, text: str) -> tuple[Var, ...]:
        return tuple(map(self._declare_one, text.split()))

    def _declare_one(self, item: str) -> Var:
        name, colon, aval = item.partition(":")
        if not colon:
            raise ProgramError(f"{item!r} is not a declaration such as a:f64[3]")
        if name in self.variables:
            raise ProgramError(f"the variable {name} is bound twice")
        self.variables[name] = Var(_parse_aval(aval))
        return self.variables[name]

    def atom(self, text: str) -> Atom:
        if text in self.variables:
            return self.variables[text]
        if text.isidentifier() and text not in ("True", "False", "inf", "nan"):
            raise ProgramError(f"the variable {text} is used before it is bound")
        return Lit(_literal(text))

    def eqn(self, line: str) -> Eqn:
        found = _EQN.match(line)
        if found is None:
            raise ProgramError(f"{line!r} is not an equation such as c:f64[3] = sin b")
        prim = Primitive.registry.get(found["prim"])
        if prim is None:
            raise ProgramError(f"there is no primitive {found['prim']!r}")
        params, operands = _split_params(found["rest"])
        ins = tuple(map(self.atom, operands.split()))
        return Eqn(prim, ins, _parse_params(params), self.declare(found["outs"]))


def parse(text: str) -> Program:
    """The program that a text stands for; ``parse(str(p)) == p``.

    Values of constants are not part of the text, so a program that has constants can be
    compared and transformed but not called.

    Raises:
        ProgramError: the text is malformed, or the program is (see `check`).

    >>> import numpy as np, fgrad
    >>> program = fgrad.parse("{ lambda ; b:f64[3] . let c:f64[3] = sin b in (c,) }")
    >>> program(np.zeros(3))
    [array([0., 0., 0.])]
    """
    lines = _lines(text)
    head = _HEAD.match(lines[0])
    tail = _TAIL.match(lines[-1])
    if head is None or tail is None:
        raise ProgramError("a program has the form { lambda c ; a . let ... in (b,) }")
    parser = _Parser()
    consts = parser.declare(head["consts"])
    ins = parser.declare(head["ins"])
    eqns = [parser.eqn(line) for line in lines[1:-1]]
    outs = [parser.atom(item) for item in tail["outs"].split(",") if item]
    return check(Program(ins, eqns, outs, consts))


def _lines(text: str) -> list[str]:
    """Head, equations, tail; a program on one line has at most one equation."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    inline = _INLINE_HEAD.match(lines[0])
    if inline is None:
        raise ProgramError("a program has the form { lambda c ; a . let ... in (b,) }")
    head, rest = inline.groups()
    body, _, tail = rest.rpartition("in (")
    return [line for line in (head, body.strip(), f"in ({tail}") if line]
