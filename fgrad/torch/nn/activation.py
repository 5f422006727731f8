"""Activations as modules."""

from __future__ import annotations

from typing import Any

from fgrad.torch.creation import full
from fgrad.torch.nn import functional as F
from fgrad.torch.nn.module import Module
from fgrad.torch.nn.parameter import Parameter
from fgrad.torch.tensor import Tensor


class _Activation(Module):
    """A function of `fgrad.torch.nn.functional` with fixed options.

    A subclass gives the function, and the options with their defaults.
    """

    function: Any
    options: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        given = dict(zip(self.options, args, strict=False)) | kwargs
        unknown = [name for name in given if name not in self.options]
        if unknown or len(args) > len(self.options):
            raise TypeError(
                f"{type(self).__name__}() takes the arguments {list(self.options)}, "
                f"got {args} and {kwargs}"
            )
        for name, default in self.options.items():
            setattr(self, name, given.get(name, default))

    def forward(self, input: Tensor) -> Any:
        values = {name: getattr(self, name) for name in self.options}
        return type(self).function(input, **values)

    def extra_repr(self) -> str:
        parts = []
        for name in self.options:
            value = getattr(self, name)
            if name == "inplace":
                parts += ["inplace=True"] if value else []
            else:
                parts.append(f"{name}={value!r}")
        return ", ".join(parts)


def _module(name: str, function: Any, doc: str = "", **options: Any) -> Any:
    """An activation module of a function and its options."""
    fields = {
        "function": staticmethod(function),
        "options": options,
        "__doc__": doc or function.__doc__,
        "__module__": __name__,
    }
    return type(name, (_Activation,), fields)


ReLU = _module("ReLU", F.relu, inplace=False)
ELU = _module("ELU", F.elu, alpha=1.0, inplace=False)
SELU = _module("SELU", F.selu, inplace=False)
CELU = _module("CELU", F.celu, alpha=1.0, inplace=False)
LeakyReLU = _module("LeakyReLU", F.leaky_relu, negative_slope=0.01, inplace=False)
GELU = _module("GELU", F.gelu, approximate="none")
SiLU = _module("SiLU", F.silu, inplace=False)
Mish = _module("Mish", F.mish, inplace=False)
Softplus = _module("Softplus", F.softplus, beta=1.0, threshold=20.0)
Softsign = _module("Softsign", F.softsign)
Tanh = _module("Tanh", F.tanh)
Tanhshrink = _module("Tanhshrink", F.tanhshrink)
Sigmoid = _module("Sigmoid", F.sigmoid)
LogSigmoid = _module("LogSigmoid", F.logsigmoid)
Hardtanh = _module("Hardtanh", F.hardtanh, min_val=-1.0, max_val=1.0, inplace=False)
Hardsigmoid = _module("Hardsigmoid", F.hardsigmoid, inplace=False)
Hardswish = _module("Hardswish", F.hardswish, inplace=False)
Threshold = _module("Threshold", F.threshold, threshold=0.0, value=0.0, inplace=False)
Softmax = _module("Softmax", F.softmax, dim=None)
Softmin = _module("Softmin", F.softmin, dim=None)
LogSoftmax = _module("LogSoftmax", F.log_softmax, dim=None)


class ReLU6(Module):
    """Elements limited to ``[0, 6]``."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace
        self.min_val, self.max_val = 0.0, 6.0

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class _Shrink(Module):
    """A shrinking function, which shows its bound as a bare number."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    """Zero where the magnitude is at most ``lambd``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """Moved by ``lambd`` towards zero."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)


class Softmax2d(Module):
    """The softmax over channels of images."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, -3)


class GLU(Module):
    """The first half along an axis, times the sigmoid of the second."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class RReLU(Module):
    """`LeakyReLU` with random slopes in training."""

    def __init__(
        self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        more = ", inplace=True" if self.inplace else ""
        return f"lower={self.lower}, upper={self.upper}{more}"


class PReLU(Module):
    """``weight * input`` below 0, with a learnt weight."""

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(full((num_parameters,), init, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
