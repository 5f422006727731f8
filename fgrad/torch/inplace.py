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
from fgrad.torch.fitting import check_shapes
from fgrad.torch.history import (
    check_changeable,
    check_separate,
    check_writable,
    fill_place,
    guard_written,
    is_shared,
    rebind,
    records,
    reshape_to,
    write,
)
from fgrad.torch.indexing import Index, put
from fgrad.torch.modes import STATE, set_grad_enabled
from fgrad.torch.registry import FUNCTIONS, METHODS, method
from fgrad.torch.tensor import Tensor, make


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The in-place variant of a function: the result goes into the first operand."""

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        check_writable(self, *args)
        operand = _kept(self) if STATE.enabled and records(self, args) else self
        result = function(operand, *args, **kwargs)
        if result is NotImplemented:
            return result
        _check_fit(self, result)
        return overwrite(self, result)

    return change


def variant_of(
    function: Callable[..., Any],
    name: str,
    kind: Callable[[Callable[..., Any]], Any] = in_place,
) -> Any:
    """The in-place variant of a function, with its name and its docstring."""
    variant = kind(function)
    variant.__name__ = f"{name}_"
    variant.__doc__ = f"`{name}`, in place. {function.__doc__}"
    return variant


def _kept(self: Tensor) -> Tensor:
    """The tensor with a copy of its memory, for backward to read: as in PyTorch."""
    copied = make(self._array.copy())
    copied._node, copied._number = self._node, self._number
    copied._requires = self._requires
    return copied


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
    """Give ``target`` the elements and the history of ``result``."""
    if STATE.enabled and result._requires:
        result = convert(result, of_numpy(target._aval.dtype))
    if not STATE.enabled or not (result._requires or target._requires):
        np.copyto(target._array, result._array, casting="unsafe")
        target._cut = result._cut or target._cut
        target._storage.changed()
        return target
    if target._base is not None:
        write(target, result, fill_place, "CopySlices")
    else:
        np.copyto(target._array, result._array, casting="unsafe")
        rebind(target, result)
        target._storage.changed()
    guard_written(target, result)
    return target


@method("zero_")
def zero_(self: Tensor) -> Tensor:
    """Set all elements to zero.

    >>> torch.ones(2).zero_()
    tensor([0., 0.])
    """
    return fill_(self, 0, "ZeroBackward0")


@method("fill_")
def fill_(self: Tensor, value: Any, node: str = "FillBackward2") -> Tensor:
    """Set all elements to a number.

    >>> torch.ones(2).fill_(7)
    tensor([7., 7.])
    """
    check_changeable(self, value)
    if isinstance(value, Tensor):
        METHODS["__setitem__"](self, ..., value)
        return self
    if STATE.enabled and self._requires:
        filled = np.full(self._aval.shape, value, self._aval.dtype)
        write(self, filled, fill_place, node, is_shared(self._array))
        return self
    self._array[...] = value
    self._storage.changed()
    return self


@method("copy_")
def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Copy the elements of another tensor, broadcast to this one's shape.

    They are converted to this one's dtype.

    Raises:
        RuntimeError: the shapes do not fit; or as all in-place operations.

    >>> torch.zeros(2, 2).copy_(torch.tensor([1, 2]))
    tensor([[1., 2.],
            [1., 2.]])
    """
    check_changeable(self, src)
    check_shapes(self, src)
    shape = np.broadcast_shapes(self._aval.shape, src._aval.shape)
    if shape != self._aval.shape:
        raise RuntimeError(
            f"output with shape {list(self.shape)} doesn't match the broadcast shape "
            f"{list(shape)}"
        )
    put(self, Index(self._aval.shape, ...), src, "CopyBackwards")
    return self


@method("fill_diagonal_")
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Set the main diagonal to a number; if ``wrap`` again after each square.

    Raises:
        RuntimeError: there is one axis, or more than two of different lengths.

    >>> torch.zeros(2, 2).fill_diagonal_(7)
    tensor([[7., 0.],
            [0., 7.]])
    """
    if self._aval.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self._aval.ndim > 2 and len(set(self._aval.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    check_changeable(self, as_view=True)
    check_separate(self._array)
    diagonal = np.zeros(self._aval.shape, bool)
    np.fill_diagonal(diagonal, True, wrap)
    filling = make(np.asarray(fill_value))
    put(self, Index(self._aval.shape, diagonal), filling, "CopySlices")
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
_RESHAPING = [
    "as_strided",
    "squeeze",
    "unsqueeze",
    "t",
    "transpose",
    "swapaxes",
    "swapdims",
]


_NODES = {
    "AsStridedBackward0": "AsStridedBackward1",
    "SqueezeBackward0": "SqueezeBackward3",
    "SqueezeBackward1": "SqueezeBackward4",
    "SqueezeBackward2": "SqueezeBackward5",
    "TBackward0": "TBackward1",
    "TransposeBackward0": "TransposeBackward1",
    "UnsqueezeBackward0": "UnsqueezeBackward1",
}


def _reshaping(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The variant of a view: the tensor itself gets another shape."""

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_changeable(self)
        # in no_grad, too, PyTorch's history is one of another shape then
        with set_grad_enabled(STATE.enabled or self._node is not None):
            result = function(self, *args, **kwargs)
        reshape_to(self, result, _NODES)
        return self

    return change


def add_in_place_variants() -> None:
    """Register ``name_`` for functions that have such a variant in PyTorch."""
    for variants, kind in ((_VARIANTS, in_place), (_RESHAPING, _reshaping)):
        for name in variants:
            variant = variant_of(METHODS[name], name, kind)
            METHODS[f"{name}_"] = variant
            if name in _AS_FUNCTIONS:
                FUNCTIONS[f"{name}_"] = variant
