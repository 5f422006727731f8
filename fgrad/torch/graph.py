"""Recording: each operation becomes a fragment of the program, linked to its operands.

`apply` runs a plain NumPy function. Where an operand requires a gradient, the
function runs on tracers of a trace of its own; what that recorded (a path of the
core's trie, and the values that pullbacks need) is the fragment, and the tensors that
entered are its edges. A fragment knows nothing of the tensors made from it, so what
no tensor reaches is freed by reference counting, and no thread has state that another
one could see.
"""

from __future__ import annotations

import itertools
import re
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fgrad.ir import PYTHON_AVALS, Aval, aval_of
from fgrad.path import Path
from fgrad.record import nodes_to
from fgrad.torch.dtypes import of_numpy
from fgrad.torch.modes import STATE
from fgrad.torch.tensor import Array, Storage, Tensor, make
from fgrad.trace import Trace, Tracer, refresh
from fgrad.transforms.tape import TAPE

CHANGED = (
    "one of the variables needed for gradient computation has been modified by an "
    "inplace operation: [{}]{} is at version {}; expected version {} instead. Hint: "
    "enable anomaly detection to find the operation that failed to compute its "
    "gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False)."
)

Edge = tuple[Any, int]  # a node and one of its variables, or a leaf tensor and 0

_serials = itertools.count()


# A tensor whose memory is among the saved values, and must not change before
# `backward`: its storage, the version then, the array, and where it came from: the
# number of an edge, RESULT, or None for a constant.
Guard = tuple[Storage, int, Array, int | None]
RESULT = -1


def _bare(name: str) -> str:
    """The name of an operation in PyTorch's message: without ``Backward0``."""
    if name == "CopySlices":
        return "torch::autograd::CopySlices"
    return re.sub(r"Backward\d*$", "", name)


