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


floor = _steps("floor", "FloorBackward0", np.floor, "The next integer below.")
ceil = _steps("ceil", "CeilBackward0", np.ceil, "The next integer above.")
trunc = _steps("trunc", "TruncBackward0", np.trunc, "The integer part.")
METHODS["fix"] = FUNCTIONS["fix"] = trunc


@operation("round")
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with some decimals; halves go to the even one."""
    x = require_tensor("round", input)
    if x._aval.dtype == bool:
        raise NotImplementedError("\"round_vml_cpu\" not implemented for 'Bool'")
    if x._aval.dtype.kind != "f":
        return make(x._array.copy())
    node = "RoundBackward1" if decimals else "RoundBackward0"
    return one(node, lambda u: flat(np.round(u, decimals), u), x)


@operation("frac")
def frac(input: Tensor) -> Tensor:
    """What `trunc` takes away; its derivative is 1."""
    x = require_tensor("frac", input)
    if x._aval.dtype.kind != "f":
        raise NotImplementedError(f"\"frac_cpu\" not implemented for '{x.dtype.kind}'")
    return one("FracBackward0", lambda u: u - np.trunc(u), x)


def _sign(name: str, node: str) -> Any:
    def sign_of(input: Tensor) -> Tensor:
        x = require_tensor(name, input)
        return one(node, lambda u: flat(_signs(u), u), x)

    sign_of.__name__ = sign_of.__qualname__ = name
    sign_of.__doc__ = "-1, 0 or 1."
    METHODS[name] = FUNCTIONS[name] = sign_of
    return sign_of


def _signs(x: Any) -> Any:
    return np.where(x != x, 0, np.sign(x)).astype(x.dtype) if x.dtype != bool else x


sign = _sign("sign", "SignBackward0")
sgn = _sign("sgn", "SgnBackward0")


@operation("signbit")
def signbit(input: Tensor) -> Tensor:
    """Whether the sign of elements is set, also that of -0."""
    return one("", np.signbit, require_tensor("signbit", input).detach())
