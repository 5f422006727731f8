"""`backward`: the fragments joined into one program, and its vjp.

The operations that the outputs depend on are gathered and put in order, their fragments
are joined into one structure, and the core derives and compiles the pullback of that
(`fgrad.transforms.tape.derived`). What was derived is kept by structure, so that each
step of a training loop after the second runs compiled code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fgrad.ir import Aval, aval_of
from fgrad.lower.numpy import Executable, run_on
from fgrad.ops.elementwise import add
from fgrad.path import Path
from fgrad.record import nodes_to
from fgrad.sites import user_site
from fgrad.torch.complaints import second_time
from fgrad.torch.conjugates import conj
from fgrad.torch.devices import DEVICES
from fgrad.torch.graph import Edge, Node, edge_of
from fgrad.torch.naming import UNKNOWN, Naming, namings, read_edges
from fgrad.torch.noting import saved_values
from fgrad.torch.placement import place, place_all
from fgrad.torch.pullbacks import VjpBackward0, reached, recorded, required
from fgrad.torch.remote import on_host, run_remote
from fgrad.torch.runs import end_learning
from fgrad.torch.segments import SegmentedPass
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.watch import WATCH
from fgrad.trace import Tracer
from fgrad.transforms.tape import derived, zeros
from fgrad.xla.arrays import is_jax_array

PROGRAM_LIMIT = 4096  # structures whose programs are kept

_programs: dict[tuple[Any, ...], tuple[Executable, tuple[bool, ...], list[Aval]]] = {}

_names: dict[tuple[Any, ...], tuple[list[Naming], list[tuple[int, int, Aval]]]] = {}


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
        outputs: the edges of the outputs.
        sources: the edges that come from outside, with their numbers.
        key: the structure; equal for equal programs.
    """

    def __init__(
        self, order: list[Node], outputs: Sequence[Edge], avals: Sequence[Aval]
    ) -> None:
        self.order = order
        self.sources: dict[tuple[int, int], tuple[int, Edge]] = {}
        self._position = {id(node): k for k, node in enumerate(order)}
        parts: list[Any] = []
        for node in order:
            parts.append(node.path)
            for edge in node.edges:
                parts += self._code(edge)
        self.outputs = outputs
        self._outputs = [self._code(edge) for edge in outputs]
        self._output_avals = avals
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
) -> Iterable[tuple[Edge, Tensor | None]]:
    """The cotangents of wanted edges (of all leaves by default) for those of outputs.

    An edge that no output depends on gets None, or is left out.

    Raises:
        RuntimeError: in PyTorch's words: what was saved was freed before, or changed.
    """
    end_learning()
    edges = [edge_of(x) for x in outputs]
    order = gather(edges)
    if wanted is not None:
        order = between(order, wanted)
    joint = (
        None if _is_watched(order) else Joint(order, edges, [x._aval for x in outputs])
    )
    ends = wanted
    if ends is None and joint is not None:
        ends = _ends(joint)
    if joint is None or ends is None or any(end._hooks is not None for end, _ in ends):
        given = [_seed(x, s) for x, s in zip(outputs, seeds, strict=True)]
        seeded = list(zip(edges, given, strict=True))
        passed = SegmentedPass(order, seeded, wanted, _run, retain_graph, create_graph)
        return passed.gradients()
    unit = len(outputs) == 1 and seeds[0] is None
    distinct = {(id(parent), number): (parent, number) for parent, number in ends}
    found = [edge for edge in distinct.values() if joint.has(edge)]
    given = [] if unit else [_seed(x, s) for x, s in zip(outputs, seeds, strict=True)]
    results = _pulled(joint, found, given, unit, create_graph)
    place_all(results, outputs[0]._device)
    if not retain_graph:
        site = user_site()
        for node in order:
            node.release(site)
    by_edge = {
        (id(edge[0]), edge[1]): result
        for edge, result in zip(found, results, strict=True)
    }
    return [(edge, by_edge.get((id(edge[0]), edge[1]))) for edge in ends]


def _ends(joint: Joint) -> list[Edge]:
    """The leaves that outputs depend on."""
    ends = [edge for _, edge in joint.sources.values()]
    if not any(isinstance(node, VjpBackward0) for node in joint.order):
        return ends
    _, asked = reached(joint.order, joint.outputs)
    return [end for end in ends if end[1] in asked.get(id(end[0]), ())]


def _is_watched(order: list[Node]) -> bool:
    """Whether hooks, Python code or an anomaly mode stand in the way of one program."""
    if WATCH.anomaly:
        return True
    for node in order:  # noqa: SIM110 - twice as fast as any(), and always passed
        if node._hooks is not None:
            return True
    return False


