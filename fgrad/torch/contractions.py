"""Sums of products over several axes, and distances of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.recording import apply
from fgrad.torch.registry import function
from fgrad.torch.statistics import vector_norm
from fgrad.torch.tensor import Tensor


@function("tensordot")
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over several axes: the last and first, or those listed.

    ``dims`` is a number of axes, or two lists of them.

    >>> torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), dims=1).shape
    torch.Size([2, 4])
    """
    axes: Any = dims if isinstance(dims, int) else tuple(map(tuple, dims))
    return apply("ViewBackward0", lambda u, v: np.tensordot(u, v, axes), a, b)  # type: ignore[no-any-return]


@function("einsum")
def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products by Einstein's convention.

    Raises:
        RuntimeError: the equation does not fit the operands.

    >>> torch.einsum("ij,j->i", torch.eye(2), torch.tensor([3.0, 4.0]))
    tensor([3., 4.])
    """
    is_list = len(operands) == 1 and isinstance(operands[0], list | tuple)
    given = operands[0] if is_list else operands
    names = equation.replace(" ", "").split("->")[0].split(",")
    if len(names) != len(given):
        more = "more" if len(names) < len(given) else "fewer"
        raise RuntimeError(
            f"einsum(): {more} operands were provided than specified in the equation"
        )
    for k, (subscripts, x) in enumerate(zip(names, given, strict=True)):
        if "." not in subscripts and len(subscripts) != x._aval.ndim:
            raise RuntimeError(
                "einsum(): the number of subscripts in the equation "
                f"({len(subscripts)}) does not match the number of dimensions "
                f"({x._aval.ndim}) for operand {k} and no ellipsis was given"
            )
    node = _einsum_node(equation, names)
    try:
        return apply(node, lambda *us: np.einsum(equation, *us), *given)  # type: ignore[no-any-return]
    except ValueError as error:
        raise RuntimeError(f"einsum(): {error}") from error


def _einsum_node(equation: str, names: list[str]) -> str:
    """PyTorch's name: it sums, multiplies or calls ``bmm``, as the letters tell."""
    letters = set("".join(names)) - set(".")
    kept = set(equation.split("->")[1]) if "->" in equation else letters
    if len(names) == 1:
        return "PermuteBackward0" if letters <= kept else "SumBackward1"
    shared = set.intersection(*map(set, names)) - kept
    return "ViewBackward0" if shared else "MulBackward0"


@function("cdist")
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """The ``p``-norms of the differences of all pairs of rows.

    ``(..., n, k)`` and ``(..., m, k)`` give ``(..., n, m)``.

    >>> torch.cdist(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """

    def compute(u: Any, v: Any) -> Any:
        return vector_norm(u[..., :, None, :] - v[..., None, :, :], p, (-1,), False)

    return apply("CdistBackward0", compute, x1, x2)  # type: ignore[no-any-return]
