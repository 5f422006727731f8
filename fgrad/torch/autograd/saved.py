"""What a `Function` saves for its ``backward``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fgrad.torch.graph import attach
from fgrad.torch.guards import SAVED_INFERENCE
from fgrad.torch.noting import Packed
from fgrad.torch.placement import place
from fgrad.torch.tensor import Tensor, make
from fgrad.torch.versions import check_version
from fgrad.torch.watch import LOCAL


def _alias(tensor: Tensor) -> Tensor:
    return place(make(tensor._array, tensor._storage), tensor._device)


class Saved:
    """A saved tensor; a result of the operation is kept without its node.

    Attributes:
        number: which result it is, None for another tensor.
    """

    __slots__ = ("_kept", "_packed", "_version", "number")

    def __init__(self, tensor: Tensor, number: int | None) -> None:
        self.number = number
        self._kept: Tensor | None = tensor
        self._version = tensor._storage.version
        self._packed: Packed | None = None
        if number is not None:
            self._kept = _alias(tensor)
        if LOCAL.savers:
            self._packed = Packed(_alias(tensor), LOCAL.savers[-1])
            self._kept = None

    @classmethod
    def all_of(
        cls, values: Sequence[Any], results: Sequence[Any]
    ) -> tuple[Saved | None, ...]:
        """Save the arguments of ``save_for_backward``.

        Args:
            values: the arguments.
            results: the results of the operation.

        Raises:
            TypeError: one is not a tensor.
            RuntimeError: one was made in inference mode.
        """
        return tuple([cls._of(k, x, results) for k, x in enumerate(values)])

    @classmethod
    def _of(cls, position: int, value: Any, results: Sequence[Any]) -> Saved | None:
        if value is None:
            return None
        if not isinstance(value, Tensor):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {position} "
                f"is of type {type(value).__name__}"
            )
        if value._storage.is_inference:
            raise RuntimeError(SAVED_INFERENCE)
        numbers = [k for k, x in enumerate(results) if x is value]
        return cls(value, numbers[-1] if numbers else None)

    def tensor(self, node: Any) -> Tensor:
        """The tensor again, as a result of ``node`` if it is one.

        Raises:
            RuntimeError: it was changed in place.
        """
        if self._packed is not None:
            return self._packed.tensor()
        kept = self._kept
        assert kept is not None
        parent = kept._node if self.number is None else node
        name = "" if parent is None else parent.name()
        check_version(kept._storage, self._version, kept._aval, name)
        if self.number is None:
            return kept
        result = _alias(kept)
        if node is not None:
            attach(result, node, node.outs[self.number])
        return result
