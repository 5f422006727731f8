"""The names that gradients of gradients have in PyTorch.

With ``create_graph=True`` a gradient's ``grad_fn`` is the last operation of the formula
that gave it: ``MulBackward0`` for the gradient of ``x**3``. Here the pullback of all
operations is one; so the names come from this table, which follows PyTorch's
``derivatives.yaml``. What is not in it is named ``VjpBackward0``.

The table also knows whether PyTorch's formula reads something that requires a gradient,
though its value does not vary with it: the gradient of ``relu`` does require one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from fgrad.ir import Aval
from fgrad.ops.structure import transpose
from fgrad.record import nodes_to
from fgrad.torch.graph import Edge, Node
from fgrad.torch.guards import TURNING
from fgrad.torch.pullbacks import VjpBackward0

UNKNOWN = "VjpBackward0"
SUMMED = "AddBackward0"  # two gradients of one tensor
SAME = "="  # what came in goes out
DERIVED = "*"  # the node's name with "Backward" in front of its number


def _full(name: str) -> str:
    """A node's name, from its short form."""
    kind, _, number = name.partition("/")
    return f"{kind}Backward{number or 0}"


# In all of these "Mul" stands for MulBackward0, "Mul/1" for MulBackward1.
# Of functions of one operand whose slope depends on it, by the gradient's node
_CURVED = {
    "Mul": "Abs Acos Acosh Asin Asinh Cos Cosh Digamma Erf Erfc Erfinv Exp Expm1 "
    "Lgamma LinalgVectorNorm Logsumexp Mish Prod Prod/1 Reciprocal Rsqrt Silu Sin Sinh "
    "Std Tan Var",
    "Mul/1": "Exp2",
    "Div": "Atan Atanh Cumprod Log Log10 Log1P Log2 Sqrt",
    "Where": "Logit Sinc",
    "Sub": "Logcumsumexp",
    "Neg": "LinalgInvEx",
    "LinalgSolveEx": "LinalgDet",
    "SoftmaxBackwardData": "Softmax",
    "LogSoftmaxBackwardData": "LogSoftmax",
    "EluBackward": "Elu Celu",
    "ThresholdBackward": "Relu Threshold",
    DERIVED: "AdaptiveAvgPool2D AvgPool2D Gelu Glu Hardshrink Hardswish Hardtanh "
    "LeakyRelu LogSigmoid MaxPool2DWithIndices Sigmoid Softplus Softshrink Tanh",
}
# Of linear functions of one operand: the gradient varies only with what comes in
_LINEAR = {
    "Mul": "Amax Amin Aminmax NanToNum Nansum",
    "Mul/1": "Deg2Rad Rad2Deg",
    "Div/1": "Mean Mean/1",
    "Expand": "Sum Sum/1",
    "Neg": "Neg",
    "Flip": "Cumsum Flip",
    "Where": "Clamp/1 ClampMin ClampMax",
    "MaskedFill/1": "Max/1 Min/1 Median",
    "Scatter": "Kthvalue Max Median/1 Min Mode Sort Topk",
    "ScatterAdd": "Cummax Cummin Gather",
    "Squeeze/1": "Unsqueeze",
    "Unsqueeze": "Squeeze Squeeze/1",
    "IndexPutImpl": "Index",
    "IndexAdd": "IndexSelect",
    "MaskedScatter": "MaskedSelect",
    "Put": "Take",
    "Sum/1": "Repeat",
    "Cat": "Split",
    "Stack": "Unbind",
    "View": "Trace UnsafeView View",
    "EmbeddingDenseBackward": "Embedding",
    "Tril": "Tril",
    "Triu": "Triu",
    "Roll": "Roll",
    "Rot90": "Rot90",
    "Permute": "Permute",
    "Transpose": "Transpose",
    "T": "T",
    "ConstantPadNd": "ConstantPadNd",
    "ToCopy": "ToCopy",
    "AsStrided": "AsStrided",
    SAME: "Clone Expand Frac",
    DERIVED: "Diagonal Select Slice Unfold",
}
# Of several operands: for each the gradient's node ("?" where it is not known), and
# behind ":" the operands that its factor comes from; "." for a number
_SEVERAL = """
Add = =
Sub = Neg
Rsub/1 . Neg
Mul Mul:1 Mul:0
Div Div:1 Mul:01
Pow Mul:0 .
Pow/1 Where:01 Mul:01
Pow/2 . Mul:1
Atan2 Mul:01 Mul:01
Hypot Div:01 Div:01
Logaddexp Div:01 Div:01
Xlogy MaskedFill:01 Div:01
Dist Mul:01 Neg:01
Maximum MaskedFill MaskedFill
Minimum MaskedFill MaskedFill
Fmax MaskedFill MaskedFill
Fmin MaskedFill MaskedFill
MaskedFill MaskedFill .
Where Where Where
Remainder = .
Remainder/1 = Mul
Fmod = .
Fmod/1 = Mul
Lerp Mul/1 Mul/1 .
Lerp/1 Mul:2 Mul:2 Sum:01
Addcmul = Mul:2 Mul:1 .
Addcdiv = Mul:2 Mul:12 .
IndexAdd = IndexSelect .
ScatterAdd = Gather
Mm Mm:1 Mm:0
Bmm Bmm:1 Bmm:0
Mv Mul:1 Mv:0
Dot Mul:1 Mul:0
Addmm = Mm:2 Mm:1
Addmm = Mm:2 Mm:1 . .
Baddbmm = Bmm:2 Bmm:1
UnsafeView View:1 ?:0
View View View:2 ?:1
LinalgCross LinalgCross:1 LinalgCross:0
LinalgSolveEx Neg:01 LinalgSolveEx:0
MseLoss *:01 *:01
SmoothL1Loss *:01 *:01
HuberLoss *:01 *:01
Cdist *:01 *:01
Convolution *:01 *:01
Convolution *:012 *:012 *:012
NativeBatchNorm *:012 *:012 *:012
NativeLayerNorm *:012 *:012 *:012
PreluKernel *:01 *:01
"""
# Those of any number of operands
_ANY = {"Cat": "Slice", "Stack": "Select"}
# Those whose operands are broadcast, so that a sum is the last of the formula
_BROADCAST = {
    _full(name)
    for name in (
        *("Add", "Addcdiv", "Addcmul", "Atan2", "Div", "Expand", "Fmax"),
        *("Fmin", "Fmod/1", "Hypot", "Lerp", "Lerp/1", "Logaddexp", "Maximum"),
        *("Minimum", "Mul", "Pow/1", "Remainder/1", "Sub", "Where", "Xlogy"),
    )
}


