"""Reading and writing at indices along an axis: gather, scatter, index_*."""

from __future__ import annotations

from typing import Any

import numpy as np

import fgrad.numpy
from fgrad.torch.duplicates import repeats, write_at
from fgrad.torch.fitting import check_values
from fgrad.torch.known import examined
from fgrad.torch.recording import one
from fgrad.torch.registry import numpy_names, operation
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Array, Tensor, require_tensor


def changeable(x: Any) -> Any:
    """A copy of an array that the trace that runs can write into."""
    copied = fgrad.numpy.zeros(x.shape, x.dtype)
    copied[...] = x
    return copied


def _indices(name: str, index: Tensor) -> Array:
    array = require_tensor(name, index)._array
    if array.dtype not in (np.int32, np.int64):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    return array


def _check_bounds(array: Array, axis: int, length: int) -> None:
    seen = examined(array)
    wrong = seen[(seen < 0) | (seen >= length)]
    if wrong.size:
        raise RuntimeError(
            f"index {int(wrong.flat[0])} is out of bounds for dimension {axis} with "
            f"size {length}"
        )


def _places(index: Array, axis: int) -> tuple[Any, ...]:
    """An index for each axis, such that only that of ``axis`` is given."""
    lines = np.ogrid[tuple(slice(n) for n in index.shape)]
    return tuple(index if k == axis else line for k, line in enumerate(lines))


def axis_and_places(
    name: str, x: Tensor, dim: int, index: Tensor
) -> tuple[int, tuple[Any, ...]]:
    """The axis ``dim`` of a tensor, and an index of all its axes for NumPy.

    The index is that of `gather` and `scatter`: ``index`` along the axis, its own place
    along the others. It is empty where there are no axes.

    Raises:
        RuntimeError: an index is out of bounds, or its shape does not fit.
        IndexError: there is no such axis.
    """
    axis = axis_of(dim, x._aval.ndim)
    array = _indices(name, index)
    if not x._aval.ndim or not array.ndim:
        _check_bounds(array, axis, len(x._array) if x._aval.ndim else 1)
        return axis, () if not x._aval.ndim else (array,)
    if array.ndim != x._aval.ndim:
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as "
            f"{'input' if name == 'gather' else 'self'} tensor"
        )
    _check_bounds(array, axis, x._aval.shape[axis])
    for k, (n, m) in enumerate(zip(array.shape, x._aval.shape, strict=True)):
        if k != axis and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {k} expected index "
                f"{list(index.shape)} to be no larger than self {list(x.shape)} apart "
                f"from dimension {axis}"
            )
    return axis, _places(array, axis)


@operation("gather")
@numpy_names
def gather(
    input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False
) -> Tensor:
    """``out[i][j] = input[index[i][j]][j]``, for axis 0 of two.

    Raises:
        RuntimeError: an index is out of bounds, or the shapes do not fit.

    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[1], [0]]))
    tensor([[2],
            [3]])
    """
    x = require_tensor("gather", input)
    _, places = axis_and_places("gather", x, dim, index)
    return one("GatherBackward0", lambda u: u[places] if places else u * 1, x)


@operation("take_along_dim")
@numpy_names
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Elements at indices along an axis; shapes broadcast.

    >>> x = torch.tensor([[30, 10, 20]])
    >>> torch.take_along_dim(x, x.argsort(dim=1), dim=1)
    tensor([[10, 20, 30]])
    """
    x = require_tensor("take_along_dim", input)
    array = indices._array
    axis = None if dim is None else axis_of(dim, x._aval.ndim)
    return one("GatherBackward0", lambda u: np.take_along_axis(u, array, axis), x)


def _source(x: Tensor, src: Any, index: Tensor) -> Any:
    """What is written: a number, or the part of a tensor that the index covers."""
    if not isinstance(src, Tensor):
        return src
    if x._aval.dtype != src._aval.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    part = tuple(slice(n) for n in index._aval.shape)
    return src[part] if src._aval.shape != index._aval.shape else src  # type: ignore[index]


@operation("scatter")
@numpy_names
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, **named: Any
) -> Tensor:
    """A copy with ``out[index[i][j]][j] = src[i][j]``, for axis 0 of two.

    Args:
        input: a tensor.
        dim: the axis of the indices.
        index: where to write.
        src: what to write: a tensor or a number.
        named: ``value``, another name of ``src``; ``reduce="add"``.

    Raises:
        RuntimeError: an index is out of bounds, or the shapes do not fit.
        NotImplementedError: another reduction than a sum.

    >>> torch.scatter(torch.zeros(3), 0, torch.tensor([2, 0]), torch.tensor([5.0, 6.0]))
    tensor([6., 0., 5.])
    """
    x = require_tensor("scatter", input)
    src = named.get("value", src)
    if named.get("reduce") is not None:
        if named["reduce"] != "add":
            raise NotImplementedError("scatter() has reduce='add' only; see gather")
        if not isinstance(src, Tensor):
            src = x.new_full(index._aval.shape, src)
        return scatter_add(x, dim, index, src)
    _, places = axis_and_places("scatter", x, dim, index)
    compute = _write_at(places, x, src)
    node = "ScatterBackward0" if isinstance(src, Tensor) else "ScatterBackward1"
    return one(node, compute, x, _source(x, src, index))


@operation("scatter_add")
@numpy_names
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """As `scatter`, but adds; repeated indices add up.

    >>> torch.scatter_add(torch.zeros(3), 0, torch.tensor([2, 2]), torch.ones(2))
    tensor([0., 0., 2.])
    """
    x = require_tensor("scatter_add", input)
    _, places = axis_and_places("scatter_add", x, dim, index)

    def compute(u: Any, v: Any) -> Any:
        changed = changeable(u)
        np.add.at(changed, places, v)
        return changed

    return one("ScatterAddBackward0", compute, x, _source(x, src, index))


def _line(name: str, x: Tensor, dim: int, index: Tensor) -> tuple[int, Any]:
    """An axis, and the index of slices along it."""
    axis = axis_of(dim, x._aval.ndim)
    array = np.atleast_1d(require_tensor(name, index)._array)
    if array.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    length = x._aval.shape[axis] if x._aval.ndim else 1
    if array.size and not (array.min() >= 0 and array.max() < length):
        raise IndexError("index out of range in self")
    return axis, (*(slice(None),) * axis, array)


@operation("index_select")
@numpy_names
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Slices along an axis.

    Raises:
        IndexError: there is no such slice, or the index has several axes.

    >>> torch.index_select(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([1, 1]))
    tensor([[2, 2],
            [4, 4]])
    """
    x = require_tensor("index_select", input)
    _, where = _line("index_select", x, dim, index)
    node = "IndexSelectBackward0"
    return one(node, lambda u: u[where] if u.ndim else u * 1, x)