def _run(
    order: list[Node],
    seeds: list[tuple[Edge, Tensor]],
    wanted: list[Edge],
    create_graph: bool,
) -> list[Tensor]:
    """Run a segment: the gradients of wanted edges for those of later ones."""
    if not wanted:
        return []
    edges = [edge for edge, _ in seeds]
    given = [seed for _, seed in seeds]
    joint = Joint(order, edges, [seed._aval for seed in given])
    results = _pulled(joint, wanted, given, False, create_graph)
    return place_all(results, given[0]._device)  # type: ignore[no-any-return]


def _pulled(
    joint: Joint,
    wanted: Sequence[Edge],
    seeds: list[Tensor],
    unit: bool,
    create_graph: bool,
) -> list[Tensor]:
    """The gradients of edges by the pullback of a joint program."""
    saved = saved_by(joint.order)
    seeds = list(map(conj, seeds))
    executable, given, avals = joint.derive(wanted, unit)
    if create_graph:
        return _recorded(joint, executable, saved, wanted, given, avals, seeds)
    values = [x for each in saved for x in each]
    values += [seed._array for seed in seeds]
    results = _computed(executable, values)
    return _filled(results, given, avals)


def _filled(
    results: list[Tensor], given: Sequence[bool], avals: list[Aval]
) -> list[Tensor]:
    """The gradients, with zeros where there is none."""
    filled = map(conj, results)  # PyTorch's gradients are conjugates of cotangents
    return [
        next(filled) if is_given else make(zeros(aval))
        for aval, is_given in zip(avals, given, strict=True)
    ]


def _named(
    joint: Joint, wanted: Sequence[Edge], seeds: list[Tensor]
) -> tuple[list[Naming], list[tuple[int, int, Aval]]]:
    """What PyTorch knows of gradients; and `read_edges`. Kept by structure."""
    given: list[Any] = list(seeds) or [None] * len(joint.outputs)
    key = (
        joint.key,
        tuple([joint._code(edge) for edge in wanted]),
        tuple([(type(node), node.layout) for node in joint.order]),
        tuple([x is not None and (x._requires, type(x._node)) for x in given]),
    )
    found = _names.get(key)
    if found is None:
        if len(_names) >= PROGRAM_LIMIT:
            _names.clear()
        seeded = list(zip(joint.outputs, given, strict=True))
        named = namings(joint.order, seeded, wanted)
        found = _names[key] = named, read_edges(joint.order)
    return found


def _recorded(
    joint: Joint,
    executable: Executable,
    saved: list[list[Any]],
    wanted: Sequence[Edge],
    given: Sequence[bool],
    avals: list[Aval],
    seeds: list[Tensor],
) -> list[Tensor]:
    """Gradients that can be differentiated, with the nodes that PyTorch has."""
    saved = [list(map(on_host, each)) for each in saved]
    found, places = _named(joint, wanted, seeds)
    names = [
        naming.name or UNKNOWN
        for naming, is_given in zip(found, given, strict=True)
        if is_given
    ]
    read = [(joint.order[k].edges[number], aval) for k, number, aval in places]
    results = recorded(executable.program, joint.order, saved, seeds, names, read)
    return [
        required(gradient, edge, naming.name or UNKNOWN)
        if naming.requires and not gradient._requires
        else gradient
        for gradient, edge, naming in zip(
            _filled(results, given, avals), wanted, found, strict=True
        )
    ]


def _computed(executable: Executable, values: list[Any]) -> list[Tensor]:
    """The results of a pullback, where its values are."""
    if DEVICES.is_on and any(map(is_jax_array, values)):
        return run_remote(executable, values)
    traced = any(type(x) is Tracer for x in values)  # inside a transform
    return [make(array) for array in run_on(executable, values, traced)]


def _seed(output: Tensor, seed: Tensor | None) -> Tensor:
    if seed is None:
        ones = make(zeros(aval_of(output._array)) + output._aval.dtype.type(1))
        return place(ones, output._device)
    if seed._aval.dtype == output._aval.dtype:
        return seed
    return seed.to(output.dtype)  # type: ignore[no-any-return]


def saved_by(order: list[Node]) -> list[list[Any]]:
    """What each node saved, after a check that it is there and unchanged."""
    saved = []
    for node in reversed(order):  # the first complaint is PyTorch's
        if node.refusal:
            is_missing = node.refusal.startswith("the derivative for")
            raise (NotImplementedError if is_missing else RuntimeError)(node.refusal)
        if node.trace is None:
            raise RuntimeError(second_time(node))
        node.check_guards()
    for node in order:
        assert node.trace is not None
        if node.trace.constants is not None:
            node.trace.constants.verify()
        saved.append(saved_values(node))
    return saved
