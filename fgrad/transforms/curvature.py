"""Second derivatives of one number: forward mode over the reverse loop, in one program.

The gradient program of a structure is its equations and the backward ones. Its tangents
read what the backward ones read and what these compute, so nothing else need be saved.
"""

from collections.abc import Sequence

from fgrad.ir import Eqn, Program, Var
from fgrad.transforms.jvp import Flags, bound_variables, finished, forward
from fgrad.transforms.vjp import reverse


def is_plain(eqns: Sequence[Eqn]) -> bool:
    """Whether no equation has residuals of its own, such as loops have."""
    return all(e.prim.with_residuals is None and e.prim.on_tape is None for e in eqns)


def curvature(
    program: Program, inputs: Sequence[Var], moving: Sequence[Var]
) -> tuple[Program, Flags]:
    """The tangents of the gradient of the program's output, which is one number.

    The result is linear in its last inputs, the tangents of ``moving``; it reads
    variables of the program. The flags say which of ``inputs`` have a result.
    """
    backward, given = reverse(program, inputs, (True,), unit=True)
    consts = [*program.consts, *backward.consts]
    eqns = [*program.eqns, *backward.eqns]
    gradient = Program(program.ins, eqns, backward.outs, consts)
    linear, varies = forward(gradient, moving)
    seeds = linear.ins[len(linear.ins) - len(moving) :]
    found = iter(varies)
    flags = tuple(is_given and next(found) for is_given in given)
    whole = Program(
        [*program.consts, *program.ins, *bound_variables(program), *seeds],
        [*backward.eqns, *linear.eqns],
        linear.outs,
        [*backward.consts, *linear.consts],
        [*backward.values, *linear.values],
    )
    return finished(whole), flags
