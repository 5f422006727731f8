"""Pullbacks that are recorded in turn, for gradients of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.ir import Program, aval_of, evaluate
from fgrad.lower.quiet import quietly
from fgrad.ops.structure import copy
from fgrad.record import nodes_to
from fgrad.torch.graph import (
    Edge,
    Node,
    attach,
    edge_of,
)
from fgrad.torch.guards import Guard
from fgrad.torch.noting import note
from fgrad.torch.reads import reads_of
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.watch import WATCH
from fgrad.trace import Trace, Tracer
from fgrad.transforms.tape import TAPE


class VjpBackward0(Node):
    """A pullback of several operations, recorded as one."""

    __slots__ = ()
    __module__ = "builtins"

    def edges_for(self, variables: set[int]) -> list[Edge]:
        """The edges that some of its variables depend on."""
        needed = set(variables)
        for step in reversed(nodes_to(self.path)[1:]):
            if not needed.isdisjoint(range(step.index, step.count)):
                needed.update(code for code in step.codes if type(code) is int)
        return [edge for number, edge in enumerate(self.edges) if number in needed]


def recorded(
    program: Program, order: list[Node], values_of: list[list[Any]], seeds: list[Tensor]
) -> list[Tensor]:
    """Run a pullback as one more recorded operation, which can be differentiated.

    Its inputs are the variables that were saved: results of the operations, their
    operands, and values in their midst, which are edges like any other.
    """
    edges: list[Edge] = []
    values: list[Any] = []
    numbers: dict[tuple[int, int], int] = {}
    arguments: list[Any] = []
    guards: list[Guard] = []

    def enter(edge: Edge, value: Any) -> None:
        key = (id(edge[0]), edge[1])
        if key not in numbers:
            numbers[key] = len(edges)
            edges.append(edge)
            values.append(value)
        arguments.append(numbers[key])

    constants: dict[int, Any] = {}
    for node, found in zip(order, values_of, strict=True):
        guards += node.guards
        saved = zip(found, reads_of(node.path).numbers, strict=True)
        for value, number in saved:
            if number is None:
                constants[len(arguments)] = value
                arguments.append(None)
                continue
            is_input = number < len(node.edges)
            enter(node.edges[number] if is_input else (node, number), value)
    for seed in seeds:
        if seed._requires:
            enter(edge_of(seed), seed._array)
        else:
            constants[len(arguments)] = seed._array
            arguments.append(None)
    trace = Trace(TAPE, tuple(map(aval_of, values)))
    tracers = trace.inputs(values)
    operands = [
        constants[k] if k in constants else tracers[number]
        for k, number in enumerate(arguments)
    ]
    outs = quietly(trace.run, evaluate, program, operands)
    return _attached(outs, trace, tuple(edges), tuple(guards))


def _attached(
    outs: list[Any], trace: Trace, edges: tuple[Edge, ...], guards: tuple[Guard, ...]
) -> list[Tensor]:
    """Tensors of the results of a recorded pullback."""
    own = [type(x) is Tracer and x.scope is trace for x in outs]
    pairs = list(zip(outs, own, strict=True))
    variables = tuple(x.index if is_own else None for x, is_own in pairs)
    path = trace.finish()
    results = [make(_fresh(x, is_own)) for x, is_own in pairs]
    if all(variable is None for variable in variables):
        return results
    layout = tuple(range(len(edges)))
    node = VjpBackward0(edges, layout, path, variables, trace, guards, True)
    if WATCH.active:
        note(node)
    for result, variable in zip(results, variables, strict=True):
        attach(result, node, variable)
    return results


def _fresh(out: Any, is_own: bool) -> Any:
    """The value of a result, in memory that nothing else holds."""
    value = out.value if is_own else out
    is_fresh = is_own and out.owned and out.origin is None
    if type(value) is Tracer:  # of an enclosing transform
        return value if is_fresh else copy(value)
    return value if is_fresh else np.array(value)
