"""Rules for axes of length one, and for indices that name a whole array."""

from collections.abc import Sequence

from fgrad.ir import Atom, Eqn, Lit
from fgrad.primitive import Primitive
from fgrad.rewrites.facts import (
    WHOLE,
    Facts,
    Outcome,
    Rules,
    apply,
    finish,
    keeps_type,
    renamed,
    reshaped,
)


def _is_whole(eqn: Eqn, shape: tuple[int, ...], arrays: Sequence[Atom]) -> bool:
    """Whether an index names each element once, in order, up to axes of length one."""
    params = dict(eqn.params)
    at = params["at"]
    if params.get("path"):
        return False
    operands = iter(arrays)
    axis = 0
    for number, entry in enumerate(at):
        if entry is None:
            continue
        if entry is Ellipsis:
            rest = at[number + 1 :]
            axis = len(shape) - sum(e is not None for e in rest)
            continue
        if type(entry) is str:
            operand = next(operands)
            entry = operand.value if type(operand) is Lit else None
        if type(entry) is tuple:
            if not _is_all(entry, shape[axis]):
                return False
        elif type(entry) is not int or shape[axis] != 1:
            return False
        axis += 1
    return True


def _is_all(bounds: tuple[int | None, ...], length: int) -> bool:
    if bounds == WHOLE:
        return True
    return slice(*bounds).indices(length) == (0, length, 1)


def whole_index(eqn: Eqn, facts: Facts) -> Outcome:
    """``x[:, None]`` and ``x[0]`` of a first axis of length one: a reshape."""
    x, *arrays = eqn.ins
    aval = eqn.outs[0].aval
    if not _is_whole(eqn, x.aval.shape, arrays):
        return None
    if x.aval is aval and aval.ndim:
        return x
    if not aval.ndim:
        return _number_in(x, aval, facts)
    _, new = apply("reshape", (x,), eqn.site, shape=aval.shape)
    return finish([new], eqn)


def _number_in(x: Atom, aval: object, facts: Facts) -> Outcome:
    """The number that was made an array, where it is a number and no array."""
    before = facts.source.get(x)
    if before is None or before.prim.name != "reshape":
        return None
    (number,) = before.ins
    made = facts.source.get(number)
    is_number = made is not None and made.prim.view_step is None
    is_number = is_number and made is not None and made.prim.name in NUMBERS
    return number if is_number and number.aval is aval else None


# primitives that give a NumPy scalar, and no array without axes
NUMBERS = ("sum", "max", "min", "add", "subtract", "multiply", "divide", "log", "exp")


def whole_scatter(eqn: Eqn, facts: Facts) -> Outcome:
    """A ``scatter`` that fills the whole array: its operand, in another shape."""
    v, *arrays = eqn.ins
    return _written_whole(eqn, v, arrays)


def whole_update(eqn: Eqn, facts: Facts) -> Outcome:
    """Overwriting a whole array: the value, in another shape."""
    _, v, *arrays = eqn.ins
    return _written_whole(eqn, v, arrays)


def _written_whole(eqn: Eqn, v: Atom, arrays: Sequence[Atom]) -> Outcome:
    """What an equation writes, shaped like the array, if it fills that."""
    aval = eqn.outs[0].aval
    if not aval.ndim or v.aval.size != aval.size or v.aval.dtype != aval.dtype:
        return None
    if not _is_whole(eqn, aval.shape, arrays):
        return None
    if v.aval is aval:
        return v
    _, new = apply("reshape", (v,), eqn.site, shape=aval.shape)
    return finish([new], eqn)


def whole_add(eqn: Eqn, facts: Facts) -> Outcome:
    """Adding to a whole array by an index: ``add``."""
    x, v, *arrays = eqn.ins
    aval = x.aval
    if not aval.ndim or v.aval.size not in (1, aval.size):
        return None
    if not _is_whole(eqn, aval.shape, arrays):
        return None
    eqns: list[Eqn] = []
    if v.aval.ndim:
        shape = aval.shape if v.aval.size == aval.size else ()
        v = reshaped(v, shape, eqns, eqn.site)
    add = Primitive.registry["add"]
    if not keeps_type(add, (x, v), (), aval):
        return None
    return [*eqns, Eqn(add, (x, v), (), eqn.outs, eqn.site)]


def transpose_of_transpose(eqn: Eqn, facts: Facts) -> Outcome:
    """Two transposes: one, or none."""
    before = facts.source.get(eqn.ins[0])
    if before is None or before.prim is not eqn.prim:
        return None
    inner, outer = dict(before.params)["axes"], dict(eqn.params)["axes"]
    axes = tuple(inner[axis] for axis in outer)
    if axes == tuple(range(len(axes))):
        return before.ins[0]
    return [Eqn(eqn.prim, before.ins, (("axes", axes),), eqn.outs, eqn.site)]


def scale_of_reshape(eqn: Eqn, facts: Facts) -> Outcome:
    """``2 * reshape(0.5 * x)``: the numbers meet before the reshape."""
    number, x = eqn.ins if type(eqn.ins[0]) is Lit else eqn.ins[::-1]
    move = facts.before(x, "reshape")
    if type(number) is not Lit or move is None:
        return None
    scale = facts.before(move.ins[0], "multiply", "divide", "negative")
    if scale is None or not (len(scale.ins) == 1 or _has_number(scale)):
        return None
    ins = (eqn.ins[0], move.ins[0]) if number is eqn.ins[0] else (move.ins[0], number)
    if eqn.prim.name == "divide" and ins[1] is not number:
        return None
    product, new = apply(eqn.prim.name, ins, eqn.site)
    if product.aval.dtype != eqn.outs[0].aval.dtype:
        return None
    return [new, Eqn(move.prim, (product,), move.params, eqn.outs, move.site)]


def _has_number(eqn: Eqn) -> bool:
    return any(type(atom) is Lit for atom in eqn.ins)


def reshape_of_number(eqn: Eqn, facts: Facts) -> Outcome:
    """``reshape(reshape(x) + 1)`` of a number x: ``x + 1``."""
    aval = eqn.outs[0].aval
    between = facts.before(eqn.ins[0], *NUMBERS)
    if aval.ndim or eqn.outs[0] in facts.outs or between is None:
        return None
    if not between.prim.elementwise:
        return None
    ins: list[Atom] = []
    for atom in between.ins:
        before = facts.source.get(atom)
        if type(atom) is Lit:
            ins.append(atom)
        elif before is not None and before.prim is eqn.prim:
            ins += before.ins
        else:
            return None
    if any(atom.aval.ndim for atom in ins):
        return None
    new = Eqn(between.prim, tuple(ins), between.params, eqn.outs, between.site)
    is_same = keeps_type(new.prim, new.ins, new.params, aval)
    return [renamed(new, eqn.outs)] if is_same else None


EXACT: Rules = {
    "index": (whole_index,),
    "scatter": (whole_scatter,),
    "index_update": (whole_update,),
    "index_add": (whole_add,),
    "transpose": (transpose_of_transpose,),
    "multiply": (scale_of_reshape,),
    "divide": (scale_of_reshape,),
    "reshape": (reshape_of_number,),
}
