"""Loops on XLA: ``lax.scan`` and ``lax.while_loop`` with bodies that are programs."""

from collections.abc import Sequence
from typing import Any

from fgrad.control.scan_derivatives import groups
from fgrad.control.while_bodies import parts
from fgrad.ir import Program, Var


def scan_jax(
    xla: Any,
    *operands: Any,
    body: Program,
    consts: int,
    carry: int,
    length: int,
    reverse: bool,
    residuals: int,
) -> Any:
    closed, initial, xs = groups(operands, consts, carry)

    def step(state: Any, slices: Any) -> Any:
        outs = xla.run(body, [*closed, *state, *slices])
        return outs[:carry], outs[carry:]

    first = _typed(xla, initial, body.ins[consts : consts + carry])
    state, stacks = xla.lax.scan(step, first, list(xs), length, reverse)
    return (*state, *stacks)


def while_jax(
    xla: Any,
    *operands: Any,
    cond: Program,
    body: Program,
    cond_consts: int,
    body_consts: int,
    max_steps: int | None,
) -> Any:
    for_cond, for_body, carry = parts(operands, cond_consts, body_consts)

    def goes_on(state: Any) -> Any:
        steps, *rest = state
        (holds,) = xla.run(cond, [*for_cond, *rest])
        return holds if max_steps is None else holds & (steps < max_steps)

    def step(state: Any) -> Any:
        steps, *rest = state
        count = steps if max_steps is None else steps + 1
        return [count, *xla.run(body, [*for_body, *rest])]

    first = _typed(xla, carry, body.ins[body_consts:])
    return xla.lax.while_loop(goes_on, step, [xla.np.zeros((), int), *first])[1:]


def _typed(xla: Any, values: Sequence[Any], variables: Sequence[Var]) -> list[Any]:
    """The first carry, with the types that it keeps."""
    pairs = zip(values, variables, strict=True)
    return [xla.cast(x, var.aval.numpy_dtype) for x, var in pairs]
