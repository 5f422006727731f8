"""Several tensors into one, and one into several."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.torch.conversion import convert
from fgrad.torch.dtypes import promoted
from fgrad.torch.recording import one
from fgrad.torch.registry import function, numpy_names
from fgrad.torch.shapes import expand, reshape, unsqueeze
from fgrad.torch.size import axis_of
from fgrad.torch.tensor import Tensor

MESHGRID = (
    "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
    "argument."
)


def _list_of_tensors(name: str, tensors: Any) -> list[Tensor]:
    """A sequence of tensors as a list.

    Raises:
        TypeError: in PyTorch's words.
    """
    if isinstance(tensors, Tensor) or not isinstance(tensors, Sequence):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
            f"{type(tensors).__name__}"
        )
    for place, each in enumerate(tensors):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"expected Tensor as element {place} in argument 0, but got "
                f"{type(each).__name__}"
            )
    return list(tensors)


def _of_one_dtype(tensors: list[Tensor]) -> list[Tensor]:
    target = promoted((x.dtype, 0) for x in tensors)
    return [convert(x, target) for x in tensors]


def _concatenated(tensors: list[Tensor], axis: int) -> Tensor:
    parts = _of_one_dtype(tensors)
    return one("CatBackward0", lambda *us: np.concatenate(us, axis), *parts)


@function("cat", "concat", "concatenate")
@numpy_names
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one after the other along an axis.

    Raises:
        ValueError: there are none.
        RuntimeError: the shapes differ in another axis.

    >>> torch.cat([torch.tensor([[1, 2]]), torch.tensor([[3, 4]])], dim=1)
    tensor([[1, 2, 3, 4]])
    """
    given = _list_of_tensors("cat", tensors)
    if not given:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    parts = [x for x in given if x._aval.shape != (0,)] or given
    first = parts[0]._aval.shape
    if not first:
        raise RuntimeError(
            "zero-dimensional tensor (at position 0) cannot be concatenated"
        )
    axis = axis_of(dim, len(first))
    for place, x in enumerate(parts[1:], 1):
        _check_joinable(first, x._aval.shape, axis, place)
    return _concatenated(parts, axis)


def _check_joinable(
    first: tuple[int, ...], shape: tuple[int, ...], axis: int, place: int
) -> None:
    if not shape:
        raise RuntimeError(
            f"zero-dimensional tensor (at position {place}) cannot be concatenated"
        )
    if len(shape) != len(first):
        raise RuntimeError(
            "Tensors must have same number of dimensions: got "
            f"{len(first)} and {len(shape)}"
        )
    for k, (n, m) in enumerate(zip(first, shape, strict=True)):
        if n != m and k != axis:
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {axis}. Expected "
                f"size {n} but got size {m} for tensor number {place} in the list."
            )


@function("stack")
@numpy_names
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape along a new axis.

    Raises:
        RuntimeError: there are none, or the shapes differ.

    >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    given = _list_of_tensors("stack", tensors)
    if not given:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = given[0]
    axis = axis_of(dim, first._aval.ndim + 1)
    for place, x in enumerate(given):
        if x._aval.shape != first._aval.shape:
            raise RuntimeError(
                "stack expects each tensor to be equal size, but got "
                f"{list(first.shape)} at entry 0 and {list(x.shape)} at entry {place}"
            )
    parts = _of_one_dtype(given)
    return one("StackBackward0", lambda *us: np.stack(us, axis), *parts)


def _joined(name: str, tensors: Any, at_least: int, axis: int) -> Tensor:
    given = _list_of_tensors(name, tensors)
    if not given:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    if at_least == 3:
        return cat([atleast_3d(x) for x in given], axis)
    return cat([atleast_2d(x) if at_least == 2 else atleast_1d(x) for x in given], axis)


@function("hstack")
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side: along the second axis, vectors along the first.

    >>> torch.hstack([torch.tensor([[1], [2]]), torch.tensor([[3], [4]])])
    tensor([[1, 3],
            [2, 4]])
    """
    axis = 0 if len(tensors) and tensors[0]._aval.ndim < 2 else 1
    return _joined("hstack", tensors, 1, axis)


@function("vstack", "row_stack")
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors, vectors as rows, one below the other.

    >>> torch.vstack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return _joined("vstack", tensors, 2, 0)


@function("dstack")
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors along the third axis.

    >>> torch.dstack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[[1, 3],
             [2, 4]]])
    """
    return _joined("dstack", tensors, 3, 2)


