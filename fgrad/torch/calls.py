"""Operations on their way into the run of the thread.

On the CPU these are the ones that require a gradient, on a device all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgrad.ir import PYTHON_AVALS
from fgrad.torch.device_runs import DeviceRun
from fgrad.torch.devices import CPU, DEVICES, device
from fgrad.torch.graph import record
from fgrad.torch.keys import UNKEYED, function_key, part_key
from fgrad.torch.modes import STATE
from fgrad.torch.performing import perform
from fgrad.torch.placement import device_within, place_all
from fgrad.torch.runs import COPIED, Run, begin_run
from fgrad.torch.steps import Fixed
from fgrad.torch.tensor import Tensor
from fgrad.torch.watch import WATCH


class Call:
    """An operation that is about to be recorded.

    Attributes:
        arrays: those that the function closes over.
        parts: the key of the operation at its place.
        codes: the numbers of operands, constants and arrays.
        fresh: the keys of those that entered with it.
        is_recorded: the results may require gradients.
    """

    __slots__ = (
        "arrays",
        "codes",
        "constants",
        "fresh",
        "function",
        "is_recorded",
        "name",
        "operands",
        "parts",
        "view",
    )

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        operands: Sequence[Any],
        view: bool,
        constants: Sequence[Any],
        is_recorded: bool = True,
    ) -> None:
        self.is_recorded = is_recorded
        self.name, self.function, self.operands = name, function, operands
        self.view, self.constants = view, constants
        self.arrays: list[Any] = []
        self.parts: list[Any] = [function_key(function, self.arrays), name, is_recorded]
        self.codes: list[int | Fixed] = []
        self.fresh: list[Any] = []

    def run(self) -> Any:
        """The results, computed at once."""
        run = record if self.is_recorded else perform
        return run(self.name, self.function, self.operands, self.view, self.constants)

    def enter(self, run: Run) -> bool:
        """Add what is not part of a run yet; false if the operation cannot be."""
        operands = self.operands
        if self.arrays:
            if sum([array.nbytes for array in self.arrays]) > COPIED:
                return False
            # the memory of a tensor, or of the user
            self.arrays = [array.copy() for array in self.arrays]
        if self.arrays or self.constants:
            operands = (*operands, *self.constants, *self.arrays)
        seen: list[tuple[int, Tensor]] = []
        for x in operands:
            if isinstance(x, Tensor):
                place = x._place
                number = place[1] if place is not None and place[0] is run else None
                if number is None and seen:  # what NumPy sees has no place
                    number = next((n for n, y in seen if y is x), None)
                if number is not None:
                    self.parts.append(number)
                    self.codes.append(number)
                    continue
                if x._pending:  # of another run
                    x._array  # noqa: B018
                seen.append((run.count, x))
            elif not _is_value(x):
                self.parts.append(part_key(x))
                self.codes.append(Fixed(x))
                continue
            if not run.enter(x, self.fresh, self.view):
                return False
            self.parts.append(self.fresh[-1])
            self.codes.append(run.count - 1)
        return UNKEYED not in self.parts


def _is_value(x: Any) -> bool:
    return type(x) in PYTHON_AVALS or isinstance(x, np.ndarray | np.generic)


def record_in_run(
    name: str,
    function: Callable[..., Any],
    operands: Sequence[Any],
    view: bool,
    constants: Sequence[Any],
) -> Any:
    """Record an operation that requires a gradient; its results may be pending."""
    if DEVICES.is_on:
        where = device_within(operands)
        if where is not CPU:
            call = Call(name, function, operands, view, constants)
            return record_on_device(call, where)
    if WATCH.active:  # each operation is to be noted
        return record(name, function, operands, view, constants)
    run = STATE.run
    if run is None or run.where is not CPU:
        run = begin_run()
    return _added(run, Call(name, function, operands, view, constants))


def record_on_device(call: Call, where: device) -> Any:
    """As `record_in_run`, for an operation on a device; it may need no gradient."""
    if WATCH.active:
        return place_all(call.run(), where)
    run = STATE.run
    if run is None or run.where is not where:
        run = begin_run(DeviceRun(where))
    return place_all(_added(run, call), where)


def _added(run: Run, call: Call) -> Any:
    """The results of an operation that is added to a run, if it can be."""
    entered = len(run.inputs)
    try:
        if not call.enter(run):
            run.undo(entered)
            return call.run()
        found = run.step.children.get(tuple(call.parts))
        if found is None or not run.is_lazy:
            return run.learn(call, entered)
    except BaseException:
        run.undo(entered)
        raise
    return run.add(found)
