"""``checkpoint``: the backward pass computes a function anew and keeps its inputs only.

The derivative of the equation is the same equation with the joint program of the
function and its derivative, so that no pass can share work between the two and keep
intermediate values alive.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.control.closing import as_value, close, typed
from fgrad.control.derivatives import joint_pullback, joint_tangents, lifted
from fgrad.control.executing import runner, selects
from fgrad.control.running import run_program
from fgrad.ir import Aval, Program
from fgrad.passes import dce, reads_of
from fgrad.primitive import Body, Feed, Primitive, Sample, Unmapped
from fgrad.text import parse
from fgrad.transforms.jvp import Flags
from fgrad.transforms.vmap import batched


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function like ``f`` whose intermediate values are not kept for its derivatives.

    The backward pass computes them anew: the memory of a chain of n checkpointed
    layers is their inputs and the values of one layer. Checkpoints nest. The function
    is traced without values, so Python cannot branch on what is in it.

    Args:
        f: a function of arrays or nested containers of them, returning the same.

    Returns:
        A function of the same arguments.

    >>> import numpy as np, fgrad
    >>> layer = fgrad.checkpoint(lambda x: np.sin(np.sin(np.sin(x))))
    >>> fgrad.grad(layer)(0.0)
    np.float64(1.0)
    """

    @functools.wraps(f)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        leaves, treedef = tree.flatten((args, kwargs))
        values = [as_value(leaf) for leaf in leaves]

        def body(elements: list[Any]) -> Any:
            new_args, new_kwargs = tree.unflatten(treedef, elements)
            return f(*new_args, **new_kwargs)

        closed = close(body, [Aval(x.shape, x.dtype) for x in values])
        outs = checkpoint_(*closed.operands, *values, program=closed.program)
        return tree.unflatten(closed.treedef, outs)

    return checkpointed


def _checkpoint_runs(*, program: Program) -> tuple[Any, dict[str, Any]]:
    return run_program, {"run": Body(program), "quiet": selects(program)}


def _checkpoint_jax(xla: Any, *operands: Any, program: Program) -> Any:
    # without the barrier XLA would merge the forward pass with what is computed anew
    held = xla.lax.optimization_barrier(tuple(map(xla.np.asarray, operands)))
    return xla.run(program, held)


def _checkpoint_aval(*avals: Aval, program: Program) -> tuple[Aval, ...]:
    if avals != tuple(var.aval for var in program.ins):
        raise ValueError("the operands do not have the types of the program's inputs")
    return tuple(typed(atom.aval) for atom in program.outs)


def _bind_lifted(program: Program, operands: Sequence[Any]) -> Any:
    """The equation of a program that may have constants, on what it reads."""
    program, values = lifted(program)
    read = reads_of(program)
    kept = [k for k, var in enumerate(program.ins) if var in read]
    everything = [*values, *operands]
    smaller = Program([program.ins[k] for k in kept], program.eqns, program.outs)
    return checkpoint_(*(everything[k] for k in kept), program=smaller)


def _checkpoint_jvp(
    tangents: Sequence[Any], outs: Sequence[Any], *operands: Any, program: Program
) -> list[Any]:
    active = tuple(t is not None for t in tangents)
    joint, varying = joint_tangents(program, active)
    given = [t for t in tangents if t is not None]
    results = iter(_bind_lifted(joint, [*operands, *given]))
    return [next(results) if varies else None for varies in varying]


def _checkpoint_vjp(
    cts: Sequence[Any],
    outs: Sequence[Any],
    *operands: Any,
    active: Flags,
    present: Flags,
    program: Program,
) -> list[Any]:
    joint, given = joint_pullback(program, active, present)
    results = iter(_bind_lifted(joint, [*operands, *cts]))
    by_active = iter([next(results) if is_given else None for is_given in given])
    return [next(by_active) if is_active else None for is_active in active]


def _checkpoint_prune(
    used: Flags, avals: Sequence[Aval], *, program: Program
) -> tuple[list[int], list[int], dict[str, Any]]:
    kept = [k for k, is_used in enumerate(used) if is_used]
    pruned = dce(Program(program.ins, program.eqns, [program.outs[k] for k in kept]))
    read = reads_of(pruned)
    ins = [k for k, var in enumerate(pruned.ins) if var in read]
    smaller = Program([pruned.ins[k] for k in ins], pruned.eqns, pruned.outs)
    return ins, kept, {"program": smaller}


def _checkpoint_batch(
    size: int, mapped: Flags, *operands: Any, program: Program
) -> list[Any]:
    step, found = batched(program, size, tuple(mapped))
    pairs = zip(_bind_lifted(step, operands), found, strict=True)
    return [out if is_mapped else Unmapped(out) for out, is_mapped in pairs]


_SAMPLE = """
{ lambda ; x:f64[3] y:f64[] . let
    a:f64[3] = multiply x y
    b:f64[3] = sin a
    c:f64[] = sum[axis=(0,)] b
  in (b, c) }"""


def _checkpoint_samples() -> list[Sample]:
    operands = (np.array([0.1, 0.2, -0.3]), np.float64(0.7))
    return [Sample(operands, {"program": parse(_SAMPLE)})]


checkpoint_: Primitive = Primitive(
    "checkpoint",
    runner(_checkpoint_runs),
    _checkpoint_aval,
    jvp=_checkpoint_jvp,
    vjp=_checkpoint_vjp,
    prune=_checkpoint_prune,
    feeds=lambda count, program: [Feed(range(count), "program")],
    runs=_checkpoint_runs,
    multiple=True,
    batch=_checkpoint_batch,
    jax=_checkpoint_jax,
    samples=_checkpoint_samples,
)
