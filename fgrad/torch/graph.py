"""Recording at once: an operation becomes a fragment of the program.

`record` runs a plain NumPy function on tracers of a trace of its own. What that
recorded (a path of the core's trie, and the values that pullbacks need) is the
fragment, and the tensors that entered are its edges. A fragment knows nothing of the
tensors made from it, so what no tensor reaches is freed by reference counting, and no
thread has state that another one could see.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fgrad.ir import PYTHON_AVALS
from fgrad.lower.quiet import quietly
from fgrad.path import Path
from fgrad.sites import Site, user_site
from fgrad.torch import complaints
from fgrad.torch.cuts import cut_off
from fgrad.torch.guards import RESULT, Guard, guarding
from fgrad.torch.hooks import Hooked, Hooks, hooks_of
from fgrad.torch.in_order import in_order, models_of
from fgrad.torch.modes import STATE
from fgrad.torch.noting import check_forward, note
from fgrad.torch.ordering import serial_now
from fgrad.torch.saved import Saving
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.views import view_of
from fgrad.torch.watch import WATCH
from fgrad.trace import Trace, Tracer, refresh, type_of
from fgrad.transforms.tape import TAPE

Edge = tuple[Any, int]  # a node and one of its variables, or a leaf tensor and 0


class Node(Hooked, Saving):
    """A recorded operation: what ``grad_fn`` shows.

    Attributes:
        edges: for each input of the fragment where it comes from.
        layout: for each operand the number of its edge, None for a constant.
        path: the structure of the fragment.
        outs: the variables of the fragment that are results of the operation.
        trace: holds the saved values; None once `backward` freed them.
        guards: the tensors whose memory is among the saved values.
        serial: later operations have higher ones.
        site: the user's line, or that of the first operation of equal structure.
        is_own_site: whether it is its own, as under `fgrad.torch.strict`.
        freed_at: the user's line that freed what was saved.
    """

    __slots__ = (
        "__weakref__",
        "_hooks",
        "edges",
        "freed_at",
        "guards",
        "has_number",
        "is_own_site",
        "layout",
        "outs",
        "path",
        "serial",
        "site",
        "trace",
    )
    refusal = ""
    trace: Trace | None
    freed_at: Site | None

    def __init__(
        self,
        edges: tuple[Edge, ...],
        layout: tuple[int | None, ...],
        path: Path,
        outs: tuple[int | None, ...],
        trace: Trace | None,
        guards: tuple[Guard, ...],
        has_number: bool,
    ) -> None:
        self.edges = edges
        self.layout = layout
        self.path = path
        self.outs = outs
        self.trace = trace
        self.guards = guards
        self.has_number = has_number
        self.serial: float = serial_now()
        self._hooks: Hooks | None = None
        self.is_own_site = STATE.sites
        self.site = user_site() if STATE.sites else path.site

    def name(self) -> str:
        """PyTorch's name of the operation, such as ``AddBackward0``."""
        name = type(self).__name__
        is_copy = name in ("CopySlices", "CopyBackwards")
        return f"torch::autograd::{name}" if is_copy else name

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The operations that gave the operands; None for a constant."""
        return tuple(
            (None, 0) if number is None else _shown(self.edges[number])
            for number in self.layout
        )

    def retain(self, tensor: Tensor) -> None:
        """Have `backward` fill ``.grad`` of a result of this operation."""
        hooks_of(self).retained[tensor._number] = weakref.ref(tensor)

    def forget(self, tensor: Tensor) -> None:
        """Undo `retain`: the tensor is no longer a result of this operation."""
        if tensor._retains:
            hooks_of(self).retained.pop(tensor._number, None)

    def check_guards(self) -> None:
        """Raise PyTorch's error where saved memory was changed.

        Raises:
            RuntimeError: an in-place operation changed it.
        """
        for guard in self.guards:
            if guard[0].version != guard[1]:
                raise RuntimeError(complaints.changed(self, guard, self._origin(guard)))

    def _origin(self, guard: Guard) -> str:
        """The name of the operation that gave a tensor; empty for a leaf."""
        storage, _, _, number, is_view = guard
        name = self.name() if number == RESULT else storage.writer
        if number is not None and number >= 0:
            parent = self.edges[number][0]
            if is_view and isinstance(parent, Tensor) and parent._base is None:
                return "AsStridedBackward0"  # the transpose of a layer's weight
            name = "" if isinstance(parent, Tensor) else name or parent.name()
        return "AsStridedBackward0" if name and is_view else name

    def release(self, site: Site | None) -> None:
        """Free what was saved, so that a second `backward` is refused.

        ``site`` is the user's line that does.

        As in PyTorch, numbers that the operation chose itself (the count in a mean) are
        not worth a refusal.
        """
        assert self.trace is not None
        saved = self.trace.saved
        if not saved:
            return
        if self.has_number or any(type(x) not in PYTHON_AVALS for x in saved):
            self.trace = None
            self.guards = ()
            self.freed_at = site

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {hex(id(self))}>"


class AccumulateGrad(Hooked):
    """The end of the graph at a leaf: adds to its ``.grad``."""

    __slots__ = ("variable",)
    next_functions: tuple[Any, ...] = ()

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    def _owner(self) -> Tensor:
        return self.variable

    def name(self) -> str:
        """PyTorch's name."""
        return "torch::autograd::AccumulateGrad"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return id(self.variable)

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self.variable))}>"


