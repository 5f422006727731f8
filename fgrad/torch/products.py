"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.graph import apply
from fgrad.torch.registry import method
from fgrad.torch.tensor import Tensor, require_tensor

_NODES = {
    (1, 1): "DotBackward0",
    (1, 2): "SqueezeBackward4",
    (2, 1): "MvBackward0",
    (2, 2): "MmBackward0",
}


@method("matmul")
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product over the last axis and the last but one, as NumPy's ``@``.

    Raises:
        RuntimeError: the shapes or dtypes do not fit.
    """
    x = require_tensor("matmul", input)
    y = require_tensor("matmul", other, 2)
    _check(x, y)
    ranks = (x._array.ndim, y._array.ndim)
    node = _NODES.get(ranks) or _folded(x._array.shape, y._array.shape)
    return apply(node, np.matmul, x, y)  # type: ignore[no-any-return]


def _folded(first: tuple[int, ...], second: tuple[int, ...]) -> str:
    """PyTorch's name where it folds the batch axes into one product of matrices."""
    if len(first) != 2 or len(second) < 3:
        return "UnsafeViewBackward0"
    is_vector = first[0] == 1 or second[-1] == 1
    return "TransposeBackward0" if is_vector else "CloneBackward0"


@method("mm")
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    x, y = require_tensor("mm", input), require_tensor("mm", mat2, 2)
    for name, matrix in (("self", x), ("mat2", y)):
        if matrix._array.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix")
    return matmul(x, y)


@method("dot")
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The dot product of two vectors."""
    x, y = require_tensor("dot", input), require_tensor("dot", tensor, 2)
    if x._array.ndim != 1 or y._array.ndim != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {x._array.ndim}D and {y._array.ndim}D "
            "tensors"
        )
    return matmul(x, y)


@method("__matmul__")
def _matmul(self: Tensor, other: Any) -> Any:
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented


def _check(x: Tensor, y: Tensor) -> None:
    """Raise PyTorch's error for shapes and dtypes that do not fit."""
    first, second = x._array.shape, y._array.shape
    if not first or not second:
        raise RuntimeError(
            "both arguments to matmul need to be at least 1D, but they are "
            f"{len(first)}D and {len(second)}D"
        )
    inner = second[-2] if len(second) > 1 else second[0]
    if first[-1] != inner:
        raise RuntimeError(_mismatch(first, second))
    if x._array.dtype != y._array.dtype:
        raise RuntimeError(_dtype_mismatch(x, y))
    if x._array.dtype == bool:
        raise NotImplementedError("\"addmm_impl_cpu_\" not implemented for 'Bool'")
    _check_batches(first[:-2], second[:-2])


def _mismatch(first: tuple[int, ...], second: tuple[int, ...]) -> str:
    if len(first) == 1 and len(second) == 1:
        return (
            f"inconsistent tensor size, expected tensor [{first[0]}] and src "
            f"[{second[0]}] to have the same number of elements, but got {first[0]} "
            f"and {second[0]} elements respectively"
        )
    if len(first) == 2 and len(second) == 1:
        return (
            f"size mismatch, got input ({first[0]}), mat ({first[0]}x{first[1]}), vec "
            f"({second[0]})"
        )
    if len(first) > 2 and len(second) > 2:
        rows = int(np.prod(np.broadcast_shapes(first[:-2], second[:-2])))
        return (
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{rows}, {first[-1]}] but got: [{rows}, {second[-2]}]."
        )
    rows = int(np.prod(first[:-1]))
    columns = second[-1] if len(second) > 1 else 1
    inner = second[-2] if len(second) > 1 else second[0]
    return (
        f"mat1 and mat2 shapes cannot be multiplied ({rows}x{first[-1]} and "
        f"{inner}x{columns})"
    )


def _dtype_mismatch(x: Tensor, y: Tensor) -> str:
    if x._array.ndim == 1 and y._array.ndim == 1:
        return (
            "dot : expected both vectors to have same dtype, but found "
            f"{x.dtype.kind} and {y.dtype.kind}"
        )
    return (
        "expected m1 and m2 to have the same dtype, but got: "
        f"{x.dtype.cpp} != {y.dtype.cpp}"
    )


def _check_batches(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    ndim = max(len(first), len(second))
    for axis in range(-1, -ndim - 1, -1):
        if -axis > len(first) or -axis > len(second):
            return
        a, b = first[axis], second[axis]
        if a != b and 1 not in (a, b):
            raise RuntimeError(
                f"The size of tensor a ({a}) must match the size of tensor b ({b}) at "
                f"non-singleton dimension {ndim + axis}"
            )
