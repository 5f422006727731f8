"""Which parameters are updated together, and in which memory.

A call of a ufunc takes longer than its work on a small array, so small parameters are
copied into one buffer, updated as one array, and copied back; their state lives in such
buffers for good. A large parameter is updated block by block, so that what is computed
on the way stays in the cache.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from weakref import getweakrefcount

import numpy as np

from fgrad.lower.blocks import WORK_FOR_THREADS
from fgrad.threads import run_parts, thread_count
from fgrad.torch.optim.rule import Rule, compiled
from fgrad.torch.storage import writing
from fgrad.torch.tensor import Array, Tensor, make, set_array

SMALL = 1 << 13  # elements up to which copying costs less than further calls
BLOCK = 1 << 15  # elements of a block
STEP = "step"  # the state's count of steps, where there is one


class Held(NamedTuple):
    """An entry of a parameter's state, with the array that it had."""

    name: str
    tensor: Tensor
    array: Array


class Member(NamedTuple):
    """A parameter with the array and the state that it had."""

    x: Tensor
    array: Array
    state: dict[str, Any] | None
    held: list[Held]


class Bundle:
    """A parameter, or several of one dtype that made equally many steps.

    Args:
        rule: the update.
        members: what is updated; the state of several is moved into common memory.
        goes_up: whether the step is along the gradient, not against it.
    """

    def __init__(self, rule: Rule, members: list[Member], goes_up: bool) -> None:
        self._members = members
        arrays = [member.array for member in members]
        dtype, size = arrays[0].dtype, sum(array.size for array in arrays)
        self._copies: list[tuple[Array, Array]] = []  # of parameters: from, to
        if len(members) == 1:
            self._x = arrays[0].reshape(-1)
            flat = [held.array.reshape(-1) for held in members[0].held]
        else:
            self._x, self._gradient = np.empty((2, size), dtype)
            self._copies = list(zip(_split(self._x, arrays), arrays, strict=True))
            flat = [_joined(members, k) for k in range(len(members[0].held))]
        steps = flat[len(rule.state) :]  # one array, or none
        self._steps = [(array, array.dtype.type(1)) for array in steps]
        self._tensors = [member.x for member in members]
        self._tensors += [held.tensor for member in members for held in member.held]
        kernel = compiled(rule, dtype, goes_up)
        self._update = kernel.run
        self._numbers = np.zeros(len(rule.numbers._fields), dtype)
        common = [self._numbers[k, ...] for k in range(len(self._numbers))]
        starts = range(0, size, BLOCK)
        is_shared = size * kernel.operations >= WORK_FOR_THREADS
        self._threads = min(thread_count(), len(starts)) if is_shared else 1
        share = -(-len(starts) // self._threads)  # pieces of a thread: see run_parts
        blocks = np.empty((self._threads, kernel.blocks, min(BLOCK, size)), dtype)
        self._pieces = []
        for number, start in enumerate(starts):
            part = slice(start, start + BLOCK)
            x, *state = (array[part] for array in (self._x, *flat[: len(rule.state)]))
            own = [block[: x.size] for block in blocks[number // share]]
            self._pieces.append((part, x, [*state, *common, *own]))

    @property
    def params(self) -> list[Tensor]:
        """The parameters."""
        return [member.x for member in self._members]

    def run(self, optimizer: Any, group: dict[str, Any]) -> bool:
        """Make a step; whether all was as it was when the bundle was made.

        If not, nothing has changed.
        """
        gradients = self._gradients_of(optimizer.state)
        if gradients is None or not gradients:
            return gradients is not None
        counts = [count for steps, _ in self._steps for count in steps.tolist()]
        if counts and counts.count(counts[0]) != len(counts):
            return False
        for tensor in self._tensors:
            storage = tensor._storage
            if storage.memory is not None:
                writing(tensor)
            if storage.views or storage.written_at is not None:
                storage.changed()
            else:
                storage.version += 1
        for steps, one in self._steps:
            np.add(steps, one, steps)
        count = int(counts[0]) + 1 if counts else 0
        self._numbers[:] = optimizer.numbers(group, count)
        if self._copies:
            gradient = np.concatenate(gradients, None, self._gradient)
            np.concatenate([array for _, array in self._copies], None, self._x)
        else:
            gradient = gradients[0].reshape(-1)

        def update(first: int, last: int) -> None:
            for part, x, operands in self._pieces[first:last]:
                self._update(x, gradient[part], *operands)

        if self._threads > 1:
            run_parts(update, len(self._pieces), 1)
        else:
            update(0, len(self._pieces))
        for x, array in self._copies:
            array[...] = x
        return True

    def _gradients_of(self, states: dict[Any, Any]) -> list[Array] | None:
        """The gradients, none if there are none; None where anything else is there."""
        found: list[Array] = []
        for x, array, state, held in self._members:
            if x._array is not array or states.get(x) is not state:
                return None
            for name, tensor, known in held:
                if state.get(name) is not tensor or tensor._array is not known:  # type: ignore[union-attr] # what is held is in a state
                    return None
            gradient = x._grad
            if gradient is not None:
                if gradient._array.dtype is not array.dtype:
                    return None
                found.append(gradient._array)
        return found if len(found) in (0, len(self._members)) else None


def bundles_of(
    rule: Rule,
    params: Sequence[Tensor],
    states: dict[Any, Any],
    with_step: bool,
    goes_up: bool,
) -> tuple[list[Bundle], list[Tensor]]:
    """Bundles of the parameters that have gradients, and parameters that are left.

    Args:
        rule: the update.
        params: the parameters.
        states: the state of each parameter.
        with_step: whether the state counts steps.
        goes_up: whether steps are along the gradient, not against it.
    """
    names = (*rule.state, STEP) if with_step else rule.state
    alike: dict[Any, list[Member]] = {}
    rest = []
    for number, x in enumerate(params):
        member = None if x._grad is None else _member(x, names, states.get(x))
        if member is None:
            rest.append(x)
            continue
        is_small = member.array.size <= SMALL and all(map(_is_alone, member.held))
        step = member.held[-1].array.item() if with_step else 0
        dtypes = [member.array.dtype, *(held.array.dtype for held in member.held)]
        key = (step, *dtypes) if is_small else number
        alike.setdefault(key, []).append(member)
    if _overlap([member for members in alike.values() for member in members]):
        return [], list(params)
    return [Bundle(rule, members, goes_up) for members in alike.values()], rest


def _member(x: Tensor, names: Sequence[str], state: Any) -> Member | None:
    """What is known of a parameter, if its arrays are as most are."""
    held = []
    for name in names:
        tensor = None if state is None else state.get(name)
        if not isinstance(tensor, Tensor) or type(tensor._array) is not np.ndarray:
            return None
        if not tensor._array.flags.carray:
            return None
        array = tensor._array
        expected = (1, array.dtype) if name == STEP else (x._array.size, x._array.dtype)
        if (array.size, array.dtype) != expected:
            return None
        held.append(Held(name, tensor, array))
    if type(x._array) is not np.ndarray:  # inside a transform
        return None
    is_usual = x._array.dtype.kind == "f" and x._array.flags.carray and x._array.size
    return Member(x, x._array, state, held) if is_usual else None


def _overlap(members: list[Member]) -> bool:
    """Whether parameters share memory: then their order matters."""
    ends = sorted(
        (start, start + member.array.nbytes)
        for member in members
        for start in [member.array.__array_interface__["data"][0]]
    )
    return any(after[0] < before[1] for before, after in pairwise(ends))


def _split(flat: Array, arrays: Sequence[Array]) -> Iterator[Array]:
    """Consecutive parts of a flat array, in the shapes of others."""
    start = 0
    for array in arrays:
        yield flat[start : start + array.size].reshape(array.shape)
        start += array.size


def _joined(members: list[Member], position: int) -> Array:
    """One flat array for the same entry of all states, which are moved there."""
    entries = [member.held[position] for member in members]
    flat = np.concatenate([held.array.reshape(-1) for held in entries])
    parts = _split(flat, [held.array for held in entries])
    for member, held, part in zip(members, entries, parts, strict=True):
        set_array(held.tensor, part)
        member.held[position] = held._replace(array=part)
    return flat


def _references(held: Held) -> int:
    return sys.getrefcount(held.array)


def _is_alone(held: Held) -> bool:
    """Whether nobody else sees the memory of a tensor, so that it may be moved."""
    is_owner = held.array.base is None and not getweakrefcount(held.array)
    return is_owner and _references(held) == _ALONE


def _references_of_one() -> int:
    """The references to an array that only its tensor knows, and what holds it here.

    0 where threads run without the interpreter's lock: there they say nothing.
    """
    tensor = make(np.zeros(1))
    is_locked = getattr(sys, "_is_gil_enabled", lambda: True)
    return _references(Held("", tensor, tensor._array)) if is_locked() else 0


_ALONE = _references_of_one()
