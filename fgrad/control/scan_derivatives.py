"""The derivatives of ``scan``: scans whose bodies are derived from its body."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fgrad.caches import remembered
from fgrad.control.derivatives import active_inputs
from fgrad.ir import Atom, Aval, Eqn, Lit, Program, Var
from fgrad.ops.structure import full
from fgrad.passes import dce, reads_of
from fgrad.transforms.jvp import Flags, forward
from fgrad.transforms.vjp import dependents, reverse, with_residuals


def groups(items: Sequence[Any], consts: int, carry: int) -> tuple[Any, Any, Any]:
    """What belongs to the closed-over values, to the carry, to the slices."""
    return items[:consts], items[consts : consts + carry], items[consts + carry :]


@remembered(1024)
def varying_carry(
    body: Program, consts: int, carry: int, active: Flags
) -> tuple[Flags, Flags]:
    """The active inputs of the body, and which of its outputs vary with them."""
    flags = list(active)
    while True:
        varying = dependents(body, active_inputs(body, tuple(flags)))
        outs = tuple(atom in varying for atom in body.outs)
        more = [a or b for a, b in zip(flags[consts : consts + carry], outs)]
        if more == flags[consts : consts + carry]:
            return tuple(flags), outs
        flags[consts : consts + carry] = more


def _is_cheap(eqn: Eqn) -> bool:
    return len(eqn.outs) == 1 and (eqn.prim.elementwise or eqn.prim.moves)


@remembered(1024)
def body_with_residuals(
    body: Program, consts: int, carry: int, active: Flags
) -> tuple[Program, int]:
    """The body with what its derivatives read as further outputs, and their number."""
    flags, seeded = varying_carry(body, consts, carry, active)
    wrt = active_inputs(body, flags)
    body = with_residuals(body, wrt)
    wanted = reads_of(forward(body, wrt)[0])
    wanted |= reads_of(reverse(body, wrt, seeded)[0])
    outs_of_carry = dict(zip(body.outs[:carry], body.ins[consts:], strict=False))
    carry_in = body.ins[consts : consts + carry]
    after = [out for out in _bound(body) if out in wanted and out in outs_of_carry]
    kept: set[Var] = set()
    while True:
        read, whole = _costly(body, wanted, set(carry_in) - kept)
        stacked = [v for v in read if v not in outs_of_carry]
        needed = _needed(body, wanted, {*stacked, *after})
        carried = [v for v in carry_in if v in needed]
        if kept.issuperset(whole) and kept.issuperset(carried):
            break
        kept.update(whole, carried)
    stacked += [out for out in after if outs_of_carry[out] not in carried]
    order = {var: k for k, var in enumerate([*body.ins, *_bound(body)])}
    residuals = sorted({*carried, *stacked}, key=order.__getitem__)
    outs = [*body.outs, *residuals]
    return Program(body.ins, body.eqns, outs), len(residuals)


def _costly(
    body: Program, wanted: set[Atom], carry: set[Var]
) -> tuple[list[Var], set[Var]]:
    """The wanted variables that are not cheap to compute of inputs and each other.

    A part of a ``carry`` counts as costly, so that a loop that reads one element in
    each step stacks elements and not buffers. Also the carries whose parts are as large
    as themselves.
    """
    known: set[Atom] = set(body.ins)
    source: dict[Atom, Var] = {var: var for var in carry}
    parts: Counter[Var] = Counter()
    costly: list[Var] = []
    for eqn in body.eqns:
        if not eqn.outs:
            continue
        root = next((source[atom] for atom in eqn.ins if atom in source), None)
        size = eqn.outs[0].aval.size
        is_part = eqn.prim.moves and size < eqn.ins[0].aval.size and root is not None
        if is_part and root is not None:
            parts[root] += size
        elif _is_cheap(eqn) and all(type(a) is Lit or a in known for a in eqn.ins):
            known.update(eqn.outs)
            if root is not None:
                source[eqn.outs[0]] = root
            continue
        read = [var for var in eqn.outs if var in wanted]
        costly += read
        known.update(read)
    return costly, {root for root, size in parts.items() if size >= root.aval.size}


def _bound(body: Program) -> list[Var]:
    return [var for eqn in body.eqns for var in eqn.outs]


def _needed(body: Program, wanted: set[Atom], given: set[Any]) -> set[Atom]:
    """The variables that are read where ``wanted`` ones that are not given are
    computed anew.
    """
    needed = set(wanted)
    for eqn in reversed(body.eqns):
        if any(var in needed and var not in given for var in eqn.outs):
            needed.update(eqn.ins)
    return needed


@dataclass(frozen=True)
class _Steps:
    """The pieces of a body from which those of its derivatives are made.

    Attributes:
        inner: the body without its residual outputs.
        residuals: the variables that are stacked.
        shifted: for carries whose value after a step the derivatives read, and before
            it is stacked: output variable -> position in the carry.
    """

    inner: Program
    residuals: tuple[Var, ...]
    shifted: dict[Atom, int]

    def read(self, linear: Program) -> tuple[list[Eqn], set[Atom]]:
        """The equations that compute anew what a derivative reads, and all reads."""
        given = {*self.residuals, *self.shifted}
        needed = _needed(self.inner, reads_of(linear), given)
        eqns = [
            eqn
            for eqn in self.inner.eqns
            if any(var in needed and var not in given for var in eqn.outs)
        ]
        return eqns, needed


def _steps(body: Program, consts: int, carry: int, residuals: int) -> _Steps:
    count = len(body.outs) - residuals
    stacked = body.outs[count:]
    inner = Program(body.ins, body.eqns, body.outs[:count])
    shifted: dict[Atom, int] = {}
    for position, out in enumerate(inner.outs[:carry]):
        before = body.ins[consts + position]
        if before in stacked and out not in stacked and out not in body.ins:
            shifted[out] = position
    return _Steps(inner, stacked, shifted)  # type: ignore[arg-type] # residuals are variables


@dataclass(frozen=True)
class Derived:
    """A scan that computes a derivative; positions tell what its operands are.

    Attributes:
        body: its body.
        closed: operands of the original that it closes over, by position.
        values: arrays that its rules close over.
        slices: positions of the original's slices that it reads.
        residuals: which stacked residuals it reads.
        shifted: which carries it reads after each step.
        carried: which of the active inputs (for tangents: carries) its carry is for.
        given: flags, for the outputs that are returned.
    """

    body: Program
    closed: tuple[int, ...]
    values: tuple[Any, ...]
    slices: tuple[int, ...]
    residuals: tuple[int, ...]
    shifted: tuple[int, ...]
    carried: tuple[int, ...]
    given: Flags


def positions_in(items: Sequence[Any], needed: Any) -> tuple[int, ...]:
    """The positions of the items that are needed."""
    return tuple(k for k, item in enumerate(items) if item in needed)


def zeros_like(aval: Aval) -> Eqn:
    """The equation that makes zeros of a type."""
    params = {"shape": aval.shape, "dtype": aval.numpy_dtype.name, "value": 0}
    return Eqn(full, (), tuple(params.items()), (Var(aval),))


@remembered(1024)
def tangent_scan(
    body: Program, consts: int, carry: int, residuals: int, active: Flags
) -> Derived:
    """The scan that pushes tangents forward.

    It closes over what it reads and the tangents of active ``consts``; it carries the
    tangents of the carry; its slices are those it reads, residuals, carries after the
    step, and the tangents of active slices.
    """
    steps = _steps(body, consts, carry, residuals)
    inner = steps.inner
    flags, _ = varying_carry(inner, consts, carry, active)
    wrt = active_inputs(inner, flags)
    linear, varying = forward(inner, wrt)
    seeds = dict(zip(wrt, linear.ins[len(linear.ins) - len(wrt) :], strict=True))
    results = iter(linear.outs)
    outs = [next(results) if varies else None for varies in varying]
    pieces = _Pieces(steps, linear, groups(inner.ins, consts, carry))
    _, carry_in, xs_in = pieces.inputs
    moving = positions_in(carry_in, seeds)
    new_carry = [pieces.or_zeros(outs[k], carry_in[k]) for k in moving]
    stacks = [out for out in outs[carry:] if out is not None]
    shifted = pieces.shifted
    program = pieces.program(
        [seeds[v] for v in active_inputs(inner, flags) if v in pieces.inputs[0]],
        [seeds[carry_in[k]] for k in moving],
        [*shifted, *(seeds[v] for v in xs_in if v in seeds)],
        [*new_carry, *stacks],
    )
    return pieces.derived(program, moving, varying)


@remembered(1024)
def pullback_scan(
    body: Program,
    consts: int,
    carry: int,
    residuals: int,
    active: Flags,
    present: Flags,
) -> Derived:
    """The scan that pulls cotangents back, from the last step to the first.

    It carries sums of the cotangents of active ``consts``, the cotangents of the
    carry, and carries after the step; its slices are those it reads, residuals, and the
    cotangents of stacked outputs that are present.
    """
    steps = _steps(body, consts, carry, residuals)
    inner = steps.inner
    flags, varying = varying_carry(inner, consts, carry, active)
    wrt = active_inputs(inner, flags)
    closed_in, carry_in, xs_in = groups(inner.ins, consts, carry)
    moving = positions_in(carry_in, set(wrt))
    seeded = (
        *(k in moving for k in range(carry)),
        *(p and v for p, v in zip(present[carry:], varying[carry:], strict=False)),
    )
    sums = {v: Var(v.aval) for v in closed_in if v in wrt}
    linear, given = reverse(inner, wrt, seeded, initial=tuple(sums.items()))
    seeds = list(linear.ins[len(linear.ins) - sum(seeded) :])
    results = iter(linear.outs)
    cts = {v: next(results) if g else None for v, g in zip(wrt, given, strict=True)}
    summed = [v for v in sums if cts[v] is not sums[v]]
    pieces = _Pieces(steps, linear, (closed_in, carry_in, xs_in))
    new_carry = [pieces.or_zeros(cts[carry_in[k]], carry_in[k]) for k in moving]
    shifted = pieces.shifted
    before = [carry_in[position] for position in shifted.values()]
    pieces.needed.update(before)  # what is carried on is read
    xs_cts = [cts[v] for v in xs_in if v in cts and cts[v] is not None]
    count = len(moving)
    program = pieces.program(
        [],
        [*(sums[v] for v in summed), *seeds[:count], *shifted],
        seeds[count:],
        [*(cts[v] for v in summed), *new_carry, *before, *xs_cts],
    )
    wanted = [v for v, flag in zip(inner.ins, active, strict=True) if flag]
    kept = tuple(
        (v in summed) if v in sums else (v in carry_in or cts[v] is not None)
        for v in wanted
    )
    return pieces.derived(program, moving, kept)


class _Pieces:
    """What the body of a derivative is put together from."""

    def __init__(self, steps: _Steps, linear: Program, inputs: Any) -> None:
        self.steps = steps
        self.linear = linear
        self.inputs = inputs
        self.eqns, self.needed = steps.read(linear)
        self.zeros: list[Eqn] = []
        self.shifted = {v: k for v, k in steps.shifted.items() if v in self.needed}

    def or_zeros(self, out: Atom | None, like: Var) -> Atom:
        if out is not None:
            return out
        self.zeros.append(zeros_like(like.aval))
        return self.zeros[-1].outs[0]

    def program(
        self, consts: list[Any], carry: list[Any], xs: list[Any], outs: list[Any]
    ) -> Program:
        """The body, with what it reads of the original among its inputs."""
        closed_in, _, xs_in = self.inputs
        ins = [
            *self.linear.consts,
            *(v for v in closed_in if v in self.needed),
            *consts,
            *carry,
            *(v for v in xs_in if v in self.needed),
            *(v for v in self.steps.residuals if v in self.needed),
            *xs,
        ]
        return dce(Program(ins, [*self.eqns, *self.linear.eqns, *self.zeros], outs))

    def derived(
        self, program: Program, carried: tuple[int, ...], given: Flags
    ) -> Derived:
        closed_in, _, xs_in = self.inputs
        return Derived(
            program,
            positions_in(closed_in, self.needed),
            self.linear.values,
            positions_in(xs_in, self.needed),
            positions_in(self.steps.residuals, self.needed),
            tuple(self.shifted.values()),
            carried,
            given,
        )