class Formula(NamedTuple):
    """What PyTorch computes the gradients of an operation's operands by.

    Attributes:
        names: the last node of each operand's gradient.
        reads: the operands that each gradient depends on.
    """

    names: tuple[str, ...]
    reads: tuple[frozenset[int], ...]


def _formula(name: str, parts: Sequence[str]) -> Formula:
    pairs = [part.partition(":")[::2] for part in parts]
    special = {SAME: SAME, "?": UNKNOWN, DERIVED: f"{name[:-1]}Backward{name[-1]}"}
    return Formula(
        tuple(special.get(node) or _full(node) for node, _ in pairs),
        tuple(frozenset(map(int, digits)) for _, digits in pairs),
    )


def _formulas() -> dict[tuple[str, int], Formula]:
    """The formulas by the names of nodes and how many operands these have."""
    found = {}
    for table, reads in ((_CURVED, ":0"), (_LINEAR, "")):
        for node, names in table.items():
            for name in map(_full, names.split()):
                found[name, 1] = _formula(name, [node + reads])
    for line in _SEVERAL.split("\n")[1:-1]:
        short, *parts = line.split()
        found[_full(short), len(parts)] = _formula(_full(short), parts)
    return found


FORMULAS = _formulas()
OF_ANY = {_full(name): _formula(_full(name), [node]) for name, node in _ANY.items()}


class Naming(NamedTuple):
    """What PyTorch knows of a gradient.

    Attributes:
        name: of its node; empty where it is what came in.
        requires: whether it requires a gradient; None where that is not known.
    """

    name: str
    requires: bool | None


