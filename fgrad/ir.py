"""The intermediate representation: typed variables, equations, programs.

A program is a list of equations in the manner of a jaxpr. It is immutable by
convention: passes build new lists and reuse the equations they do not change.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fgrad import draw
from fgrad.errors import ProgramError
from fgrad.form import format_params, format_program, programs_in
from fgrad.sites import Site

PYTHON_NUMBERS = (bool, int, float, complex)
_KINDS = {"f": "f", "c": "c", "i": "i", "u": "u"}


class Aval:
    """The abstract value of a variable: shape and dtype.

    Interned: two avals are equal exactly if they are the same object. The types of
    Python numbers are the four ``PYTHON_AVALS``, whose dtype is the Python type itself:
    Python numbers take part in promotion by NumPy's own rules for them (NEP 50).

    >>> Aval((3,), "float64")
    f64[3]
    >>> Aval((3,), "float64") is Aval((3,), np.float64)
    True
    """

    __slots__ = (
        "dtype",
        "is_complex",
        "is_inexact",
        "is_python",
        "ndim",
        "numpy_dtype",
        "shape",
        "size",
    )
    interned: ClassVar[dict[Any, "Aval"]] = {}
    shape: tuple[int, ...]
    dtype: Any
    ndim: int
    size: int
    is_python: bool  # whether this is the type of a Python number
    is_inexact: bool  # whether values are floating-point or complex
    is_complex: bool
    numpy_dtype: Any  # the dtype that NumPy gives to a value on its own

    def __new__(cls, shape: Sequence[int], dtype: Any) -> "Aval":
        dtype = np.dtype(dtype)
        key = (tuple(shape), dtype)
        found = cls.interned.get(key)
        if found is not None:
            return found
        lengths = tuple(int(length) for length in shape)
        return cls.interned.setdefault(key, _new_aval(lengths, dtype))

    def __repr__(self) -> str:
        if self.is_python:
            return str(self.dtype.__name__)
        return f"{dtype_name(self.dtype)}[{','.join(map(str, self.shape))}]"

    def __reduce__(self) -> Any:
        if self.is_python:
            return PYTHON_AVALS.__getitem__, (self.dtype,)
        return Aval, (self.shape, self.dtype)

    @property
    def real(self) -> "Aval":
        """The same shape with the dtype of the real part."""
        return Aval(self.shape, np.empty((), self.numpy_dtype).real.dtype)


def _new_aval(shape: tuple[int, ...], dtype: Any) -> Aval:
    aval = object.__new__(Aval)
    aval.shape, aval.dtype = shape, dtype
    aval.ndim, aval.size = len(shape), math.prod(shape)
    aval.numpy_dtype = np.dtype(dtype)
    aval.is_python = type(dtype) is type
    aval.is_inexact = aval.numpy_dtype.kind in "fc"
    aval.is_complex = aval.numpy_dtype.kind == "c"
    return aval


PYTHON_AVALS = {number: _new_aval((), number) for number in PYTHON_NUMBERS}


def dtype_name(dtype: Any) -> str:
    """The short name of a dtype: ``f64``, ``c128``, ``i32``, ``bool``."""
    dtype = np.dtype(dtype)
    kind = _KINDS.get(dtype.kind)
    return str(dtype) if kind is None else f"{kind}{dtype.itemsize * 8}"


class Var:
    """A variable: an identity with a type. Names exist only in print."""

    __slots__ = ("aval",)

    def __init__(self, aval: Aval) -> None:
        self.aval = aval


class Lit:
    """A Python number written into an equation."""

    __slots__ = ("aval", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.aval = PYTHON_AVALS[type(value)]


Atom = Var | Lit


class Eqn:
    """One equation: ``outs = prim[params] ins``, and the user's line it came from."""

    __slots__ = ("ins", "outs", "params", "prim", "site")

    def __init__(
        self,
        prim: Any,
        ins: tuple[Atom, ...],
        params: tuple[tuple[str, Any], ...],
        outs: tuple[Var, ...],
        site: Site | None = None,
    ) -> None:
        self.prim = prim
        self.ins = ins
        self.params = params
        self.outs = outs
        self.site = site

    @property
    def has_effect(self) -> bool:
        """Whether it, or an equation of a body of it, does more than compute."""
        if self.prim.has_effect or self.prim.feeds is None:
            return bool(self.prim.has_effect)
        return any(
            program.has_effect
            for _, value in self.params
            for program in programs_in(value)
        )


