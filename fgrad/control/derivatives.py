"""Derivatives of bodies, as programs that compute what they need anew.

A *joint* program runs the equations of a body and then those of its derivative, with
what is not needed left out.
"""

from collections.abc import Sequence
from typing import Any

from fgrad.caches import remembered
from fgrad.ir import Program, Var
from fgrad.transforms.jvp import Flags, finished, forward
from fgrad.transforms.vjp import reverse, with_residuals


def active_inputs(program: Program, active: Flags) -> list[Var]:
    """The inputs that derivatives are taken with respect to."""
    return [var for var, flag in zip(program.ins, active, strict=True) if flag]


@remembered(2048)
def joint_tangents(program: Program, active: Flags) -> tuple[Program, Flags]:
    """Inputs and active tangents -> the tangents of the outputs that vary."""
    assert not program.consts
    wrt = active_inputs(program, active)
    program = with_residuals(program, wrt)
    linear, varying = forward(program, wrt)
    seeds = linear.ins[len(linear.ins) - len(wrt) :]
    return joined(program, linear, seeds), varying


@remembered(2048)
def joint_pullback(
    program: Program, active: Flags, present: Flags
) -> tuple[Program, Flags]:
    """Inputs and present cotangents -> the cotangents of active inputs that are given.

    The flags are for the active inputs.
    """
    assert not program.consts
    wrt = active_inputs(program, active)
    program = with_residuals(program, wrt)
    linear, given = reverse(program, wrt, present)
    seeds = linear.ins[len(linear.ins) - sum(present) :]
    return joined(program, linear, seeds), given


def joined(program: Program, linear: Program, seeds: Sequence[Var]) -> Program:
    """The equations of a program and then linear ones that read its variables.

    What prints does not print again.
    """
    again = [eqn for eqn in program.eqns if eqn.outs]
    eqns = [*again, *linear.eqns]
    ins = [*program.ins, *seeds]
    return finished(Program(ins, eqns, linear.outs, linear.consts, linear.values))


def lifted(program: Program) -> tuple[Program, tuple[Any, ...]]:
    """The program with its constants as first inputs, and their values."""
    ins = (*program.consts, *program.ins)
    return Program(ins, program.eqns, program.outs), program.values
