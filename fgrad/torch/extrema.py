"""Extrema over axes: values, where they are, or both.

The values are gathered at the indices that PyTorch returns, so that one element, not
all that tie, receives the gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad
from fgrad.torch import return_types
from fgrad.torch.cuts import cut_off
from fgrad.torch.known import integers
from fgrad.torch.pairs import maximum, minimum
from fgrad.torch.recording import one, several
from fgrad.torch.registry import FUNCTIONS, METHODS, numpy_names, operation
from fgrad.torch.size import axes_of, axis_of
from fgrad.torch.tensor import Array, Tensor, make, require_tensor

_ALL: Any = object()


def _check_any(name: str, x: Tensor) -> None:
    if not x._aval.size:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
            "Specify the reduction dim with the 'dim' argument."
        )


def check_axis(name: str, x: Tensor, dim: int) -> int:
    """The axis that ``dim`` names.

    Raises:
        IndexError: there is no such axis, or it is empty.
    """
    axis = axis_of(dim, x._aval.ndim)
    _check_length(f"{name}()", x, axis)
    return axis


def _check_length(name: str, x: Tensor, dim: int) -> None:
    if x._aval.ndim and not x._aval.shape[dim]:
        raise IndexError(f"{name}: Expected reduction dim {dim} to have non-zero size.")


def taken(x: Any, indices: Array, axis: int) -> Any:
    """The elements of an array at indices along an axis; both may have no axes."""
    return np.take_along_axis(x, indices, axis) if x.ndim else x * 1


def pick(
    types: Any, node: str, x: Tensor, indices: Array, axis: int, keepdim: bool
) -> Any:
    """The values at one index per line along an axis, and the indices."""
    lines = np.expand_dims(indices, axis) if x._aval.ndim else indices

    def compute(u: Any) -> Any:
        found = taken(u, lines, axis)
        return found if keepdim or not u.ndim else np.squeeze(found, axis)

    shown = lines if keepdim else indices
    called = node.partition("Backward")[0].lower()
    places = cut_off(make(integers(shown)), f"the indices of {called}", x)
    return types(one(node, compute, x), places)


def _extremum(name: str, pair: Any, whole: Any, where: Any) -> Any:
    kind = name.capitalize()

    def compute(
        input: Tensor, dim: Any = _ALL, keepdim: bool = False, **kw: Any
    ) -> Any:
        x = require_tensor(name, input)
        dim = kw.pop("other", dim)
        if isinstance(dim, Tensor):
            return pair(x, dim)
        if dim is _ALL:
            _check_any(name, x)
            return one(f"{kind}Backward1", whole, x)
        if not isinstance(dim, int | np.integer) or kw:
            raise TypeError(
                f"{name}() received an invalid combination of arguments: it takes "
                f"(input), (input, dim, keepdim) or (input, other), got dim={dim!r}"
            )
        axis = check_axis(name, x, int(dim))
        indices = where(x._array, axis=axis) if x._aval.ndim else np.asarray(0)
        types = getattr(return_types, name)
        return pick(types, f"{kind}Backward0", x, indices, axis, keepdim)

    compute.__name__ = compute.__qualname__ = name
    METHODS[name] = FUNCTIONS[name] = numpy_names(compute)
    return METHODS[name]


max = _extremum("max", maximum, np.max, np.argmax)
max.__doc__ = """The largest element: of all, of lines along an axis, or of two tensors.

    Along an axis a named tuple of values and int64 indices. Without an axis elements
    that tie share the gradient; along an axis the first takes it.

    Raises:
        RuntimeError: there are no elements.

    >>> x = torch.tensor([[1, 5], [7, 2]])
    >>> torch.max(x), torch.max(x, dim=1).indices
    (tensor(7), tensor([1, 0]))
    """
min = _extremum("min", minimum, np.min, np.argmin)
min.__doc__ = """The smallest element: of all, of lines along an axis, or of two.

    As `max`.

    >>> x = torch.tensor([[1, 5], [7, 2]])
    >>> torch.min(x), torch.min(x, dim=1).indices
    (tensor(1), tensor([0, 1]))
    """


def _all_that_tie(name: str, compute: Any) -> Any:
    def apply_extremum(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
        x = require_tensor(name, input)
        if dim == ():
            _check_any(name, x)
        axes = axes_of(dim, x._aval.ndim)
        for named in (dim,) if isinstance(dim, int) else dim:
            _check_length(f"{name}()", x, named)
        node = f"{name.capitalize()}Backward0"
        return one(node, lambda u: compute(u, axis=axes, keepdims=keepdim), x)

    apply_extremum.__name__ = apply_extremum.__qualname__ = name
    METHODS[name] = FUNCTIONS[name] = numpy_names(apply_extremum)
    return METHODS[name]


amax = _all_that_tie("amax", np.max)
amax.__doc__ = """The largest element over axes; elements that tie share the gradient.

    Raises:
        RuntimeError: there are no elements, and no axis is named.
        IndexError: an axis that is named is empty.

    >>> torch.amax(torch.tensor([[1, 5], [7, 2]]), dim=1)
    tensor([5, 7])
    """
amin = _all_that_tie("amin", np.min)
amin.__doc__ = """The smallest element over axes; elements that tie share the gradient.

    Raises:
        RuntimeError: there are no elements, and no axis is named.
        IndexError: an axis that is named is empty.

    >>> torch.amin(torch.tensor([[1, 5], [7, 2]]), dim=1)
    tensor([1, 2])
    """


@operation("aminmax")
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest and the largest element, of all or along an axis: a named tuple.

    Raises:
        RuntimeError: there are no elements.
        IndexError: the axis is empty.

    >>> torch.aminmax(torch.tensor([3, 1, 2])).max
    tensor(3)
    """
    x = require_tensor("aminmax", input)
    axes = axes_of(dim, x._aval.ndim)
    if dim is not None:
        _check_length("aminmax", x, dim)
    elif not x._aval.size:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the "
            "operation has no identity."
        )

    def compute(u: Any) -> Any:
        low = np.min(u, axis=axes, keepdims=keepdim)
        return low, np.max(u, axis=axes, keepdims=keepdim)

    return return_types.aminmax(*several("AminmaxBackward0", compute, x))


