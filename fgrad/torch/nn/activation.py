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
        values = [getattr(self, name) for name in self.options]
        return type(self).function(input, *values)

    def extra_repr(self) -> str:
        parts = []
        for name in self.options:
            value = getattr(self, name)
            if name == "inplace":
                parts += ["inplace=True"] if value else []
            else:
                parts.append(f"{name}={value!r}")
        return ", ".join(parts)


_MORE = (
    "    The function `fgrad.torch.nn.functional.{}` as a module, with its options.\n"
)


def _module(name: str, function: Any, example: str, **options: Any) -> Any:
    """An activation module of a function and its options."""
    summary = function.__doc__.partition("\n")[0]
    fields = {
        "function": staticmethod(function),
        "options": options,
        "__doc__": f"{summary}\n\n{_MORE.format(function.__name__)}{example}",
        "__module__": __name__,
    }
    return type(name, (_Activation,), fields)


ReLU = _module(
    "ReLU",
    F.relu,
    """
    >>> nn.ReLU()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """,
    inplace=False,
)
ELU = _module(
    "ELU",
    F.elu,
    """
    >>> nn.ELU()(torch.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """,
    alpha=1.0,
    inplace=False,
)
SELU = _module(
    "SELU",
    F.selu,
    """
    >>> nn.SELU()(torch.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """,
    inplace=False,
)
CELU = _module(
    "CELU",
    F.celu,
    """
    >>> nn.CELU(0.5)(torch.tensor([-1.0, 2.0]))
    tensor([-0.4323,  2.0000])
    """,
    alpha=1.0,
    inplace=False,
)
LeakyReLU = _module(
    "LeakyReLU",
    F.leaky_relu,
    """
    >>> nn.LeakyReLU(0.1)(torch.tensor([-1.0, 2.0]))
    tensor([-0.1000,  2.0000])
    """,
    negative_slope=0.01,
    inplace=False,
)
GELU = _module(
    "GELU",
    F.gelu,
    """
    >>> nn.GELU(approximate="tanh")(torch.tensor([-1.0, 1.0]))
    tensor([-0.1588,  0.8412])
    """,
    approximate="none",
)
SiLU = _module(
    "SiLU",
    F.silu,
    """
    >>> nn.SiLU()(torch.tensor([-1.0, 1.0]))
    tensor([-0.2689,  0.7311])
    """,
    inplace=False,
)
Mish = _module(
    "Mish",
    F.mish,
    """
    >>> nn.Mish()(torch.tensor([-1.0, 1.0]))
    tensor([-0.3034,  0.8651])
    """,
    inplace=False,
)
Softplus = _module(
    "Softplus",
    F.softplus,
    """
    >>> nn.Softplus(beta=2.0)(torch.tensor([0.0, 30.0]))
    tensor([ 0.3466, 30.0000])
    """,
    beta=1.0,
    threshold=20.0,
)
Softsign = _module(
    "Softsign",
    F.softsign,
    """
    >>> nn.Softsign()(torch.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """,
)
Tanh = _module(
    "Tanh",
    F.tanh,
    """
    >>> nn.Tanh()(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """,
)
Tanhshrink = _module(
    "Tanhshrink",
    F.tanhshrink,
    """
    >>> nn.Tanhshrink()(torch.tensor([-1.0, 1.0]))
    tensor([-0.2384,  0.2384])
    """,
)
Sigmoid = _module(
    "Sigmoid",
    F.sigmoid,
    """
    >>> nn.Sigmoid()(torch.tensor([0.0, 1.0]))
    tensor([0.5000, 0.7311])
    """,
)
LogSigmoid = _module(
    "LogSigmoid",
    F.logsigmoid,
    """
    >>> nn.LogSigmoid()(torch.tensor([-200.0, 0.0]))
    tensor([-200.0000,   -0.6931])
    """,
)
Hardtanh = _module(
    "Hardtanh",
    F.hardtanh,
    """
    >>> nn.Hardtanh(-2.0, 2.0)(torch.tensor([-3.0, 0.5, 3.0]))
    tensor([-2.0000,  0.5000,  2.0000])
    """,
    min_val=-1.0,
    max_val=1.0,
    inplace=False,
)
Hardsigmoid = _module(
    "Hardsigmoid",
    F.hardsigmoid,
    """
    >>> nn.Hardsigmoid()(torch.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """,
    inplace=False,
)
Hardswish = _module(
    "Hardswish",
    F.hardswish,
    """
    >>> nn.Hardswish()(torch.tensor([-4.0, 1.5, 4.0]))
    tensor([-0.0000, 1.1250, 4.0000])
    """,
    inplace=False,
)
Threshold = _module(
    "Threshold",
    F.threshold,
    """
    >>> nn.Threshold(1.0, -7.0)(torch.tensor([0.5, 1.0, 1.5]))
    tensor([-7.0000, -7.0000,  1.5000])
    """,
    threshold=0.0,
    value=0.0,
    inplace=False,
)
Softmax = _module(
    "Softmax",
    F.softmax,
    """
    >>> nn.Softmax(dim=1)(torch.tensor([[0.0, 0.0], [0.0, 100.0]]))
    tensor([[5.0000e-01, 5.0000e-01],
            [3.7835e-44, 1.0000e+00]])
    """,
    dim=None,
)
Softmin = _module(
    "Softmin",
    F.softmin,
    """
    >>> nn.Softmin(dim=0)(torch.tensor([0.0, 100.0]))
    tensor([1.0000e+00, 3.7835e-44])
    """,
    dim=None,
)
LogSoftmax = _module(
    "LogSoftmax",
    F.log_softmax,
    """
    >>> nn.LogSoftmax(dim=0)(torch.tensor([0.0, 0.0]))
    tensor([-0.6931, -0.6931])
    """,
    dim=None,
)


class ReLU6(Module):
    """Elements limited to ``[0, 6]``.

    >>> nn.ReLU6()(torch.tensor([-1.0, 3.0, 8.0]))
    tensor([0., 3., 6.])
    """

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
    """Elements, but zero where the magnitude is at most ``lambd``.

    >>> nn.Hardshrink(2.0)(torch.tensor([-3.0, 1.0]))
    tensor([-3.,  0.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """Elements moved by ``lambd`` towards zero, and no further than zero.

    >>> nn.Softshrink(2.0)(torch.tensor([-3.0, 1.0]))
    tensor([-1.,  0.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)


class Softmax2d(Module):
    """The softmax over the channels of images ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> nn.Softmax2d()(torch.zeros(2, 1, 1)).flatten()
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, -3)


class GLU(Module):
    """The first half along an axis, times the sigmoid of the second.

    >>> nn.GLU()(torch.tensor([1.0, 2.0, 0.0, 100.0]))
    tensor([0.5000, 2.0000])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class RReLU(Module):
    """`LeakyReLU` with random slopes in training, the mean of them else.

    >>> nn.RReLU(0.1, 0.3).eval()(torch.tensor([-1.0, 2.0]))
    tensor([-0.2000,  2.0000])
    """

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
    """``input`` above 0, ``weight * input`` below, with a learnt weight.

    ``num_parameters`` is 1, or the number of channels; ``init`` is where they begin (He
    et al., Delving deep into rectifiers, 2015).

    >>> nn.PReLU()(torch.tensor([-1.0, 2.0])).detach()
    tensor([-0.2500,  2.0000])
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(
            full((num_parameters,), init, device=device, dtype=dtype)
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
