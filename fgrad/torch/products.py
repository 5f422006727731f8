"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.recording import apply
from fgrad.torch.registry import method, operation
from fgrad.torch.repeating import repeated, repeated_operator
from fgrad.torch.tensor import Tensor, require_tensor

_NODES = {
    (1, 1): "DotBackward0",
    (1, 2): "SqueezeBackward4",
    (2, 1): "MvBackward0",
    (2, 2): "MmBackward0",
}


@operation("matmul")
@repeated
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product over the last axis and the last but one, as NumPy's ``@``.

    ``(..., n, k)`` and ``(..., k, m)`` give ``(..., n, m)``, with the first axes
    broadcast; a vector counts as a row on the left, as a column on the right.

    Raises:
        RuntimeError: the shapes or dtypes do not fit.

    >>> torch.matmul(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    x = require_tensor("matmul", input)
    y = require_tensor("matmul", other, 2)
    _check(x, y)
    ranks = (x._aval.ndim, y._aval.ndim)
    node = _NODES.get(ranks) or _folded(x._aval.shape, y._aval.shape)
    return apply(node, np.matmul, x, y)  # type: ignore[no-any-return]


def _folded(first: tuple[int, ...], second: tuple[int, ...]) -> str:
    """PyTorch's name where it folds the batch axes into one product of matrices."""
    if len(first) != 2 or len(second) < 3:
        return "UnsafeViewBackward0"
    is_vector = first[0] == 1 or second[-1] == 1
    return "TransposeBackward0" if is_vector else "CloneBackward0"


@operation("mm")
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices: ``(n, k)`` and ``(k, m)`` give ``(n, m)``.

    Raises:
        RuntimeError: they are no matrices, or shapes or dtypes do not fit.

    >>> torch.mm(torch.tensor([[1, 2]]), torch.tensor([[3], [4]]))
    tensor([[11]])
    """
    x, y = require_tensor("mm", input), require_tensor("mm", mat2, 2)
    for name, matrix in (("self", x), ("mat2", y)):
        if matrix._aval.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix")
    return matmul(x, y)


@operation("dot")
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The dot product of two vectors of one length.

    Raises:
        RuntimeError: they are no vectors, or lengths or dtypes differ.

    >>> torch.dot(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor(11)
    """
    x, y = require_tensor("dot", input), require_tensor("dot", tensor, 2)
    if x._aval.ndim != 1 or y._aval.ndim != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {x._aval.ndim}D and {y._aval.ndim}D tensors"
        )
    return matmul(x, y)


@method("__matmul__")
@repeated_operator
def _matmul(self: Tensor, other: Any) -> Any:
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented


def _check(x: Tensor, y: Tensor) -> None:
    """Raise PyTorch's error for shapes and dtypes that do not fit."""
    first, second = x._aval.shape, y._aval.shape
    if not first or not second:
        raise RuntimeError(
            "both arguments to matmul need to be at least 1D, but they are "
            f"{len(first)}D and {len(second)}D"
        )
    inner = second[-2] if len(second) > 1 else second[0]
    if first[-1] != inner:
        raise RuntimeError(_mismatch(first, second))
    if x._aval.dtype != y._aval.dtype:
        raise RuntimeError(_dtype_mismatch(x, y))
    if x._aval.dtype == bool:
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
    if x._aval.ndim == 1 and y._aval.ndim == 1:
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


def _require_rank(name: str, x: Tensor, rank: int) -> None:
    if x._aval.ndim != rank:
        raise RuntimeError(f"{name} must be a {rank}D tensor")


@operation("mv")
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector: ``(n, k)`` and ``(k,)`` give ``(n,)``.

    Raises:
        RuntimeError: the shapes do not fit.

    >>> torch.mv(torch.tensor([[1, 2], [3, 4]]), torch.tensor([1, 10]))
    tensor([21, 43])
    """
    x, y = require_tensor("mv", input), require_tensor("mv", vec, 2)
    if x._aval.ndim != 2 or y._aval.ndim != 1:
        ranks = f"{y._aval.ndim}, {x._aval.ndim}, {y._aval.ndim}"
        raise RuntimeError(f"vector + matrix @ vector expected, got {ranks}")
    return matmul(x, y)


@operation("bmm")
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of matrices, one for each in the first axis.

    ``(b, n, k)`` and ``(b, k, m)`` give ``(b, n, m)``.

    Raises:
        RuntimeError: the shapes do not fit.

    >>> torch.bmm(torch.ones(2, 1, 3), torch.ones(2, 3, 1)).flatten()
    tensor([3., 3.])
    """
    x, y = require_tensor("bmm", input), require_tensor("bmm", mat2, 2)
    _require_rank("batch1", x, 3)
    _require_rank("batch2", y, 3)
    first, second = x._aval.shape, y._aval.shape
    if first[0] != second[0] or first[2] != second[1]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{first[0]}, {first[2]}] but got: [{second[0]}, {second[1]}]."
        )
    _check_dtypes(x, y)
    return apply("BmmBackward0", np.matmul, x, y)  # type: ignore[no-any-return]


