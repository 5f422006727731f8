"""The nodes of a run that was computed, made when somebody asks for one.

They are like those of operations that ran at once, so that all that looks at nodes
(`backward` through several runs, hooks, ``grad_fn``) need not know of runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fgrad.ops.at import follow
from fgrad.torch.compiling import HELD, IN, OUT, PART, Forward
from fgrad.torch.graph import (
    Edge,
    Node,
    node_type,
)
from fgrad.torch.guards import RESULT, Guard, is_guarded, is_kept, seen
from fgrad.torch.ordering import give_serial
from fgrad.torch.reads import reads_of
from fgrad.torch.steps import Fragment, Step, Structure
from fgrad.torch.storage import NOT_YET
from fgrad.torch.tensor import Tensor

if TYPE_CHECKING:
    from fgrad.torch.runs import Run


class Kept:
    """The saved values of a node whose operation did not run in a trace of its own."""

    __slots__ = ("constants", "saved")

    def __init__(self, saved: list[Any]) -> None:
        self.saved = saved
        self.constants = None


class Computed(NamedTuple):
    """Results that one program computed.

    Attributes:
        forward: the program.
        residuals: what it gave besides results.
        held: the memory of results that `backward` reads, by number.
    """

    forward: Forward
    residuals: list[Any]
    held: dict[int, Any]


class Opened:
    """The nodes of a run.

    Args:
        structure: its steps.
        run: knows where what entered comes from, and the steps that were released.

    Attributes:
        nodes: those that were made, by step.
    """

    def __init__(self, structure: Structure, run: Run) -> None:
        run.link()
        self._structure, self._edges = structure, run.edges
        self._released, self._marks = run.released, run.marks
        self._freed_at = run.freed_at
        self._values = run.values
        self._computed: list[Computed] = []
        self._guarded: dict[int, Guard] = {}
        self.nodes: dict[int, Node] = {}

    @property
    def is_computed(self) -> bool:
        """Whether a program computed results, and kept what `backward` needs."""
        return bool(self._computed)

    def add(
        self,
        run: Run,
        forward: Forward,
        residuals: list[Any],
        tensors: dict[int, Tensor],
    ) -> None:
        """Note what a program computed.

        Args:
            run: what entered it, and the steps that were released.
            forward: the program.
            residuals: what it gave besides results.
            tensors: the results, by number.
        """
        self._released, self._freed_at = run.released, run.freed_at
        for number, tensor in tensors.items():
            self._guard(number, tensor)
        for source, x in zip(self._structure.sources, run.inputs, strict=True):
            if isinstance(x, Tensor) and source.number not in self._guarded:
                self._guard(source.number, x)
        held = {n: x._array for n, x in tensors.items() if n in forward.kept}
        self._computed.append(Computed(forward, residuals, held))

    def _guard(self, number: int, tensor: Tensor) -> None:
        storage = tensor._storage
        storage.written_at = NOT_YET
        is_view = tensor._base is not None
        self._guarded[number] = storage, storage.version, tensor._aval, None, is_view

    def made(self) -> dict[int, Node]:
        """All nodes of the steps that were computed."""
        for computed in self._computed:
            for k in computed.forward.fragments:
                self.place(self._structure.steps[k].first)
        return self.nodes

    def place(self, number: int) -> Edge:
        """The node and the variable of a result."""
        k = self._structure.maker[number]
        for j in self._structure.reach((number,)).steps:
            if j not in self.nodes and self._structure.steps[j].is_recorded:
                self.nodes[j] = self._node(j)
        return self.nodes[k], self._variable(number)

    def _variable(self, number: int) -> Any:
        k = self._structure.maker[number]
        first = self._structure.steps[k].first
        return self._fragment(k).outs[number - first]

    def _source(self, k: int) -> Computed | None:
        """The first program that computed a step."""
        for computed in self._computed:
            if k in computed.forward.fragments:
                return computed
        return None

    def _fragment(self, k: int) -> Fragment:
        source = self._source(k)
        if source is not None:
            return source.forward.fragments[k]
        fragment = self._structure.steps[k].fragment
        assert fragment is not None
        return fragment

    def _node(self, k: int) -> Node:
        step, fragment = self._structure.steps[k], self._fragment(k)
        edges: dict[int, Edge] = {}
        for position, number in enumerate(fragment.layout):
            if number is not None:
                edges[number] = self._edge(step.operands[position])  # type: ignore[arg-type]
        saved = self._saved(k, fragment)
        node = node_type(step.name)(
            tuple([edges[number] for number in range(len(edges))]),
            fragment.layout,
            fragment.path,
            fragment.outs,
            None if saved is None else Kept(saved),  # type: ignore[arg-type]
            () if saved is None else self._guards(step, fragment),
            fragment.has_number,
        )
        give_serial(node, self._marks, k)
        node.site, node.is_own_site = step.site, False
        node.freed_at = self._freed_at
        return node

    def _edge(self, number: int) -> Edge:
        k = self._structure.maker.get(number)
        if k is not None:
            return self.nodes[k], self._variable(number)
        assert self._edges is not None
        return self._edges[self._structure.position[number]]  # type: ignore[return-value]

    def _saved(self, k: int, fragment: Fragment) -> list[Any] | None:
        """The saved values of a step; None where `backward` freed them."""
        if not self._structure.saves(k):
            return list(fragment.own or ())
        source = self._source(k)
        if source is None or k in self._released:
            return None
        return [self._at(source, *place) for place in source.forward.saved[k]]

    def _at(self, source: Computed, kind: str, where: Any) -> Any:
        """A saved value at its place, see `fgrad.torch.compiling`."""
        if kind == IN:
            return self._values[where]
        if kind == HELD:
            return source.held[where]
        if kind == PART:
            memory, steps = where
            return follow(self._at(source, *memory), steps)
        if kind == OUT:
            return source.residuals[where]
        return where

    def _guard_of(self, number: int) -> Guard | None:
        """The guard of a result; that of its base where it is a view nobody holds."""
        maker, steps = self._structure.maker, self._structure.steps
        base: Any = number
        while base not in self._guarded:
            k = maker.get(base)
            if k is None or not steps[k].view:
                return None
            base = steps[k].operands[0]
        storage, version, aval, _, is_view = self._guarded[base]
        if base != number:
            aval = steps[maker[number]].avals[number - steps[maker[number]].first]
            is_view = True
        return storage, version, aval, None, is_view

    def _guards(self, step: Step, fragment: Fragment) -> tuple[Guard, ...]:
        """A guard for each living tensor whose memory the step saved."""
        reads = reads_of(fragment.path)
        guards: list[Guard] = []
        for position, number in enumerate(fragment.layout):
            operand = step.operands[position]
            guard = self._guard_of(operand) if type(operand) is int else None
            is_saved = reads.constants if number is None else number in reads.owners
            is_saved = is_saved or is_kept(step.name, position, fragment.layout)
            if guard is not None and is_saved and is_guarded(step.name, number):
                guards.append(
                    seen((*guard[:3], number, guard[4]), step.name, reads, number)
                )
        is_only = len(fragment.outs) == 1
        for number, variable in enumerate(fragment.outs, step.first):
            if not is_guarded(step.name, RESULT):
                break
            is_saved = is_only or variable in reads.owners
            if is_saved and number in self._guarded:
                guard = self._guarded[number]
                guards.append((*guard[:3], RESULT, guard[4]))
        return tuple(guards)