def namings(
    order: Sequence[Node], seeds: Sequence[tuple[Edge, Any]], wanted: Sequence[Edge]
) -> list[Naming]:
    """The namings of the gradients of wanted edges.

    Args:
        order: the operations, oldest first.
        seeds: the edges of the outputs, with their gradients; None for ones.
        wanted: the edges.
    """
    found: dict[tuple[int, int], Naming] = {}
    for edge, seed in seeds:
        node = None if seed is None else seed._node
        requires = seed is not None and seed._requires
        _add(found, edge, Naming("" if node is None else type(node).__name__, requires))
    kept = {}
    goals = {_key(edge) for edge in wanted}
    for node in reversed(order):
        given = []
        for number in node.outs:
            naming = None if number is None else found.pop((id(node), number), None)
            if naming is not None and number is not None:
                given.append(naming)
                if (id(node), number) in goals:
                    kept[_key((node, number))] = naming
        if given:
            _pass(node, given, found)
    found |= kept
    return [found.get(_key(edge), Naming(UNKNOWN, None)) for edge in wanted]


def read_edges(order: Sequence[Node]) -> list[tuple[int, int, Aval]]:
    """The edges that PyTorch's formulas read, with their types.

    The gradient of ``relu`` reads its operand: it is connected with it.

    Returns:
        For each the position of the operation, the number of its edge, and the type.
    """
    found = []
    for place, node in enumerate(order):
        formula = _formula_of(node)
        for k in frozenset().union(*formula.reads) if formula else ():
            number = node.layout[k]
            if number is not None:
                aval = nodes_to(node.path)[0].avals[number]
                found.append((place, number, aval))
    return found


def _key(edge: Edge) -> tuple[int, int]:
    return id(edge[0]), edge[1]


def _pass(
    node: Node, given: list[Naming], found: dict[tuple[int, int], Naming]
) -> None:
    """Add the gradients of a node's operands for those of its results."""
    layout, formula = node.layout, _formula_of(node)
    if formula is None:
        for number in layout:
            if number is not None:
                _add(found, node.edges[number], Naming(UNKNOWN, None))
        return
    comes = _requires(naming.requires for naming in given)
    for position, number in enumerate(layout):
        if number is None:
            continue
        place = min(position, len(formula.names) - 1)
        name, reads = formula.names[place], formula.reads[place]
        if name == SAME:
            name = given[0].name if len(given) == 1 else UNKNOWN
        name = _reshaped(node, number) or name
        is_read = any(layout[k] is not None for k in reads)
        _add(found, node.edges[number], Naming(name, True if is_read else comes))


def _formula_of(node: Node) -> Formula | None:
    """The formula of a node; None where it is not known.

    A composition has the name of its last operation, but other operands; a pullback has
    the name of a part of it.
    """
    if isinstance(node, VjpBackward0):
        return None
    name = type(node).__name__
    return OF_ANY.get(name) or FORMULAS.get((name, len(node.layout)))


def _reshaped(node: Node, number: int) -> str:
    """The node that ends the gradient of an operand that was broadcast or transposed.

    (The weight of a layer is transposed within the operation.)
    """
    root, *steps = nodes_to(node.path)
    name = type(node).__name__
    if name in _BROADCAST or (name == "AddmmBackward0" and number == node.layout[0]):
        out = next(k for k in node.outs if k is not None)
        before, after = root.avals[number], _aval_of([root, *steps], out)
        if before.shape != after.shape:
            return _full("View" if before.ndim < after.ndim else "Sum/1")
    if name in TURNING and any(
        step.prim is transpose and step.codes[0] == number for step in steps
    ):
        return _full("T")
    return ""


def _aval_of(steps: list[Any], number: int) -> Aval:
    step = next(step for step in steps if step.index <= number < step.count)
    found: Aval = step.avals[number - step.index]
    return found


def _requires(each: Iterable[bool | None]) -> bool | None:
    known = list(each)
    if any(known):
        return True
    return None if None in known else False


def _add(found: dict[tuple[int, int], Naming], edge: Edge, naming: Naming) -> None:
    """Add a gradient to those of an edge."""
    known = found.get(_key(edge))
    if known is not None:
        naming = Naming(SUMMED, _requires([known.requires, naming.requires]))
    found[_key(edge)] = naming
