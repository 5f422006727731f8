"""``torch.nn.utils.stateless``: the older place of `functional_call`."""

from __future__ import annotations

import warnings
from typing import Any

from fgrad.torch import stateless

__all__ = ["functional_call"]

MOVED = (
    "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and "
    "will be removed in a future version of PyTorch. Please use "
    "`torch.func.functional_call` instead which is a drop-in replacement."
)


def functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """As `fgrad.torch.func.functional_call`.

    >>> layer, weight = nn.Linear(2, 1, bias=False), torch.tensor([[1.0, 10.0]])
    >>> torch.func.functional_call(layer, {"weight": weight}, torch.ones(2))
    tensor([11.])
    """
    warnings.warn(MOVED, FutureWarning, stacklevel=2)
    return stateless.functional_call(
        module,
        parameters_and_buffers,
        args,
        kwargs,
        tie_weights=tie_weights,
        strict=strict,
    )
