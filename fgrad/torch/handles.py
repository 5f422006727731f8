"""Handles by which hooks are removed."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any

_numbers = itertools.count()


class RemovableHandle:
    """What registering a hook returns; ``remove()`` takes the hook away again.

    As a context manager it does so at the end of the block.

    >>> x = torch.ones(1, requires_grad=True)
    >>> handle = x.register_hook(print)
    >>> handle.remove()
    >>> (x * 2).backward()
    """

    __module__ = "torch.utils.hooks"

    def __init__(
        self, hooks: OrderedDict[int, Any], hook: Any, *, prepend: bool = False
    ) -> None:
        self._hooks = hooks
        self.id = next(_numbers)
        hooks[self.id] = hook
        if prepend:
            hooks.move_to_end(self.id, last=False)

    def remove(self) -> None:
        """Take the hook away."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()
