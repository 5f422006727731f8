"""The source of what generated functions need, for a module that needs NumPy only.

A function of fgrad's own is written out with what it refers to in turn: functions,
constants, the variables that it closes over. All of it must be plain Python and NumPy.
"""

import ast
import base64
import functools
import inspect
import symtable
import sys
import textwrap
import types
import zlib
from typing import Any

import numpy as np

from fgrad.errors import ExportError
from fgrad.lower.statements import is_literal

Lines = list[str]
FEW = 64  # elements of an array that is written as a list of numbers
_PLAIN_MODULES = sys.stdlib_module_names | {"numpy"}


class Definitions:
    """Definitions of names, in an order in which each needs only those before it."""

    def __init__(self) -> None:
        self.imports: dict[str, str] = {"np": "import numpy as np"}
        self.blocks: dict[str, Lines] = {}
        self._known: dict[str, Any] = {"np": np}

    def lines(self) -> Lines:
        """The imports and the definitions."""
        lines = sorted(self.imports.values())
        for block in self.blocks.values():
            gap = ["", ""] if block[0].startswith(("def ", "@", "class ")) else []
            lines += [*gap, *block]
        return lines

    def define(self, name: str, value: Any) -> None:
        """Define a name, and what its value refers to.

        Raises:
            ExportError: the value is not plain Python or NumPy.
        """
        if name in self._known:
            if self._known[name] is not value:
                raise ExportError(f"two different things are called {name!r}")
            return
        self._known[name] = value
        if isinstance(value, types.ModuleType):
            self._import(name, value)
        elif isinstance(value, np.ndarray):
            self.blocks[name] = [f"{name} = {array_text(value, self.imports)}"]
        elif isinstance(value, np.generic) or is_literal(value):
            self.blocks[name] = [f"{name} = {value!r}"]
        elif (place := _numpy_name(value)) is not None:
            self.blocks[name] = [f"{name} = np.{place}"]
        elif isinstance(value, type):
            self._class(name, value)
        elif callable(value):
            self._function(name, value)
        else:
            raise ExportError(
                f"{name} = {value!r} cannot be written into a module that needs NumPy "
                "only"
            )

    def _import(self, name: str, module: types.ModuleType) -> None:
        if module.__name__.partition(".")[0] not in _PLAIN_MODULES:
            raise ExportError(f"the program needs the module {module.__name__}")
        alias = "" if name == module.__name__ else f" as {name}"
        self.imports[name] = f"import {module.__name__}{alias}"

    def _class(self, name: str, cls: type) -> None:
        if cls.__module__ in _PLAIN_MODULES:
            self.imports[name] = f"from {cls.__module__} import {cls.__name__}"
            return
        fields = getattr(cls, "_fields", None)
        if fields is None:
            raise ExportError(f"the class {cls.__name__} is not one of Python's own")
        self.imports["namedtuple"] = "from collections import namedtuple"
        self.blocks[name] = [f"{name} = namedtuple({cls.__name__!r}, {fields!r})"]

    def _function(self, name: str, function: Any) -> None:
        plain = inspect.unwrap(function)
        module = str(getattr(plain, "__module__", ""))
        if not isinstance(plain, types.FunctionType):
            if module in _PLAIN_MODULES:
                label = function.__name__
                alias = "" if name == label else f" as {name}"
                self.imports[name] = f"from {module} import {label}{alias}"
                return
            raise ExportError(f"{function!r} has no Python source")
        if module.partition(".")[0] != __name__.partition(".")[0]:
            raise ExportError(
                f"the program calls the Python function {plain.__qualname__} of "
                f"{module}, whose work an exported module cannot hold: write it with "
                "NumPy's functions, or with fgrad's control flow"
            )
        text, node = _source(plain)
        inner = dict(inspect.getclosurevars(plain).nonlocals)
        for other in _free_names(text, node):
            if other in plain.__globals__ and other not in inner:
                self.define(other, plain.__globals__[other])
        self.blocks[name] = self._block(name, plain, text, node, inner)

    def _block(
        self,
        name: str,
        function: types.FunctionType,
        text: str,
        node: ast.AST,
        inner: dict[str, Any],
    ) -> Lines:
        """The definition; what the function closes over is given to a maker of it."""
        arguments = ", ".join(inner)
        if isinstance(node, ast.Lambda):
            if not inner:
                return [f"{name} = {text}"]
            values = ", ".join(map(self._value, inner.values()))
            return [f"{name} = (lambda {arguments}: {text})({values})"]
        lines = text.splitlines()
        if not inner:
            alias = [f"{name} = {function.__name__}"]
            return lines if name == function.__name__ else [*lines, "", "", *alias]
        values = ", ".join(map(self._value, inner.values()))
        body = [f"    {line}".rstrip() for line in lines]
        made = [f"    return {function.__name__}", "", ""]
        head = f"def make_{name}({arguments}):"
        return [head, *body, *made, f"{name} = make_{name}({values})"]

    def _value(self, value: Any) -> str:
        """A closed-over value as an expression."""
        if is_literal(value):
            return repr(value)
        place = _numpy_name(value)
        if place is not None:
            return f"np.{place}"
        name = f"{getattr(value, '__name__', 'value').strip('<>')}_{len(self._known)}"
        self.define(name, value)
        return name


