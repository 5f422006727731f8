"""Programs of numbers only, as code on Python floats: a third of NumPy scalars' cost.

The results are NumPy's, to the last bit. Where Python raises (division by zero, the
sine of infinity), NumPy answers with inf or nan: then the function for NumPy runs.
"""

import functools
import math
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.ir import Atom, Aval, Eqn, Lit, Program, Var
from fgrad.lower.function import (
    Layout,
    Lines,
    Mode,
    Names,
    PathWriter,
)
from fgrad.lower.statements import Globals
from fgrad.primitive import Primitive
from fgrad.sites import at_site

LONGEST = 60  # characters of an expression that becomes part of another
POINTS = 20_000  # at which a function of `math` is compared with NumPy's
_EXACT = 1 << 53  # integers below it are exact as floats


@functools.cache
def agrees(name: str, numpy: Any) -> bool:
    """Whether a function of `math` gives NumPy's bits, which depends on the machine.

    NumPy's own versions differ in the last bit at some per mille of all points or more,
    or not at all.
    """
    rng = np.random.default_rng(0)
    points = rng.standard_normal(POINTS) * 10.0 ** rng.uniform(-3.0, 3.0, POINTS)
    function = getattr(math, name)
    if name == "sqrt":
        points = np.abs(points)
    found: list[float] = numpy(points).tolist()
    return list(map(function, points.tolist())) == found


def scalar_form(prim: Primitive, params: dict[str, Any]) -> str | None:
    """The format of a primitive's source for Python floats."""
    form: str | None = prim.scalar(**params) if callable(prim.scalar) else prim.scalar
    if form is not None and form.startswith("math."):
        name = form.removeprefix("math.").partition("(")[0]
        form = form if agrees(name, prim.numpy) else None
    if form is None and isinstance(prim.numpy, np.ufunc) and prim.elementwise:
        name = prim.numpy.__name__
        if getattr(np, name, None) is prim.numpy and prim.numpy.nout == 1:
            given = ", ".join(f"{{{k}}}" for k in range(prim.numpy.nin))
            form = f"np.{name}({given})"
    return form


def is_scalar(program: Program) -> bool:
    """Whether all values of a program can be Python floats and truth values."""
    return (
        bool(program.ins)
        and not program.consts
        and all(_is_float(var.aval) for var in program.ins)
        and all(map(_has_form, program.eqns))
    )


def why_not_scalar(program: Program) -> str | None:
    """What keeps a program of numbers from being float code; None for others."""
    if not program.ins or any(var.aval.ndim for var in program.ins):
        return None
    for var in program.ins:
        if not _is_float(var.aval):
            return f"an argument is of type {var.aval}"
    if program.consts:
        return "it closes over arrays"
    eqn = next(eqn for eqn in program.eqns if not _has_form(eqn))
    return f"no float code for {eqn.prim.name}{at_site(eqn.site)}"


def _is_float(aval: Aval) -> bool:
    return aval.ndim == 0 and (aval.dtype is float or aval.dtype == np.float64)


def _is_number(atom: Atom) -> bool:
    if type(atom) is Lit:
        return type(atom.value) is float or (
            type(atom.value) is int and abs(atom.value) < _EXACT
        )
    return _is_float(atom.aval)


def _has_form(eqn: Eqn) -> bool:
    if eqn.prim.name == "guard":
        return bool(dict(eqn.params)["kind"] == "bool")
    if len(eqn.outs) != 1 or not eqn.prim.elementwise:
        return False
    out = eqn.outs[0].aval
    if not (_is_float(out) or (out.ndim == 0 and out.dtype == bool)):
        return False
    is_logical = eqn.prim.name.startswith("logical_")
    ins = eqn.ins[1:] if eqn.prim.name == "where" else eqn.ins
    if not is_logical and not all(map(_is_number, ins)):
        return False
    return scalar_form(eqn.prim, dict(eqn.params)) is not None


