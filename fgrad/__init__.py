"""fgrad differentiates plain NumPy code."""

import importlib
from typing import Any

from fgrad import errors, numpy
from fgrad.api import grad, jvp, linearize, make_program, value_and_grad, vjp
from fgrad.control.loops import scan
from fgrad.ir import Aval, Program, check
from fgrad.jacobians import hessian, hvp, jacfwd, jacobian, jacrev
from fgrad.mapping import vmap
from fgrad.ops.cut import stop_gradient
from fgrad.text import parse

__version__ = "0.1.0"
__all__ = [
    "Aval",
    "Program",
    "check",
    "errors",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "linearize",
    "make_program",
    "numpy",
    "parse",
    "scan",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> Any:
    """`fgrad.testing` is imported on first use, to keep ``import fgrad`` quick."""
    if name == "testing":
        return importlib.import_module("fgrad.testing")
    raise AttributeError(f"module 'fgrad' has no attribute {name!r}")
