"""``out=``: results are written into tensors that are given.

Functions know nothing of it: they compute what they compute, and that is written.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from fgrad.torch.modes import STATE, no_grad
from fgrad.torch.return_types import of_outputs
from fgrad.torch.tensor import Tensor

DERIVATIVE = (
    "{}(): functions with out=... arguments don't support automatic differentiation, "
    "but one of the arguments requires grad."
)
CAST = "result type {} can't be cast to the desired output type {}"
RESIZED = (
    "An output with one or more elements was resized since it had shape {}, which does "
    "not match the required output shape {}. This behavior is deprecated, and in a "
    "future PyTorch release outputs will not be resized unless they have zero "
    "elements. You can explicitly reuse an out tensor t by resizing it, inplace, to "
    "zero elements with t.resize_(0)."
)
_KINDS = "biufc"  # a result may be written to a dtype of its own kind or a later one


def call_into(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    """Call a function, and write its results into the argument ``out``.

    Raises:
        RuntimeError: something requires a gradient, or a result does not fit a dtype.
    """
    out = named.pop("out")
    if out is None:
        return function(*args, **named)
    given = out if isinstance(out, tuple | list) else (out,)
    name = function.__name__
    if STATE.enabled and any(x._requires for x in _tensors([*args, *given])):
        raise RuntimeError(DERIVATIVE.format(name))
    found = function(*args, **named)
    if isinstance(out, Tensor):
        return _write(out, found)
    for target, result in zip(given, found, strict=True):
        _write(target, result)
    return of_outputs(found, given)


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for x in values:
        if isinstance(x, Tensor):
            yield x
        elif isinstance(x, tuple | list):
            yield from _tensors(x)


def _write(target: Tensor, result: Tensor) -> Tensor:
    """Write a result; the tensor gets another shape where it must.

    Raises:
        RuntimeError: the dtype cannot hold the result.
    """
    own, new = target._aval, result._aval
    if _KINDS.index(_kind(new.dtype)) > _KINDS.index(_kind(own.dtype)):
        names = [x.type().split(".")[-1][: -len("Tensor")] for x in (result, target)]
        raise RuntimeError(CAST.format(*names))
    if own.shape == new.shape:
        with no_grad():
            target.copy_(result)
        return target
    if own.size:
        text = RESIZED.format(list(own.shape), list(new.shape))
        warnings.warn(text, UserWarning, stacklevel=4)
    target.data = result.to(target.dtype).clone()
    return target


def _kind(dtype: Any) -> str:
    return dtype.kind.replace("u", "i")  # type: ignore[no-any-return]
