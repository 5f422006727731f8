"""One equation as lines of Python."""

import math
from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any

import numpy as np

from fgrad.ir import Atom, Aval, Eqn, Lit
from fgrad.primitive import Body

EXACT = 1 << 11  # integers below it are exact in every floating-point dtype

Table = dict[Atom, str]


def fills(eqn: Eqn) -> bool:
    """Whether an equation can compute its result into an array that is there."""
    out = eqn.outs[0].aval if len(eqn.outs) == 1 else None
    if out is None or not out.ndim:
        return False
    if fills_in_place(eqn) or eqn.prim.takes_out or eqn.prim.slot is not None:
        return True
    return bool(eqn.prim.into and eqn.prim.into(*(a.aval for a in eqn.ins)))


def fills_in_place(eqn: Eqn) -> bool:
    """Whether that array may also be one of the operands."""
    return isinstance(eqn.prim.numpy, np.ufunc) and bool(eqn.prim.elementwise)


def operand(atom: Atom, table: Table, is_float: bool = False) -> str:
    """The text of an operand."""
    text = table[atom]
    if type(atom) is not Lit:
        return text
    if is_float and type(atom.value) is int and abs(atom.value) < EXACT:
        text = repr(float(atom.value))  # NumPy takes a float more quickly than an int
    if text in ("inf", "-inf", "nan"):
        return f"float({text!r})"
    return f"({text})" if text.startswith("-") else text


