"""Constants that a trace saves: copied if small, watched for changes if large."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgrad.errors import MutatedConstantError

COPY_LIMIT = 8192  # bytes up to which a constant that the gradient needs is copied
FINGERPRINT = 512  # elements of a large constant that are compared to detect a change

Array = np.ndarray[Any, Any]


class Constants:
    """The arrays that one trace has saved.

    Attributes:
        watched: large arrays that were saved without a copy, with fingerprints.
        copies: small arrays, and the copies saved of them, where these are shared.
    """

    __slots__ = ("copies", "watched")

    def __init__(self) -> None:
        self.watched: dict[int, tuple[Array, bytes]] = {}
        self.copies: dict[int, tuple[Array, Array]] = {}

    def snapshot(self, array: Array, shared: bool) -> Array:
        """An array with the present content; ``shared``: one for equal content."""
        if array.nbytes <= COPY_LIMIT:
            return self._copy_of(array) if shared else array.copy()
        if id(array) not in self.watched:
            self.watched[id(array)] = (array, _fingerprint(array))
        return array

    def _copy_of(self, array: Array) -> Array:
        """A copy; the same one for an array that has not changed since the last."""
        found = self.copies.get(id(array))
        if found is not None and found[1].tobytes() == array.tobytes():
            return found[1]
        self.copies[id(array)] = array, array.copy()
        return self.copies[id(array)][1]

    def verify(self) -> None:
        """Check that no large array changed since it was saved.

        Raises:
            MutatedConstantError: one did.
        """
        for array, before in self.watched.values():
            if _fingerprint(array) != before:
                raise MutatedConstantError(
                    f"an array of shape {array.shape} and dtype {array.dtype} that the "
                    "gradient needs was changed in place after it was used; use a copy "
                    "of it (`x * buffer.copy()`) or write into a new array"
                )


def _fingerprint(array: Array) -> bytes:
    """Some hundred elements, evenly spaced along each axis."""
    per_axis = max(int(FINGERPRINT ** (1 / array.ndim)), 2)
    steps = tuple(
        slice(None, None, max(length // per_axis, 1)) for length in array.shape
    )
    return array[steps].tobytes()