def _position(name: str, where: Any) -> Any:
    def find(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        x = require_tensor(name, input)
        if x._aval.dtype == bool:
            raise RuntimeError(f"{name}(): does not support bool input")
        if dim is None:
            if not x._aval.size:
                raise IndexError(
                    f"{name}(): Expected reduction dim to be specified for "
                    "input.numel() == 0."
                )
            found = integers(where(x._array))
            found = found.reshape((1,) * x._aval.ndim) if keepdim else found
            return cut_off(make(found), f"{name}()", x)
        axis = check_axis(name, x, dim)
        if not x._aval.ndim:
            return make(np.asarray(0))
        found = integers(where(x._array, axis=axis, keepdims=keepdim))
        return cut_off(make(found), f"{name}()", x)

    find.__name__ = find.__qualname__ = name
    METHODS[name] = FUNCTIONS[name] = numpy_names(find)
    return METHODS[name]


argmax = _position("argmax", np.argmax)
argmax.__doc__ = """The index of the largest element, of all or along an axis: int64.

    Of several the first; without an axis the index counts along all axes.

    >>> x = torch.tensor([[1, 5], [7, 2]])
    >>> torch.argmax(x), torch.argmax(x, dim=1)
    (tensor(2), tensor([1, 0]))
    """
argmin = _position("argmin", np.argmin)
argmin.__doc__ = """The index of the smallest element, of all or along an axis: int64.

    Of several the first; without an axis the index counts along all axes.

    >>> x = torch.tensor([[5, 1], [7, 2]])
    >>> torch.argmin(x), torch.argmin(x, dim=1)
    (tensor(1), tensor([1, 1]))
    """


def order(array: Array, axis: int, descending: bool = False) -> Array:
    """The indices that sort an array stably; NaN counts as the largest."""
    if not array.ndim:
        return np.asarray(0)
    if not descending:
        return np.argsort(array, axis=axis, kind="stable")
    turned = np.argsort(np.flip(array, axis), axis=axis, kind="stable")
    return array.shape[axis] - 1 - np.flip(turned, axis)  # type: ignore[no-any-return]


def _middle(array: Array, axis: int, ignore_nan: bool) -> Array:
    """The index of the lower median of each line, or of its first NaN."""
    ranks = order(array, axis)
    nans = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    count = array.shape[axis]
    valid = count - np.sum(nans, axis=axis, keepdims=True)
    middle = (np.maximum(valid, 1) - 1) // 2
    indices = np.take_along_axis(ranks, middle, axis)
    if not ignore_nan:
        first = np.argmax(nans, axis=axis, keepdims=True)
        indices = np.where(np.any(nans, axis=axis, keepdims=True), first, indices)
    return np.squeeze(indices, axis)


def _shared(x: Any, place: int, ties: Array, count: int) -> Any:
    """An element that others equal, which get as much of the gradient."""
    value = fgrad.stop_gradient(x)
    share = np.sum(np.where(ties, x - value, 0.0)) / count
    return np.ravel(value)[place] + share  # which is exactly 0


def _median(name: str, ignore_nan: bool) -> Any:
    kind = name.capitalize()

    def compute(input: Tensor, dim: Any = _ALL, keepdim: bool = False) -> Any:
        x = require_tensor(name, input)
        if x._aval.dtype == bool:
            raise NotImplementedError("\"median_cpu\" not implemented for 'Bool'")
        if dim is _ALL:
            if not x._aval.size:
                return x.sum() * float("nan")
            place = int(_middle(x._array.ravel(), 0, ignore_nan))
            node = f"{kind}Backward0"
            ties = x._array == x._array.ravel()[place]
            count = int(np.count_nonzero(ties))
            if count > 1:
                return one(node, lambda u: _shared(u, place, ties, count), x)
            return one(node, lambda u: np.ravel(u)[place], x)
        axis = check_axis(name, x, dim)
        indices = _middle(x._array, axis, ignore_nan) if x._aval.ndim else np.asarray(0)
        types = getattr(return_types, name)
        return pick(types, f"{kind}Backward1", x, indices, axis, keepdim)

    compute.__name__ = compute.__qualname__ = name
    METHODS[name] = FUNCTIONS[name] = numpy_names(compute)
    return METHODS[name]


median = _median("median", False)
median.__doc__ = """The median, of an even count the lower one; with indices of an axis.

    NaN where one of the elements is.

    >>> torch.median(torch.tensor([4.0, 1.0, 3.0, 2.0]))
    tensor(2.)
    """
nanmedian = _median("nanmedian", True)
nanmedian.__doc__ = """As `median`, of what is not NaN.

    >>> torch.nanmedian(torch.tensor([4.0, float("nan"), 1.0, 3.0]))
    tensor(3.)
    """


@operation("mode")
@numpy_names
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent value of each line along an axis, the smallest of several.

    A named tuple of values and int64 indices.

    >>> torch.mode(torch.tensor([[1, 2, 2, 3]])).values
    tensor([2])
    """
    x = require_tensor("mode", input)
    axis = check_axis("mode", x, dim)
    indices: Any = np.asarray(0)
    if x._aval.ndim:
        indices = np.apply_along_axis(_most_frequent, axis, x._array)
    return pick(return_types.mode, "ModeBackward0", x, indices, axis, keepdim)


def _most_frequent(line: Array) -> int:
    values, counts = np.unique(line, return_counts=True)
    best = values[np.argmax(counts)]
    return int(np.flatnonzero(line == best)[-1])
