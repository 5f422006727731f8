"""Linear layers, and those that only reshape."""

from __future__ import annotations

import math
from typing import Any

from fgrad.torch.creation import empty
from fgrad.torch.nn import functional as F
from fgrad.torch.nn import init
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.tensor import Tensor


class Identity(Module):
    """The input itself; arguments are ignored.

    >>> nn.Identity()(torch.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """``input @ weight.T + bias``: ``(..., in)`` gives ``(..., out)``.

    ``weight`` is ``(out, in)``, ``bias`` ``(out,)``. Both begin between ``-bound`` and
    ``bound``, which is ``1 / sqrt(in)``.

    Args:
        in_features: the length of the last axis of the input.
        out_features: that of the output.
        bias: whether there is one.
        device: where the parameters live.
        dtype: their dtype.

    >>> nn.Linear(2, 3)(torch.ones(4, 2)).shape
    torch.Size([4, 3])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(
            empty(out_features, in_features, device=device, dtype=dtype)
        )
        self.bias = (
            Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        if not bias:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init.uniform_within(self.bias, self.in_features)

    def forward(self, input: Tensor) -> Tensor:
        own: dict[str, Any] = self._parameters  # of which an attribute takes longer
        try:
            weight, bias = own["weight"], own["bias"]
        except KeyError:  # it is computed, or was replaced by a tensor
            weight, bias = self.weight, self.bias
        return F.linear(input, weight, bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """``input1 @ weight[k] @ input2 + bias[k]`` for each ``k``.

    ``(..., in1)`` and ``(..., in2)`` give ``(..., out)``; ``weight`` is ``(out, in1,
    in2)``.

    >>> nn.Bilinear(2, 3, 5)(torch.ones(4, 2), torch.ones(4, 3)).shape
    torch.Size([4, 5])
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        self.bias = (
            Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        if not bias:
            self.register_parameter("bias", None)
        for parameter in self.parameters():
            init.uniform_within(parameter, in1_features)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Flatten(Module):
    """Axes from ``start_dim`` to ``end_dim`` as one: all but the first by default.

    >>> nn.Flatten()(torch.ones(2, 3, 4)).shape
    torch.Size([2, 12])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One axis as several, whose lengths are given.

    >>> nn.Unflatten(1, (2, 3))(torch.ones(4, 6)).shape
    torch.Size([4, 2, 3])
    """

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
