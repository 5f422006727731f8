"""Memory that recorded operations saved: what happens where it is written to.

Where PyTorch saves the same memory, `backward` refuses, as PyTorch's does: a *guard*
knows the version. Where PyTorch does not, since its formula reads something else, the
operation takes a copy just before the write.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrad.ir import Aval
from fgrad.path import Path
from fgrad.torch.reads import Reads, reads_of
from fgrad.torch.storage import NOT_YET, Storage
from fgrad.torch.tensor import Tensor

if TYPE_CHECKING:
    from fgrad.torch.graph import Node

SAVED_INFERENCE = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created "
    "in inference mode in computation tracked by autograd. To work around this, you "
    "can make a clone to get a normal tensor and use it in autograd, or use "
    "`torch.no_grad()` instead of `torch.inference_mode()`."
)

# A tensor whose memory is among the saved values, and must not change before
# `backward`: its storage, the version then, its type, and where it came from: the
# number of an edge, RESULT, or None for a constant; and whether it is a view.
Guard = tuple[Storage, int, Aval, int | None, bool]
RESULT = -1

# The operations of which PyTorch saves a result (derivatives.yaml of PyTorch 2.13), by
# the number of the node's name
_OF_RESULTS = {
    0: "Amax Amin Cdist Cholesky CholeskyInverse CholeskySolve Copysign Cumprod Dist "
    "EuclideanDist Exp Exp2 Expm1 Hypot IndexReduce Ldexp LinalgCholeskyEx LinalgDet "
    "LinalgEig LinalgEigh LinalgHouseholderProduct LinalgInvEx LinalgLu "
    "LinalgLuFactorEx LinalgLuSolve LinalgPinv LinalgQr LinalgSlogdet LinalgSolveEx "
    "LinalgSolveTriangular LinalgSvd LinalgVectorNorm LogSoftmax Logcumsumexp "
    "Logsumexp MaskedSoftmax Median Nanmedian Norm Pdist Polar Prod Reciprocal Relu "
    "Rsqrt ScatterReduce SegmentReduce Sgn Sigmoid Softmax SpecialErfcx SpecialI0E "
    "SpecialI1 SpecialI1E SpecialLogNdtr SpecialNdtri Sqrt StandardGamma Std StdMean "
    "Tan Tanh",
    1: "Celu Copysign Elu LeakyRelu Max Min Norm Pow Prod RreluWithNoise",
    2: "Norm Pow",
    3: "Norm",
}
_SAVES_RESULTS = {
    f"{name}Backward{number}"
    for number, names in _OF_RESULTS.items()
    for name in names.split()
}
# Those whose operands PyTorch does not save though the formulas here read them
_SAVES_NO_OPERAND = {
    f"{name}Backward0" for name in ("Softmax", "LogSoftmax", "NllLoss")
}
_SAVES_NO_OPERAND |= {"UnsafeViewBackward0"}
# Those whose first operands PyTorch saves, though the formulas here may read something
# else, and how many of them
_SAVED_OPERANDS = {
    1: "Abs Angle AvgPool2D Celu Cummax Cummin Digamma Elu Gather Gelu Hardsigmoid "
    "Hardtanh LeakyRelu Lgamma LinalgMatrixExp LogSigmoid Logit MaxPool2DWithIndices "
    "Median MultiMarginLoss MultilabelMarginLoss NanToNum Nansum NativeBatchNorm "
    "NativeGroupNorm NativeLayerNorm Pdist Polygamma RreluWithNoise Sgn Sinc "
    "SoftMarginLoss Softplus SpecialErfcx SpecialI0E SpecialI1 SpecialI1E "
    "SpecialLogNdtr Std StdMean Threshold Var VarMean",
    2: "BinaryCrossEntropyWithLogits Cdist Dist Fmax Fmin HuberLoss MseLoss "
    "PreluKernel SmoothL1Loss",
}
_SAVED_FIRST = {
    f"{name}Backward0": count
    for count, names in _SAVED_OPERANDS.items()
    for name in names.split()
}


# Those that save just these operands: for each of them whose gradients need it
_SAVED_FOR: dict[str, dict[int, set[int]]] = {
    "AddcdivBackward0": {1: {2}, 2: {0, 1, 2}},
    "AddcmulBackward0": {1: {2}, 2: {1}},
    "CopysignBackward0": {0: {0}},
    "DivBackward0": {0: {1}, 1: {0, 1}},
}


# Layers, whose weights PyTorch transposes by an operation of its own
TURNING = {"AddmmBackward0", "MmBackward0", "UnsafeViewBackward0", "ViewBackward0"}


def seen(guard: Guard, node: str, reads: Reads, number: int | None) -> Guard:
    """A guard with the type of what PyTorch saves: a layer's weight is transposed."""
    turned = reads.turned.get(number) if number is not None else None
    if turned is None or node not in TURNING:
        return guard
    return (*guard[:2], turned, guard[3], True)


