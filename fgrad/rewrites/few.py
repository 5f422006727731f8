"""Reductions over a few elements: as many operations on slices.

NumPy's reductions over short axes cost a loop for each result.
"""

import itertools
import math
from typing import Any

from fgrad.ir import Atom, Eqn
from fgrad.rewrites.facts import Facts, Outcome, Rules, apply, finish

FEW = 4  # elements that are reduced to one
MANY = 1 << 11  # results from which it pays
_STEPS = {"sum": "add", "max": "maximum", "min": "minimum"}


def reduction_of_few(eqn: Eqn, facts: Facts) -> Outcome:
    """``max(x, axis=(1, 3))`` over axes of length two as ``maximum`` of four slices."""
    (x,) = eqn.ins
    aval, out = x.aval, eqn.outs[0].aval
    axis: tuple[int, ...] = dict(eqn.params)["axis"]
    count = math.prod(aval.shape[k] for k in axis)
    is_inner = bool(axis) and aval.ndim - 1 not in axis
    if not is_inner or not 1 < count <= FEW or out.size < MANY or not out.is_inexact:
        return None
    new: list[Eqn] = []
    total: Atom | None = None
    for place in itertools.product(*(range(aval.shape[k]) for k in axis)):
        at: list[Any] = [(None, None, None)] * aval.ndim
        for k, number in zip(axis, place, strict=True):
            at[k] = number
        part, reading = apply("index", (x,), eqn.site, at=tuple(at))
        new.append(reading)
        if total is None:
            total = part
        else:
            total, step = apply(_STEPS[eqn.prim.name], (total, part), eqn.site)
            new.append(step)
    return finish(new, eqn)


EXACT: Rules = {"max": (reduction_of_few,), "min": (reduction_of_few,)}
ROUNDING: Rules = {"sum": (reduction_of_few,)}
