"""What few scripts ask tensors for, and tensors of given places in memory."""

from __future__ import annotations

import math
import operator
import warnings
from typing import Any

import numpy as np

from fgrad.torch.creation import dtype_or_default, finish
from fgrad.torch.in_order import order_in_memory
from fgrad.torch.memory import Places, Vector
from fgrad.torch.random import Generator, default_generator
from fgrad.torch.ranges import arange
from fgrad.torch.recording import one
from fgrad.torch.registry import METHODS, function, method, operation
from fgrad.torch.tensor import Tensor, adopt, make, require_tensor

RANGE = (
    "torch.range is deprecated and will be removed in a future release because its "
    "behavior is inconsistent with Python's range builtin. Instead, use torch.arange, "
    "which produces values in [start, end)."
)
NO_SLOPE = "NotImplemented:derivative for aten::binomial is not implemented"
SUBCLASS = (
    "Creating a Tensor subclass from a class that does not inherit from Tensor is not "
    "possible. Make sure your class inherits from Tensor."
)


@function("range")
def range_(
    start: Any,
    end: Any,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The older form of `arange`: numbers up to ``end``, which is one of them.

    Raises:
        RuntimeError: the step is zero, or leads away from the end.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):  # it is deprecated
    ...     torch.range(1, 2, 0.5)
    tensor([1.0000, 1.5000, 2.0000])
    """
    warnings.warn(RANGE, UserWarning, stacklevel=2)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) / step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = math.floor((end - start) / step) + 1
    wanted = dtype_or_default(dtype)
    values: Any = arange(count)._array * step + start
    return finish(values.astype(wanted), requires_grad, device)


def _at_places(shape: Vector, steps: Vector, dtype: Any) -> Any:
    """A new array of zeros with given steps.

    Raises:
        RuntimeError: there are not as many steps as axes, or one is negative.
    """
    if len(shape) != len(steps):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of "
            f"strides ({len(steps)})"
        )
    for length in shape:
        if length < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {length}: "
                f"{list(shape)}"
            )
    if min(steps, default=0) < 0:
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(shape)} and "
            f"strides={list(steps)}"
        )
    if 0 in shape:
        return np.empty(shape, dtype)
    places = Places(0, shape, steps)
    return places.of(np.zeros(places.end, dtype))


def _integers(values: Any) -> Vector:
    return tuple(map(operator.index, values))


@function("empty_strided")
def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **named: Any,
) -> Tensor:
    """A new tensor (of zeros) with a step for each axis.

    Args:
        size: the shape.
        stride: for each axis how many elements of memory one step passes.
        dtype: the default one if not given.
        device: where it lives.
        requires_grad: whether operations on it are recorded.
        named: ``layout`` and ``pin_memory``, without effect.

    Raises:
        RuntimeError: there are not as many steps as axes, or one is negative.

    >>> torch.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    wanted = dtype_or_default(dtype)
    array = _at_places(_integers(size), _integers(stride), wanted)
    return finish(array, requires_grad, device)


@function("empty_permuted")
def empty_permuted(size: Any, physical_layout: Any, **named: Any) -> Tensor:
    """A new tensor (of zeros) whose axes lie in memory in a given order.

    The first of ``physical_layout`` is the axis with the longest steps; other arguments
    as of `empty_strided`.

    Raises:
        RuntimeError: that is not an order of the axes.

    >>> torch.empty_permuted((2, 3, 4), (1, 0, 2)).stride()
    (4, 8, 1)
    """
    shape, order = _integers(size), _integers(physical_layout)
    if len(shape) != len(order):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the "
            f"physical_layout; i.e. len(size) = {len(shape)} is not equal to "
            f"len(physical_layout) = {len(order)}"
        )
    if len(set(order)) < len(order):
        raise RuntimeError("Duplicate dim not allowed")
    steps, step = [0] * len(shape), 1
    for axis in reversed(order):
        steps[axis] = step
        step *= shape[axis]
    return empty_strided(shape, steps, **named)


