"""Sums of products over several axes, and distances of rows."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

import numpy as np

from fgrad.torch.recording import apply
from fgrad.torch.registry import function
from fgrad.torch.statistics import vector_norm
from fgrad.torch.tensor import Tensor

LETTERS = ascii_letters[26:] + ascii_letters[:26]  # of the axes 0 to 51


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
def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products by Einstein's convention.

    ``einsum(x, [0, 1], y, [1, 2], [0, 2])`` has numbers in place of letters.

    Raises:
        RuntimeError: the equation does not fit the operands.

    >>> torch.einsum("ij,j->i", torch.eye(2), torch.tensor([3.0, 4.0]))
    tensor([3., 4.])
    """
    if not isinstance(equation, str):
        equation, operands = _of_lists((equation, *operands))
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
    _check_letters(equation.replace(" ", ""), names, given)
    node = _einsum_node(equation, names)
    try:
        return apply(node, lambda *us: np.einsum(equation, *us), *given)  # type: ignore[no-any-return]
    except ValueError as error:
        raise RuntimeError(f"einsum(): {error}") from error


def _check_letters(equation: str, names: list[str], given: Any) -> None:
    """Check that axes of one letter are of one length, and those of the result known.

    Raises:
        RuntimeError: they are not.
    """
    for letter in equation.split("->")[1] if "->" in equation else "":
        if letter != "." and not any(letter in subscripts for subscripts in names):
            raise RuntimeError(
                f"einsum(): output subscript {letter} does not appear in the equation "
                "for any input operand"
            )
    seen: dict[str, int] = {}
    for k, (subscripts, x) in enumerate(zip(names, given, strict=True)):
        if "." in subscripts:
            continue
        for letter, length in zip(subscripts, x._aval.shape, strict=True):
            if length != 1 and seen.setdefault(letter, length) != length:
                raise RuntimeError(
                    f"einsum(): subscript {letter} has size {length} for operand {k} "
                    "which does not broadcast with previously seen size "
                    f"{seen[letter]}"
                )


def _of_lists(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The equation and the operands of tensors that alternate with lists of axes."""
    *lists, last = [
        "".join("..." if axis is ... else LETTERS[axis] for axis in axes)
        for axes in (given[1::2] if len(given) % 2 == 0 else [*given[1::2], given[-1]])
    ]
    if len(given) % 2 == 0:
        return ",".join([*lists, last]), given[::2]
    return f"{','.join(lists)}->{last}", given[:-1:2]


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
