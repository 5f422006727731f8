"""The nodes of a run that was computed, made when somebody asks for one.

They are like those of operations that ran at once, so that all that looks at nodes
(`backward` through several runs, hooks, ``grad_fn``) need not know of runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fgrad.torch.compiling import IN, OUT, Forward
from fgrad.torch.graph import (
    RESULT,
    Edge,
    Guard,
    Node,
    edge_of,
    node_type,
)
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
        run: holds the tensors that entered, and the steps that were released.
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
        self._structure, self._inputs = structure, run.inputs
        self._released, self._serial = run.released, run.serial
        self._freed_at = run.freed_at
        self._forward, self._residuals = forward, residuals
        self._values = run.values
        self._guarded: dict[int, Guard] = {}
        if forward is not None:
            for number, tensor in (tensors or {}).items():
                self._guard(number, tensor)
            for source, x in zip(structure.sources, run.inputs, strict=True):
                if isinstance(x, Tensor):
                    self._guard(source.number, x)
        self.nodes: dict[int, Node] = {} if run.opened is None else run.opened.nodes

    def _guard(self, number: int, tensor: Tensor) -> None:
        storage = tensor._storage
        storage.written_at = NOT_YET
        is_view = tensor._base is not None
        self._guarded[number] = storage, storage.version, tensor._array, None, is_view

    def place(self, number: int) -> Edge:
        """The node and the variable of a result."""
        k = self._structure.maker[number]
        for j in self._structure.reach((number,)).steps:
            if j not in self.nodes:
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
        give_serial(node, self._serial, k)
        node.site, node.is_own_site = step.site, False
        node.freed_at = self._freed_at
        return node

    def _edge(self, number: int) -> Edge:
        k = self._structure.maker.get(number)
        if k is not None:
            return self.nodes[k], self._variable(number)
        return edge_of(self._inputs[self._structure.position[number]])

    def _saved(self, k: int, fragment: Fragment) -> list[Any] | None:
        """The saved values of a step; None where `backward` freed them."""
        if not self._structure.saves(k):
            return list(fragment.own or ())
        if self._forward is None or k in self._released or k not in self._forward.saved:
            return None
        found = []
        for kind, where in self._forward.saved[k]:
            if kind == IN:
                where = self._values[where]
            elif kind == OUT:
                assert self._residuals is not None
                where = self._residuals[where]
            found.append(where)
        return found

    def _guard_of(self, number: int) -> Guard | None:
        """The guard of a result; that of its base where it is a view nobody holds."""
        maker, steps = self._structure.maker, self._structure.steps
        base: Any = number
        while base not in self._guarded:
            k = maker.get(base)
            if k is None or not steps[k].view:
                return None
            base = steps[k].operands[0]
        storage, version, array, _, is_view = self._guarded[base]
        if base != number:
            aval = steps[maker[number]].avals[number - steps[maker[number]].first]
            array = np.broadcast_to(np.zeros((), aval.numpy_dtype), aval.shape)
            is_view = True
        return storage, version, array, None, is_view

    def _guards(self, step: Step, fragment: Fragment) -> tuple[Guard, ...]:
        """A guard for each living tensor whose memory the step saved."""
        reads = reads_of(fragment.path)
        guards: list[Guard] = []
        for position, number in enumerate(fragment.layout):
            operand = step.operands[position]
            guard = self._guard_of(operand) if type(operand) is int else None
            if guard is not None and (
                reads.constants if number is None else number in reads.owners
            ):
                guards.append((*guard[:3], number, guard[4]))
        for number, variable in enumerate(fragment.outs, step.first):
            if variable in reads.owners and number in self._guarded:
                guard = self._guarded[number]
                guards.append((*guard[:3], RESULT, guard[4]))
        return tuple(guards)
