"""In-place variants that few scripts use, and functions of the module for variants."""

from __future__ import annotations

from fgrad.torch.inplace import variant_of
from fgrad.torch.registry import FUNCTIONS, METHODS

_VARIANTS = [
    "addbmm", "arctan2", "bitwise_left_shift", "bitwise_right_shift", "i0",
    "index_reduce", "ldexp",
    "mvlgamma", "nextafter", "put", "renorm", "scatter_reduce",
]  # fmt: skip
_AS_FUNCTIONS = [
    "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh",
    "asin", "asinh", "atan", "atanh", "clamp_max", "clamp_min", "clip", "cosh",
    "deg2rad", "erf", "erfc", "exp2", "expm1", "fill", "fix", "frac", "gcd", "i0",
    "index_put", "lcm", "ldexp", "log10", "log1p", "log2", "logit", "nan_to_num",
    "negative", "rad2deg", "reciprocal", "sinc", "sinh", "trunc", "xlogy",
]  # fmt: skip


def add_rare_in_place_variants() -> None:
    """Register the variants as methods, and those that PyTorch has as functions."""
    for name in _VARIANTS:
        METHODS[f"{name}_"] = variant_of(METHODS[name], name)
    for name in _AS_FUNCTIONS:
        FUNCTIONS[f"{name}_"] = METHODS[f"{name}_"]
