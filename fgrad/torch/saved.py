"""What a node saved, under PyTorch's names: ``grad_fn._saved_self``.

PyTorch's nodes name what they save after the arguments of the operation. What the
formulas here do not read is not saved; a leaf is shown all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.ir import PYTHON_AVALS
from fgrad.torch.complaints import second_time
from fgrad.torch.hooks import hooks_of
from fgrad.torch.noting import Packed, saved_values
from fgrad.torch.reads import reads_of
from fgrad.torch.tensor import Tensor, make

RESULT = -1  # in place of the position of an operand
PREFIX, RAW = "_saved_", "_raw_saved_"

_OPERANDS = {  # by their names, in order
    "self": "Abs Acos Asin Atan Clamp/1 Cos Cosh Digamma Elu Erf Gelu Hardtanh "
    "LeakyRelu Lgamma LinalgVectorNorm Log Log10 Log1P Log2 LogSigmoid Logsumexp Mish "
    "Prod Silu Sin Sinh Softplus Std Var",
    "self other": "Atan2 Div Maximum Minimum Mul",
    "self exponent": "Pow Pow/1 Pow/2",
    "self mat2": "Bmm Mm",
    ". mat1 mat2": "Addmm",
    ". batch1 batch2": "Baddbmm",
    "self vec": "Mv",
    "self tensor": "Dot",
    "self target": "HuberLoss MseLoss SmoothL1Loss",
    "input weight": "Convolution",
    "input weight bias": "NativeLayerNorm",
}
_RESULTS = (
    "Amax Amin Exp Exp2 Expm1 LinalgVectorNorm LogSoftmax Logsumexp Pow/1 Pow/2 Prod "
    "Reciprocal Relu Rsqrt Sigmoid Softmax Sqrt Std Tan Tanh"
)
# Those whose operands are only saved for the gradient of another one
_FOR_OTHERS = {"Addmm", "Baddbmm", "Bmm", "Div", "Dot", "Mm", "Mul", "Mv"}


def _full(name: str) -> str:
    kind, _, number = name.partition("/")
    return f"{kind}Backward{number or 0}"


def _places() -> dict[str, dict[str, int]]:
    """For each node the positions of what it saves, by name."""
    found: dict[str, dict[str, int]] = {}
    for text, nodes in _OPERANDS.items():
        names = {name: k for k, name in enumerate(text.split()) if name != "."}
        for node in nodes.split():
            found[_full(node)] = dict(names)
    for node in _RESULTS.split():
        found.setdefault(_full(node), {})["result"] = RESULT
    return found


_PLACES = _places()
_CONDITIONAL = set(map(_full, _FOR_OTHERS))


class SavedTensor:
    """One tensor that a node saved: ``grad_fn._raw_saved_self``."""

    __slots__ = ("_node", "_number")
    __module__ = "torch._C._autograd"

    def __init__(self, node: Any, number: int | None) -> None:
        self._node, self._number = node, number

    def register_hooks(
        self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]
    ) -> None:
        """Keep what ``pack_hook`` makes of the tensor; ``unpack_hook`` undoes it.

        >>> y = torch.tensor([1.0, 2.0], requires_grad=True).exp()
        >>> raw = y.grad_fn._raw_saved_result
        >>> raw.register_hooks(lambda x: x.numpy(), torch.tensor)
        >>> y.grad_fn._saved_result
        tensor([2.7183, 7.3891], grad_fn=<ExpBackward0>)
        """
        trace = self._node.trace
        numbers = reads_of(self._node.path).numbers
        trace.saved = [
            Packed(make(x), (pack_hook, unpack_hook)) if own == self._number else x
            for x, own in zip(trace.saved, numbers, strict=True)
        ]
        trace.constants = None
        self._node.guards = ()
        hooks_of(self._node).packed = True


class Saving:
    """A node whose saved tensors have names.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> x.sin().grad_fn._saved_self is x
    True
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        prefix = next((p for p in (PREFIX, RAW) if name.startswith(p)), None)
        places = _PLACES.get(type(self).__name__, {}) if prefix else {}
        if prefix is None or name[len(prefix) :] not in places:
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute '{name}'"
            )
        position = places[name[len(prefix) :]]
        return _raw(self, position) if prefix == RAW else _saved(self, position, name)

    def __dir__(self) -> list[str]:
        places = _PLACES.get(type(self).__name__, {})
        names = [prefix + name for prefix in (PREFIX, RAW) for name in places]
        return [*super().__dir__(), *names]


def _number(node: Any, position: int) -> int | None:
    """The variable at a position; None for a constant."""
    number: int | None = node.outs[0] if position == RESULT else node.layout[position]
    return number


def _raw(node: Any, position: int) -> SavedTensor:
    _check(node)
    return SavedTensor(node, _number(node, position))


def _check(node: Any) -> None:
    """Refuse to show what was freed, or changed.

    Raises:
        RuntimeError: as `backward` does.
    """
    if node.trace is None:
        raise RuntimeError(second_time(node))
    node.check_guards()


def _saved(node: Any, position: int, name: str) -> Any:
    """The tensor, or number, at a position; None where it was not needed.

    Raises:
        AttributeError: PyTorch saves it, but the formula here reads something else.
    """
    _check(node)
    number, numbers = _number(node, position), reads_of(node.path).numbers
    if number is not None and type(node).__name__ in _CONDITIONAL:
        places = _PLACES[type(node).__name__].values()
        if all(node.layout[k] is None for k in places if k != position):
            return None
    is_saved = number in numbers
    value = saved_values(node)[numbers.index(number)] if is_saved else None
    if number is None and is_saved:
        is_exponent = type(value) in PYTHON_AVALS and name.endswith("exponent")
        return value if is_exponent else make(np.asarray(value))
    parent: Any = node
    variable: int | None = number
    if position != RESULT and number is not None:
        parent, variable = node.edges[number]
        hooks = node._hooks
        if isinstance(parent, Tensor) and (hooks is None or not hooks.packed):
            return parent
    if value is None or variable is None:
        raise AttributeError(f"{type(node).__name__} does not save {name!r} here")
    found = make(np.asarray(value))
    if not isinstance(parent, Tensor):
        found._node, found._number = parent, variable
    found._requires = True
    return found
