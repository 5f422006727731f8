"""Computing a run: by a compiled program, or operation by operation.

Structures that are met often are compiled; what is met for the first time or two runs
as the operations would have run one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrad.sites import user_place
from fgrad.torch.accumulation import accumulate_all
from fgrad.torch.compiling import Forward, Gradient, Program, View
from fgrad.torch.complaints import freed
from fgrad.torch.devices import CPU
from fgrad.torch.graph import record
from fgrad.torch.memory import unlocked
from fgrad.torch.ordering import give_serial
from fgrad.torch.pending import part_of
from fgrad.torch.performing import perform
from fgrad.torch.steps import Structure, arguments
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.views import kind_of, make_view

if TYPE_CHECKING:
    from fgrad.torch.runs import Run

PATIENCE = 1  # so often a structure is computed without a program of its own
_REPLAYED: Any = object()  # in place of a program that cannot be compiled


def _program(
    known: dict[Any, Any], key: Any, run: Run, make_program: Any, patience: int
) -> Any:
    """A compiled program of a run; None if it is to be replayed."""
    found = known.get(key, 0)
    if type(found) is int:
        if found < patience and run.where is CPU:
            known[key] = found + 1
            return None
        program = make_program()
        found = known[key] = program if program.build(run.values) else _REPLAYED
    return None if found is _REPLAYED else found


def needed(run: Run, alive: list[Tensor], wanted: Tensor) -> list[Tensor]:
    """The pending results that are computed where a value is asked for.

    All, unless the others are far more work and read nothing of what is computed that
    somebody holds; then those on the way to it. What is left is computed together when
    another value is asked for: what both need is computed twice, and not more often.
    """
    if run.opened is not None and run.opened.is_computed:
        return alive
    number = wanted._place[1]
    structure = run.step.structure
    others = tuple([x._place[1] for x in alive if x is not wanted])
    if not others or not structure.is_apart(number, others):
        return alive
    numbers = structure.reach((number,)).numbers
    mine = [x for x in alive if x._place[1] in numbers]
    rest = tuple([x._place[1] for x in alive if x._place[1] not in numbers])
    read = structure.reach(rest).numbers
    if any(x._place[1] in read for x in mine):
        return alive  # what reads these saves their memory, or is a view of it
    return mine


def evaluate(run: Run, alive: list[Tensor], every: list[Tensor]) -> list[Tensor]:
    """Compute pending results, and keep what a later `backward` needs.

    Returns:
        Those that are pending still: of ``every``, if the structure is compiled.
    """
    structure = run.step.structure
    numbers = tuple([tensor._place[1] for tensor in alive])
    ends = run.step.ends
    is_second = run.opened is not None and run.opened.is_computed
    patience = 0 if is_second else PATIENCE
    make_program = partial(Forward, structure, numbers)
    program = _program(ends, numbers, run, make_program, patience)
    if program is None:
        replay(run, every)
        return []
    outs, residuals = program(run.values)
    tensors = {tensor._place[1]: tensor for tensor in alive}
    _fill(run, program, tensors, outs)
    run.is_compiled = True
    run.open().add(run, program, residuals, tensors)
    return [tensor for tensor in every if tensor._pending]


def _fill(
    run: Run, program: Program, tensors: dict[int, Tensor], arrays: Sequence[Any]
) -> None:
    """Give pending tensors their values."""
    computed, views, _ = program.results
    hold = run.hold
    for number, array in zip(computed, program.laid_out(arrays), strict=True):
        tensor = tensors.get(number)
        if tensor is None:  # only views of it are held
            tensor = tensors[number] = _result(run, number)
        hold(tensor, array)
    for view in views:
        _fill_view(run, view, tensors)


def _result(run: Run, number: int) -> Tensor:
    """A pending result of a run."""
    structure = run.step.structure
    return part_of(run, structure.steps[structure.maker[number]], number)


def _fill_view(run: Run, view: View, tensors: dict[int, Tensor]) -> None:
    """Give a pending view its values: the memory of its base."""
    structure = run.step.structure
    position = structure.position.get(view.base)
    base = tensors[view.base] if position is None else run.inputs[position]
    known = zip(structure.sources, run.values, strict=True)
    env = {source.number: value for source, value in known}
    env[view.base] = base._array
    structure.run(view.steps, env)
    _become_view(tensors[view.number], base, env[view.number], structure, view)


def _become_view(
    tensor: Tensor, base: Tensor, array: Any, structure: Structure, view: View
) -> None:
    """Give a pending tensor its values, as a view of another if they share memory."""
    tensor._array = array
    tensor._pending = False
    if array.size and not np.may_share_memory(array, base._array):
        return
    tensor._array = unlocked(array, base._array)
    tensor._storage = base._storage
    steps = [structure.steps[k] for k in view.steps]
    numbers: list[Any] = [*(step.operands[0] for step in steps[1:]), view.number]
    chain: tuple[Any, ...] = tuple(
        (step.function, number - step.first if step.is_tuple else None)
        for step, number in zip(steps, numbers, strict=True)
    )
    kinds = [kind_of(step.name, k) for step, (_, k) in zip(steps, chain, strict=True)]
    make_view(tensor, base, chain, steps[-1].name, max(kinds))


def replay(run: Run, alive: Sequence[Tensor]) -> None:
    """Compute pending results operation by operation, each with a node of its own."""
    structure = run.step.structure
    env: dict[int, Any] = {}
    # an operation that is about to be learnt may have entered more
    for source, x, value in zip(
        structure.sources, run.inputs, run.values, strict=False
    ):
        env[source.number] = _entered(x, value)
    reach = structure.reach(tuple([tensor._place[1] for tensor in alive]))
    nodes = run.open().made() if run.is_compiled else None
    for k in reach.steps:
        step = structure.steps[k]
        assert step.function is not None
        operands = arguments(step, env)
        shown, constants = operands[: step.shown], operands[step.shown :]
        run_one = record if step.is_recorded else perform
        result = run_one(step.name, step.function, shown, step.view, constants)
        results = result if step.is_tuple else (result,)
        node = results[0]._node
        if node is not None:
            give_serial(node, run.marks, k)
            if k in run.released:
                node.release(run.freed_at)
            if nodes is not None:  # results of a program may have one of this step
                for number, result in enumerate(results, step.first):
                    result._node = nodes.setdefault(k, node)
                    if result._node is not node:
                        result._number = run.open().place(number)[1]
        env.update(zip(range(step.first, step.count), results, strict=True))
    real = {id(env[tensor._place[1]]): tensor for tensor in alive}
    for tensor in alive:
        _adopt(tensor, env[tensor._place[1]], real)


def _entered(x: Any, value: Any) -> Any:
    """What entered a run as an operand: with the values that it had then."""
    if not isinstance(x, Tensor) or x._array is value or x._device is not CPU:
        return x
    value = np.asarray(value)
    if not x._requires:
        return value
    tensor = make(value)
    tensor._requires = True
    tensor._node, tensor._number = (x, 0) if x._node is None else (x._node, x._number)  # type: ignore[assignment]
    return tensor


def _adopt(tensor: Tensor, twin: Tensor, real: dict[int, Tensor]) -> None:
    """Give a pending tensor all that an equal one has."""
    tensor._node, tensor._number = twin._node, twin._number
    tensor._storage, tensor._array = twin._storage, twin._array
    base = twin._base
    if base is not None:
        tensor._base = real.get(id(base), base)
        tensor._view = twin._view
        twin._storage.add_view(tensor)
    tensor._pending = False


class Ending:
    """What is known of gradients of one result of a run.

    Attributes:
        number: of the result.
        structure: of the run.
        reach: what it depends on.
        programs: by the numbers of the results that somebody holds.
    """

    __slots__ = ("number", "programs", "reach", "structure")

    def __init__(self, structure: Structure, number: int) -> None:
        self.structure, self.number = structure, number
        self.reach = structure.reach((number,))
        self.programs: dict[tuple[int, ...], Any] = {}

    def program(self, held: tuple[int, ...], run: Run) -> Gradient | None:
        """The program that gives the gradients and the results that are held."""
        make_program = partial(Gradient, self.structure, self.number, held)
        return _program(self.programs, held, run, make_program, PATIENCE)  # type: ignore[no-any-return]


def differentiate(output: Tensor) -> bool:
    """Add the gradients of a pending result to its leaves; what was saved is freed.

    Returns:
        False where this way is not open: there are nodes on the way to the leaves, or
        the structure is not compiled, or a part of it was computed before.

    Raises:
        RuntimeError: `backward` went through the same operations before.
    """
    run, number, _ = output._place
    if run.owner != get_ident():
        return False
    run.close()
    ends = run.step.ends
    ending = ends.get(number)
    if ending is None:
        ending = ends[number] = Ending(run.step.structure, number)
    reach, inputs = ending.reach, run.inputs
    if reach.is_refused or (run.opened is not None and run.opened.is_computed):
        return False
    for k in reach.leaves:
        if inputs[k]._node is not None or inputs[k]._hooks is not None:
            return False
    if run.released and not reach.saving.isdisjoint(run.released):
        raise RuntimeError(freed(run.freed_at))
    mine: dict[int, Tensor] = {}
    rest: list[Tensor] = []
    alive = run.take_alive()
    for tensor in alive:
        place = tensor._place[1]
        if place in reach.numbers:
            mine[place] = tensor
        else:
            rest.append(tensor)
    arrays: Any = None
    gradients: Any = None
    try:
        program = ending.program(tuple(mine), run)
        if program is not None:
            arrays, gradients = program(run.values)
    finally:
        if gradients is None:  # it is not compiled, or an operation failed
            run.leave(alive)
    if program is None:
        return False
    _fill(run, program, mine, arrays)
    run.is_compiled = True
    run.released |= reach.saving
    run.freed_by = user_place(2)
    accumulate_all(run, [inputs[k] for k in reach.leaves], gradients)
    if rest:
        run.leave(rest)
    else:
        run.forget_values()
    return True
