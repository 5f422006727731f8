"""The quickest way to an operation that was recorded at the same place before.

For the call that followed a step the last time a function is written: straight-line
checks that the operands are of the same kinds, then what `Run.enter` and `Run.add` do
with such operands. It gives None, and has changed nothing, where anything is different.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fgrad.lower.source import execute
from fgrad.lower.statements import Globals
from fgrad.torch.devices import CPU
from fgrad.torch.tensor import Tensor

if TYPE_CHECKING:
    from fgrad.torch.runs import Run
    from fgrad.torch.steps import Step

Follower = Callable[["Run", tuple[Any, ...]], Any]


class Kind(NamedTuple):
    """What an operand is to a run.

    Attributes:
        known: the names of what is known of it, besides its class.
        check: lines that return where something is different.
        enter: lines that add it to the run.
    """

    known: tuple[str, ...]
    check: str
    enter: str


RESULT = Kind(
    ("number",),
    """\
        place = x_._place
        if place is None or place[0] is not run or place[1] != number_:
            return None
""",
    "",
)

ENTERING = Kind(
    ("aval", "requires", "strides", "number"),
    """\
        if x_._aval is not aval_ or x_._requires is not requires_:
            return None
        place = x_._place
        if x_._pending or (place is not None and place[0] is run):
            return None
        storage = x_._storage
        memory_ = storage.memory or storage.remember()
        if memory_.is_given or memory_.windows or storage.is_inference:
            return None
        array_ = x_._array
        if type(array_) is not ndarray or x_._device is not CPU:
            return None
        if array_.strides != strides_:
            return None
        node = x_._node  # that of a result of another run is made now
""",
    """\
        readers = memory_.readers
        if not readers:
            readers.append(run)
        elif readers[-1] is not run:
            memory_.add_reader(run)
        x_._place = (run, number_, None)
        run.inputs.append(x_)
        run.values.append(array_)
""",
)

NUMBER = Kind(
    (),
    "",
    """\
        run.inputs.append(x_)
        run.values.append(x_)
""",
)

FIXED = Kind(
    ("value",),
    """\
        if x_ is not value_ and (class_ not in PLAIN or x_ != value_):
            return None
""",
    "",
)

CLASS = """\
        if type(x_) is not class_:
            return None
"""

ADD = """\
        run.step = step
        run.count = count
        result = new(Tensor)
        result._place = (run, first, step)
        result._aval = aval
        result._requires = is_required
        result._pending = True
        tensors = run.tensors
        tensors.append(result)
        if len(tensors) > run.limit:
            run.tidy()
        return result
"""

ADD_OTHER = """\
        return run.add(step)
"""

_SCOPE = {
    "CPU": CPU,
    "PLAIN": frozenset((int, bool, str)),  # equal ones of one class are the same
    "Tensor": Tensor,
    "ndarray": np.ndarray,
    "new": Tensor.__new__,
}
_OF_STEP = ("step", "first", "count", "aval", "is_required")


@functools.cache
def _maker(
    kinds: tuple[Kind, ...], order: tuple[int, ...], add: str
) -> Callable[..., Follower]:
    """What makes followers of calls with operands of some kinds.

    Args:
        kinds: those of the operands.
        order: the positions of operands that enter, in order.
        add: the lines that add the step.
    """
    places = range(len(kinds))
    names = [f"{name}{k}" for k in places for name in ("class", *kinds[k].known)]
    tensors = [k for k in order if kinds[k] is ENTERING]
    lines = [_numbered(CLASS + kinds[k].check, k) for k in places]
    lines += [
        f"        if x{k} is x{other}:\n            return None\n"
        for k, other in combinations(tensors, 2)
    ]
    lines += [_numbered(kinds[k].enter, k) for k in order]
    source = [
        f"def make({', '.join((*_OF_STEP, *names))}):",
        "    def follow(run, args):",
        f"        if len(args) != {len(kinds)}:",
        "            return None",
        f"        {''.join(f'x{k}, ' for k in places)}= args",
        *"".join([*lines, add]).splitlines(),
        "    return follow",
    ]
    known = Globals()
    known.values |= _SCOPE
    return execute(source, known, "make")


def _numbered(lines: str, k: int) -> str:
    """Lines about the operand at a position: its names end with that."""
    return re.sub(r"_\b", str(k), lines)


def follower(
    run: Run, step: Step, args: tuple[Any, ...], order: Sequence[int]
) -> Follower | None:
    """A function of a run and of arguments like these, which gives the next result.

    Args:
        run: the arguments are part of it, as operands of its last step.
        step: that step.
        args: those of the call that led there.
        order: the positions of those that entered with it, in order.

    Returns:
        None where such calls have no quick way.
    """
    tensors = [x for x in args if isinstance(x, Tensor)]
    if any(x._place is None or x._place[0] is not run for x in tensors):
        return None  # it was copied, since NumPy sees it
    entering = {id(args[k]) for k in order if isinstance(args[k], Tensor)}
    is_twice = len([x for x in tensors if id(x) in entering]) > len(entering)
    if is_twice or (entering and run.where is not CPU):
        return None
    kinds: list[Kind] = []
    known: list[Any] = []
    for k, x in enumerate(args):
        kind = _kind_of(x, k in order)
        kinds.append(kind)
        known.append(type(x))
        if kind is ENTERING:
            known += [x._aval, x._requires, x._array.strides]
        if kind is RESULT or kind is ENTERING:
            known.append(x._place[1])
        elif kind is FIXED:
            known.append(x)
    is_usual = step.aval is not None and not step.is_full and run.where is CPU
    make = _maker(tuple(kinds), tuple(order), ADD if is_usual else ADD_OTHER)
    return make(step, step.first, step.count, step.aval, step.is_required, *known)


def _kind_of(x: Any, enters: bool) -> Kind:
    if isinstance(x, Tensor):
        return ENTERING if enters else RESULT
    return NUMBER if enters else FIXED
