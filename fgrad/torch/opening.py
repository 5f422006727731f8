"""The nodes of a run that was computed, made when somebody asks for one.

They are like those of operations that ran at once, so that all that looks at nodes
(`backward` through several runs, hooks, ``grad_fn``) need not know of runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fgrad.ops.at import follow
from fgrad.torch.compiling import HELD, IN, OUT, PART, Forward
from fgrad.torch.graph import (
    Edge,
    Node,
    node_type,
)
from fgrad.torch.guards import RESULT, Guard, is_guarded
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


class Opened:
    """The nodes of a run.

    Args:
        structure: its steps.
        run: knows where what entered comes from, and the steps that were released.
        forward: the program that computed it, or None where `backward` did.
        residuals: what that gave besides results.
        tensors: those that were computed, by number.
    """

    def __init__(
        self,
        structure: Structure,
        run: Run,
        forward: Forward | None = None,
        residuals: list[Any] | None = None,
        tensors: dict[int, Tensor] | None = None,
    ) -> None:
        run.link()
        self._structure, self._edges = structure, run.edges
        self._released, self._marks = run.released, run.marks
        self._freed_at = run.freed_at
        self._forward, self._residuals = forward, residuals
        self._values = run.values
        self._guarded: dict[int, Guard] = {}
        self._held: dict[int, Any] = {}
        if forward is not None:
            for number, tensor in (tensors or {}).items():
                self._guard(number, tensor)
                if number in forward.kept:
                    self._held[number] = tensor._array
            for source, x in zip(structure.sources, run.inputs, strict=True):
                if isinstance(x, Tensor):
                    self._guard(source.number, x)
        self.nodes: dict[int, Node] = {} if run.opened is None else run.opened.nodes

    def _guard(self, number: int, tensor: Tensor) -> None:
        storage = tensor._storage
        storage.written_at = NOT_YET
        is_view = tensor._base is not None
        self._guarded[number] = storage, storage.version, tensor._aval, None, is_view

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

    def _fragment(self, k: int) -> Fragment:
        if self._forward is not None and k in self._forward.fragments:
            return self._forward.fragments[k]
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
        if self._forward is None or k in self._released or k not in self._forward.saved:
            return None
        return [self._at(*place) for place in self._forward.saved[k]]

    def _at(self, kind: str, where: Any) -> Any:
        """A saved value at its place, see `fgrad.torch.compiling`."""
        if kind == IN:
            return self._values[where]
        if kind == HELD:
            return self._held[where]
        if kind == PART:
            memory, steps = where
            return follow(self._at(*memory), steps)
        if kind == OUT:
            assert self._residuals is not None
            return self._residuals[where]
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
            if guard is not None and is_saved and is_guarded(step.name, number):
                guards.append((*guard[:3], number, guard[4]))
        for number, variable in enumerate(fragment.outs, step.first):
            if not is_guarded(step.name, RESULT):
                break
            if variable in reads.owners and number in self._guarded:
                guard = self._guarded[number]
                guards.append((*guard[:3], RESULT, guard[4]))
        return tuple(guards)