def _numpy_name(value: Any) -> str | None:
    """Where a function is found in NumPy, such as ``add`` or ``linalg.inv``."""
    name = getattr(value, "__name__", "")
    for place, module in (("", np), ("linalg.", np.linalg)):
        if name and getattr(module, name, None) is value:
            return f"{place}{name}"
    return None


def array_text(array: Any, imports: dict[str, str]) -> str:
    """The source of an array, exact to the last bit and with the same layout."""
    dtype = array.dtype.name
    order = "" if array.flags.c_contiguous or not array.flags.f_contiguous else "F"
    if array.size <= FEW and array.dtype.kind in "fiub" and np.all(np.isfinite(array)):
        kept = f", {dtype!r}" if dtype not in ("float64", "int64", "bool") else ""
        if not array.size:
            return f"np.empty({array.shape}, {dtype!r})"
        suffix = ", order='F'" if order else ""
        is_exact = dtype in ("float64", "int64", "bool") or array.dtype.kind in "iuf"
        if is_exact:
            return f"np.array({array.tolist()!r}{kept}{suffix})"
    imports["base64"], imports["zlib"] = "import base64", "import zlib"
    packed = base64.b64encode(zlib.compress(array.tobytes(order or "C"))).decode()
    unpacked = f"zlib.decompress(base64.b64decode({packed!r}))"
    kept = f", order={order!r}" if order else ""
    shaped = f"np.frombuffer({unpacked}, {array.dtype.str!r}).reshape({array.shape}"
    return f"{shaped}{kept})"


@functools.cache
def _tree(file: str) -> tuple[str, ast.Module]:
    with open(file, encoding="utf-8") as stream:
        text = stream.read()
    return text, ast.parse(text)


def _source(function: types.FunctionType) -> tuple[str, ast.AST]:
    """The source of a function or a lambda, and its syntax tree."""
    code = function.__code__
    text, module = _tree(code.co_filename)
    kind = ast.Lambda if function.__name__ == "<lambda>" else ast.FunctionDef
    found = [
        node
        for node in ast.walk(module)
        if isinstance(node, kind) and _first_line(node) == code.co_firstlineno
    ]
    if kind is ast.Lambda:
        spot = next(
            p for p in code.co_positions() if p[0] and p[2] is not None and p[3]
        )
        found = [node for node in found if _holds(node, spot)]
    if not found:
        raise ExportError(f"the source of {function.__qualname__} was not found")
    node = found[-1]
    if isinstance(node, ast.Lambda):
        return str(ast.get_source_segment(text, node)), node
    lines = text.splitlines()[_first_line(node) - 1 : node.end_lineno]
    return textwrap.dedent("\n".join(lines)), node


def _first_line(node: Any) -> int:
    decorators = getattr(node, "decorator_list", [])
    return int(min([node.lineno, *(d.lineno for d in decorators)]))


def _holds(node: Any, spot: Any) -> bool:
    """Whether the body of a lambda holds a position: line, end line, columns."""
    body = node.body
    start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    return bool(start <= (spot[0], spot[2]) and (spot[1], spot[3]) <= end)


def _free_names(text: str, node: ast.AST) -> list[str]:
    """The names of globals and of closed-over variables that a definition reads."""
    names: dict[str, None] = {}
    expression = f"({text})" if isinstance(node, ast.Lambda) else text
    tables = symtable.symtable(expression, "", "exec").get_children()
    while tables:
        table, *tables = tables
        tables = [*tables, *table.get_children()]
        symbols = table.get_symbols()
        names.update((s.get_name(), None) for s in symbols if s.is_global())
    for decorator in getattr(node, "decorator_list", []):
        inside = ast.walk(decorator)
        names.update((n.id, None) for n in inside if isinstance(n, ast.Name))
    return list(names)
