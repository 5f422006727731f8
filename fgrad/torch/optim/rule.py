"""Updates as plain NumPy code, and their compilation to code that allocates nothing.

A rule is traced like any function. Its equations become one straight line of ufuncs
that write into the memory of the parameter and of its state, and into blocks that are
kept. Numbers such as the learning rate are operands, so that nothing is compiled anew
when they change.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgrad.ir import Atom, Aval, Lit, Program
from fgrad.lower.source import execute
from fgrad.lower.statements import Globals, fills_in_place
from fgrad.programs import make_program

Dtype = np.dtype[Any]
NAMED_OUT = (np.maximum, np.minimum)  # NumPy wants their result by name


@dataclass(frozen=True, eq=False)
class Rule:
    """What a step does to one parameter.

    Attributes:
        function: ``function(x, gradient, state, numbers)`` gives the new ``x`` and the
            new state, by elementwise arithmetic.
        state: the names of the arrays that are remembered.
        numbers: the named tuple of numbers that the function takes.
    """

    function: Callable[..., tuple[Any, tuple[Any, ...]]]
    state: tuple[str, ...]
    numbers: Any


@dataclass(frozen=True)
class Kernel:
    """A compiled rule.

    Attributes:
        run: ``run(x, gradient, *state, *numbers, *blocks)``, where all but the numbers
            have one shape, and these have no axes; it changes ``x`` and the state.
        blocks: how many blocks it computes in.
        operations: how many operations it consists of.
    """

    run: Callable[..., None]
    blocks: int
    operations: int


@functools.cache
def compiled(rule: Rule, dtype: Dtype, goes_up: bool) -> Kernel:
    """The code of a rule for arrays of one dtype, with the gradient or against it."""
    array, number = Aval((2,), dtype), Aval((), dtype)
    state, names = (array,) * len(rule.state), rule.numbers._fields
    numbers = rule.numbers(*[number] * len(names))

    def update(x: Any, gradient: Any, state: Any, numbers: Any) -> Any:
        return rule.function(x, -gradient if goes_up else gradient, state, numbers)

    program = make_program(update)(array, array, state, numbers)
    return _write(program, ("x", "gradient", *rule.state, *names))


def _write(program: Program, arguments: Sequence[str]) -> Kernel:
    """The results of the program, in order, take the place of its first input and of
    its third and following ones: the parameter and its state.

    An equation writes where nothing reads any more: into the place of a result (which
    holds other values until then), or into a block.
    """
    inputs = program.ins
    targets = list(zip(program.outs, [inputs[0], *inputs[2:]], strict=False))
    places = {out: target for out, target in targets if out not in inputs}
    last = {atom: k for k, eqn in enumerate(program.eqns) for atom in eqn.ins}
    last |= dict.fromkeys(program.outs, len(program.eqns))
    names: dict[Atom, str] = dict(zip(inputs, arguments, strict=True))
    held: dict[str, Atom] = {names[target]: target for _, target in targets}
    awaited = {names[target] for out, target in targets if out in places}
    known, blocks, free, lines = Globals(), 0, [], []
    for number, eqn in enumerate(program.eqns):
        assert fills_in_place(eqn), f"{eqn.prim.name} is not elementwise"
        operands = [
            repr(atom.value) if isinstance(atom, Lit) else names[atom]
            for atom in eqn.ins
        ]
        over = [atom for atom in dict.fromkeys(eqn.ins) if last.get(atom) == number]
        free += [names[atom] for atom in over if names[atom] not in arguments]
        unset = [names[atom] for atom in over if names[atom] in awaited]
        place = places.get(eqn.outs[0])
        if place is not None and last.get(held[names[place]], -1) <= number:
            name = names[place]
            awaited.discard(name)
        elif unset:
            name = unset[0]
            held[name] = eqn.outs[0]
        elif free:
            name = free.pop()
        else:
            name, blocks = f"block{blocks}", blocks + 1
        names[eqn.outs[0]] = name
        ufunc = eqn.prim.numpy
        known.values[ufunc.__name__] = ufunc
        last_argument = f"out={name}" if ufunc in NAMED_OUT else name
        lines.append(f"    {ufunc.__name__}({', '.join([*operands, last_argument])})")
    for out, target in targets:
        if names[out] != names[target]:
            lines.append(f"    {names[target]}[...] = {names[out]}")
    taken = [f"block{k}" for k in range(blocks)]
    head = f"def update({', '.join([*arguments, *taken])}):"
    return Kernel(execute([head, *lines], known, "update"), blocks, len(lines))
