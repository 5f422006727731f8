"""Tracing the body of a construct: what it closes over becomes operands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.ir import Atom, Aval, Program, Var
from fgrad.ops.structure import astype
from fgrad.passes import cse, dce, reads_of
from fgrad.path import TRIE
from fgrad.record import TYPES, read_path
from fgrad.trace import Path, Trace, Tracer, as_operand, refresh, type_of
from fgrad.tracer import alias, is_mapped


@dataclass(frozen=True)
class Closed:
    """A body as a program, and the values of its first inputs.

    Attributes:
        program: its inputs are what the body closes over, then its arguments.
        operands: the values that it closes over: arrays, numbers, outer tracers.
        treedef: the structure of its result.
    """

    program: Program
    operands: list[Any]
    treedef: tree.TreeDef

    @property
    def out_avals(self) -> tuple[Aval, ...]:
        """The types of the leaves of its result."""
        return tuple(atom.aval for atom in self.program.outs)


def close(function: Callable[..., Any], avals: Sequence[Aval]) -> Closed:
    """Trace a function of one list of leaves; a structure seen before is looked up."""
    avals = tuple(avals)
    trace = Trace(TYPES, avals, abstract=True, root=TRIE.root(TYPES, avals))
    result = trace.run(function, trace.inputs([None] * len(avals)))
    leaves, treedef = tree.flatten(result)
    values = trace.saved
    codes: list[Any] = []
    for leaf in leaves:
        if type(leaf) is Tracer and leaf.scope is trace:
            if leaf.origin is not None:
                refresh(leaf)
            codes.append(leaf.index)
        else:
            codes.append(None)
            values.append(as_operand(leaf))
    path = trace.finish()
    first = _first_positions(values)
    key = ("body", tuple(codes), first, *(_constant_types(codes, values)))
    found = path.ends.get(key)
    if found is None:
        found = path.ends[key] = _body(path, codes, values, first)
    program, used = found
    return Closed(program, [values[position] for position in used], treedef)


def _constant_types(codes: Sequence[Any], values: Sequence[Any]) -> list[Aval]:
    """The types of the results that are constants, which come last among the values."""
    count = sum(code is None for code in codes)
    return [type_of(value) for value in values[len(values) - count :]]


def _first_positions(values: Sequence[Any]) -> tuple[int, ...]:
    """For each value the position of the first that is the same array or variable."""
    seen: dict[Any, int] = {}
    positions = []
    for position, value in enumerate(values):
        if type(value) is Tracer:
            key: Any = (id(value.scope), value.index, id(value.value))
        else:
            key = id(value) if type_of(value).ndim else ("number", position)
        positions.append(seen.setdefault(key, position))
    return tuple(positions)


def _body(
    path: Path, codes: Sequence[Any], values: Sequence[Any], first: Sequence[int]
) -> tuple[Program, list[int]]:
    """The program of a body, and the positions of the values that it takes."""
    constants: list[Var] = []

    def constant(aval: Aval) -> Var:
        position = first[len(constants)]
        is_new = position == len(constants)
        constants.append(Var(aval) if is_new else constants[position])
        return constants[-1]

    ins, eqns, variables, _ = read_path(path, constant)
    outs: list[Atom] = []
    for code in codes:
        if code is None:
            outs.append(constant(type_of(values[len(constants)])))
        else:
            outs.append(variables[code])
    program = dce(cse(Program(ins, eqns, outs)))
    read = reads_of(program)
    used = [k for k in range(len(constants)) if first[k] == k and constants[k] in read]
    inputs = [*(constants[k] for k in used), *ins]
    return Program(inputs, program.eqns, program.outs), used


def typed(aval: Aval) -> Aval:
    """The type as NumPy has it: that of a Python number is that of its scalar."""
    return Aval(aval.shape, aval.numpy_dtype)


def as_value(leaf: Any) -> Any:
    """A leaf as it goes into a construct: a Python number becomes a NumPy scalar."""
    operand = as_operand(leaf)
    aval = type_of(operand)
    if not aval.is_python:
        return operand
    if type(operand) is Tracer:
        return astype(operand, dtype=aval.numpy_dtype.name)
    return aval.numpy_dtype.type(operand)


def apart(values: Sequence[Any]) -> list[Any]:
    """Results that are handed on as they came: writing to one reaches nothing else."""
    return [
        alias(x) if type(x) is Tracer else np.array(x)[()]
        for x in map(as_value, values)
    ]


def known_value(x: Any) -> Any:
    """The NumPy value under all traces; None where there is none, or many.

    So there are where the record is to serve other values, too.
    """
    while type(x) is Tracer:
        if is_mapped(x) or x.scope.policy.guards:
            return None
        if x.origin is not None:
            refresh(x)
        x = x.value
    return x
