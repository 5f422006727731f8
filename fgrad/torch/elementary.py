"""Elementary functions: exponentials, logarithms, roots, angles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch import dtypes
from fgrad.torch.conversion import convert
from fgrad.torch.recording import apply
from fgrad.torch.registry import FUNCTIONS, METHODS
from fgrad.torch.repeating import repeated
from fgrad.torch.tensor import Tensor, require_tensor

_DOC = """{}, elementwise; integers give the default dtype.

    >>> torch.{}(torch.tensor({}))
    tensor({})
    """


def _floating(
    name: str,
    node: str,
    function: Callable[[Any], Any],
    summary: str,
    values: str,
    result: str,
) -> Any:
    """A function whose result is floating-point; integers give the default dtype.

    Its docstring is the summary, and the example that the values give the result.
    """

    def compute(input: Tensor) -> Tensor:
        x = require_tensor(name, input)
        if x._aval.dtype.kind not in "fc":
            x = convert(x, dtypes.get_default_dtype())
        return apply(node, function, x)  # type: ignore[no-any-return]

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = _DOC.format(summary, name, values, result)
    METHODS[name] = FUNCTIONS[name] = repeated(compute)
    return METHODS[name]


def sigmoid_of(x: Any) -> Any:
    """The sigmoid of an array, without overflow."""
    # each branch where its exponential does not overflow: `where` is NaN-safe
    rising, falling = np.exp(x), np.exp(-x)
    low = np.where(np.isinf(falling), 0.0, rising / (1 + rising))
    return np.where(x < 0, low, 1 / (1 + falling))


def _sinc(x: Any) -> Any:
    turns = np.where(x == 0, 1.0, x) * np.pi
    return np.where(x == 0, 1.0, np.sin(turns) / turns)


exp = _floating(
    "exp", "ExpBackward0", np.exp, "``e**input``", "[0.0, 1.0]", "[1.0000, 2.7183]"
)


exp2 = _floating(
    "exp2", "Exp2Backward0", np.exp2, "``2**input``", "[0.0, 3.0]", "[1., 8.]"
)


expm1 = _floating(
    "expm1",
    "Expm1Backward0",
    np.expm1,
    "``exp(input) - 1``, which keeps its digits near 0",
    "[0.0, 1e-05]",
    "[0.0000e+00, 1.0000e-05]",
)


log = _floating(
    "log",
    "LogBackward0",
    np.log,
    "The natural logarithm",
    "[1.0, 10.0, -1.0]",
    "[0.0000, 2.3026,    nan]",
)


log2 = _floating(
    "log2",
    "Log2Backward0",
    np.log2,
    "The logarithm to base 2",
    "[1.0, 8.0]",
    "[0., 3.]",
)


log10 = _floating(
    "log10",
    "Log10Backward0",
    np.log10,
    "The logarithm to base 10",
    "[1.0, 10.0]",
    "[0., 1.]",
)


log1p = _floating(
    "log1p",
    "Log1PBackward0",
    np.log1p,
    "``log(1 + input)``, which keeps its digits near 0",
    "[0.0, 1e-05]",
    "[0.0000e+00, 9.9999e-06]",
)


sqrt = _floating(
    "sqrt",
    "SqrtBackward0",
    np.sqrt,
    "The square root; NaN below 0",
    "[4.0, -1.0]",
    "[2., nan]",
)


rsqrt = _floating(
    "rsqrt",
    "RsqrtBackward0",
    lambda x: 1 / np.sqrt(x),
    "``1 / sqrt(input)``",
    "[4.0, 0.0]",
    "[0.5000,    inf]",
)


sin = _floating(
    "sin",
    "SinBackward0",
    np.sin,
    "The sine of an angle in radians",
    "[0.0, 1.0]",
    "[0.0000, 0.8415]",
)


cos = _floating(
    "cos",
    "CosBackward0",
    np.cos,
    "The cosine of an angle in radians",
    "[0.0, 1.0]",
    "[1.0000, 0.5403]",
)


tan = _floating(
    "tan",
    "TanBackward0",
    np.tan,
    "The tangent of an angle in radians",
    "[0.0, 1.0]",
    "[0.0000, 1.5574]",
)


asin = _floating(
    "asin",
    "AsinBackward0",
    np.arcsin,
    "The angle in radians of a sine; NaN outside ``[-1, 1]``",
    "[0.5, 2.0]",
    "[0.5236,    nan]",
)


acos = _floating(
    "acos",
    "AcosBackward0",
    np.arccos,
    "The angle in radians of a cosine; NaN outside ``[-1, 1]``",
    "[0.5, 2.0]",
    "[1.0472,    nan]",
)


atan = _floating(
    "atan",
    "AtanBackward0",
    np.arctan,
    "The angle in radians of a tangent",
    "[1.0, -1.0]",
    "[ 0.7854, -0.7854]",
)


sinh = _floating(
    "sinh",
    "SinhBackward0",
    np.sinh,
    "The hyperbolic sine",
    "[0.0, 1.0]",
    "[0.0000, 1.1752]",
)


cosh = _floating(
    "cosh",
    "CoshBackward0",
    np.cosh,
    "The hyperbolic cosine",
    "[0.0, 1.0]",
    "[1.0000, 1.5431]",
)


tanh = _floating(
    "tanh",
    "TanhBackward0",
    np.tanh,
    "The hyperbolic tangent",
    "[0.0, 1.0]",
    "[0.0000, 0.7616]",
)


asinh = _floating(
    "asinh",
    "AsinhBackward0",
    np.arcsinh,
    "The inverse of `sinh`",
    "[0.0, 1.0]",
    "[0.0000, 0.8814]",
)


acosh = _floating(
    "acosh",
    "AcoshBackward0",
    np.arccosh,
    "The inverse of `cosh`; NaN below 1",
    "[1.0, 2.0]",
    "[0.0000, 1.3170]",
)


atanh = _floating(
    "atanh",
    "AtanhBackward0",
    np.arctanh,
    "The inverse of `tanh`; NaN outside ``[-1, 1]``",
    "[0.0, 0.5]",
    "[0.0000, 0.5493]",
)


sigmoid = _floating(
    "sigmoid",
    "SigmoidBackward0",
    sigmoid_of,
    "``1 / (1 + exp(-input))``",
    "[0.0, 1.0]",
    "[0.5000, 0.7311]",
)


sinc = _floating(
    "sinc",
    "SincBackward0",
    _sinc,
    "``sin(pi * input) / (pi * input)``, 1 at 0",
    "[0.0, 0.5]",
    "[1.0000, 0.6366]",
)


deg2rad = _floating(
    "deg2rad",
    "Deg2RadBackward0",
    lambda x: x * (math.pi / 180),
    "``input * pi / 180``",
    "[180.0, 90.0]",
    "[3.1416, 1.5708]",
)


rad2deg = _floating(
    "rad2deg",
    "Rad2DegBackward0",
    lambda x: x * (180 / math.pi),
    "``input * 180 / pi``",
    "[3.1416, 1.0]",
    "[180.0004,  57.2958]",
)
for _name in ("sin", "cos", "tan", "sinh", "cosh", "tanh"):
    METHODS[f"arc{_name}"] = METHODS.get(f"a{_name}")
    FUNCTIONS[f"arc{_name}"] = FUNCTIONS.get(f"a{_name}")