def is_kept(node: str, position: int, layout: Sequence[Any] = ()) -> bool:
    """Whether PyTorch saves an operand, or the only result (RESULT), in any case.

    ``layout`` has None for the operands that have no gradient.
    """
    if position == RESULT:
        return node in _SAVES_RESULTS
    for k in _SAVED_FOR.get(node, {}).get(position, ()):
        if layout[k] is not None:
            return True
    return layout[position] is not None and position < _SAVED_FIRST.get(node, 0)


def is_guarded(node: str, number: int | None) -> bool:
    """Whether a write to what a node saved is refused: an operand, or RESULT."""
    if number == RESULT:
        return node in _SAVES_RESULTS
    if node == "CopysignBackward0":
        return number == 0  # the magnitudes, not the signs
    return node not in _SAVES_NO_OPERAND


class Guarding:
    """The tensors whose memory a fragment saved.

    Attributes:
        guards: of those whose change is refused.
        lent: the others.
    """

    __slots__ = ("_node", "guards", "lent")

    def __init__(self, node: str) -> None:
        self._node = node
        self.guards: list[Guard] = []
        self.lent: list[Tensor] = []

    def add(self, tensor: Tensor, number: int | None, reads: Reads) -> None:
        """Note a tensor: an operand by the number of its edge, or RESULT, or None.

        Raises:
            RuntimeError: it was made in inference mode.
        """
        storage = tensor._storage
        if storage.is_inference:
            raise RuntimeError(SAVED_INFERENCE)
        if not is_guarded(self._node, number):
            self.lent.append(tensor)
            return
        storage.written_at = NOT_YET
        is_view = tensor._base is not None
        guard = storage, storage.version, tensor._aval, number, is_view
        self.guards.append(seen(guard, self._node, reads, number))

    def lend(self, node: Node) -> None:
        """Have the node copy what was lent to it before that is written to."""
        for tensor in self.lent:
            tensor._storage.remember().add_reader(Loan(node, tensor._array))


class Loan:
    """Memory that a node reads in `backward`, unless it is written to before."""

    __slots__ = ("_array", "_node")

    def __init__(self, node: Node, array: Any) -> None:
        self._node = weakref.ref(node)
        self._array = array

    @property
    def is_waiting(self) -> bool:
        """Whether the node will still read it."""
        node = self._node()
        return node is not None and node.trace is not None

    def settle(self) -> None:
        """Give the node a copy."""
        node = self._node()
        if node is None or node.trace is None:
            return
        saved = node.trace.saved
        for k, x in enumerate(saved):
            if isinstance(x, np.ndarray) and np.may_share_memory(x, self._array):
                saved[k] = x.copy()


def guarding(
    node: str,
    path: Path,
    inputs: Sequence[Tensor],
    operands: Sequence[Any],
    outs: Sequence[int | None],
    results: Sequence[Tensor],
) -> Guarding:
    """The tensors whose memory a fragment saved, of its operands and results."""
    reads: Reads = reads_of(path)
    found = Guarding(node)
    layout = [x if isinstance(x, Tensor) and x._requires else None for x in operands]
    for number, x in enumerate(inputs):
        if number in reads.owners or is_kept(node, _position_of(x, operands), layout):
            found.add(x, number, reads)
    is_only = len(outs) == 1 and is_kept(node, RESULT)
    for variable, result in zip(outs, results, strict=True):
        if is_only or variable in reads.owners:
            found.add(result, RESULT, reads)
    for position, x in enumerate(operands):
        if not isinstance(x, Tensor) or x._requires:
            continue
        if reads.constants or is_kept(node, position, layout):
            found.add(x, None, reads)
    return found


def _position_of(tensor: Tensor, operands: Sequence[Any]) -> int:
    """The first position of an operand."""
    return next(k for k, x in enumerate(operands) if x is tensor)
