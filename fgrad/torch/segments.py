"""`backward` in segments, where a hook or Python code stands in its way.

The operations, in the order in which they were recorded, are cut at each one that has
hooks, or that is a `Function` of the user. The newest segment comes first: it is
joined, derived and run as one program, with the gradients that reached it as seeds.
Then the gradients of the tensors at the cut are complete, hooks see them, and so on.
Where the graph ends (at leaves, and at tensors whose gradients are asked for), a
gradient is handed out as soon as it is complete.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fgrad.sites import user_site
from fgrad.torch.graph import Edge, Node
from fgrad.torch.hooks import (
    Gradient,
    Gradients,
    retain,
    run_node_hooks,
    run_tensor_hooks,
    unshared,
)
from fgrad.torch.modes import in_mode
from fgrad.torch.noting import check_gradients, explain
from fgrad.torch.pullbacks import VjpBackward0, reached
from fgrad.torch.tensor import Tensor
from fgrad.torch.watch import LOCAL, WATCH

# Runs operations as one program: their gradients at edges of interest, for seeds.
Run = Callable[[list[Node], list[tuple[Edge, Tensor]], list[Edge], bool], list[Tensor]]


class OpaqueNode(Node):
    """A recorded operation whose gradients come from Python code."""

    __slots__ = ()

    @abstractmethod
    def pull(self, gradients: Gradients, recorded: bool) -> Sequence[Gradient]:
        """The gradients of the operands (see ``layout``) for those of the results."""


class _Gradients:
    """The gradients found so far, by edge; those of one edge are added up."""

    def __init__(self, recorded: bool) -> None:
        self._found: dict[int, dict[int, Tensor]] = {}
        self._own: set[tuple[int, int]] = set()
        self._recorded = recorded

    def add(self, edge: Edge, gradient: Tensor, is_own: bool) -> None:
        """Add a gradient; ``is_own``: nothing else refers to its memory."""
        parent, number = edge
        found = self._found.setdefault(id(parent), {})
        known = found.get(number)
        if known is not None:
            with in_mode(self._recorded):
                gradient = known + gradient  # type: ignore[operator]
            is_own = True
        found[number] = gradient
        if is_own:
            self._own.add((id(parent), number))
        else:
            self._own.discard((id(parent), number))

    def of(self, parent: Any) -> dict[int, Tensor]:
        """Those of the variables of a node."""
        return self._found.get(id(parent), {})

    def take(self, parent: Any) -> dict[int, Tensor]:
        """As `of`; they are forgotten here."""
        return self._found.pop(id(parent), {})

    def take_one(self, edge: Edge) -> tuple[Gradient, bool]:
        """The gradient of an edge, which is forgotten; and whether it is not shared."""
        parent, number = edge
        gradient = self._found.get(id(parent), {}).pop(number, None)
        return gradient, (id(parent), number) in self._own


class SegmentedPass:
    """One `backward` in segments.

    Args:
        order: the operations to run, oldest first.
        seeds: the edges of the outputs, with their gradients.
        wanted: the edges whose gradients are asked for; None for all leaves.
        run: runs a segment.
        retain_graph: keep what was saved.
        recorded: record the gradients, too.
    """

    def __init__(
        self,
        order: list[Node],
        seeds: Sequence[tuple[Edge, Tensor]],
        wanted: Sequence[Edge] | None,
        run: Run,
        retain_graph: bool,
        recorded: bool,
    ) -> None:
        self._order = order = _reached(order, [edge for edge, _ in seeds])
        self._seeds = seeds
        self._run = run
        self._retain_graph = retain_graph
        self._site = None if retain_graph else user_site()
        self._recorded = recorded
        self._found = _Gradients(recorded)
        self._nodes = {id(node) for node in order}
        self._goals = (
            None
            if wanted is None
            else {(id(parent), number): (parent, number) for parent, number in wanted}
        )
        self._known: set[tuple[int, int]] = set()
        self._ends: dict[int, list[Edge]] = {}  # by the position when they are complete
        for position, node in enumerate(order):
            for edge in node.edges:
                self._note_end(edge, position)
        for edge, _ in seeds:
            self._note_end(edge, len(order))
        for ends in self._ends.values():
            ends.sort(key=_age)

    def _note_end(self, edge: Edge, position: int) -> None:
        """Note when an end is complete, if its oldest user is at a position.

        Leaves come at once; an operation that is not run has its turn nevertheless.
        """
        key = (id(edge[0]), edge[1])
        if not self._is_end(edge) or key in self._known:
            return
        self._known.add(key)
        if isinstance(edge[0], Node):
            position = bisect(self._order, edge[0].serial, key=lambda node: node.serial)
        self._ends.setdefault(position, []).append(edge)

    def _is_end(self, edge: Edge) -> bool:
        if id(edge[0]) in self._nodes:
            return False
        return self._goals is None or (id(edge[0]), edge[1]) in self._goals

    def gradients(self) -> Iterator[tuple[Edge, Gradient]]:
        """The gradients asked for, each as soon as it is complete."""
        start = len(self._order)
        for edge, seed in self._seeds:
            if self._matters(edge):
                self._found.add(edge, seed, False)
        yield from self._complete(start, start + 1)
        stop = start
        for position in reversed(range(start)):
            node = self._order[position]
            if not (WATCH.anomaly or _cuts(node)):
                continue
            yield from self._joined(position + 1, stop)
            stop = position + 1
            yield from self._enter(node)
            if WATCH.anomaly or _is_alone(node):
                self._guarded(node)
                yield from self._complete(position, position + 1)
                stop = position
        yield from self._joined(0, stop)

    def reaches(self, place: Any) -> bool:
        """Whether the pass comes to a node or a leaf."""
        return id(place) in self._nodes or any(
            id(place) == key for key, _ in self._known
        )

    def _enter(self, node: Node) -> Iterator[tuple[Edge, Gradient]]:
        """Hand out the gradients of a node's results, and run the tensors' hooks."""
        found = self._found.of(node)
        for variable in _variables(node):
            gradient = found.get(variable)
            if self._goals is not None and (id(node), variable) in self._goals:
                yield (node, variable), gradient
            gradient = self._hooked(node, variable, gradient)
            if gradient is not None:
                found[variable] = gradient

    def _hooked(self, place: Any, number: int, gradient: Gradient) -> Gradient:
        """The gradient after the hooks of its tensor, which may retain it."""
        hooks = place._hooks
        if hooks is None:
            return gradient
        watching = hooks.tensor.get(number)
        if watching:
            before, LOCAL.passing = LOCAL.passing, self
            try:
                gradient = run_tensor_hooks(watching, gradient, self._recorded)
            finally:
                LOCAL.passing = before
        retaining = hooks.retained_by(number)
        if retaining is not None:
            retain(retaining, gradient)
        return gradient

    def _complete(self, first: int, stop: int) -> Iterator[tuple[Edge, Gradient]]:
        """Hand out the gradients of ends that no operation before ``first`` adds to."""
        for position in reversed(range(first, stop)):
            for edge in self._ends.get(position, ()):
                before, is_own = self._found.take_one(edge)
                gradient = self._hooked(edge[0], edge[1], before)
                if gradient is not None and not (is_own and edge[0]._hooks is None):
                    gradient = unshared(gradient)
                yield edge, gradient

    def _joined(self, first: int, stop: int) -> Iterator[tuple[Edge, Gradient]]:
        """Run those of the operations that gradients reach as one program."""
        nodes = self._live(self._order[first:stop])
        if nodes:
            yield from self._run_joined(nodes)
        yield from self._complete(first, stop)

    def _live(self, nodes: list[Node]) -> list[Node]:
        reached: set[int] = set()
        live = []
        for node in reversed(nodes):
            if id(node) in reached or self._found.of(node):
                live.append(node)
                reached.update(id(parent) for parent, _ in node.edges)
        live.reverse()
        return live

    def _run_joined(self, nodes: list[Node]) -> Iterator[tuple[Edge, Gradient]]:
        inner = {id(node) for node in nodes}
        seeds = [
            ((node, number), gradient)
            for node in nodes
            for number, gradient in self._found.take(node).items()
        ]
        outside = {
            (id(parent), number): (parent, number)
            for node in nodes
            for parent, number in node.edges
            if id(parent) not in inner and self._matters((parent, number))
        }
        asked = {} if _cuts(nodes[-1]) else self._asked(nodes[-1])
        for node in nodes[:-1]:
            asked |= self._asked(node)
        edges = [*outside.values(), *asked.values()]
        found = self._run(nodes, seeds, edges, self._recorded)
        for edge, gradient in zip(edges, found, strict=True):
            if (id(edge[0]), edge[1]) in outside:
                self._found.add(edge, gradient, True)
                continue
            gradient_after = self._hooked(edge[0], edge[1], gradient)
            if self._goals is not None and (id(edge[0]), edge[1]) in self._goals:
                yield edge, gradient_after
        self._release(nodes)

    def _matters(self, edge: Edge) -> bool:
        return id(edge[0]) in self._nodes or self._is_end(edge)

    def _asked(self, node: Node) -> dict[tuple[int, int], Edge]:
        """The variables of a node in the midst whose gradients are asked for."""
        numbers = set() if node._hooks is None else set(node._hooks.retained)
        if self._goals is not None:
            numbers |= {n for n in _variables(node) if (id(node), n) in self._goals}
        return {(id(node), number): (node, number) for number in numbers}

    def _release(self, nodes: Sequence[Node]) -> None:
        if not self._retain_graph:
            for node in nodes:
                node.release(self._site)

    def _guarded(self, node: Node) -> None:
        """Run one operation; where an anomaly mode is on, say where it was recorded."""
        if not WATCH.anomaly:
            self._run_alone(node)
            return
        before, LOCAL.node = LOCAL.node, node
        try:
            self._run_alone(node)
        except Exception as error:
            explain(node, error)
            raise
        finally:
            LOCAL.node = before

    def _run_alone(self, node: Node) -> None:
        """Run one operation, with the hooks of its node."""
        found = self._found.take(node)
        given: Gradients = tuple(
            [None if number is None else found.get(number) for number in node.outs]
        )
        hooks = node._hooks
        if hooks is not None:
            given = run_node_hooks(hooks.pre, given, self._recorded)
        if isinstance(node, OpaqueNode):
            passed = tuple(node.pull(given, self._recorded))
        else:
            results: dict[Any, Gradient] = {**found}
            results.update(zip(node.outs, given, strict=True))
            passed = self._run_core(node, results)
        if WATCH.anomaly and WATCH.check_nan:
            check_gradients(node, passed)
        if hooks is not None:
            passed = run_node_hooks(hooks.post, passed, self._recorded, given)
        for number, gradient in zip(node.layout, passed, strict=True):
            if number is not None and gradient is not None:
                self._found.add(node.edges[number], gradient, False)
        self._release([node])

    def _run_core(self, node: Node, given: dict[Any, Gradient]) -> Gradients:
        """The gradients of the operands of an operation that the core derives."""
        seeds = [((node, k), x) for k, x in given.items() if x is not None]
        edges = [edge for edge in node.edges if self._matters(edge)]
        distinct = list({(id(p), n): (p, n) for p, n in edges}.values())
        if not seeds:
            return (None,) * len(node.layout)
        found = self._run([node], seeds, distinct, self._recorded)
        by_edge: dict[Any, Tensor] = {
            (id(parent), number): gradient
            for (parent, number), gradient in zip(distinct, found, strict=True)
        }
        # an edge of several operands gives its gradient to the first one
        return tuple(
            None
            if number is None
            else by_edge.pop((id(node.edges[number][0]), node.edges[number][1]), None)
            for number in node.layout
        )


def _age(edge: Edge) -> float:
    """Ends are handed out in this order: leaves, then operations, newest first."""
    return -edge[0].serial - 1 if isinstance(edge[0], Node) else -sys.maxsize


def _reached(order: list[Node], outputs: list[Edge]) -> list[Node]:
    """The operations that outputs depend on.

    They are among those of ``order``, where each result of a recorded pullback passes
    for one that depends on all its operands; hooks would be called for nothing.
    """
    if not any(isinstance(node, VjpBackward0) for node in order):
        return order
    return reached(order, outputs)[0]


def _variables(node: Node) -> list[int]:
    """The variables of a node that are results of the operation."""
    return [number for number in node.outs if number is not None]


def _cuts(node: Node) -> bool:
    """Whether gradients must be complete at a node before `backward` goes on."""
    hooks = node._hooks
    return isinstance(node, OpaqueNode) or (hooks is not None and hooks.cuts)


def _is_alone(node: Node) -> bool:
    """Whether a node cannot run together with older ones."""
    hooks = node._hooks
    is_hooked = hooks is not None and bool(hooks.pre or hooks.post)
    return isinstance(node, OpaqueNode) or is_hooked
