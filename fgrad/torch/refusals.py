"""Functions that have no meaning for complex numbers: PyTorch's errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fgrad.torch.registry import FUNCTIONS, METHODS
from fgrad.torch.tensor import Tensor

KERNELS = {  # by PyTorch's name of the part that is missing
    "max": "max_all", "min": "min_all", "amax": "max_values_cpu",
    "amin": "min_values_cpu", "kthvalue": "kthvalue_cpu", "median": "median_cpu",
    "mode": "mode_cpu", "round": "round_vml_cpu", "frac": "frac_cpu",
    "erf": "erf_vml_cpu", "erfc": "erfc_vml_cpu", "erfinv": "erfinv_vml_cpu",
    "lgamma": "lgamma_vml_cpu", "digamma": "digamma", "unique": "unique",
    "cummax": "cummax_cpu", "cummin": "cummin_cpu", "fmod": "fmod_cpu",
    "remainder": "remainder_cpu", "floor_divide": "div_floor_cpu",
    "atan2": "atan2_cpu", "hypot": "hypot_cpu", "histc": "aminmax_cpu",
    "softmax": "softmax_lastdim_kernel_impl", "aminmax": "aminmax_cpu",
    "log_softmax": "log_softmax_lastdim_kernel_impl", "logit": "logit_cpu",
    "bincount": "bincount_cpu", "copysign": "copysign_cpu", "xlogy": "xlogy_cpu",
}  # fmt: skip
TEXTS: dict[str, tuple[type[Exception], str]] = {
    "floor": (NotImplementedError, "floor is not supported for complex inputs"),
    "ceil": (NotImplementedError, "ceil is not supported for complex inputs"),
    "trunc": (NotImplementedError, "trunc is not supported for complex inputs"),
    "sign": (
        NotImplementedError,
        "Unlike NumPy, torch.sign is not intended to support complex numbers. Please "
        "use torch.sgn instead.",
    ),
    **dict.fromkeys(
        ("clamp", "clip", "clamp_min", "clamp_max", "relu"),
        (NotImplementedError, "clamp is not supported for complex types"),
    ),
    **{
        name: (RuntimeError, f"{name}(): does not support complex input")
        for name in ("argmax", "argmin")
    },
    **dict.fromkeys(
        ("sort", "argsort"),
        (RuntimeError, " Sort does not support complex dtypes on CPU"),
    ),
    "topk": (RuntimeError, " topk does not support complex dtypes on CPU"),
    **{
        name: (RuntimeError, f"{name} not implemented for complex tensors.")
        for name in ("maximum", "minimum", "fmax", "fmin")
    },
    "deg2rad": (RuntimeError, "deg2rad is not supported for complex tensors."),
    "isposinf": (RuntimeError, "isposinf does not support complex inputs."),
    "isneginf": (RuntimeError, "isneginf does not support complex inputs."),
    "signbit": (NotImplementedError, "signbit is not implemented for complex tensors."),
    "heaviside": (
        RuntimeError,
        "heaviside is not yet implemented for complex tensors.",
    ),
    **{
        name: (NotImplementedError, f"fgrad.torch has no {name} of complex numbers")
        for name in ("logsumexp", "logaddexp", "logaddexp2", "logcumsumexp")
    },
    "nansum": (RuntimeError, "nansum on CPU does not support complex inputs"),
    "quantile": (
        RuntimeError,
        "quantile() input tensor must be either float or double dtype",
    ),
}
_KERNEL = "\"{}\" not implemented for '{}'"


def _refusing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which refuses a complex tensor as first argument."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else kwargs.get("input")
        if isinstance(first, Tensor) and first._aval.dtype.kind == "c":
            if name in KERNELS:
                text = _KERNEL.format(KERNELS[name], first.dtype.kind)
                raise NotImplementedError(text)
            error, text = TEXTS[name]
            raise error(text)
        return function(*args, **kwargs)

    return call


def refuse_complex_numbers() -> None:
    """Put the refusals before the functions and methods."""
    for name in (*KERNELS, *TEXTS):
        for table in (METHODS, FUNCTIONS):
            if name in table:
                table[name] = _refusing(name, table[name])