class Program:
    """``{ lambda consts ; ins . let eqns in (outs,) }``

    ``consts`` are variables whose values (``values``, arrays that the traced function
    closed over) travel with the program and are passed as arguments, never baked in.
    A program is called with one argument for each input and returns a list with one
    result for each output.
    """

    __slots__ = ("_effect", "_hash", "_key", "consts", "eqns", "ins", "outs", "values")

    def __init__(
        self,
        ins: Sequence[Var],
        eqns: Sequence[Eqn],
        outs: Sequence[Atom],
        consts: Sequence[Var] = (),
        values: Sequence[Any] = (),
    ) -> None:
        self.ins = tuple(ins)
        self.eqns = tuple(eqns)
        self.outs = tuple(outs)
        self.consts = tuple(consts)
        self.values = tuple(values)
        self._key: tuple[Any, ...] | None = None
        self._hash: int | None = None
        self._effect: bool | None = None

    def __call__(self, *args: Any) -> list[Any]:
        if len(args) != len(self.ins):
            raise ProgramError(
                f"the program takes {len(self.ins)} arguments, got {len(args)}"
            )
        if len(self.values) != len(self.consts):
            raise ProgramError("the values of the program's constants are not known")
        return evaluate(self, args)

    def __str__(self) -> str:
        return format_program(self)

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Program)
            and hash(self) == hash(other)
            and self.key() == other.key()
        )

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.key())
        return self._hash

    @property
    def has_effect(self) -> bool:
        """Whether an equation does more than compute its outputs, such as printing."""
        if self._effect is None:
            self._effect = any(eqn.has_effect for eqn in self.eqns)
        return self._effect

    def key(self) -> tuple[Any, ...]:
        """The structure without names, sites and constant values; hashable.

        Two programs are equal exactly if their keys are.
        """
        if self._key is None:
            self._key = self._make_key()
        return self._key

    def _make_key(self) -> tuple[Any, ...]:
        numbers: dict[Var, int] = {}

        def code(atom: Atom) -> Any:
            if isinstance(atom, Lit):
                return type(atom.value), repr(atom.value)
            return numbers[atom]

        for var in (*self.consts, *self.ins):
            numbers[var] = len(numbers)
        rows = []
        for eqn in self.eqns:
            params = tuple(sorted(eqn.params, key=_name))
            row = (eqn.prim.name, params, tuple(map(code, eqn.ins)))
            rows.append((*row, tuple(var.aval for var in eqn.outs)))
            for var in eqn.outs:
                numbers[var] = len(numbers)
        types = tuple(var.aval for var in self.consts), tuple(v.aval for v in self.ins)
        return (*types, tuple(rows), tuple(map(code, self.outs)))

    def _repr_html_(self) -> str:
        return draw.html(self)

    def dot(self) -> str:
        """The program as a graph in the DOT language."""
        return draw.dot(self)

    def svg(self) -> str:
        """The graph as SVG text.

        Raises:
            FileNotFoundError: graphviz' ``dot`` command is not installed.
        """
        return draw.svg(self)


def _name(param: tuple[str, Any]) -> str:
    return param[0]


def aval_of(value: Any) -> Aval:
    """The type of an array (of NumPy, or of a library like it) or a Python number."""
    cls = type(value)
    if cls is np.ndarray or isinstance(value, np.generic):
        found = Aval.interned.get((value.shape, value.dtype))
        return Aval(value.shape, value.dtype) if found is None else found
    if cls in PYTHON_AVALS:
        return PYTHON_AVALS[cls]
    return Aval(value.shape, value.dtype)


def evaluate(program: Program, args: Sequence[Any]) -> list[Any]:
    """Run a program equation by equation; traced arguments are recorded as usual."""
    env: dict[Var, Any] = dict(zip(program.consts, program.values, strict=True))
    env.update(zip(program.ins, args, strict=True))

    def read(atom: Atom) -> Any:
        return atom.value if isinstance(atom, Lit) else env[atom]

    for eqn in program.eqns:
        outs = eqn.prim(*map(read, eqn.ins), **dict(eqn.params))
        if eqn.prim.multiple:
            env.update(zip(eqn.outs, outs, strict=True))
        else:
            env[eqn.outs[0]] = outs
    return [read(atom) for atom in program.outs]


def check(program: Program) -> Program:
    """Check that a program and those among its params are well formed, and return it.

    Each variable is bound once and before its use, and each equation's output types are
    those that its primitive's rule gives.

    Raises:
        ProgramError: with the offending equation.
    """
    _check(program, "")
    return program


def _check(program: Program, place: str) -> None:
    bound: set[Var] = set()

    def bind(var: Var, where: str) -> None:
        if var in bound:
            raise ProgramError(f"a variable is bound twice, {where}{place}")
        bound.add(var)

    def use(atom: Atom, where: str) -> None:
        if isinstance(atom, Var) and atom not in bound:
            raise ProgramError(f"a variable is used before it is bound, {where}{place}")

    for var in (*program.consts, *program.ins):
        bind(var, "among the inputs")
    for number, eqn in enumerate(program.eqns):
        where = f"in equation {number} ({eqn.prim.name}{format_params(eqn.params)})"
        for atom in eqn.ins:
            use(atom, where)
        for name, value in eqn.params:
            for nested in programs_in(value):
                _check(nested, f", in {name} {where}{place}")
        try:
            expected = eqn.prim.infer([atom.aval for atom in eqn.ins], dict(eqn.params))
        except Exception as error:
            raise ProgramError(f"{error}, {where}{place}") from error
        found = tuple(var.aval for var in eqn.outs)
        if expected != found:
            raise ProgramError(f"expected {expected}, found {found}, {where}{place}")
        for var in eqn.outs:
            bind(var, where)
    for atom in program.outs:
        use(atom, "among the outputs")
