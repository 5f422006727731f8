"""Programs as short as a person would write them, for reading.

Equal equations are computed once, and local rules apply, but only those that leave
results the same. NumPy scalars are written as numbers where types stay the same.

A body of control flow takes all that it closes over as inputs, Python numbers too, so
that one traced structure serves all values. In a program that is read, numbers belong
into the bodies, what occurs twice is passed once, and what no body reads is not passed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ir import PYTHON_NUMBERS, Atom, Eqn, Lit, Program, Var
from fgrad.passes import Substitution, cse, dce, reads_of, with_eqns
from fgrad.primitive import Feed, Primitive
from fgrad.simplification import simplify

WORTHWHILE = 0.9  # what a round leaves of the equations where another one follows


def tighten(program: Program) -> Program:
    """Shorten a program, and the bodies in it, until nothing changes."""
    program = _with_numbers(program)
    while True:
        shorter = _once(program)
        if _is_same(shorter, program):
            return program
        program = shorter


def shorten(program: Program) -> Program:
    """Shorten a program as long as it pays for a compiler that simplifies, too."""
    program = _with_numbers(program)
    while True:
        shorter = _once(program)
        if len(shorter.eqns) >= WORTHWHILE * len(program.eqns):
            return shorter
        program = shorter


def _once(program: Program) -> Program:
    eqns = [_shorter(eqn) if eqn.prim.feeds else eqn for eqn in program.eqns]
    shorter = with_eqns(program, eqns, program.outs)
    return dce(cse(simplify(shorter, is_exact=True)))


SMALL = 4096  # elements of a constant up to which its elements are compared


def with_fills(program: Program) -> Program:
    """Small constants of one number as ``full`` arrays, which need not be passed."""
    fills: list[Eqn] = []
    consts: dict[Var, Any] = {}
    for var, value in zip(program.consts, program.values, strict=True):
        number = _repeated(value)
        if number is None:
            consts[var] = value
            continue
        shape, dtype = var.aval.shape, var.aval.numpy_dtype.name
        params = (("shape", shape), ("dtype", dtype), ("value", number))
        fills.append(Eqn(Primitive.registry["full"], (), params, (var,)))
    eqns = [*fills, *program.eqns]
    return Program(program.ins, eqns, program.outs, list(consts), list(consts.values()))


def _repeated(value: Any) -> Any:
    """The number of which a small value of NumPy consists, bit by bit, or None."""
    is_numpy = type(value) is np.ndarray or isinstance(value, np.generic)
    if not is_numpy or not 0 < value.size <= SMALL or value.dtype.kind not in "biufc":
        return None
    number = value.flat[0].item()
    bits = value.tobytes()
    is_one = bits == bits[: value.itemsize] * value.size
    return number if is_one and type(number) in PYTHON_NUMBERS else None


def _is_same(one: Program, other: Program) -> bool:
    """Whether two programs are equal, told without their keys where that is easy."""
    if len(one.eqns) != len(other.eqns) or one.consts != other.consts:
        return False
    pairs = zip((*one.eqns, *one.outs), (*other.eqns, *other.outs), strict=True)
    return all(a is b for a, b in pairs) or one == other


def _with_numbers(program: Program) -> Program:
    """Constants that are NumPy scalars as literals, where elementwise equations read
    them and their types stay the same.
    """
    pairs = zip(program.consts, program.values, strict=False)
    numbers: dict[Atom, Lit] = {
        var: Lit(value.item())
        for var, value in pairs
        if isinstance(value, np.generic) and type(value.item()) in PYTHON_NUMBERS
    }
    eqns = [_with_literals(eqn, numbers) for eqn in program.eqns]
    return with_eqns(program, eqns, program.outs)


def _with_literals(eqn: Eqn, numbers: dict[Atom, Lit]) -> Eqn:
    if not eqn.prim.elementwise or not any(atom in numbers for atom in eqn.ins):
        return eqn
    ins = tuple(numbers.get(atom, atom) for atom in eqn.ins)
    avals = eqn.prim.infer([atom.aval for atom in ins], dict(eqn.params))
    is_same = avals == tuple(var.aval for var in eqn.outs)
    return Eqn(eqn.prim, ins, eqn.params, eqn.outs, eqn.site) if is_same else eqn


def _shorter(eqn: Eqn) -> Eqn:
    params = dict(eqn.params)
    feeds: list[Feed] = eqn.prim.feeds(len(eqn.ins), **params)
    bodies = {feed.param: _as_tuple(params[feed.param]) for feed in feeds}
    gone: set[int] = set()
    for feed in feeds:
        known = _known_inputs(feed, eqn.ins)
        gone.update(feed.operands[offset] for offset in known)
        programs = bodies[feed.param]
        bodies[feed.param] = tuple(_rewired(p, feed.first, known) for p in programs)
    for name, programs in bodies.items():
        bodies[name] = tuple(map(tighten, programs))
    for feed in feeds:
        read = {k for p in bodies[feed.param] for k in _inputs_read(p)}
        offsets = enumerate(feed.operands, feed.first)
        gone.update(position for k, position in offsets if k not in read)
    for feed in reversed(feeds):  # inputs of the last first, so that numbers hold
        dropped = {k for k, at in enumerate(feed.operands, feed.first) if at in gone}
        programs = bodies[feed.param]
        bodies[feed.param] = tuple(_without_inputs(p, dropped) for p in programs)
        if feed.count is not None:
            params[feed.count] -= len(dropped)
    for name, programs in bodies.items():
        params[name] = programs if type(params[name]) is tuple else programs[0]
    ins = tuple(atom for k, atom in enumerate(eqn.ins) if k not in gone)
    return Eqn(eqn.prim, ins, tuple(params.items()), eqn.outs, eqn.site)


def _as_tuple(value: Any) -> tuple[Program, ...]:
    return value if type(value) is tuple else (value,)


def _known_inputs(feed: Feed, operands: Sequence[Atom]) -> dict[int, int | Lit]:
    """Inputs that need not be passed: the number, or the input that is the same."""
    known: dict[int, int | Lit] = {}
    first: dict[Var, int] = {}
    for offset, position in enumerate(feed.operands):
        atom = operands[position]
        if type(atom) is Var:
            same = first.setdefault(atom, offset)
            if same != offset:
                known[offset] = same
        elif feed.whole and type(atom) is Lit:
            known[offset] = atom
    return known


def _rewired(program: Program, start: int, known: dict[int, int | Lit]) -> Program:
    """The program with inputs after ``start`` replaced by what is known of them."""
    if not known:
        return program
    subst = Substitution()
    for offset, value in known.items():
        atom = value if isinstance(value, Lit) else program.ins[start + value]
        subst.replace(program.ins[start + offset], atom)
    eqns = list(map(subst.eqn, program.eqns))
    return with_eqns(program, eqns, list(map(subst, program.outs)))


def _inputs_read(program: Program) -> list[int]:
    read = reads_of(program)
    return [k for k, var in enumerate(program.ins) if var in read]


def _without_inputs(program: Program, dropped: set[int]) -> Program:
    if not dropped:
        return program
    ins = [var for k, var in enumerate(program.ins) if k not in dropped]
    return Program(ins, program.eqns, program.outs, program.consts, program.values)