class Node:
    """A recorded operation: what ``grad_fn`` shows.

    Attributes:
        edges: for each input of the fragment where it comes from.
        layout: for each operand the number of its edge, None for a constant.
        path: the structure of the fragment.
        outs: the variables of the fragment that are results of the operation.
        trace: holds the saved values; None once `backward` freed them.
        guards: the tensors whose memory is among the saved values.
        serial: later operations have higher ones.
    """

    __slots__ = (
        "__weakref__",
        "edges",
        "guards",
        "has_number",
        "layout",
        "outs",
        "path",
        "retained",
        "serial",
        "trace",
    )
    refusal = ""
    trace: Trace | None

    def __init__(
        self,
        edges: tuple[Edge, ...],
        layout: tuple[int | None, ...],
        path: Path,
        outs: tuple[int | None, ...],
        trace: Trace,
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
        self.serial = next(_serials)
        self.retained: dict[int, weakref.ref[Tensor]] | None = None

    def name(self) -> str:
        """PyTorch's name of the operation, such as ``AddBackward0``."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The operations that gave the operands; None for a constant."""
        return tuple(
            (None, 0) if number is None else _shown(self.edges[number])
            for number in self.layout
        )

    def retain(self, tensor: Tensor) -> None:
        """Have `backward` fill ``.grad`` of a result of this operation."""
        self.retained = self.retained or {}
        self.retained[tensor._number] = weakref.ref(tensor)

    def retained_by(self, number: int) -> Tensor | None:
        """The tensor whose ``.grad`` is to be filled for a variable, if it lives."""
        reference = (self.retained or {}).get(number)
        return None if reference is None else reference()

    def check_guards(self) -> None:
        """Raise PyTorch's error where saved memory was changed.

        Raises:
            RuntimeError: an in-place operation changed it.
        """
        for storage, version, array, number in self.guards:
            if storage.version != version:
                raise RuntimeError(self._complaint(storage, version, array, number))

    def _complaint(
        self, storage: Storage, version: int, array: Array, number: int | None
    ) -> str:
        name = self.name() if number == RESULT else ""
        if number is not None and number >= 0:
            parent = self.edges[number][0]
            name = "" if isinstance(parent, Tensor) else parent.name()
            name = name and (storage.writer or name)
        origin = f", which is output 0 of {_bare(name)}," if name else ""
        what = f"torch.{of_numpy(array.dtype).kind}Tensor {list(array.shape)}"
        return CHANGED.format(what, origin, storage.version, version)

    def release(self) -> None:
        """Free what was saved, so that a second `backward` is refused.

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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {hex(id(self))}>"


class AccumulateGrad:
    """The end of the graph at a leaf: adds to its ``.grad``."""

    __slots__ = ("variable",)
    next_functions: tuple[Any, ...] = ()

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

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
        return AccumulateGrad(parent), 0
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


class Reads(NamedTuple):
    """What the traces of a structure save.

    Attributes:
        numbers: for each saved value its variable, None for a constant.
        owners: the variables whose memory saved values may share.
        constants: whether a constant is among them.
    """

    numbers: tuple[int | None, ...]
    owners: frozenset[int]
    constants: bool


def reads_of(path: Path) -> Reads:
    """What a structure saves; derived once, and kept with the structure."""
    found: Reads | None = path.ends.get(reads_of)
    if found is None:
        found = path.ends[reads_of] = _derive_reads(path)
    return found


def _derive_reads(path: Path) -> Reads:
    root, *steps = nodes_to(path)
    owner = list(range(root.count))
    numbers: list[int | None] = []
    has_constants = False
    for step in steps:
        first = step.codes[0] if step.codes else None
        is_view = step.prim is not None and step.prim.view_step is not None
        for number in range(step.index, step.count):
            owner.append(owner[first] if is_view and type(first) is int else number)
        atoms = (*step.codes, *range(step.index, step.count))
        for code in (atoms[position] for position in step.keep):
            numbers.append(code if type(code) is int else None)
            has_constants |= isinstance(code, Aval) and not code.is_python
    owners = frozenset(owner[number] for number in numbers if number is not None)
    return Reads(tuple(numbers), owners, has_constants)


def edge_of(tensor: Tensor) -> Edge:
    """Where a tensor that requires a gradient comes from."""
    return (tensor, 0) if tensor._node is None else (tensor._node, tensor._number)


def apply(
    name: str, function: Callable[..., Any], *operands: Any, view: bool = False
) -> Any:
    """Run a NumPy function on tensors, and record it where a gradient is required.

    Args:
        name: PyTorch's name of the operation's node, such as ``AddBackward0``; a text
            after a colon is the error that `backward` raises at this node.
        function: plain NumPy code that returns one array or a tuple of arrays.
        operands: tensors, and constants of other types, which are passed on.
        view: the results may share memory with the first operand.

    Returns:
        A tensor, or a tuple of tensors.
    """
    if STATE.enabled:
        for x in operands:
            if isinstance(x, Tensor) and x._requires:
                return _record(name, function, operands, view)
    arrays = [x._array if isinstance(x, Tensor) else x for x in operands]
    with np.errstate(all="ignore"):
        out = function(*arrays)
    base = operands[0] if view else None
    if isinstance(out, tuple):
        return tuple(_result(each, base) for each in out)
    return _result(out, base)


def _result(array: Any, base: Tensor | None) -> Tensor:
    """A tensor of an array, which is a view of ``base`` if they share memory."""
    if base is None or not np.may_share_memory(array, base._array):
        return make(array)
    view = make(array, base._storage, base if base._base is None else base._base)
    base._storage.add_view(view)
    view._requires = base._requires  # in no_grad, too; there the view is a leaf
    return view


def _record(
    name: str, function: Callable[..., Any], operands: Sequence[Any], view: bool
) -> Any:
    inputs: list[Tensor] = []
    layout: list[int | None] = []
    arguments = list(operands)
    has_number = False
    for position, x in enumerate(operands):
        number = None
        if not isinstance(x, Tensor):
            has_number = has_number or type(x) in PYTHON_AVALS
        elif x._requires:
            number = _position(inputs, x)
        else:
            arguments[position] = x._array
        layout.append(number)
    arrays = [x._array for x in inputs]
    trace = Trace(TAPE, tuple([aval_of(array) for array in arrays]))
    tracers = trace.inputs(arrays)
    for position, number in enumerate(layout):
        if number is not None:
            arguments[position] = tracers[number]
    with np.errstate(all="ignore"):
        out = trace.run(function, *arguments)
    base = operands[0] if view else None
    outs: list[int | None] = []
    results: list[Tensor] = []
    for leaf in out if isinstance(out, tuple) else (out,):
        is_own = type(leaf) is Tracer and leaf.scope is trace
        if is_own and leaf.origin is not None:
            refresh(leaf)
        outs.append(leaf.index if is_own else None)
        results.append(_result(leaf.value if is_own else leaf, base))
    path = trace.finish()
    if outs.count(None) < len(outs):
        node = node_type(name)(
            tuple([edge_of(x) for x in inputs]),
            tuple(layout),
            path,
            tuple(outs),
            trace,
            _guards(path, inputs, operands, outs, results),
            has_number,
        )
        for result, variable in zip(results, outs, strict=True):
            attach(result, node, variable)
    return tuple(results) if isinstance(out, tuple) else results[0]


def _position(inputs: list[Tensor], tensor: Tensor) -> int:
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


def _guards(
    path: Path,
    inputs: list[Tensor],
    operands: Sequence[Any],
    outs: list[int | None],
    results: list[Tensor],
) -> tuple[Guard, ...]:
    """A guard for each tensor whose memory the fragment saved."""
    reads = reads_of(path)
    if not reads.owners and not reads.constants:
        return ()
    guards = []
    for number, x in enumerate(inputs):
        if number in reads.owners:
            guards.append(_guard(x, number))
    for variable, result in zip(outs, results, strict=True):
        if variable in reads.owners and result._aval.ndim:
            guards.append(_guard(result, RESULT))
    if reads.constants:
        for x in operands:
            if isinstance(x, Tensor) and not x._requires:
                guards.append(_guard(x, None))
    return tuple(guards)


def _guard(tensor: Tensor, number: int | None) -> Guard:
    storage = tensor._storage
    return storage, storage.version, tensor._array, number
