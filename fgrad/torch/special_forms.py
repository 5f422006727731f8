"""How functions of ``torch.special`` are declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgrad.torch import dtypes, special
from fgrad.torch.conversion import convert
from fgrad.torch.recording import one
from fgrad.torch.registry import publish
from fgrad.torch.tensor import Tensor, make, require_tensor

Function = Callable[[Any], Any]
WITH_HALF = {"i0e", "i1", "i1e"}  # what PyTorch has kernels of for half precision
CALLED_X = {"airy_ai", "spherical_bessel_j0"}  # where the argument is x, not input
CALLED_X |= {"scaled_modified_bessel_k0", "scaled_modified_bessel_k1"}


def example(says: str, call: str, printed: str) -> str:
    """The docstring of a function of ``torch.special``, with an example."""
    return f"{says}\n\n>>> torch.special.{call}\n{printed}\n"


def add(name: str, function: Any) -> Any:
    """Make a function one of ``torch.special``."""
    function.__name__ = function.__qualname__ = name
    publish(special, function)
    return function


def exact(compute: Function) -> Function:
    """A function that computes in float64."""

    def call(x: Any) -> Any:
        return compute(x.astype(np.float64)).astype(x.dtype)

    return call


def floats(name: str, input: Any) -> Tensor:
    """A tensor of floating-point numbers; integers become the default dtype.

    Raises:
        TypeError: it is no tensor.
        NotImplementedError: the numbers are complex, or of half precision that PyTorch
            does not have there.
    """
    if not isinstance(input, Tensor) and name in CALLED_X:
        raise TypeError(
            f"special_{name}(): argument 'x' (position 1) must be Tensor, not "
            f"{type(input).__name__}"
        )
    x = require_tensor(f"special_{name}", input)
    is_half = x.dtype is dtypes.float16 and name not in WITH_HALF
    if x.dtype.is_complex or is_half:
        raise NotImplementedError(
            f"\"{name}_cpu\" not implemented for '{x.dtype.kind}'"
        )
    if not x.dtype.is_floating_point:
        return convert(x, dtypes.get_default_dtype())
    return x


def floating(name: str, node: str, compute: Function, doc: str) -> Any:
    """Add a function of one tensor, whose gradients are those of the computation."""
    computed = exact(compute)

    def apply_special(input: Tensor) -> Tensor:
        return one(node, computed, floats(name, input))

    apply_special.__doc__ = doc
    return add(name, apply_special)


def without_gradient(name: str, compute: Function, doc: str) -> Any:
    """Add a function that PyTorch has no derivative of: its result requires none."""
    computed = exact(compute)

    def apply_special(input: Tensor) -> Tensor:
        x = floats(name, input)
        with np.errstate(all="ignore"):
            return make(computed(x._array))

    apply_special.__doc__ = doc
    return add(name, apply_special)