def _shown(edge: Edge) -> tuple[Any, int]:
    parent, number = edge
    if isinstance(parent, Tensor):
        is_cut = parent._base is not None and parent._base._requires  # in no_grad
        return (None if is_cut else AccumulateGrad(parent)), 0
    return parent, parent.outs.index(number) if number in parent.outs else 0


_NODE_TYPES: dict[str, type[Node]] = {}


def node_type(name: str) -> type[Node]:
    """The class of nodes of a name; a text after a colon is its ``refusal``."""
    found = _NODE_TYPES.get(name)
    if found is None:
        kind, _, refusal = name.partition(":")
        fields = {"__slots__": (), "__module__": "builtins", "refusal": refusal}
        found = _NODE_TYPES.setdefault(name, type(kind, (Node,), fields))
    return found


def edge_of(tensor: Tensor) -> Edge:
    """Where a tensor that requires a gradient comes from."""
    return (tensor, 0) if tensor._node is None else (tensor._node, tensor._number)


def record(
    name: str,
    function: Callable[..., Any],
    operands: Sequence[Any],
    view: bool = False,
    constants: Sequence[Any] = (),
) -> Any:
    """Run a function on operands of which one requires a gradient, and record it."""
    inputs: list[Tensor] = []
    layout: list[int | None] = []
    arguments = [*operands, *map(array_of, constants)]
    for position, x in enumerate(operands):
        number = None
        if isinstance(x, Tensor):
            if x._requires:
                number = position_in(inputs, x)
            else:
                arguments[position] = x._array
        layout.append(number)
    traced = trace_operation(function, arguments, layout, [x._array for x in inputs])
    numbers = range(len(traced.values)) if traced.is_tuple else (None,)
    models = list(map(array_of, models_of(name, operands, constants)))
    results = [
        view_of(value, operands[0], function, number, name, True)
        if view
        else make(in_order(name, value, models))
        for number, value in zip(numbers, traced.values, strict=True)
    ]
    outs = traced.outs
    if outs.count(None) < len(outs):
        found = guarding(name, traced.path, inputs, operands, outs, results)
        node = node_type(name)(
            tuple([edge_of(x) for x in inputs]),
            tuple(layout),
            traced.path,
            outs,
            traced.trace,
            tuple(found.guards),
            has_number(operands),
        )
        found.lend(node)
        if WATCH.active:
            note(node)
        for result, variable in zip(results, outs, strict=True):
            attach(result, node, variable)
    if WATCH.forward:
        check_forward(name, operands, tuple(results))
    for result, variable in zip(results, outs, strict=True):
        if variable is None:
            cut_off(result, name, *operands)
    return tuple(results) if traced.is_tuple else results[0]


def array_of(x: Any) -> Any:
    """The values of a tensor; anything else as it is."""
    return x._array if isinstance(x, Tensor) else x


def has_number(operands: Sequence[Any]) -> bool:
    """Whether a Python number is among the operands."""
    return any(type(x) in PYTHON_AVALS for x in operands)


class Traced(NamedTuple):
    """An operation that ran on tracers of a trace of its own.

    Attributes:
        trace: holds what was saved.
        path: the structure of the fragment.
        outs: the variables of the results; None for a constant.
        values: the results.
        is_tuple: whether the function returned a tuple.
    """

    trace: Trace
    path: Path
    outs: tuple[int | None, ...]
    values: list[Any]
    is_tuple: bool


def trace_operation(
    function: Callable[..., Any],
    arguments: list[Any],
    layout: Sequence[int | None],
    values: Sequence[Any],
) -> Traced:
    """Run a function, with tracers of ``values`` where ``layout`` has their numbers."""
    trace = Trace(TAPE, tuple([type_of(value) for value in values]))
    tracers = trace.inputs(values)
    for position, number in enumerate(layout):
        if number is not None:
            arguments[position] = tracers[number]
    out = quietly(trace.run, function, *arguments)
    outs: list[int | None] = []
    results: list[Any] = []
    for leaf in out if isinstance(out, tuple) else (out,):
        is_own = type(leaf) is Tracer and leaf.scope is trace
        if is_own and leaf.origin is not None:
            refresh(leaf)
        outs.append(leaf.index if is_own else None)
        results.append(leaf.value if is_own else leaf)
    return Traced(trace, trace.finish(), tuple(outs), results, isinstance(out, tuple))


def position_in(inputs: list[Tensor], tensor: Tensor) -> int:
    """The number of an input, which is added where it is new."""
    for number, known in enumerate(inputs):
        if known is tensor:
            return number
    inputs.append(tensor)
    return len(inputs) - 1


def attach(tensor: Tensor, node: Node, number: int | None) -> None:
    """Make a tensor a result of a recorded operation."""
    if number is not None:
        tensor._node = node
        tensor._number = number
        tensor._requires = True