def _check_dtypes(x: Tensor, y: Tensor) -> None:
    if x._aval.dtype != y._aval.dtype:
        raise RuntimeError(_dtype_mismatch(x, y))


def _sum_with_product(z: Any, x: Any, y: Any, beta: Any, alpha: Any) -> Any:
    product = np.matmul(x, y)
    if alpha != 1:
        product = alpha * product
    return product + (z if beta == 1 else beta * z)


@operation("addmm")
def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)``, of matrices; ``input`` is broadcast.

    Raises:
        RuntimeError: the shapes do not fit.

    >>> torch.addmm(torch.ones(2), torch.tensor([[1.0, 2.0]]), torch.eye(2), alpha=10)
    tensor([[11., 21.]])
    """
    z, x, y = (require_tensor("addmm", t) for t in (input, mat1, mat2))
    for name, matrix in (("mat1", x), ("mat2", y)):
        if matrix._aval.ndim != 2:
            raise RuntimeError(
                f"{name} must be a matrix, got {matrix._aval.ndim}-D tensor"
            )
    _check(x, y)
    node = "AddmmBackward0"
    return apply(node, _sum_with_product, z, x, y, beta, alpha)  # type: ignore[no-any-return]


@operation("addmv")
def addmv(
    input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """``beta * input + alpha * (mat @ vec)``

    >>> torch.addmv(torch.ones(2), torch.tensor([[1.0], [3.0]]), torch.tensor([10.0]))
    tensor([11., 31.])
    """
    z, x, y = (require_tensor("addmv", t) for t in (input, mat, vec))
    _check(x, y)
    node = "AddmvBackward0"
    return apply(node, _sum_with_product, z, x, y, beta, alpha)  # type: ignore[no-any-return]


@operation("baddbmm")
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """``beta * input + alpha * bmm(batch1, batch2)``

    >>> torch.baddbmm(torch.ones(1), torch.ones(2, 1, 3), torch.ones(2, 3, 1)).flatten()
    tensor([4., 4.])
    """
    z, x, y = (require_tensor("baddbmm", t) for t in (input, batch1, batch2))
    _require_rank("batch1", x, 3)
    _require_rank("batch2", y, 3)
    _check(x, y)
    node = "BaddbmmBackward0"
    return apply(node, _sum_with_product, z, x, y, beta, alpha)  # type: ignore[no-any-return]


@operation("outer", "ger")
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of all pairs of elements of two vectors.

    ``(n,)`` and ``(m,)`` give ``(n, m)``.

    Raises:
        RuntimeError: one is no vector.

    >>> torch.outer(torch.tensor([1, 2]), torch.tensor([1, 10]))
    tensor([[ 1, 10],
            [ 2, 20]])
    """
    x, y = require_tensor("outer", input), require_tensor("outer", vec2, 2)
    for name, vector in (("self", x), ("vec2", y)):
        if vector._aval.ndim != 1:
            raise RuntimeError(
                f"outer: Expected 1-D argument {name}, but got {vector._aval.ndim}-D"
            )
    return x.unsqueeze(1) * y  # type: ignore[no-any-return]


@operation("addr")
def addr(
    input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """``beta * input + alpha * outer(vec1, vec2)``

    >>> torch.addr(torch.ones(1), torch.tensor([1.0, 2.0]), torch.tensor([1.0, 10.0]))
    tensor([[ 2., 11.],
            [ 3., 21.]])
    """

    def compute(z: Any, x: Any, y: Any, b: Any, a: Any) -> Any:
        return b * z + a * (x[:, None] * y)

    return apply("AddrBackward0", compute, input, vec1, vec2, beta, alpha)  # type: ignore[no-any-return]


@operation("inner")
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sums of products over the last axes: ``(..., k)`` and ``(..., k)``.

    >>> torch.inner(torch.tensor([[1, 2], [3, 4]]), torch.tensor([1, 10]))
    tensor([21, 43])
    """
    x, y = require_tensor("inner", input), require_tensor("inner", other, 2)
    if not x._aval.ndim or not y._aval.ndim:
        return x * y  # type: ignore[operator, no-any-return]
    return apply("ViewBackward0", np.inner, x, y)  # type: ignore[no-any-return]


@operation("vdot")
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The dot product of two vectors, of which the first is conjugated.

    >>> torch.vdot(torch.tensor([1j, 2]), torch.tensor([1j, 1 + 0j]))
    tensor(3.+0.j)
    """
    x, y = require_tensor("vdot", input), require_tensor("vdot", other, 2)
    return apply("VdotBackward0", lambda u, v: np.dot(np.conjugate(u), v), x, y)  # type: ignore[no-any-return]
