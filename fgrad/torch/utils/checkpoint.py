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
    """The results of a function; what it computed on the way is kept.

    PyTorch drops it and computes it anew in `backward`; gradients are the same.
    ``use_reentrant`` and ``preserve_rng_state`` have no effect.

    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> y = torch.utils.checkpoint.checkpoint(torch.square, x, use_reentrant=False)
    >>> torch.autograd.grad(y, x)
    (tensor(4.),)
    """
    return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Sequence[Any],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """The results of functions called one after the other, as in `checkpoint`.

    >>> functions = [torch.neg, torch.relu]
    >>> run = torch.utils.checkpoint.checkpoint_sequential
    >>> run(functions, 2, torch.ones(2), use_reentrant=False)
    tensor([0., 0.])
    """
    for function in functions:
        input = function(input)
    return input
