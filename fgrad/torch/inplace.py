"""In-place operations: they change the memory that views and `detach()` share.

Where a gradient is involved, the tensor becomes the result of the recorded operation.
The storage's version counts the changes, so that `backward` refuses to use a saved
value that was overwritten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch.conversion import convert
from fgrad.torch.dtypes import of_numpy
from fgrad.torch.graph import apply
from fgrad.torch.modes import STATE
from fgrad.torch.registry import FUNCTIONS, METHODS, method
from fgrad.torch.tensor import Tensor, make, set_array

LEAF = "a leaf Variable that requires grad is being used in an in-place operation."
SHARED = (
    "unsupported operation: more than one element of the written-to tensor refers to a "
    "single memory location. Please clone() the tensor before performing the operation."
)


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The in-place variant of a function: the result goes into the first operand."""

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        check_writable(self)
        operand = _kept(self) if STATE.enabled and _records(self, args) else self
        result = function(operand, *args, **kwargs)
        if result is NotImplemented:
            return result
        _check_fit(self, result)
        return overwrite(self, result)

    return change


def _records(self: Tensor, args: tuple[Any, ...]) -> bool:
    """Whether an operation on these operands is recorded."""
    return self._requires or any(
        isinstance(x, Tensor) and x._requires and x is not self for x in args
    )


def _kept(self: Tensor) -> Tensor:
    """The tensor with a copy of its memory, for backward to read: as in PyTorch."""
    copied = make(self._array.copy())
    copied._node, copied._number = self._node, self._number
    copied._requires = self._requires
    return copied


def check_writable(tensor: Tensor) -> None:
    """Refuse what would lose the gradient of a leaf.

    Raises:
        RuntimeError: a leaf that requires a gradient, or a view of one, is changed
            while operations are recorded; or the memory cannot be written to, such as
            that of an expanded tensor.
    """
    if not tensor._array.flags.writeable:
        raise RuntimeError(SHARED)
    if not STATE.enabled:
        return
    base = tensor._base
    if base is not None and base._requires and base._node is None:
        raise RuntimeError(f"a view of {LEAF}")
    if tensor._requires and tensor._node is None:
        raise RuntimeError(LEAF)


def _check_fit(target: Tensor, result: Tensor) -> None:
    if result.dtype.category > target.dtype.category:
        raise RuntimeError(
            f"result type {result.dtype.kind} can't be cast to the desired output type "
            f"{target.dtype.kind}"
        )
    if result._aval.shape != target._aval.shape:
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape "
            f"{list(result.shape)}"
        )


def overwrite(target: Tensor, result: Tensor) -> Tensor:
    """Give ``target`` the elements and the history of ``result``.

    Raises:
        NotImplementedError: views of the memory would need a new history, too.
    """
    has_history = STATE.enabled and (result._requires or target._requires)
    if has_history:
        if target._base is not None or target._storage.views:
            raise NotImplementedError(
                "an in-place operation through a view, or on a tensor of which there "
                "are views, does not carry gradients in fgrad.torch yet; write "
                "x = x + ... in place of x += ..., or change a clone()"
            )
        result = convert(result, of_numpy(target._aval.dtype))
    np.copyto(target._array, result._array, casting="unsafe")
    target._storage.version += 1
    if has_history:
        target._storage.writer = result._node.name() if result._node else ""
        target._node, target._number = result._node, result._number
        target._requires = result._requires
    return target


@method("zero_")
def zero_(self: Tensor) -> Tensor:
    """Set all elements to zero."""
    return fill_(self, 0, "ZeroBackward0")


@method("fill_")
def fill_(self: Tensor, value: Any, node: str = "FillBackward2") -> Tensor:
    """Set all elements to a number."""
    check_writable(self)
    if isinstance(value, Tensor):
        return copy_(self, value)
    if STATE.enabled and self._requires:
        filled = np.full(self._aval.shape, value, self._aval.dtype)
        return overwrite(
            self, apply(node, lambda x: np.where(np.True_, filled, x), self)
        )
    self._array[...] = value
    self._storage.version += 1
    return self


@method("copy_")
def copy_(self: Tensor, src: Tensor) -> Tensor:
    """Copy the elements of another tensor, broadcast to this one's shape."""
    METHODS["__setitem__"](self, ..., src, "CopyBackwards")
    return self


@method("fill_diagonal_")
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Set the main diagonal to a number."""
    check_writable(self)
    if self._aval.ndim > 2 and len(set(self._aval.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    np.fill_diagonal(self._array, fill_value, wrap)
    self._storage.version += 1
    return self


_VARIANTS = [
    "abs", "absolute", "acos", "acosh", "addcdiv", "addcmul", "addmm", "addmv",
    "addr", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "asin",
    "asinh", "atan", "atan2", "atanh", "baddbmm", "bitwise_and", "bitwise_not",
    "bitwise_or", "bitwise_xor", "ceil", "clamp", "clamp_max", "clamp_min", "clip",
    "copysign", "cos", "cosh", "cumprod", "cumsum", "deg2rad", "digamma", "divide",
    "eq", "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "fix", "float_power",
    "floor", "fmod", "frac", "gcd", "ge", "gt", "heaviside", "hypot", "index_add",
    "index_copy", "index_fill", "index_put", "lcm", "le", "lerp", "lgamma", "log",
    "log10", "log1p", "log2", "logical_and", "logical_not", "logical_or",
    "logical_xor", "logit", "lt", "masked_fill", "masked_scatter", "multiply",
    "nan_to_num", "ne", "neg", "negative", "rad2deg", "reciprocal", "relu", "round",
    "rsqrt", "scatter", "scatter_add", "sgn", "sigmoid", "sign", "sin", "sinc",
    "sinh", "sqrt", "square", "subtract", "tan", "tanh", "tril", "triu",
    "true_divide", "trunc", "xlogy",
]  # fmt: skip
_AS_FUNCTIONS = ["abs", "ceil", "clamp", "cos", "exp", "floor", "log", "neg", "relu"]
_AS_FUNCTIONS += ["round", "rsqrt", "sigmoid", "sin", "sqrt", "square", "tan", "tanh"]
_RESHAPING = ["squeeze", "unsqueeze", "t", "transpose", "swapaxes", "swapdims"]


def _reshaping(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The variant of a view: the tensor itself gets another shape."""

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_writable(self)
        result = function(self, *args, **kwargs)
        set_array(self, result._array)
        self._node, self._number = result._node, result._number
        self._storage.version += 1
        return self

    return change


def add_in_place_variants() -> None:
    """Register ``name_`` for functions that have such a variant in PyTorch."""
    for variants, kind in ((_VARIANTS, in_place), (_RESHAPING, _reshaping)):
        for name in variants:
            variant: Any = kind(METHODS[name])
            variant.__name__ = f"{name}_"
            variant.__doc__ = f"`{name}`, in place."
            METHODS[f"{name}_"] = variant
            if name in _AS_FUNCTIONS:
                FUNCTIONS[f"{name}_"] = variant
