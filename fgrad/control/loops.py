"""Loops: ``scan``, ``fori_loop``, ``map``, ``associative_scan``."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad import tree
from fgrad.caches import remembered
from fgrad.control.closing import Closed, as_value, close
from fgrad.control.scan import scan_
from fgrad.errors import CarryTypeError, LoopError
from fgrad.ir import PYTHON_NUMBERS, Aval, Program, Var, evaluate
from fgrad.passes import dce
from fgrad.trace import is_traced, type_of


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Run ``carry, y = f(carry, x)`` over the first axis of ``xs``.

    The body is traced once, without values, so Python cannot branch on what is in it:
    use ``np.where`` and `cond`. Unlike a Python loop, its gradient is a program of one
    length whatever the number of steps. What does not change from step to step is
    computed once.

    Args:
        f: takes the carry and one slice of ``xs``; returns the next carry, with the
            same structure, shapes and dtypes, and an output.
        init: the first carry: arrays or nested containers of them.
        xs: arrays, or nested containers of them, whose first axes have one length; None
            for a loop that needs no slices.
        length: the number of steps; needed where ``xs`` is None.
        reverse: run from the last slice to the first; outputs keep the slices' order.

    Returns:
        The last carry, and the outputs of all steps stacked along a new first axis.

    Raises:
        CarryTypeError: the carry changes its structure, a shape or a dtype.
        LoopError: the length is not given, zero or negative, or axes differ in length.

    >>> import numpy as np, fgrad
    >>> def step(total, x):
    ...     total = total + x
    ...     return total, total
    >>> fgrad.scan(step, 0.0, np.array([1.0, 2.0, 3.0]))
    (np.float64(6.0), array([1., 3., 6.]))
    """
    return scan_as("scan", f, init, xs, length, reverse)


def scan_as(
    name: str,
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """`scan`, as the construct of this name: the one that errors are about."""
    leaves, xs_tree = tree.flatten(xs)
    slices = [as_value(leaf) for leaf in leaves]
    lengths = {type_of(x).shape[:1] for x in slices}
    if length is not None or len(lengths) != 1 or lengths & {(), (0,)}:
        length = _length(name, slices, tree.paths(xs), length)
    else:
        ((length,),) = lengths
    carry, carry_tree = tree.flatten(init)
    given = [as_value(leaf) for leaf in carry]
    elements = [Aval(type_of(x).shape[1:], type_of(x).numpy_dtype) for x in slices]

    def body(leaves: list[Any]) -> Any:
        count = len(given)
        state = tree.unflatten(carry_tree, leaves[:count])
        out: Any = f(state, tree.unflatten(xs_tree, leaves[count:]))
        if not isinstance(out, tuple) or len(out) != 2:
            found = type_of(out) if is_traced(out) else type(out).__name__
            raise CarryTypeError(
                f"the body of scan returns a pair (carry, y), this one returned {found}"
            )
        return out

    closed, given = close_loop(body, carry, given, elements, init, carry_tree, name)
    outs = run_scan(closed, given, slices, length, reverse)
    count = len(given)
    ys_tree = closed.treedef.child(1)
    return (
        tree.unflatten(carry_tree, outs[:count]),
        tree.unflatten(ys_tree, outs[count:]),
    )


def _length(
    loop: str, slices: Sequence[Any], names: Sequence[str], given: int | None
) -> int:
    lengths: dict[int, str] = {}
    for x, name in zip(slices, names, strict=True):
        aval = type_of(x)
        if not aval.ndim:
            raise LoopError(
                f"xs{name} is a number: {loop} runs over the first axis of arrays"
            )
        lengths.setdefault(aval.shape[0], f"xs{name}")
    if given is not None:
        lengths.setdefault(operator.index(given), "length")
    if not lengths:
        raise LoopError(
            "scan without xs needs length="
            if loop == "scan"
            else f"{loop} runs over the first axis of arrays, and got none"
        )
    if len(lengths) > 1:
        listed = ", ".join(f"{name}: {n}" for n, name in lengths.items())
        raise LoopError(f"{loop} over axes that differ in length: {listed}")
    (length,) = lengths
    if length < 1:
        raise LoopError(
            f"a {loop} of length {length} has nothing to run; leave it out where there "
            "are no slices"
        )
    return length


def close_loop(
    body: Callable[[list[Any]], Any],
    carry: Sequence[Any],
    given: list[Any],
    more: Sequence[Aval],
    init: Any,
    carry_tree: tree.TreeDef,
    name: str,
) -> tuple[Closed, list[Any]]:
    """The body, traced, and the first carry; its Python numbers take wider dtypes.

    The body returns a pair of the next carry and anything.

    Raises:
        CarryTypeError: what the body returns as carry is not like the first one.
    """
    closed = close(body, [*map(type_of, given), *more])
    treedef = closed.treedef.child(0)
    if treedef != carry_tree:
        raise CarryTypeError(
            f"the body of {name} returns a carry of another structure: the first is "
            f"{carry_tree}, the body's is {treedef}"
        )
    found = closed.out_avals[: len(given)]
    widened = list(given)
    for position, (leaf, aval) in enumerate(zip(carry, found, strict=True)):
        own = type_of(given[position])
        if aval.numpy_dtype == own.numpy_dtype and aval.shape == own.shape:
            continue
        is_wider = np.can_cast(own.numpy_dtype, aval.numpy_dtype)
        if type(leaf) in PYTHON_NUMBERS and aval.shape == () and is_wider:
            widened[position] = aval.numpy_dtype.type(leaf)
            continue
        path = tree.paths(init)[position]
        raise CarryTypeError(
            f"the carry{path} of {name} changes its type: it starts as {own}, and the "
            f"body returns {aval}; give the first carry the shape and dtype that the "
            "body returns (np.zeros, astype)"
        )
    if any(new is not old for new, old in zip(widened, given, strict=True)):
        return close_loop(body, widened, widened, more, init, carry_tree, name)
    return closed, given


def run_scan(
    closed: Closed, carry: Sequence[Any], xs: Sequence[Any], length: int, reverse: bool
) -> list[Any]:
    """Bind a scan, with what does not change from step to step computed before it."""
    before, body = hoist(closed.program, len(closed.operands))
    operands = closed.operands
    if before is not None:
        operands = [*operands, *evaluate(before, operands)]
    outs = scan_(
        *operands,
        *carry,
        *xs,
        body=body,
        consts=len(operands),
        carry=len(carry),
        length=length,
        reverse=reverse,
        residuals=0,
    )
    return list(outs)


@remembered(1024)
def hoist(program: Program, count: int) -> tuple[Program | None, Program]:
    """Split off the equations that depend on the first ``count`` inputs only.

    The first program maps these inputs to the variables that the second takes in
    addition, after them.
    """
    fixed: set[Any] = set(program.ins[:count])
    before = []
    for eqn in program.eqns:
        variables = [atom for atom in eqn.ins if type(atom) is Var]
        is_fixed = variables and all(atom in fixed for atom in variables)
        if is_fixed and eqn.prim.name != "broadcast_to":
            before.append(eqn)
            fixed.update(eqn.outs)
    if not before:
        return None, program
    moved = set(map(id, before))
    after = [eqn for eqn in program.eqns if id(eqn) not in moved]
    read = {atom for eqn in after for atom in eqn.ins} | set(program.outs)
    crossing = [var for eqn in before for var in eqn.outs if var in read]
    ins = [*program.ins[:count], *crossing, *program.ins[count:]]
    first = dce(Program(program.ins[:count], before, crossing))
    return first, Program(ins, after, program.outs)
