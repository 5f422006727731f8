"""`backward`: the fragments joined into one program, and its vjp.

The operations that the outputs depend on are gathered and put in order, their fragments
are joined into one structure, and the core derives and compiles the pullback of that
(`fgrad.transforms.tape.derived`). What was derived is kept by structure, so that each
step of a training loop after the second runs compiled code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ir import Aval, Program, aval_of, evaluate
from fgrad.lower.numpy import Executable, run_on
from fgrad.ops.elementwise import add
from fgrad.path import Path
from fgrad.record import nodes_to
from fgrad.torch.graph import Edge, Guard, Node, attach, edge_of, node_type, reads_of
from fgrad.torch.tensor import Tensor, make
from fgrad.trace import Trace, Tracer
from fgrad.transforms.tape import TAPE, derived, zeros

PROGRAM_LIMIT = 4096  # structures whose programs are kept

SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved "
    "tensors after they have already been freed). Saved intermediate values of the "
    "graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if "
    "you need to access saved tensors after calling backward."
)

_programs: dict[tuple[Any, ...], tuple[Executable, tuple[bool, ...], list[Aval]]] = {}


def gather(edges: Sequence[Edge]) -> list[Node]:
    """The operations that edges depend on, in the order in which they were recorded."""
    found: set[Node] = set()
    stack = [parent for parent, _ in edges]
    while stack:
        node = stack.pop()
        if isinstance(node, Node) and node not in found:
            found.add(node)
            stack += [parent for parent, _ in node.edges]
    return sorted(found, key=lambda node: node.serial)


def between(order: list[Node], wanted: Sequence[Edge]) -> list[Node]:
    """The operations of ``order`` on the way to a wanted edge."""
    goals = {(id(parent), number) for parent, number in wanted}
    needed: set[int] = set()
    kept = []
    for node in order:
        for parent, number in node.edges:
            if id(parent) in needed or (id(parent), number) in goals:
                needed.add(id(node))
                kept.append(node)
                break
    return kept


class Joint:
    """Operations as one program, from sources (leaves, or cut edges) to outputs.

    Attributes:
        order: the operations, oldest first.
        sources: the edges that come from outside, with their numbers.
        key: the structure; equal for equal programs.
    """

    def __init__(self, order: list[Node], outputs: Sequence[Tensor]) -> None:
        self.order = order
        self.sources: dict[tuple[int, int], tuple[int, Edge]] = {}
        self._position = {id(node): k for k, node in enumerate(order)}
        parts: list[Any] = []
        for node in order:
            parts.append(node.path)
            for edge in node.edges:
                parts += self._code(edge)
        self._outputs = [self._code(edge_of(x)) for x in outputs]
        self._output_avals = [aval_of(x._array) for x in outputs]
        self.key = (*parts, *self._outputs, *self._output_avals)

    def _code(self, edge: Edge) -> tuple[int, int]:
        parent, number = edge
        position = self._position.get(id(parent))
        if position is not None:
            return position, number
        source = self.sources.setdefault(
            (id(parent), number), (len(self.sources), edge)
        )
        return -1, source[0]

    def has(self, edge: Edge) -> bool:
        """Whether an edge is part of the program."""
        parent, number = edge
        return id(parent) in self._position or (id(parent), number) in self.sources

    def derive(
        self, wanted: Sequence[Edge], unit: bool
    ) -> tuple[Executable, tuple[bool, ...], list[Aval]]:
        """The pullback to wanted edges, which of them it gives, and their types."""
        codes = tuple(self._code(edge) for edge in wanted)
        key = (*self.key, codes, unit)
        found = _programs.get(key)
        if found is None:
            if len(_programs) >= PROGRAM_LIMIT:
                _programs.clear()
            found = _programs[key] = self._derive(codes, unit)
        return found

    def _derive(
        self, codes: tuple[tuple[int, int], ...], unit: bool
    ) -> tuple[Executable, tuple[bool, ...], list[Aval]]:
        path, outs, wrt, avals = self._join(codes)
        executable, given = derived(path, "grad" if unit else "vjp", outs, wrt)
        return executable, given, avals

    def _join(
        self, wanted: tuple[tuple[int, int], ...]
    ) -> tuple[Path, tuple[int, ...], tuple[int, ...], list[Aval]]:
        """One path for all fragments; variables of its outputs, inputs for ``wanted``.

        A wanted variable that is computed on the way gets a probe: an input that is
        added to it, whose cotangent is that of the variable.
        """
        steps = [nodes_to(node.path) for node in self.order]
        probes = [code for code in dict.fromkeys(wanted) if code[0] >= 0]
        source_avals = self._source_avals(steps)
        avals = source_avals + [_aval_in(steps[k], number) for k, number in probes]
        path = Path(None, None, (), (), tuple(avals), ())
        inputs = {code: len(source_avals) + k for k, code in enumerate(probes)}
        inputs |= {(-1, k): k for k in range(len(source_avals))}
        tables: list[list[int]] = []
        for k, node in enumerate(self.order):
            table = [self._number(self._code(edge), tables) for edge in node.edges]
            for step in steps[k][1:]:
                path = _append(path, step, table)
            for code in probes:
                if code[0] == k:
                    path = _probe(path, table, code[1], inputs[code])
            tables.append(table)
        outs = tuple(self._number(code, tables) for code in self._outputs)
        wrt = tuple(inputs[code] for code in wanted)
        return path, outs, wrt, [avals[number] for number in wrt]

    @staticmethod
    def _number(code: tuple[int, int], tables: list[list[int]]) -> int:
        position, number = code
        return number if position < 0 else tables[position][number]

    def _source_avals(self, steps: list[list[Path]]) -> list[Aval]:
        avals: dict[int, Aval] = {}
        for node, (root, *_) in zip(self.order, steps, strict=True):
            for edge, aval in zip(node.edges, root.avals, strict=True):
                position, number = self._code(edge)
                if position < 0:
                    avals[number] = aval
        for (position, number), aval in zip(
            self._outputs, self._output_avals, strict=True
        ):
            if position < 0:
                avals[number] = aval
        return [avals[number] for number in range(len(self.sources))]


def _append(path: Path, step: Path, table: list[int]) -> Path:
    """A step of a fragment appended to the joint path."""
    codes = tuple(table[code] if type(code) is int else code for code in step.codes)
    child = Path(path, step.prim, step.params, codes, step.avals, step.keep)
    child.site = step.site
    table += range(child.index, child.count)
    return child


def _probe(path: Path, table: list[int], number: int, probe: int) -> Path:
    """The variable with a probe added, which takes its place from here on."""
    aval = _aval_in(nodes_to(path), table[number])
    child = Path(path, add, (), (table[number], probe), (aval,), ())
    table[number] = child.index
    return child


def _aval_in(steps: list[Path], number: int) -> Aval:
    """The type of a variable of a structure."""
    step = next(step for step in steps if step.index <= number < step.count)
    return step.avals[number - step.index]


def pull_back(
    outputs: Sequence[Tensor],
    seeds: Sequence[Tensor | None],
    wanted: Sequence[Edge] | None,
    retain_graph: bool,
    create_graph: bool,
) -> list[tuple[Edge, Tensor | None]]:
    """The cotangents of wanted edges (of all leaves by default) for those of outputs.

    An edge that no output depends on gets None.

    Raises:
        RuntimeError: in PyTorch's words: what was saved was freed before, or changed.
    """
    order = gather([edge_of(x) for x in outputs])
    if wanted is not None:
        order = between(order, wanted)
    joint = Joint(order, outputs)
    if wanted is None:
        wanted = [edge for _, edge in joint.sources.values()]
        wanted += [(node, number) for node in order for number in node.retained or ()]
    saved = _saved(order)
    unit = len(outputs) == 1 and seeds[0] is None
    distinct = {(id(parent), number): (parent, number) for parent, number in wanted}
    found = [edge for edge in distinct.values() if joint.has(edge)]
    executable, given, avals = joint.derive(found, unit)
    ends = [] if unit else [_seed(x, s) for x, s in zip(outputs, seeds, strict=True)]
    if create_graph:
        results = _recorded(executable.program, order, ends)
    else:
        seed_arrays = [seed._array for seed in ends]
        results = [
            make(array)
            for array in run_on(executable, [*saved, *seed_arrays], traced=False)
        ]
    if not retain_graph:
        for node in order:
            node.release()
    filled = iter(results)
    by_edge = {
        (id(edge[0]), edge[1]): next(filled) if is_given else make(zeros(aval))
        for edge, aval, is_given in zip(found, avals, given, strict=True)
    }
    return [(edge, by_edge.get((id(edge[0]), edge[1]))) for edge in wanted]


def _seed(output: Tensor, seed: Tensor | None) -> Tensor:
    if seed is None:
        return make(zeros(aval_of(output._array)) + output._aval.dtype.type(1))
    if seed._aval.dtype == output._aval.dtype:
        return seed
    return seed.to(output.dtype)  # type: ignore[no-any-return]


def _saved(order: list[Node]) -> list[Any]:
    """All saved values, after a check that they are there and unchanged."""
    saved: list[Any] = []
    for node in order:
        if node.refusal:
            raise RuntimeError(node.refusal)
        if node.trace is None:
            raise RuntimeError(SECOND_TIME)
        node.check_guards()
        if node.trace.constants is not None:
            node.trace.constants.verify()
        saved += node.trace.saved
    return saved


def _recorded(program: Program, order: list[Node], seeds: list[Tensor]) -> list[Tensor]:
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
    for node in order:
        assert node.trace is not None
        guards += node.guards
        saved = zip(node.trace.saved, reads_of(node.path).numbers, strict=True)
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
    with np.errstate(all="ignore"):
        outs = trace.run(evaluate, program, operands)
    return _attached(outs, trace, tuple(edges), tuple(guards))


def _attached(
    outs: list[Any], trace: Trace, edges: tuple[Edge, ...], guards: tuple[Guard, ...]
) -> list[Tensor]:
    """Tensors of the results of a recorded pullback."""
    variables = tuple(x.index if type(x) is Tracer else None for x in outs)
    path = trace.finish()
    results = [make(_fresh(x)) for x in outs]
    if all(variable is None for variable in variables):
        return results
    layout = tuple(range(len(edges)))
    node = node_type("VjpBackward0")(
        edges, layout, path, variables, trace, guards, True
    )
    for result, variable in zip(results, variables, strict=True):
        attach(result, node, variable)
    return results


def _fresh(out: Any) -> Any:
    """The value of a result, in memory that nothing else holds."""
    if type(out) is not Tracer:
        return np.array(out)
    is_fresh = out.owned and out.origin is None
    return out.value if is_fresh else np.array(out.value)
