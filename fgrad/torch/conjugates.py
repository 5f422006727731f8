"""The complex conjugate: PyTorch's gradients are those of fgrad's cotangents."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.torch.recording import one
from fgrad.torch.registry import operation
from fgrad.torch.tensor import Tensor


@operation("conj")
def conj(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor itself.

    PyTorch gives a view of the same memory; here complex conjugates are new.

    >>> torch.conj(torch.tensor([1 + 2j])).resolve_conj()
    tensor([1.-2.j])
    """
    if input._aval.dtype.kind != "c":
        return input
    return one("ConjBackward0", np.conjugate, input)


@operation("conj_physical")
def conj_physical(input: Tensor) -> Tensor:
    """The complex conjugate, in memory of its own; a real tensor itself.

    >>> torch.conj_physical(torch.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    if input._aval.dtype.kind != "c":
        return input
    return one("ConjPhysicalBackward0", np.conjugate, input)


@operation("resolve_conj", "resolve_neg")
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor: conjugates are not delayed.

    >>> torch.resolve_conj(torch.tensor([1 + 2j]))
    tensor([1.+2.j])
    """
    return input


@operation("is_conj", "is_neg")
def is_conj(input: Any) -> bool:
    """Whether a conjugate is delayed: never.

    >>> torch.is_conj(torch.tensor([1 + 2j]))
    False
    """
    return False
