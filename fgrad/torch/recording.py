"""`apply` under types that tell how many results there are."""

from __future__ import annotations

from collections.abc import Callable

from fgrad.torch.graph import apply
from fgrad.torch.tensor import Tensor

one: Callable[..., Tensor] = apply
several: Callable[..., tuple[Tensor, ...]] = apply
