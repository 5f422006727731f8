"""``torch.autograd.forward_ad``: dual tensors.

A dual tensor is a leaf of the recorded program (or a cut in it), so what is computed
from it is recorded; asking for a tangent pushes those of the dual tensors forward
through that. Operations inside ``no_grad`` are not recorded, and have no tangents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fgrad.torch.dtypes import dtype
from fgrad.torch.forward import push_forward
from fgrad.torch.leaves import has_other_leaves
from fgrad.torch.likes import zeros_like
from fgrad.torch.modes import STATE
from fgrad.torch.tensor import Tensor

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns.

    Attributes:
        primal: the tensor.
        tangent: its tangent; None where it has none.

    >>> torch.autograd.forward_ad.unpack_dual(torch.ones(2)).primal
    tensor([1., 1.])
    """

    primal: Any
    tangent: Any


UnpackedDualTensor.__module__ = "torch.autograd.forward_ad"  # what its type shows


class Level:
    """The dual tensors that were made since the level was entered.

    Attributes:
        outside: whether operations were recorded before.
        duals: the dual tensors.
        tangents: theirs.
        unpacked: what `unpack_dual` gave, which has no tangents.
    """

    def __init__(self, enabled: bool) -> None:
        self.outside = enabled
        self.unpacked: list[Tensor] = []
        self.duals: list[Tensor] = []
        self.tangents: list[Tensor] = []

    def has_others(self, tensor: Tensor) -> bool:
        """Whether a tensor also depends on leaves that are no duals."""
        return has_other_leaves([tensor], self.duals)

    def tangent_of(self, tensor: Tensor) -> Tensor | None:
        """The tangent of a tensor, None where it depends on no dual."""
        for dual, tangent in zip(self.duals, self.tangents, strict=True):
            if dual is tensor:
                return tangent
        is_unpacked = any(tensor is known for known in self.unpacked)
        if is_unpacked or not tensor._requires or not self._reaches(tensor):
            return None
        keep = has_other_leaves([tensor, *self.tangents], self.duals)
        (found,) = push_forward([tensor], self.duals, self.tangents, keep)
        self.unpacked.append(found)
        return found

    def add(self, tensor: Tensor, tangent: Tensor) -> Tensor:
        """A dual tensor; a leaf if the tensor depends on duals alone."""
        is_leaf = not tensor._requires or not self.has_others(tensor)
        dual = tensor.detach().requires_grad_() if is_leaf else tensor.view_as(tensor)
        self.duals.append(dual)
        self.tangents.append(tangent)
        return dual

    def passed(self, push: Any, args: Sequence[Any], results: list[Any]) -> list[Any]:
        """The results of a function that has a rule, as dual tensors.

        Args:
            push: gives their tangents, for those of the arguments.
            args: what the function was called with.
            results: what it gave.
        """
        known = [self.tangent_of(x) if isinstance(x, Tensor) else None for x in args]
        if all(tangent is None for tangent in known):
            return results
        given = [
            zeros_like(x) if tangent is None and isinstance(x, Tensor) else tangent
            for x, tangent in zip(args, known, strict=True)
        ]
        found = push(*given)
        tangents = found if isinstance(found, tuple) else (found,)
        return [
            self.add(x, zeros_like(x) if tangent is None else tangent)
            for x, tangent in zip(results, tangents, strict=True)
        ]

    def _reaches(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on a dual."""
        own = {id(dual if dual._node is None else dual._node) for dual in self.duals}
        stack: list[Any] = [tensor if tensor._node is None else tensor._node]
        seen = set(map(id, stack))
        while stack:
            source = stack.pop()
            if id(source) in own:
                return True
            for parent, _ in getattr(source, "edges", ()):
                if id(parent) not in seen:
                    seen.add(id(parent))
                    stack.append(parent)
        return False


def enter_dual_level() -> int:
    """Begin the lifetime of dual tensors; `dual_level` also ends it.

    Raises:
        RuntimeError: one is open already.

    >>> level = torch.autograd.forward_ad.enter_dual_level()
    >>> torch.autograd.forward_ad.exit_dual_level(level=level)
    """
    if STATE.level is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    STATE.level = Level(STATE.enabled)
    STATE.enabled = True
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the lifetime of dual tensors: they have no tangents from here on.

    Raises:
        RuntimeError: none is open.

    >>> level = torch.autograd.forward_ad.enter_dual_level()
    >>> torch.autograd.forward_ad.exit_dual_level()
    """
    if STATE.level is None:
        raise RuntimeError("Dual level must be a positive number.")
    STATE.enabled = STATE.level.outside
    STATE.level = None


class dual_level:
    """The lifetime of dual tensors, as a context manager.

    >>> import fgrad.torch.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0]))
    ...     fwAD.unpack_dual(x * x).tangent
    tensor([2., 0.])
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exception: object) -> None:
        exit_dual_level()


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """A tensor with a tangent.

    Args:
        tensor: the value; its memory is shared.
        tangent: a tensor of the same shape.
        level: that of `enter_dual_level`; there is one.

    Raises:
        RuntimeError: no level is open, or the shapes differ.
        ValueError: the tensor holds integers.

    >>> fwAD = torch.autograd.forward_ad
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
    ...     fwAD.unpack_dual(x * x).tangent
    tensor(6.)
    """
    state = STATE.level
    if state is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make "
            "sure to enter_dual_level() first."
        )
    for given in (tensor, tangent):
        found: dtype = given.dtype
        if not (found.is_floating_point or found.is_complex):
            what = "primal" if given is tensor else "tangent"
            raise ValueError(
                f"Expected {what} to be floating point or complex, but got: {found}"
            )
    if tensor._aval.shape != tangent._aval.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of "
            "the original Tensor, this is not supported. Tensor is of size "
            f"{list(tensor.shape)} while the given forward gradient is of size "
            f"{list(tangent.shape)}."
        )
    if state.tangent_of(tensor) is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward "
            "gradient at the same level 0 is not supported."
        )
    dual: Tensor = state.add(tensor, tangent)
    return dual


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The value of a tensor and its tangent; None where it has none.

    A named tuple ``(primal, tangent)``.

    >>> with torch.autograd.forward_ad.dual_level():
    ...     print(torch.autograd.forward_ad.unpack_dual(torch.ones(2)).tangent)
    None
    """
    state = STATE.level
    if state is None:
        return UnpackedDualTensor(tensor, None)
    tangent = state.tangent_of(tensor)
    if tangent is None:
        return UnpackedDualTensor(tensor, None)
    if not state.has_others(tensor):
        return UnpackedDualTensor(tensor.detach(), tangent)
    primal = tensor.view_as(tensor)
    state.unpacked.append(primal)
    return UnpackedDualTensor(primal, tangent)
