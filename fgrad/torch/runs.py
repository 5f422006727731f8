"""Runs: operations that are recorded now and computed when a value is asked for.

The first time that a structure is met, its operations run at once, and are recorded
one by one (`graph.record`); the trie of steps learns them. From then on an operation
only steps to a child in the trie, and gives a tensor that has a type and no values
yet. Asking for a value, or calling `backward`, computes what was recorded by one
compiled program.

A run belongs to the thread that records it. The memory of what entered a run may not
change while results are pending: `writing` is called before it does. What NumPy can
see, and so may change behind our back, is copied.
"""

from __future__ import annotations

import sys
import weakref
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrad.ir import PYTHON_AVALS, aval_of
from fgrad.sites import Place, Site, site_of
from fgrad.torch.computing import evaluate, needed, replay
from fgrad.torch.devices import CPU, device
from fgrad.torch.graph import Edge, edge_of
from fgrad.torch.in_order import order_of
from fgrad.torch.keys import Lifted
from fgrad.torch.modes import STATE
from fgrad.torch.opening import Opened
from fgrad.torch.ordering import first_mark
from fgrad.torch.pending import part_of, pending_tensor
from fgrad.torch.steps import STEPS, Source, Step
from fgrad.torch.tensor import Tensor, of_type

if TYPE_CHECKING:
    from fgrad.torch.calls import Call

FORGOTTEN = 64  # so many results that nobody holds are kept, at most
COPIED = 1 << 18  # bytes; what is larger and seen by NumPy is used at once
_FOREIGN = RLock()  # held where a thread computes what another one recorded