@function("column_stack")
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side, vectors as columns.

    >>> torch.column_stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    return hstack([reshape(x, -1, 1) if x._aval.ndim < 2 else x for x in tensors])


def _at_least(ndim: int, x: Tensor) -> Tensor:
    if ndim == 3 and x._aval.ndim == 2:
        return unsqueeze(x, -1)
    if ndim == 3 and x._aval.ndim == 1:
        return unsqueeze(unsqueeze(x, 0), -1)
    shape = (1,) * (ndim - x._aval.ndim) + x._aval.shape
    if x._aval.ndim >= ndim:
        return x
    return unsqueeze(x, 0) if x._aval.ndim == ndim - 1 else reshape(x, shape)


def _each(ndim: int, tensors: Any) -> Any:
    flat = tensors[0] if len(tensors) == 1 else tensors
    if isinstance(flat, Tensor):
        return _at_least(ndim, flat)
    return tuple(_at_least(ndim, x) for x in flat)


@function("atleast_1d")
def atleast_1d(*tensors: Any) -> Any:
    """Tensors, a number as a vector of one element.

    >>> torch.atleast_1d(torch.tensor(5))
    tensor([5])
    """
    return _each(1, tensors)


@function("atleast_2d")
def atleast_2d(*tensors: Any) -> Any:
    """Tensors with two axes or more.

    >>> torch.atleast_2d(torch.tensor([1, 2]))
    tensor([[1, 2]])
    """
    return _each(2, tensors)


@function("atleast_3d")
def atleast_3d(*tensors: Any) -> Any:
    """Tensors with three axes or more.

    >>> torch.atleast_3d(torch.tensor([1, 2])).shape
    torch.Size([1, 2, 1])
    """
    return _each(3, tensors)


@function("broadcast_tensors")
def broadcast_tensors(*tensors: Any) -> Any:
    """Views of tensors in the shape to which they broadcast.

    >>> x, y = torch.broadcast_tensors(torch.ones(2, 1), torch.ones(3))
    >>> x.shape, y.shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """
    given = tensors[0] if len(tensors) == 1 else tensors
    shape = np.broadcast_shapes(*(x._aval.shape for x in given))
    return tuple(x if x._aval.shape == shape else expand(x, shape) for x in given)


@function("meshgrid")
def meshgrid(*tensors: Any, indexing: str | None = None) -> Any:
    """The coordinates of a grid: one tensor for each vector, in the grid's shape.

    Args:
        tensors: vectors.
        indexing: ``"ij"``, or ``"xy"`` to exchange the first two axes.

    >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4]), indexing="ij")
    (tensor([[1, 1],
            [2, 2]]), tensor([[3, 4],
            [3, 4]]))
    """
    flat = (
        tensors[0]
        if len(tensors) == 1 and not isinstance(tensors[0], Tensor)
        else tensors
    )
    if indexing is None:
        warnings.warn(MESHGRID, UserWarning, stacklevel=2)
    swap = indexing == "xy" and len(flat) >= 2
    given = [flat[1], flat[0], *flat[2:]] if swap else list(flat)
    shape = [x._aval.size for x in given]
    grids = []
    for k, x in enumerate(given):
        line = [-1 if axis == k else 1 for axis in range(len(given))]
        grids.append(expand(reshape(x, line), shape))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@function("cartesian_prod")
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of elements of vectors, as rows.

    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(x, -1) for x in meshgrid(*tensors, indexing="ij")], 1)


@function("combinations")
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of ``r`` elements of a vector, as rows.

    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    choose: Any = (
        itertools.combinations_with_replacement
        if with_replacement
        else itertools.combinations
    )
    rows = np.array(list(choose(range(input._aval.size), r)), np.int64).reshape(-1, r)
    return stack([input[rows[:, k]] for k in range(r)], 1)  # type: ignore[index]


@function("block_diag")
def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of a larger one, zeros elsewhere.

    >>> torch.block_diag(torch.tensor([[1, 2]]), torch.tensor([[3]]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    blocks = [_at_least(2, x) for x in tensors]
    columns = sum(x._aval.shape[1] for x in blocks)

    def compute(*us: Any) -> Any:
        rows, before = [], 0
        for u in us:
            after = columns - before - u.shape[1]
            rows.append(np.pad(u, ((0, 0), (before, after))))
            before += u.shape[1]
        return np.concatenate(rows)

    return one("BlockDiagBackward0", compute, *_of_one_dtype(blocks))
