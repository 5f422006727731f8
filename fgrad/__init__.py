"""fgrad differentiates plain NumPy code."""

import importlib
from typing import Any

from fgrad import errors, numpy
from fgrad.api import grad, jvp, linearize, value_and_grad, vjp
from fgrad.caches import cache_info, clear_caches
from fgrad.control.checkpoint import checkpoint
from fgrad.control.custom import custom_jvp, custom_vjp
from fgrad.control.external import external
from fgrad.debug import debug_nans, print, print_cotangent
from fgrad.ir import Aval, Program, check
from fgrad.jacobians import hessian, hvp, jacfwd, jacobian, jacrev
from fgrad.jitting import export, jit
from fgrad.mapping import vmap
from fgrad.ops.cut import stop_gradient
from fgrad.profiling import profile
from fgrad.programs import eval_shape, linear_transpose, make_program
from fgrad.text import parse
from fgrad.xla.constructs import (
    associative_scan,
    cond,
    fori_loop,
    map,
    scan,
    switch,
    while_loop,
)
from fgrad.xla.interop import from_jax, to_jax

__version__ = "0.1.0"
__all__ = [
    "Aval",
    "Program",
    "associative_scan",
    "cache_info",
    "check",
    "checkpoint",
    "clear_caches",
    "cond",
    "custom_jvp",
    "custom_vjp",
    "debug_nans",
    "errors",
    "eval_shape",
    "export",
    "external",
    "fori_loop",
    "from_jax",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "linear_transpose",
    "linearize",
    "make_program",
    "map",
    "numpy",
    "parse",
    "print",
    "print_cotangent",
    "profile",
    "scan",
    "stop_gradient",
    "switch",
    "to_jax",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]


def __getattr__(name: str) -> Any:
    """`fgrad.testing` is imported on first use, to keep ``import fgrad`` quick."""
    if name == "testing":
        return importlib.import_module("fgrad.testing")
    raise AttributeError(f"module 'fgrad' has no attribute {name!r}")