class Globals:
    """What the lines of a function refer to.

    Attributes:
        values: functions and arrays, by name.
        definitions: lines that define further names, by name.
        body: writes a function for a program that an equation runs, and gives its
            name; without it such an equation runs the program itself.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"np": np}
        self.definitions: dict[str, list[str]] = {}
        self.body: Callable[[Body], str] | None = None

    def lines(self) -> list[str]:
        """All definitions."""
        return [line for lines in self.definitions.values() for line in lines]


class Statements:
    """Writes equations as lines; keeps the names of variables and the globals."""

    def __init__(self, table: Table, known: Globals | None = None) -> None:
        self.table = table
        self.globals = known or Globals()

    def lines(
        self, eqn: Eqn, in_place: int | None = None, buffer: str | None = None
    ) -> list[str]:
        """The lines that compute an equation.

        Args:
            eqn: the equation.
            in_place: the position of the operand that is overwritten.
            buffer: the name of an array that takes the result.
        """
        prim, params, table = eqn.prim, dict(eqn.params), self.table
        names = self._operands(eqn)
        if in_place is not None:
            table[eqn.outs[0]] = names[in_place]
        outs = ", ".join(table[var] for var in eqn.outs)
        avals = [atom.aval for atom in eqn.ins]
        if buffer is not None and prim.slot is None:
            return [f"{outs} = {self._into(eqn, names, avals, buffer)}"]
        into = None if prim.into is None else prim.into(*avals)
        if callable(into):
            return [f"{outs} = {self._call(into, names)}"]
        if prim.statements is not None:
            found = prim.statements(outs, names, avals, params, in_place is not None)
            if found is not None and buffer is not None:
                return _begun_in(buffer, outs, names[0], list(found))
            if found is not None:
                return list(found)
        if in_place == 0 and prim.augmented is not None:
            return [prim.augmented.format(*names)]
        is_python = avals and all(aval.is_python for aval in avals)
        if prim.expression is not None and in_place is None and not is_python:
            return [f"{outs} = {prim.expression.format(*names, **params)}"]
        if in_place is not None and isinstance(prim.numpy, np.ufunc):
            return [f"{self.function(eqn)}({', '.join(names)}, out={outs})"]
        if prim.runs is not None and self.globals.body is not None:
            function, params = self._running(eqn)
        else:
            function = self.function(eqn, in_place is not None)
        keywords = [f"{key}={self.static(key, x)}" for key, x in params.items()]
        call = f"{function}({', '.join([*names, *keywords])})"
        if not eqn.outs:
            return [call]
        comma = "," if prim.multiple else ""
        return [f"{outs}{comma} = {call}"]

    def function(self, eqn: Eqn, in_place: bool = False) -> str:
        """The name of the function that computes an equation."""
        prim = eqn.prim
        function = prim.in_place if in_place else prim.numpy
        if isinstance(function, np.ufunc):
            name = function.__name__
            if getattr(np, name, None) is function:
                return f"np.{name}"
        label = f"{prim.name}_in_place" if in_place else f"{prim.name}_"
        self.globals.values[label] = function
        return label

    def static(self, name: str, value: Any) -> str:
        """A param as source: a literal, or the name of a global."""
        if is_literal(value):
            return repr(value)
        if isinstance(value, Body) and self.globals.body is not None:
            return self.globals.body(value)
        if isinstance(value, tuple) and self.globals.body is not None:
            return f"({', '.join(self.static(name, x) for x in value)},)"
        key = f"{name}_{len(self.globals.values)}"
        self.globals.values[key] = value
        return key

    def _running(self, eqn: Eqn) -> tuple[str, dict[str, Any]]:
        """The function that runs an equation with bodies, and its keywords."""
        assert eqn.prim.runs is not None
        function, keywords = eqn.prim.runs(**dict(eqn.params))
        self.globals.values[function.__name__] = function
        return function.__name__, keywords

    def _into(
        self, eqn: Eqn, names: list[str], avals: Sequence[Aval], buffer: str
    ) -> str:
        if fills_in_place(eqn) or eqn.prim.takes_out:
            params = [f"{key}={self.static(key, x)}" for key, x in eqn.params]
            given = ", ".join([*names, *params])
            return f"{self.function(eqn)}({given}, out={buffer})"
        assert eqn.prim.into is not None
        into = eqn.prim.into(*avals)
        if isinstance(into, str):
            return into.format(*names, out=buffer, **dict(eqn.params))
        return self._call(into, [*names, f"out={buffer}"])

    def _call(self, function: Callable[..., Any], arguments: Sequence[str]) -> str:
        self.globals.values[function.__name__] = function
        return f"{function.__name__}({', '.join(arguments)})"

    def _operands(self, eqn: Eqn) -> list[str]:
        out = eqn.outs[0].aval if eqn.outs else None
        is_float = out is not None and eqn.prim.elementwise and out.is_inexact
        names = [operand(atom, self.table, is_float) for atom in eqn.ins]
        dtype = _dtype_of_numbers(eqn)
        if dtype is None:
            return names
        return [
            self._number(atom.value, dtype) or name if type(atom) is Lit else name
            for atom, name in zip(eqn.ins, names, strict=True)
        ]

    def _number(self, value: Any, dtype: Any) -> str | None:
        """The name of a number as an array without axes: ufuncs take it more quickly.

        A Python number takes part in the dtype of the arrays.
        """
        if type(value) not in (int, float) or not math.isfinite(value):
            return None
        if type(value) is int and abs(value) >= EXACT:
            return None
        text = repr(float(value)).removesuffix(".0")
        name = "k" + text.replace("-", "m").replace(".", "_").replace("+", "")
        given = repr(float(value))
        if dtype != np.float64:
            name, given = f"{name}_f32", f"{given}, np.float32"
        self.globals.definitions[name] = [f"{name} = np.array({given})"]
        return name


_MASKS = {np.dtype(bool)}  # of conditions


def _dtype_of_numbers(eqn: Eqn) -> Any:
    """The dtype that Python numbers get beside the arrays of an elementwise equation.

    Returns:
        None where that is not simple.
    """
    if not eqn.prim.elementwise or not eqn.outs or not eqn.outs[0].aval.ndim:
        return None
    dtypes = {atom.aval.dtype for atom in eqn.ins if type(atom) is not Lit} - _MASKS
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    return dtype if dtype in (np.float64, np.float32) else None


def _begun_in(buffer: str, out: str, first: str, lines: list[str]) -> list[str]:
    """Lines that begin with a new array, as ones that begin with an array given."""
    begin, *rest = lines
    if begin.startswith(f"{out} = np.zeros("):
        return [f"{out} = {buffer}", f"{out}.fill(0)", *rest]
    if begin.startswith(f"{out} = np.empty("):
        return [f"{out} = {buffer}", *rest]
    if begin.startswith(f"{out} = np.array("):
        return [f"{out} = {buffer}", f"np.copyto({out}, {first})", *rest]
    return lines


def is_literal(value: Any) -> bool:
    """Whether ``repr`` of a param is its source."""
    if isinstance(value, tuple):
        return all(map(is_literal, value))
    is_plain = value is None or value is ... or isinstance(value, str | bytes)
    return is_plain or isinstance(value, Number)
