"""Norms of vectors and matrices: those of ``torch.linalg``."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.conversion import convert
from fgrad.torch.dtypes import as_dtype
from fgrad.torch.recording import one
from fgrad.torch.registry import numpy_names
from fgrad.torch.size import axes_of
from fgrad.torch.statistics import norm as _norm
from fgrad.torch.tensor import Tensor, require_tensor


def as_matrices(name: str, x: Any, is_square: bool = False) -> Tensor:
    """A tensor of matrices of floating-point or complex numbers.

    Raises:
        TypeError: it is no tensor.
        RuntimeError: there are fewer than two axes, or the matrices are not square
            where they should be, or the numbers are integers.
    """
    found = require_tensor(name, x)
    shape = found._aval.shape
    if len(shape) < 2:
        raise RuntimeError(
            f"{name}: The input tensor A must have at least 2 dimensions."
        )
    if is_square and shape[-1] != shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {shape[-2]} "
            f"by {shape[-1]} matrices"
        )
    if found.dtype.category < 2:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{found.dtype.kind}"
        )
    return found


@numpy_names
def vector_norm(
    x: Tensor,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """The norm of all elements, or over the axes ``dim``.

    ``sum(|x|**ord)**(1 / ord)``; for ``inf`` the largest magnitude, for ``-inf`` the
    smallest one, for 0 how many are not zero.

    >>> x = torch.tensor([3.0, -4.0])
    >>> torch.linalg.vector_norm(x), torch.linalg.vector_norm(x, float("inf"))
    (tensor(5.), tensor(4.))
    """
    return _norm(x, float(ord), dim, keepdim, dtype)


@numpy_names
def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """The norm of matrices, in two axes.

    ``ord`` is ``"fro"`` (the root of the sum of squares), ``"nuc"`` (the sum of
    singular values), 2 or -2 (the largest or smallest singular value), 1 or -1 (sums of
    columns), ``inf`` or ``-inf`` (sums of rows).

    >>> torch.linalg.matrix_norm(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor(6.)
    """
    x = as_matrices("linalg.matrix_norm", A)
    x = x if dtype is None else convert(x, as_dtype(dtype))
    if ord == "fro":
        return _norm(x, 2.0, dim, keepdim)
    rows, columns = axes_of(tuple(dim), x._aval.ndim)

    def compute(u: Any) -> Any:
        matrices = np.moveaxis(u, (rows, columns), (-2, -1))
        found = _norm_of_matrices(matrices, ord)
        return np.expand_dims(found, (rows, columns)) if keepdim else found

    node = "SumBackward1" if ord == "nuc" else "AmaxBackward0"
    return one(node if ord != -1 else "AminBackward0", compute, x)


def _norm_of_matrices(x: Any, order: Any) -> Any:
    if order == "nuc" or order in (2, -2):
        values = np.linalg.svd(x, compute_uv=False)
        if order == "nuc":
            return np.sum(values, -1)
        return values[..., 0] if order == 2 else values[..., -1]
    sums = np.sum(np.abs(x), -2 if abs(order) == 1 else -1)
    return np.max(sums, -1) if order > 0 else np.min(sums, -1)


@numpy_names
def norm(
    A: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """A norm of vectors or matrices, as the axes and ``ord`` tell.

    Without ``ord`` the 2-norm of all elements; else `vector_norm` of one axis,
    `matrix_norm` of two.

    >>> torch.linalg.norm(torch.tensor([[3.0], [4.0]]))
    tensor(5.)
    """
    x = require_tensor("linalg.norm", A)
    ndim = x._aval.ndim if dim is None else 1 if isinstance(dim, int) else len(dim)
    if ord is None or ndim == 1:
        return vector_norm(x, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
    return matrix_norm(x, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
