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
_FORM = "a program has the form { lambda c ; a . let ... in (b,) }"
_HEAD = re.compile(r"\{ *lambda\b(?P<consts>[^;{}]*);(?P<ins>[^.{}]*)\.\s*let\b")
_TAIL = re.compile(r"in\s*\((?P<outs>(?:[^()]|\([^()]*\))*)\)\s*\}")
_DECLARATION = re.compile(r"\w+:\S+")
_EQUALS = re.compile(r"=\s+(?P<prim>\w+)")
_NO_OUTPUTS = re.compile(r"(?P<prim>[^\W\d]\w*)(?!\w*\s*=)")
_OPERAND = re.compile(r"\([^()\s]*\)|[^\s\[\](){},=]+")
_NAME = re.compile(r"(?P<name>\w+)=")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_SPACE = re.compile(r"\s*")


def _parse_aval(text: str) -> Aval:
    if text in _PYTHON:
        return _PYTHON[text]
    name, _, lengths = text.rstrip("]").partition("[")
    if name not in _DTYPES:
        raise ProgramError(f"{text!r} is not a type such as f64[3]")
    return Aval([int(n) for n in lengths.split(",") if n], _DTYPES[name])


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


class _Reader:
    """A text, and how much of it is read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.skip()

    def skip(self) -> None:
        found = _SPACE.match(self.text, self.at)
        assert found is not None
        self.at = found.end()

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Read what matches here, and the space after it."""
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            self.skip()
        return found

    def sees(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def took(self, text: str) -> bool:
        if not self.sees(text):
            return False
        self.at += len(text)
        self.skip()
        return True

    def line(self, at: int | None = None) -> str:
        """The line around a position, for messages."""
        at = self.at if at is None else at
        start = self.text.rfind("\n", 0, at) + 1
        end = self.text.find("\n", at)
        return self.text[start : None if end < 0 else end].strip()

    def plain(self) -> str:
        """Read up to the comma or the bracket that ends a value."""
        start, depth = self.at, 0
        while self.at < len(self.text):
            string = _STRING.match(self.text, self.at)
            char = self.text[self.at]
            if string is not None:
                self.at = string.end()
                continue
            if depth == 0 and char in ",])":
                text = self.text[start : self.at].strip()
                self.skip()
                return text
            depth += (char in "[({") - (char in "])}")
            self.at += 1
        raise ProgramError(f"unbalanced brackets in {self.line(start)!r}")


class _Parser:
    """Reads one program; those among its params have parsers of their own."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.variables: dict[str, Var] = {}

    def program(self) -> Program:
        head = self.reader.take(_HEAD)
        if head is None:
            raise ProgramError(f"{_FORM}, found {self.reader.line()!r}")
        consts, ins = self.declare(head["consts"]), self.declare(head["ins"])
        eqns = []
        while (tail := self.reader.take(_TAIL)) is None:
            eqns.append(self.eqn())
        items = map(str.strip, tail["outs"].split(","))
        return Program(ins, eqns, [self.atom(item) for item in items if item], consts)

    def eqn(self) -> Eqn:
        reader, start = self.reader, self.reader.at
        outs = []
        while (found := reader.take(_DECLARATION)) is not None:
            outs.append(found[0])
        equals = reader.take(_EQUALS)
        if equals is None and not outs:
            equals = reader.take(_NO_OUTPUTS)
        if equals is None:
            line = reader.line(start)
            form = _FORM if not line else f"{line!r} is not an equation"
            raise ProgramError(f"{form} such as c:f64[3] = sin b")
        prim = Primitive.registry.get(equals["prim"])
        if prim is None:
            raise ProgramError(f"there is no primitive {equals['prim']!r}")
        params = self.params(prim.name) if reader.took("[") else ()
        ins = tuple(map(self.atom, self.operands()))
        return Eqn(prim, ins, params, tuple(map(self.declare_one, outs)))

    def operands(self) -> list[str]:
        reader, items = self.reader, []
        while not (
            _DECLARATION.match(reader.text, reader.at)
            or _TAIL.match(reader.text, reader.at)
            or self.at_primitive()
        ):
            found = reader.take(_OPERAND)
            if found is None:
                break
            items.append(found[0])
        return items

    def at_primitive(self) -> bool:
        """Whether an equation without outputs starts here: it has an effect."""
        found = _NO_OUTPUTS.match(self.reader.text, self.reader.at)
        if found is None or found["prim"] in self.variables:
            return False
        prim = Primitive.registry.get(found["prim"])
        return prim is not None and prim.has_effect

    def params(self, prim: str) -> tuple[tuple[str, Any], ...]:
        reader, start = self.reader, self.reader.at
        params = []
        while not reader.took("]"):
            found = reader.take(_NAME)
            if found is None:
                line = reader.line(start)
                raise ProgramError(f"a param has the form name=value, in {line!r}")
            params.append((found["name"], self.value(f"{found['name']} of {prim}")))
            if not reader.took(",") and not reader.sees("]"):
                line = reader.line(start)
                raise ProgramError(f"unbalanced brackets in {line!r}")
        return tuple(params)

    def value(self, name: str) -> Any:
        """A literal, a program, or a tuple of such."""
        reader = self.reader
        if _HEAD.match(reader.text, reader.at):
            return _Parser(reader).program()
        if not reader.sees("("):
            return _literal_param(reader.plain(), name)
        start = reader.at
        reader.took("(")
        items, commas = [], 0
        while not reader.took(")"):
            items.append(self.value(name))
            commas += reader.took(",")
            if commas < len(items) and not reader.sees(")"):
                line = reader.line(start)
                raise ProgramError(f"unbalanced brackets in {line!r}")
        return items[0] if len(items) == 1 and not commas else tuple(items)

    def declare(self, text: str) -> tuple[Var, ...]:
        return tuple(map(self.declare_one, text.split()))

    def declare_one(self, item: str) -> Var:
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
        try:
            return Lit(_literal(text))
        except (ValueError, SyntaxError, KeyError):
            message = f"{text!r} is neither a variable nor a Python number"
            raise ProgramError(message) from None


def _literal_param(text: str, name: str) -> Any:
    try:
        return _literal(text)
    except (ValueError, SyntaxError):
        raise ProgramError(
            f"the param {name} is no literal, so its text does not parse: {text}"
        ) from None


def parse(text: str) -> Program:
    """The program that a text stands for; ``parse(str(p)) == p``.

    Values of constants are not part of the text, so a program that has constants can be
    compared and transformed but not called. Line ends count as spaces.

    Raises:
        ProgramError: the text is malformed, or the program is (see `check`), or a param
            is neither a literal nor a program.

    >>> import numpy as np, fgrad
    >>> program = fgrad.parse("{ lambda ; b:f64[3] . let c:f64[3] = sin b in (c,) }")
    >>> program(np.zeros(3))
    [array([0., 0., 0.])]
    """
    reader = _Reader(text)
    program = _Parser(reader).program()
    if reader.at < len(text):
        raise ProgramError(f"text after the end of the program: {reader.line()!r}")
    return check(program)
