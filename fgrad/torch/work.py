"""How much work operations are, roughly: what is worth to be computed together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fgrad.ir import Aval
from fgrad.record import nodes_to

if TYPE_CHECKING:
    from fgrad.path import Path
    from fgrad.primitive import Primitive
    from fgrad.torch.steps import Structure

OVERHEAD = 1000  # elements that could be added in the time that a call of NumPy takes


def work_of(path: Path) -> float:
    """The multiplications and additions of a structure, with an overhead for each call.

    >>> from fgrad.torch.steps import STEPS
    >>> STEPS.root.work
    0.0
    """
    avals: list[Aval] = []
    work = 0.0
    for node in nodes_to(path):
        if node.prim is not None:
            sizes = [x.size for x in node.avals]
            sizes += [
                avals[code].size if type(code) is int else code.size
                for code in node.codes
            ]
            work += OVERHEAD
            # (n, k) times (k, m) are n k m multiplications
            is_product = _is_product(node.prim, len(node.codes))
            work += math.sqrt(math.prod(sizes)) if is_product else sum(sizes)
        avals += node.avals
    return work


def _is_product(prim: Primitive, count: int) -> bool:
    """Whether it sums products of its operands: linear in each of several."""
    if prim.elementwise or prim.linear is None:
        return False
    return len(prim.linear_groups(count)) > 1


def is_much_more(
    structure: Structure, part: Iterable[int], whole: Iterable[int]
) -> bool:
    """Whether some steps are less than half the work of others which contain them."""
    steps = structure.steps
    own = sum([steps[k].work for k in part])
    return 2 * own < sum([steps[k].work for k in whole])