class ScalarWriter(PathWriter):
    """Writes the function of a path on Python floats.

    Attributes:
        numpy: the name of the function for NumPy, on which it falls back.
    """

    def __init__(
        self, layout: Layout, names: Names, path: str, known: Globals, mode: Mode
    ) -> None:
        super().__init__(layout, names, path, known, mode)
        self.given = [
            self.table[var] if var.aval.is_python else f"np.float64({self.table[var]})"
            for var in layout.program.ins
        ]
        self.numpy = f"{path}_numpy"
        self.warns = False  # whether NumPy may warn in it
        self.readers: dict[Atom, list[tuple[Eqn, int]]] = {}
        for eqn in layout.program.eqns:
            for position, atom in enumerate(eqn.ins):
                self.readers.setdefault(atom, []).append((eqn, position))

    def lines_of(self, number: int, eqn: Eqn) -> list[str]:
        if eqn.prim.name == "guard":
            return super().lines_of(number, eqn)
        form = scalar_form(eqn.prim, dict(eqn.params))
        assert form is not None
        names = [self._number(atom) for atom in eqn.ins]
        if form == "{0}":
            (self.table[eqn.outs[0]],) = names
            return []
        text = form.format(*names, **dict(eqn.params))
        out = eqn.outs[0].aval
        before: Lines = []
        if form.startswith("np."):
            text = f"float({text})" if _is_float(out) else f"bool({text})"
        if "np." in form:
            if self.mode.is_quiet and eqn.prim.calm is not None:
                before = [f"if not {eqn.prim.calm.format(*names)}:"]
                before += [f"    {self.fallback()}"]
            self.warns = self.warns or eqn.prim.calm is None
        if "math." in form:
            self.globals.values["math"] = math
        if len(text) <= LONGEST and self._is_read_once(eqn.outs[0]):
            self.table[eqn.outs[0]] = f"({text})"  # part of the one that reads it
            return before
        return [*before, f"{self.table[eqn.outs[0]]} = {text}"]

    def _is_read_once(self, var: Var) -> bool:
        """Whether a value occurs once in the lines that follow."""
        readers = self.readers.get(var, [])
        returned = self.program.outs.count(var)
        if returned or len(readers) != 1:
            return returned == 1 and not readers
        ((eqn, position),) = readers
        if eqn.prim.name == "guard":
            return False
        form = scalar_form(eqn.prim, dict(eqn.params)) or ""
        shown = form + (eqn.prim.calm or "")
        return form != "{0}" and shown.count(f"{{{position}}}") == 1

    def fallback(self) -> str:
        """The line that leaves it to NumPy."""
        return f"return {self.numpy}({', '.join(self.given)})"

    def _number(self, atom: Atom) -> str:
        if type(atom) is Lit and type(atom.value) is not bool:
            text = repr(float(atom.value))
            text = f"float({text!r})" if text in ("inf", "-inf", "nan") else text
            return f"({text})" if text.startswith("-") else text
        return self.table[atom]

    def result(self, atom: Atom) -> str:
        """An output, of the type that NumPy gives it."""
        text = self.table[atom]
        if type(atom) is Lit:
            return self._number(atom) if type(atom.value) is float else text
        if atom.aval.is_python:
            return text
        if atom.aval.dtype == bool:
            return f"np.bool_({text})"
        # quicker than calling np.float64, and the same number
        self.globals.definitions["as_float64"] = ["as_float64 = np.float64(1.0)"]
        return f"as_float64 * {text}"


def scalar_function(writer: ScalarWriter, treedef: tree.TreeDef) -> Lines:
    """The lines of the function that a writer writes."""
    for var, label in zip(writer.program.ins, writer.arguments, strict=True):
        if not var.aval.is_python:
            writer.write(f"{label} = float({label})")
    writer.body()
    outs = [writer.result(atom) for atom in writer.program.outs]
    writer.write(f"return {tree.source(treedef, outs, writer.globals.values)}")
    rescue = ["except (ArithmeticError, ValueError):", f"    {writer.fallback()}"]
    body = ["try:", *writer.lines, *rescue]
    body = [f"    {line}" for line in body]
    return writer.function(writer.path, body, writer.mode.is_quiet and writer.warns)
