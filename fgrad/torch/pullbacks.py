"""Pullbacks that are recorded in turn, for gradients of gradients."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ir import Aval, Program, aval_of, evaluate
from fgrad.lower.quiet import quietly
from fgrad.ops.structure import copy
from fgrad.record import nodes_to
from fgrad.torch.graph import (
    Edge,
    Node,
    attach,
    edge_of,
    record,
)
from fgrad.torch.guards import Guard
from fgrad.torch.noting import note
from fgrad.torch.reads import reads_of
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.watch import WATCH
from fgrad.trace import Trace, Tracer
from fgrad.transforms.tape import TAPE


class VjpBackward0(Node):
    """A pullback of several operations, recorded as one.

    Attributes:
        read: the number of its first edge that only PyTorch's formulas read; it is
            connected with these, without varying with them.
    """

    __slots__ = ("read",)
    __module__ = "builtins"
    read: int


def edges_for(node: Node, variables: set[int]) -> list[Edge]:
    """The edges that some of a node's variables depend on.

    Results of an operation of PyTorch's depend on all; those of a pullback, and values
    in the midst of an operation, on what their formulas read.
    """
    if not isinstance(node, VjpBackward0) and not variables.isdisjoint(node.outs):
        return list(node.edges)
    needed = set(variables)
    for step in reversed(nodes_to(node.path)[1:]):
        if not needed.isdisjoint(range(step.index, step.count)):
            needed.update(code for code in step.codes if type(code) is int)
    if isinstance(node, VjpBackward0):
        needed.update(range(node.read, len(node.edges)))
    return [edge for number, edge in enumerate(node.edges) if number in needed]


def reached(
    order: list[Node], outputs: Sequence[Edge]
) -> tuple[list[Node], dict[int, set[int]]]:
    """The operations of ``order`` that outputs depend on, and the variables.

    Returns:
        The operations, and for each node or leaf, by its id, those of its variables.
    """
    asked: dict[int, set[int]] = {}
    kept = []
    edges: Sequence[Edge] = outputs
    for node in (None, *reversed(order)):
        if node is not None:
            variables = asked.get(id(node))
            if variables is None:
                continue
            kept.append(node)
            edges = edges_for(node, variables)
        for parent, number in edges:
            asked.setdefault(id(parent), set()).add(number)
    kept.reverse()
    return kept, asked


_TYPES: dict[str, type[VjpBackward0]] = {"VjpBackward0": VjpBackward0}


def pullback_type(name: str) -> type[VjpBackward0]:
    """The class of pullbacks that are shown under a name."""
    found = _TYPES.get(name)
    if found is None:
        fields = {"__slots__": (), "__module__": "builtins"}
        found = _TYPES.setdefault(name, type(name, (VjpBackward0,), fields))
    return found


@functools.lru_cache(1024)
def _blank(aval: Aval) -> Any:
    """An array of a type, for an input that nothing reads."""
    return np.broadcast_to(np.zeros((), aval.dtype), aval.shape)


def recorded(
    program: Program,
    order: list[Node],
    values_of: list[list[Any]],
    seeds: list[Tensor],
    names: Sequence[str] = (),
    read: Sequence[tuple[Edge, Aval]] = (),
) -> list[Tensor]:
    """Run a pullback as one more recorded operation, which can be differentiated.

    Its inputs are the variables that were saved: results of the operations, their
    operands, and values in their midst, which are edges like any other. ``names`` are
    those of the nodes of the results, where they are known;
    ``read`` are edges that PyTorch's formulas read.
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
    first = len(edges)
    for edge, aval in read:
        if (id(edge[0]), edge[1]) not in numbers:
            enter(edge, _blank(aval))
            arguments.pop()
    trace = Trace(TAPE, tuple(map(aval_of, values)))
    tracers = trace.inputs(values)
    operands = [
        constants[k] if k in constants else tracers[number]
        for k, number in enumerate(arguments)
    ]
    outs = quietly(trace.run, evaluate, program, operands)
    return _attached(outs, trace, tuple(edges), tuple(guards), names, first)


def _attached(
    outs: list[Any],
    trace: Trace,
    edges: tuple[Edge, ...],
    guards: tuple[Guard, ...],
    names: Sequence[str],
    read: int,
) -> list[Tensor]:
    """Tensors of the results of a recorded pullback."""
    own = [type(x) is Tracer and x.scope is trace for x in outs]
    pairs = list(zip(outs, own, strict=True))
    variables = tuple(x.index if is_own else None for x, is_own in pairs)
    path = trace.finish()
    results = [make(_fresh(x, is_own)) for x, is_own in pairs]
    by_name: dict[str, list[int]] = {}
    for position, variable in enumerate(variables):
        if variable is not None:
            name = names[position] if names else "VjpBackward0"
            by_name.setdefault(name, []).append(position)
    if not by_name:
        return results
    kind = pullback_type(next(iter(by_name)) if len(by_name) == 1 else "VjpBackward0")
    layout = tuple(range(len(edges)))
    node = kind(edges, layout, path, variables, trace, guards, True)
    node.read = read
    if WATCH.active:
        note(node)
    for result, variable in zip(results, variables, strict=True):
        attach(result, node, variable)
    if len(by_name) > 1:
        for name, positions in by_name.items():
            rename([results[k] for k in positions], name)
    return results


def rename(results: list[Tensor], name: str) -> None:
    """Put a node that hands gradients on, of another name, behind some results."""
    trace = Trace(TAPE, tuple(x._aval for x in results))
    edges = tuple(map(edge_of, results))
    numbers = tuple(range(len(results)))
    path = trace.finish()
    node = pullback_type(name)(edges, numbers, path, numbers, trace, (), False)
    node.read = len(edges)
    for result, number in zip(results, numbers, strict=True):
        attach(result, node, number)


def required(gradient: Tensor, edge: Edge, name: str) -> Tensor:
    """A gradient that requires one, by an operation on what it is the gradient of.

    PyTorch's formula reads that, though the value does not vary with it.
    """
    source = make(np.zeros(gradient._aval.shape, gradient._aval.dtype))
    parent, number = edge
    if isinstance(parent, Tensor):
        source = parent
    else:
        attach(source, parent, number)
    return record(name, _standing, (source, gradient))  # type: ignore[no-any-return]


def _standing(x: Any, value: Any) -> Any:
    return np.where(True, value, x)


def _fresh(out: Any, is_own: bool) -> Any:
    """The value of a result, in memory that nothing else holds."""
    value = out.value if is_own else out
    is_fresh = is_own and out.owned and out.origin is None
    if type(value) is Tracer:  # of an enclosing transform
        return value if is_fresh else copy(value)
    return value if is_fresh else np.array(value)
