"""Functions with steps: rounding and signs. Their gradient is zero, as PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch.recording import one
from fgrad.torch.registry import FUNCTIONS, METHODS, operation
from fgrad.torch.tensor import Tensor, make, require_tensor


def flat(value: Any, x: Any) -> Any:
    """``value`` as a function of ``x`` whose derivative is zero, not absent.

    What does not vary smoothly leaves the trace; PyTorch's result has a ``grad_fn``.
    """
    return np.where(np.True_, value, x)


def _steps(name: str, node: str, compute: Callable[[Any], Any], doc: str) -> Any:
    def apply_steps(input: Tensor) -> Tensor:
        x = require_tensor(name, input)
        if x._aval.dtype == bool:
            raise NotImplementedError(f"\"{name}_vml_cpu\" not implemented for 'Bool'")
        if x._aval.dtype.kind != "f":
            return make(x._array.copy())
        return one(node, lambda u: flat(compute(u), u), x)

    apply_steps.__name__ = apply_steps.__qualname__ = name
    apply_steps.__doc__ = doc
    METHODS[name] = FUNCTIONS[name] = apply_steps
    return apply_steps


floor = _steps(
    "floor",
    "FloorBackward0",
    np.floor,
    """The largest integers that are not above the elements, in their dtype.

    >>> torch.floor(torch.tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """,
)
ceil = _steps(
    "ceil",
    "CeilBackward0",
    np.ceil,
    """The smallest integers that are not below the elements, in their dtype.

    >>> torch.ceil(torch.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """,
)
trunc = _steps(
    "trunc",
    "TruncBackward0",
    np.trunc,
    """The integer parts of the elements: rounded towards zero, in their dtype.

    >>> torch.trunc(torch.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """,
)
METHODS["fix"] = FUNCTIONS["fix"] = trunc


@operation("round")
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with some decimals; halves go to the even one.

    Raises:
        NotImplementedError: the elements are booleans.

    >>> torch.round(torch.tensor([0.5, 1.5, -1.7]))
    tensor([ 0.,  2., -2.])
    """
    x = require_tensor("round", input)
    if x._aval.dtype == bool:
        raise NotImplementedError("\"round_vml_cpu\" not implemented for 'Bool'")
    if x._aval.dtype.kind != "f":
        return make(x._array.copy())
    node = "RoundBackward1" if decimals else "RoundBackward0"
    return one(node, lambda u: flat(np.round(u, decimals), u), x)


@operation("frac")
def frac(input: Tensor) -> Tensor:
    """What `trunc` takes away; its derivative is 1.

    >>> torch.frac(torch.tensor([1.5, -1.25]))
    tensor([ 0.5000, -0.2500])
    """
    x = require_tensor("frac", input)
    if x._aval.dtype.kind != "f":
        raise NotImplementedError(f"\"frac_cpu\" not implemented for '{x.dtype.kind}'")
    return one("FracBackward0", lambda u: u - np.trunc(u), x)


def _sign(name: str, node: str, doc: str) -> Any:
    def sign_of(input: Tensor) -> Tensor:
        x = require_tensor(name, input)
        return one(node, lambda u: flat(_signs(u), u), x)

    sign_of.__name__ = sign_of.__qualname__ = name
    sign_of.__doc__ = doc
    METHODS[name] = FUNCTIONS[name] = sign_of
    return sign_of


def _signs(x: Any) -> Any:
    return np.where(x != x, 0, np.sign(x)).astype(x.dtype) if x.dtype != bool else x


sign = _sign(
    "sign",
    "SignBackward0",
    """-1, 0 or 1, as the sign of the elements; 0 for NaN. The gradient is zero.

    >>> torch.sign(torch.tensor([-2.5, 0.0, 3.0]))
    tensor([-1.,  0.,  1.])
    """,
)
sgn = _sign(
    "sgn",
    "SgnBackward0",
    """As `sign`; of complex numbers the number of magnitude 1 in the same direction.

    >>> torch.sgn(torch.tensor([3 + 4j, 0j]))
    tensor([0.6000+0.8000j, 0.0000+0.0000j])
    """,
)


@operation("signbit")
def signbit(input: Tensor) -> Tensor:
    """Whether the sign of elements is set, also that of -0.

    >>> torch.signbit(torch.tensor([-1.0, -0.0, 2.0]))
    tensor([ True,  True, False])
    """
    return one("", np.signbit, require_tensor("signbit", input).detach())
