"""``torch.utils.checkpoint``: functions called as they are.

PyTorch forgets what is between the inputs and the results of a function, and computes
it again in `backward`, which saves memory. Here it is kept; the results are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """The results of a function; what it computed on the way is kept."""
    return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Sequence[Any],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """The results of functions called one after the other."""
    for function in functions:
        input = function(input)
    return input