@method("new_empty_strided")
def new_empty_strided(self: Tensor, size: Any, stride: Any, **named: Any) -> Tensor:
    """As `empty_strided`, in the dtype of this tensor.

    >>> torch.ones(1, dtype=torch.int64).new_empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    named["dtype"] = self.dtype if named.get("dtype") is None else named["dtype"]
    named["device"] = self.device if named.get("device") is None else named["device"]
    return empty_strided(size, stride, **named)


@method("dim_order")
def dim_order(self: Tensor, **named: Any) -> tuple[int, ...]:
    """The axes in the order in which they lie in memory.

    >>> torch.ones(2, 3).t().dim_order()
    (1, 0)
    """
    return order_in_memory(self._array)


@method("as_subclass")
def as_subclass(self: Tensor, cls: Any) -> Tensor:
    """A tensor of a subclass that shares the memory of this one, as a new leaf.

    Raises:
        TypeError: the class is none of tensors.
        NotImplementedError: the tensor requires a gradient.

    >>> class Mine(torch.Tensor):
    ...     pass
    >>> type(torch.ones(1).as_subclass(Mine)) is Mine
    True
    """
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(SUBCLASS)
    if self._requires:
        raise NotImplementedError(
            "fgrad.torch does not record as_subclass(); use it before requires_grad_()"
        )
    found = cls.__new__(cls)
    adopt(found, self)
    return found


@operation("nonzero_static")
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """As `nonzero`, but of a given number of rows: cut off, or filled at the end.

    Raises:
        RuntimeError: the number is negative.

    >>> torch.nonzero_static(torch.tensor([0, 1, 0]), size=2)
    tensor([[ 1],
            [-1]])
    """
    x = require_tensor("nonzero_static", input)
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    found = np.full((size, x._aval.ndim), fill_value, np.int64)
    if x._aval.ndim:
        places = np.argwhere(x._array)[:size]
        found[: len(places)] = places
    return make(found)


@function("binomial")
def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of successes, of so many trials with a probability; no gradient.

    Args:
        count: how many trials, of a floating-point dtype.
        prob: the probabilities, of the same dtype; shapes broadcast.
        generator: the source of random numbers.

    Raises:
        ValueError: the counts are not floating-point numbers.
        RuntimeError: the dtypes differ.

    >>> torch.binomial(torch.tensor([5.0, 3.0]), torch.tensor([1.0, 0.0]))
    tensor([5., 0.])
    """
    x = require_tensor("binomial", count)
    if not x.dtype.is_floating_point:
        raise ValueError(
            "binomial only supports floating-point dtypes for count, got: "
            f"{x.dtype.kind}"
        )
    if prob.dtype is not x.dtype:
        raise RuntimeError(f"Found dtype {prob.dtype.kind} but expected {x.dtype.kind}")
    source = (generator or default_generator).numpy
    trials = np.maximum(x._array, 0).astype(np.int64)
    drawn = source.binomial(trials, np.clip(prob._array, 0, 1))

    def compute(u: Any, p: Any, found: Any) -> Any:
        return found + 0 * p

    values = np.asarray(drawn, x._aval.dtype)
    return one(NO_SLOPE, compute, x, prob, constants=(values,))


def _volatile(self: Tensor) -> bool:
    text = "volatile was removed (Variable.volatile is always False)"
    warnings.warn(text, UserWarning, stacklevel=2)
    return False


def _refused(name: str, kind: str) -> Any:
    def refuse(self: Tensor) -> Any:
        """What only sparse tensors have.

        >>> torch.ones(1).values()
        Traceback (most recent call last):
        RuntimeError: values expected sparse tensor layout but got Strided
        """
        raise RuntimeError(f"{name} expected {kind} layout but got Strided")

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


def _answer(name: str, value: Any) -> Any:
    def ask(self: Tensor) -> Any:
        return value

    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = f"""Always {value}.

    >>> torch.ones(1).{name}()
    {value}
    """
    return ask


for _name in ("ipu", "maia", "mtia", "vulkan", "sparse_csr"):
    METHODS[f"is_{_name}"] = property(lambda self: False)
for _name in ("is_pinned", "is_shared", "is_distributed"):
    METHODS[_name] = _answer(_name, False)
for _name in ("is_coalesced", "coalesce", "indices"):
    METHODS[_name] = _refused(_name, "sparse coordinate tensor")
METHODS["values"] = _refused("values", "sparse tensor")
METHODS["sparse_dim"] = _answer("sparse_dim", 0)
METHODS["volatile"] = property(_volatile)
METHODS["name"] = property(lambda self: None)


@method("dense_dim")
def dense_dim(self: Tensor) -> int:
    """How many axes are dense: all.

    >>> torch.ones(2, 3).dense_dim()
    2
    """
    return self._aval.ndim


@method("to_dense")
def to_dense(self: Tensor, dtype: Any = None, **named: Any) -> Tensor:
    """The tensor itself, which is dense, perhaps of another dtype.

    >>> torch.ones(2).to_dense()
    tensor([1., 1.])
    """
    return self if dtype is None else self.to(dtype)