class Run:
    """Operations in the order of recording, and the values that entered.

    Attributes:
        step: the structure so far.
        count: how many numbers were given, to what entered and to results.
        inputs: what entered, in order: tensors, Python numbers, arrays.
        values: the same as arrays and numbers.
        tensors: the results, as long as they may be pending and the run is open.
        left: those that are pending still.
        is_compiled: a program computed results, which have no nodes until these are
            asked for.
        limit: if there are more, those that nobody holds are forgotten.
        is_open: more may be recorded.
        is_lazy: results are pending; false where the structure is being learnt.
        marks: where its nodes come in the order of all, see `ordering`.
        released: the numbers of steps whose saved values `backward` freed.
        freed_by: the code of the user's that did, and where in it.
        edges: where what entered comes from, once a program computed results.
        opened: the nodes of the run, once it was computed.
    """

    __slots__ = (
        "count",
        "edges",
        "freed_by",
        "inputs",
        "is_compiled",
        "is_lazy",
        "is_open",
        "left",
        "limit",
        "marks",
        "opened",
        "owner",
        "released",
        "step",
        "tensors",
        "values",
    )
    where: device = CPU  # the device of results

    def __init__(self) -> None:
        self.step: Step = STEPS.root
        self.count = 0
        self.inputs: list[Any] = []
        self.values: list[Any] = []
        self.tensors: list[Tensor] = []
        self.left: list[weakref.ref[Tensor]] = []
        self.is_open = self.is_lazy = True
        self.is_compiled = False
        self.limit = FORGOTTEN
        self.owner = get_ident()
        self.marks = [first_mark()]
        self.released: frozenset[int] = frozenset()
        self.freed_by: Place | None = None
        self.edges: list[Edge | None] | None = None
        self.opened: Opened | None = None

    @property
    def freed_at(self) -> Site | None:
        """The user's line that freed what was saved."""
        return None if self.freed_by is None else site_of(self.freed_by)

    @property
    def is_waiting(self) -> bool:
        """Whether what entered may still be read."""
        return self.is_open or bool(self.left)

    def close(self) -> None:
        """End the recording; what is pending stays so."""
        self.is_open = False
        if STATE.run is self:
            STATE.run = None

    def compute(self, tensor: Tensor) -> None:
        """Give a pending tensor its values, and all others that are alive."""
        if self.owner == get_ident():
            try:
                self.settle(tensor)
            except Exception:
                replay(self, [tensor])  # another one may be to blame
            return
        with _FOREIGN:
            if tensor._pending:
                replay(self, [tensor])

    def settle(self, wanted: Tensor | None = None) -> None:
        """Compute results that are pending and alive; the run ends.

        Args:
            wanted: one of them, without which others may stay pending.
        """
        self.close()
        every = self.take_alive()
        left: list[Tensor] = []
        if every:
            try:
                alive = every if wanted is None else needed(self, every, wanted)
                left = evaluate(self, alive, every)
            except BaseException:
                self.leave(every)  # who asks for it gets the error
                raise
        if left:
            self.leave(left)
        else:
            self.forget_values()

    def forget_values(self) -> None:
        """Let go of what entered, but for what nodes of the run are linked to."""
        if self.is_compiled:
            self.link()
        for x in self.inputs:
            if isinstance(x, Tensor):
                place = x._place
                if place is not None and place[0] is self:
                    x._place = None
                    x._storage.memory.remove_reader(self)  # type: ignore[union-attr]
        self.inputs = []
        self.values = []

    def link(self) -> None:
        """Note where what entered comes from: a write would give it another history."""
        if self.edges is None:
            self.edges = [
                edge_of(x) if isinstance(x, Tensor) and x._requires else None
                for x in self.inputs
            ]

    def take_alive(self) -> list[Tensor]:
        """The pending results that somebody holds; the others are forgotten."""
        tensors, self.tensors = self.tensors, []
        count, alive = sys.getrefcount, []
        while tensors:
            tensor = tensors.pop()
            if count(tensor) > _ALONE and tensor._pending:
                alive.append(tensor)
        alive.reverse()
        if not self.left:
            return alive
        known = [reference() for reference in self.left]
        self.left = []
        return [x for x in known if x is not None and x._pending] + alive

    def leave(self, tensors: list[Tensor]) -> None:
        """Let results stay pending after the end of the recording."""
        self.left = [weakref.ref(tensor) for tensor in tensors]

    def node_of(self, number: int) -> Any:
        """The node and the variable of a result that was computed."""
        structure = self.step.structure
        k = structure.maker[number]
        if not structure.steps[k].requires[number - structure.steps[k].first]:
            return None, 0
        return self.open().place(number)

    def open(self) -> Opened:
        """The nodes of the run, of which a program computed results."""
        if self.opened is None:
            self.opened = Opened(self.step.structure, self)
        return self.opened

    def enter(self, x: Any, parts: list[Any], view: bool) -> bool:
        """Add a value that was not part of the run; false if it cannot be.

        Args:
            x: a tensor, an array or a number.
            parts: its key is added to these.
            view: the operation gives a view of its first operand.
        """
        if isinstance(x, Tensor):
            array = x._array
            if type(array) is not np.ndarray:
                return False
            storage = x._storage
            if storage.is_inference:  # it may not be saved
                return False
            memory = storage.memory or storage.remember()
            if x._requires:
                x._node  # noqa: B018  # of the run that it came from
            if memory.is_exposed:
                if view or array.nbytes > COPIED:
                    return False
                array = array.copy(order="K")
                if x._requires:  # its history may change
                    memory.add_reader(self)
            else:
                memory.add_reader(self)
                x._place = (self, self.count, None)
            parts.append((x._aval, x._requires, order_of(array)))
        elif type(x) in PYTHON_AVALS:
            array = x
            parts.append(type(x))
        else:
            array = x
            parts.append(aval_of(x))
        self.inputs.append(x)
        self.values.append(array)
        self.count += 1
        return True

    def undo(self, entered: int) -> None:
        """Forget what entered after the first ``entered`` values."""
        for x in self.inputs[entered:]:
            if isinstance(x, Tensor):
                x._place = None
        self.count -= len(self.inputs) - entered
        del self.inputs[entered:], self.values[entered:]

    def add(self, step: Step) -> Any:
        """The pending results of a known step."""
        self.step = step
        self.count = step.count
        if step.aval is not None:
            results: Any = pending_tensor(self, step.first, step)
            self.tensors.append(results)
        else:
            results = tuple(
                [part_of(self, step, k) for k in range(step.first, step.count)]
            )
            self.tensors += results
        if step.is_full or len(self.tensors) > self.limit:
            self.tidy()
        return results

    def hold(self, tensor: Tensor, array: Any) -> None:
        """Give a pending tensor what the program of the run computed."""
        tensor._array = array if type(array) is np.ndarray else np.asarray(array)
        tensor._pending = False

    def gradient(self, array: Any, leaf: Tensor) -> Tensor:
        """A gradient that a program of the run computed."""
        return of_type(array, leaf._aval)

    def tidy(self) -> None:
        """End a run that is full; forget results that nobody holds."""
        if self.step.is_full:
            self.settle()
            return
        self.tensors = self.take_alive()
        self.limit = FORGOTTEN + 2 * len(self.tensors)

    def learn(self, call: Call, entered: int) -> Any:
        """Run an operation at once, and add it to the trie.

        Args:
            call: the operation.
            entered: how many values entered before it.
        """
        if self.is_lazy:
            self.is_lazy = False
            alive = self.take_alive()
            if alive:
                replay(self, alive)
        function, operands = call.function, call.operands
        result = call.run()
        results = result if isinstance(result, tuple) else (result,)
        key = tuple(call.parts)
        child = self.step.children.get(key)
        if child is None:
            sources = self._sources(entered)
            child = Step(
                self.step,
                call.name,
                Lifted(function, len(call.arrays)) if call.arrays else function,
                tuple(call.codes),
                len(operands),
                call.view,
                tuple(sources),
                results,
                isinstance(result, tuple),
                call.fresh,
            )
            child = self.step.children.setdefault(key, child)
            STEPS.grow()
        self.step = child
        self.count = child.count
        for k, tensor in enumerate(results):
            tensor._place = (self, child.first + k, child)
        self.inputs.clear()
        self.values.clear()
        if child.is_full:
            self.close()
        return result

    def _sources(self, entered: int) -> list[Source]:
        """What entered last."""
        first = self.count - (len(self.inputs) - entered)
        return [
            Source(first + k, aval_of(value), isinstance(x, Tensor) and x._requires)
            for k, (x, value) in enumerate(
                zip(self.inputs[entered:], self.values[entered:], strict=True)
            )
        ]


def begin_run(run: Run | None = None) -> Run:
    """A new run of this thread."""
    if STATE.run is not None:
        STATE.run.close()
    run = STATE.run = run or Run()
    run.is_lazy = not STATE.sites
    return run


def end_learning() -> None:
    """Let a run that is being learnt end where a value is read, as it will later."""
    run = STATE.run
    if run is not None and not run.is_lazy:
        run.close()


def _references_of_unheld() -> int:
    """What ``sys.getrefcount`` says of what only a local variable holds.

    0 where threads run without the interpreter's lock: there it says nothing.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return 0
    tensors = [object()]
    while tensors:
        tensor = tensors.pop()
        return sys.getrefcount(tensor)
    return 0


_ALONE = _references_of_unheld()