@operation("index_add")
@numpy_names
def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1
) -> Tensor:
    """A copy with slices added along an axis, times ``alpha``; repeated ones add up.

    Raises:
        RuntimeError: the dtypes differ.

    >>> torch.index_add(torch.zeros(3), 0, torch.tensor([1, 1]), torch.ones(2), alpha=5)
    tensor([ 0., 10.,  0.])
    """
    x = require_tensor("index_add", input)
    axis = axis_of(dim, x._aval.ndim)
    check_slices(x._aval.shape, source._aval.shape, axis, index._aval.size)
    _, where = _line("index_add", x, dim, index)
    if x._aval.dtype != source._aval.dtype:
        raise RuntimeError(
            f"index_add_(): self ({x.dtype.kind}) and source ({source.dtype.kind}) "
            "must have the same scalar type"
        )

    def compute(u: Any, v: Any, factor: Any) -> Any:
        changed = changeable(u)
        np.add.at(changed, where, v * factor)
        return changed

    return one("IndexAddBackward0", compute, x, source, alpha)


def check_slices(
    shape: tuple[int, ...], given: tuple[int, ...], axis: int, count: int
) -> None:
    """Refuse slices to write that do not fit those that are indexed.

    Args:
        shape: that of the tensor.
        given: that of the slices, all in one.
        axis: along which they lie.
        count: how many are indexed.

    Raises:
        RuntimeError: the slices are of another shape or number.
    """
    if (*shape[:axis], *shape[axis + 1 :]) != (*given[:axis], *given[axis + 1 :]):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified "
            f"dimension. Got self.shape = {list(shape)} source.shape = {list(given)}"
        )
    length = given[axis] if given else 1
    if count != length:
        raise RuntimeError(
            f"index_add_(): Number of indices ({count}) should be equal to "
            f"source.size(dim): ({length}), for dim: {axis}"
        )


@operation("index_copy")
@numpy_names
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy with slices along an axis replaced.

    >>> torch.index_copy(torch.zeros(3), 0, torch.tensor([2]), torch.tensor([5.0]))
    tensor([0., 0., 5.])
    """
    x = require_tensor("index_copy", input)
    _, where = _line("index_copy", x, dim, index)
    return one("IndexCopyBackward0", _write_at(where, x, source), x, source)


@operation("index_fill")
@numpy_names
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with slices along an axis set to a number.

    >>> torch.index_fill(torch.zeros(3), 0, torch.tensor([2, 0]), 7.0)
    tensor([7., 0., 7.])
    """
    x = require_tensor("index_fill", input)
    _, where = _line("index_fill", x, dim, index)
    return one("IndexFillBackward0", _write_at(where, x, None), x, value)


def _write_at(where: Any, x: Tensor, values: Any) -> Any:
    has_repeats = repeats(where, x._aval.shape, values)

    def compute(u: Any, v: Any) -> Any:
        changed = changeable(u)
        write_at(changed, where, v, has_repeats)
        return changed

    return compute


@operation("index_put")
def index_put(
    input: Tensor, indices: Any, values: Tensor, accumulate: bool = False
) -> Tensor:
    """A copy with elements at index tensors, one for each axis, replaced or added to.

    >>> torch.index_put(torch.zeros(3), (torch.tensor([1, 2]),), torch.tensor(5.0))
    tensor([0., 5., 5.])
    """
    x = require_tensor("index_put", input)
    where = tuple(each._array for each in indices)
    slot = np.broadcast_to(np.int8(0), x._aval.shape)[where].shape
    check_values(values, slot)
    has_repeats = not accumulate and repeats(where, x._aval.shape, values)

    def compute(u: Any, v: Any) -> Any:
        changed = changeable(u)
        if accumulate:
            np.add.at(changed, where, v)
        else:
            write_at(changed, where, v, has_repeats)
        return changed

    return one("IndexPutBackward0", compute, x, values)


@operation("take")
def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of the flat tensor.

    Raises:
        IndexError: an index is out of range.

    >>> torch.take(torch.tensor([[1, 2], [3, 4]]), torch.tensor([3, 0]))
    tensor([4, 1])
    """
    x = require_tensor("take", input)
    where = index._array
    size = x._aval.size
    wrong = where[(where < -size) | (where >= size)]
    if wrong.size:
        raise IndexError(
            f"out of range: tried to access index {int(wrong.flat[0])} on a tensor of "
            f"{size} elements."
        )
    return one("TakeBackward0", lambda u: np.ravel(u)[where], x)
