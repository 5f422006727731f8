"""Rules for slots of an array that are filled one after the other.

The gradient of an array that is read in parts is such an array. The parts are slices,
or numbers of elements, that have nothing in common. Where one element of each row was
read, as a loss of classes does, sums over rows are known.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ir import Atom, Eqn
from fgrad.rewrites.facts import Facts, Outcome, Rules, apply, finish

SLOTS = 16  # that are filled before another one is looked at
JOINED = 1 << 16  # elements up to which joining parts costs less than writing to slots
_FILLING = ("scatter", "index_update", "index_add")

At = tuple[Any, ...]
Filled = list[tuple[At, Atom]]


def add_beside(eqn: Eqn, facts: Facts) -> Outcome:
    """Adding to a slot of zeros beside others that were filled: writing to it.

    Where all slots are filled then, joining what they are filled with.
    """
    aval = eqn.outs[0].aval
    last = _filled_by(eqn, 2)
    if last is None or eqn.ins[1].aval.dtype != aval.dtype:
        return None
    filled = [last]
    before = facts.before(eqn.ins[0], *_FILLING)
    for _ in range(SLOTS):
        if before is None:
            return None
        is_first = before.prim.name == "scatter"
        slot = _filled_by(before, 1 if is_first else 2)
        if slot is None or not _is_apart(last[0], slot[0], aval.shape):
            return None
        filled.append(slot)
        if is_first:
            return _joined(eqn, filled) or _updated(eqn, last[0])
        before = facts.before(before.ins[0], *_FILLING)
    return None


def _filled_by(eqn: Eqn, count: int) -> tuple[At, Atom] | None:
    """The slot that an equation with so many operands fills, and with what."""
    params = dict(eqn.params)
    at: At = params["at"]
    if len(eqn.ins) != count or params.get("path"):
        return None
    is_plain = all(type(e) is int or _is_upward(e) for e in at)
    return (at, eqn.ins[count - 1]) if is_plain else None


def _is_upward(entry: Any) -> bool:
    """Whether an entry of an index is a slice without a negative step."""
    return type(entry) is tuple and (entry[2] is None or entry[2] > 0)


def _updated(eqn: Eqn, at: At) -> Outcome:
    _, new = apply("index_update", eqn.ins, eqn.site, at=at)
    return finish([new], eqn)


def _joined(eqn: Eqn, filled: Filled) -> Outcome:
    """The parts along an axis that make up the whole array."""
    aval = eqn.outs[0].aval
    if aval.size > JOINED:
        return None
    for axis in range(aval.ndim):
        places = [
            _places(at[axis], aval.shape[axis]) for at, _ in filled if axis < len(at)
        ]
        if len(places) < len(filled) or any(part.step > 1 for part in places):
            continue
        order = sorted(range(len(places)), key=lambda k: places[k].start)
        parts = [places[k] for k in order]
        ends = [0, *(part.stop for part in parts)]
        starts = [*(part.start for part in parts), aval.shape[axis]]
        if ends != starts:
            continue
        values = tuple(filled[k][1] for k in order)
        shapes = [
            (*aval.shape[:axis], len(part), *aval.shape[axis + 1 :]) for part in parts
        ]
        if [value.aval.shape for value in values] != shapes:
            return None
        _, new = apply("concatenate", values, eqn.site, axis=axis)
        return finish([new], eqn)
    return None


def _is_apart(one: At, other: At, shape: Sequence[int]) -> bool:
    """Whether two slots have no element in common."""
    for length, a, b in zip(shape, one, other, strict=False):
        p, q = _places(a, length), _places(b, length)
        if not p or not q or p[-1] < q[0] or q[-1] < p[0]:
            return True
        if p.step == q.step and (p.start - q.start) % p.step:
            return True
    return False


def _places(entry: Any, length: int) -> range:
    """What an entry of an index selects."""
    if type(entry) is int:
        place = entry % length
        return range(place, place + 1)
    return range(*slice(*entry).indices(length))


def sum_of_scattered(eqn: Eqn, facts: Facts) -> Outcome:
    """The sum over the rows of a ``scatter`` to one element of each: what it scatters,
    where another index by the same arrays stays, which raises where they are out of
    range.
    """
    scattered = facts.before(eqn.ins[0], "scatter")
    if scattered is None or len(scattered.ins) != 3:
        return None
    x, *arrays = scattered.ins
    params = dict(scattered.params)
    rows = facts.values.get(arrays[0])
    is_last = dict(eqn.params)["axis"] == (1,) and eqn.ins[0].aval.ndim == 2
    if not is_last or params["at"] != ("$", "$") or params.get("path"):
        return None
    if x.aval is not eqn.outs[0].aval or arrays[1].aval.shape != x.aval.shape:
        return None
    if type(rows) is not np.ndarray or not np.array_equal(rows, np.arange(x.aval.size)):
        return None
    shape = eqn.ins[0].aval.shape
    is_read = any(_reads(other, arrays, shape) for other in facts.eqns)
    return x if is_read else None


def _reads(eqn: Eqn, arrays: Sequence[Atom], shape: Sequence[int]) -> bool:
    """Whether an equation takes these arrays as indices of an array of this shape."""
    if eqn.prim.name not in ("index", "index_add") or eqn.ins[0].aval.shape != shape:
        return False
    return list(eqn.ins[-len(arrays) :]) == list(arrays)


EXACT: Rules = {"index_add": (add_beside,), "sum": (sum_of_scattered,)}
